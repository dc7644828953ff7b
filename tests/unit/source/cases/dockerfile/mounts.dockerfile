FROM scratch AS cache
COPY --from=allfast-needs/d:1 /x /x
FROM allfast-needs/a:1
RUN --mount=type=cache,target=/c --mount=target=/s,from=allfast-needs/b:1 --mount=type=cache,from=cache,target=/k true
RUN --mount=type=bind,source=x,target=/y --mount=type=secret,id=from --mount=type=tmpfs,target=/t true
RUN --network=none --mount=type=bind,from=allfast-needs/c:1,target=/q true
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1", "allfast-needs/c:1", "allfast-needs/d:1"]}
