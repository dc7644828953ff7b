ARG TAG=1
FROM allfast-needs/a:$TAG AS one
ARG TAG=2
FROM allfast-needs/b:$TAG
COPY --from=one / /
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
