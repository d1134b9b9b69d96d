# shellcheck shell=bash
# PostgreSQL as the distribution has it, on loopback, with a password of its own.
# shellcheck disable=SC2046,SC2154 # `postgres_user` is several words or none; compose/lib.sh assigns.

postgres_programs() {
    local programs
    for programs in "$(dirname "$(command -v postgres || echo /nowhere/-)")" /usr/lib/postgresql/*/bin; do
        if [ -x "$programs/postgres" ] && [ -x "$programs/initdb" ]; then
            echo "$programs"
            return 0
        fi
    done
    return 1
}

# It refuses to run as root.
postgres_user() {
    if [ "$(id -u)" = 0 ]; then
        echo setpriv --reuid=postgres --regid=postgres --clear-groups
    fi
}

postgres_prepare() {
    local programs home=$state/postgres
    if [ "${COMPOSE_INSTALL:-no}" = yes ] && ! have postgres && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        # Ours is the only cluster that is wanted.
        mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    need postgres postgresql || return 1
    programs=$(postgres_programs) || return 1
    mkdir -p "$home"
    secret postgres >/dev/null
    tls_prepare || say "PostgreSQL without TLS"
    [ ! -f "$home/data/PG_VERSION" ] || return 0
    rm -rf "$home/data" && mkdir -m 700 "$home/data" || return 1
    if [ "$(id -u)" = 0 ]; then
        chown postgres:postgres "$home/data" "$home/password" || return 1
        if ! $(postgres_user) test -w "$home/data"; then
            say "user postgres cannot reach $home: set XDG_STATE_HOME to where it can"
            return 1
        fi
    fi
    (cd / && $(postgres_user) "$programs/initdb" --pgdata="$home/data" --username=social --pwfile="$home/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >"$home/log" 2>&1) ||
        { tail -n 20 "$home/log" >&2; rm -rf "$home/data"; return 1; }
}

postgres_launch() {
    local home=$state/postgres tls=()
    if tls_there; then
        # It takes a key that is its own user's only.
        install -m 600 "$(tls_server)" "$home/tls.pem" || return 1
        if [ "$(id -u)" = 0 ]; then chown postgres:postgres "$home/tls.pem" || return 1; fi
        tls=(-c ssl=on -c ssl_cert_file="$home/tls.pem" -c ssl_key_file="$home/tls.pem")
    fi
    launch postgres $(postgres_user) "$(postgres_programs)/postgres" -D "$state/postgres/data" -p "$1" \
        "${tls[@]}" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300
}

postgres_started() { true; }

# What makes it hang up on its clients and end at once, in good order.
postgres_signal() { echo INT; }

postgres_url() {
    echo "postgres://social:$(secret postgres)@127.0.0.1:$(cat "$state/postgres/port")/postgres?sslmode=disable"
}

# By TLS, the certificate checked.
postgres_more() {
    local query
    tls_there || return 0
    query="sslmode=verify-full&sslrootcert=$(tls_authority)"
    echo "POSTGRES_TLS_URL='postgres://social:$(secret postgres)@localhost:$(cat "$state/postgres/port")/postgres?$query'"
}

postgres_version() { "$(postgres_programs)/postgres" --version | sed 's/^postgres (PostgreSQL) /PostgreSQL /'; }
