FROM allfast-needs/a:1
RUN <<EOF
FROM allfast-needs/not:1
COPY --from=allfast-needs/not:2 / /
EOF
COPY <<one <<-"two" /dest/
FROM allfast-needs/not:3
one
	FROM allfast-needs/not:4
	two
RUN cat <<'EOF' > /x && \
    echo done
FROM allfast-needs/not:5
EOF
RUN echo "<<EOF"
COPY --from=allfast-needs/b:1 /x /x
#= {"images": ["allfast-needs/a:1", "allfast-needs/b:1"]}
