FROM allfast-needs/b:1 AS tools
FROM allfast-needs/a:1 AS base
ONBUILD COPY --from=tools /x /y
FROM base
#= {"frontend": "new", "images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
#= {"target": "base", "images": ["allfast-needs/a:1"]}
