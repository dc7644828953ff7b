FROM allfast-needs/a:1 AS base
FROM allfast-needs/b:1 AS tools
FROM base AS test
COPY --from=allfast-needs/c:1 /x /x
FROM scratch AS Final
COPY --from=tools / /
#= {"images": ["allfast-needs/b:1"]}
#= {"target": "test", "images": ["allfast-needs/a:1", "allfast-needs/c:1"]}
#= {"target": "BASE", "images": ["allfast-needs/a:1"]}
#= {"target": "final", "images": ["allfast-needs/b:1"]}
