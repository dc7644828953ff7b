ARG VERSION=1.2.3
ARG NAME=allfast-needs/a
FROM ${NAME}:${VERSION%%.*} AS one
FROM ${NAME#allfast-}:x AS never
FROM ${NAME%a}b:${VERSION/.2/}
COPY --from=one / /
#= {"frontend": "new", "images": ["allfast-needs/a:1", "allfast-needs/b:1.3"]}
