FROM --platform=$BUILDPLATFORM allfast-needs/a:1 AS tools
FROM allfast-needs/$TARGETARCH:$TARGETOS
COPY --from=tools / /
#= {"images": ["allfast-needs/a:1", "allfast-needs/amd64:linux"]}
