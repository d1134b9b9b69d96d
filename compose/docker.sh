# shellcheck shell=bash disable=SC2154 # compose/lib.sh assigns.
# The engines as containers: compose/compose.yaml, on ports and with passwords of this state.

docker_engines() { echo postgres kafka mongo mssql; }

docker_compose() {
    docker compose --project-name "cqrs-$(printf %s "$state" | cksum | cut -d' ' -f1)" \
        --env-file "$state/docker.env" --file "$root/compose/compose.yaml" "$@"
}

docker_is_up() { [ -f "$state/docker.env" ] && [ -n "$(docker_compose ps --quiet --status running "$1" 2>/dev/null)" ]; }

docker_more() { :; }

docker_up() {
    local engine status=0
    # The ports of what runs stay as they are: asked anew, they would be found taken.
    if [ ! -f "$state/docker.env" ] || [ -z "$(docker_compose ps --quiet 2>/dev/null)" ]; then
        (
            umask 077
            echo "MONGO_PORT=$(port mongo)"
            echo "KAFKA_PORT=$(port kafka)"
            echo "POSTGRES_PORT=$(port postgres)"
            echo "POSTGRES_PASSWORD=$(secret postgres)"
            echo "MSSQL_PORT=$(port mssql)"
            # SQL Server wants three kinds of characters.
            echo "MSSQL_PASSWORD=Aa1-$(secret mssql)"
            echo "SOCIAL_JWT_KEY=$(secret jwt)"
        ) >"$state/docker.env"
    fi
    # One at a time: a server that does not start here leaves the others alone.
    for engine; do
        if docker_compose up --detach --wait "$engine" >&2; then
            say "$engine: $(docker_version "$engine"), port $(docker_setting "$engine" PORT)"
        else
            say "$engine could not be started"
            status=1
        fi
    done
    return "$status"
}

docker_down() {
    if [ -f "$state/docker.env" ]; then
        if [ "${1:-}" = --data ]; then
            docker_compose down --volumes --remove-orphans >&2
        else
            docker_compose down --remove-orphans >&2
        fi
    fi
    if [ "${1:-}" = --data ]; then rm -rf "$state"; fi
}

# docker_setting ENGINE WHAT: from the file that the containers were made with.
docker_setting() { sed -n "s/^${1^^}_$2=//p" "$state/docker.env"; }

docker_url() {
    local at
    at=127.0.0.1:$(docker_setting "$1" PORT)
    case $1 in
    # The member's name in the replica set is known inside of the network only.
    mongo) echo "mongodb://$at/?directConnection=true" ;;
    kafka) echo "$at" ;;
    postgres) echo "postgres://social:$(docker_setting postgres PASSWORD)@$at/social" ;;
    mssql) echo "server=tcp:${at/:/,};database=social;user id=sa;password=$(docker_setting mssql PASSWORD);TrustServerCertificate=true" ;;
    esac
}

docker_version() { docker_compose config --images "$1" | head -n 1; }
