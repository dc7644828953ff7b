FROM scratch AS base
ARG WHERE=https://example.com
ENV SITE=${WHERE}/deep
ADD $SITE/file /a
FROM base AS more
ARG WHERE
ADD local/file *.txt /b/
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/f /c
ADD ["https://example.com/with blank", "/d"]
ADD https://github.com/example/app.git#main /e
ADD https://github.com/example/app.git#0123456789012345678901234567890123456789 /f
ADD git@github.com:example/app.git /g
ADD ${UNKNOWN} /h
FROM scratch
COPY x /
#= {"images": []}
#= {"target": "base", "images": [], "unhashable": [4]}
#= {"target": "more", "images": [], "unhashable": [4, 9, 10, 12, 13]}
