# first a comment
# escape=`
FROM \
 allfast-needs/a:1
#= {"images": ["allfast-needs/a:1"]}
