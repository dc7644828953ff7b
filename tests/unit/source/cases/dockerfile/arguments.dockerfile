ARG NAME=a
ARG TAG
ARG WHOLE=allfast-needs/${NAME}:${TAG:-1}
FROM $WHOLE AS one
FROM allfast-needs/${NAME:+b}:"1" AS two
FROM allfast-needs/${OTHER-c}:${TAG:-1}
COPY --from=one / /
COPY --from=two / /
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1", "allfast-needs/c:1"]}
#= {"args": {"NAME": "d", "TAG": "2"}, "images": ["allfast-needs/b:1", "allfast-needs/c:2", "allfast-needs/d:2"]}
#= {"args": {"WHOLE": "allfast-needs/e"}, "images": ["allfast-needs/b:1", "allfast-needs/c:1", "allfast-needs/e"]}
