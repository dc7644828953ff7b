FROM allfast-needs/a:1
COPY . /
#= {"images": ["allfast-needs/a:1"]}
