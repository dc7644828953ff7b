FROM allfast-needs/a:1 AS x
FROM x AS y
FROM allfast-needs/b:1 AS x
FROM scratch
COPY --from=y / /
COPY --from=x / /
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
