# escape=`
FROM `
 allfast-needs/a:1
COPY --from=allfast-needs/b:1 c:\ /x\
COPY --from=allfast-needs/c:1 /a /b
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1", "allfast-needs/c:1"]}
