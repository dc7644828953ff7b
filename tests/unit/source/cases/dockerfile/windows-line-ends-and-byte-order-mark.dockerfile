# escape=`
ARG TAG=1
FROM allfast-needs/a:$TAG `
  AS base
RUN <<EOF
FROM allfast-needs/not:1
EOF
COPY --from=allfast-needs/b:1 /x /y
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
