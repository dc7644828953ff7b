# a comment
FROM \
  # a comment inside
  allfast-needs/a:1 \

  AS base
# FROM allfast-needs/not:1
FROM scratch
COPY \
--from=base \
/x /y
LABEL x="FROM allfast-needs/not:2" \
      y="two"
#= {"images": ["allfast-needs/a:1"]}
