#!/bin/bash
# As the public image, in the parts that Compose files use: POSTGRES_USER, _PASSWORD, _DB (each also as ..._FILE),
# POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_ARGS, /docker-entrypoint-initdb.d; the server does not run as root.
set -euo pipefail

from_file() {
    local name=$1 file="${1}_FILE"
    [ -z "${!file:-}" ] || export "$name=$(<"${!file}")"
}

new_cluster() {
    local auth=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$auth" != trust ]; then
        echo 'Error: Database is uninitialized and superuser password is not specified. Set POSTGRES_PASSWORD.' >&2
        exit 1
    fi
    # shellcheck disable=SC2086  # the arguments are meant to be split
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all %s\n' "$auth" >>"$PGDATA/pg_hba.conf"
}

# Runs what needs a server, on one that no other container can reach yet.
fill_cluster() {
    local file
    pg_ctl --silent --wait -o "-c listen_addresses=''" start
    [ "$POSTGRES_DB" = postgres ] ||
        psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -v db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
    for file in /docker-entrypoint-initdb.d/*; do
        # shellcheck source=/dev/null
        case $file in
            *.sh) . "$file" ;;
            *.sql) psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$file" ;;
        esac
    done
    pg_ctl --silent --wait -m fast stop
}

[ "${1:0:1}" != - ] || set -- postgres "$@"
if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA"
        chown -R postgres:postgres "$PGDATA" /var/run/postgresql
        chmod 700 "$PGDATA"
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB; do from_file $name; done
        POSTGRES_USER=${POSTGRES_USER:-postgres}
        POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
        export PGPASSWORD=${POSTGRES_PASSWORD:-}
        new_cluster
        fill_cluster
        unset PGPASSWORD
    fi
fi
exec "$@"
