FROM allfast-needs/a:1 AS alpine
FROM scratch AS x
FROM alpine
COPY --from=x / /
#= {"images": ["allfast-needs/a:1"]}
