FROM scratch
COPY --chown=1:1 --from=allfast-needs/a:1 --chmod=755 /x /x
COPY --link --from="allfast-needs/b:1" /x /x
COPY x --from=allfast-needs/not:1 /x
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
