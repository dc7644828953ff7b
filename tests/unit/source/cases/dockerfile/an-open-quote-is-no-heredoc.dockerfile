FROM allfast-needs/a:1
RUN echo it's <<EOF
COPY --from=allfast-needs/b:1 /x /x
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
