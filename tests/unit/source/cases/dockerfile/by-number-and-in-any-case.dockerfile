from allfast-needs/a:1 as Build
from allfast-needs/b:1
from build
copy --from=1 / /
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
