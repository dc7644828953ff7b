FROM allfast-needs/a:1 AS one
FROM allfast-needs/b AS two
FROM allfast-needs/c:1
COPY --from=one / /
COPY --from=two / /
COPY --from=folder / /
#= {"contexts": ["folder"], "images": ["allfast-needs/a:1", "allfast-needs/b", "allfast-needs/c:1"]}
#= {"contexts": ["folder", "one"], "images": ["allfast-needs/b", "allfast-needs/c:1"]}
#= {"contexts": ["folder", "allfast-needs/b", "allfast-needs/c:1"], "images": ["allfast-needs/a:1"]}
