FROM allfast-needs/a:1
RUN ["echo", "<<EOF"]
RUN echo $((1<<2))
ENV X=<<EOF
CMD cat <<EOF
COPY --from=allfast-needs/b:1 /x /x
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
