# shellcheck shell=bash
# What compose/up, down, env and test share: where state lives, ports, processes.
#
# State (data, logs, process ids, the exports) is per checkout and outside of it; downloads are shared by all checkouts.
#   COMPOSE_STATE     another place for this checkout's state
#   XDG_STATE_HOME, XDG_CACHE_HOME    where state and downloads go in general

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

if [ -n "${XDG_STATE_HOME:-}" ]; then
    states=$XDG_STATE_HOME/cqrs-engines
elif [ "$(id -u)" = 0 ]; then
    # Root's home is closed to the user that PostgreSQL runs as.
    states=/var/lib/cqrs-engines
else
    states=$HOME/.local/state/cqrs-engines
fi
state=${COMPOSE_STATE:-$states/$(basename "$root")-$(printf %s "$root" | cksum | cut -d' ' -f1)}
cache=${XDG_CACHE_HOME:-${HOME:-/var/cache}/.cache}/cqrs-engines

say() { echo "compose: $*" >&2; }

# The variable by which an engine is found, by adapters and tests alike.
variable() {
    case $1 in
    mongo) echo MONGODB_URI ;;
    kafka) echo KAFKA_BROKERS ;;
    postgres) echo POSTGRES_URL ;;
    mssql) echo MSSQL_URL ;;
    *) return 1 ;;
    esac
}

# One command at a time on one state. Engines must not inherit the lock: they are started with 9>&-.
lock_state() {
    mkdir -p "$state"
    exec 9>"$state/lock"
    if have flock; then flock 9; fi
}

# When a process began: with its number that names it for good, a number alone may be given again.
birth() {
    if [ -r "/proc/$1/stat" ]; then
        # The program's name, in parentheses, may hold blanks: cut it off first.
        sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
    else
        ps -o lstart= -p "$1" 2>/dev/null
    fi
}

# The process that a file names by number and birth, where it still runs.
alive() {
    local pid born
    [ -f "$1" ] && read -r pid born <"$1" || return 1
    [ -n "$born" ] && [ "$(birth "$pid")" = "$born" ] || return 1
    # One that is dead and that nobody has waited for is no running process.
    ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null || return 1
    echo "$pid"
}

# Whether somebody answers on a port of loopback.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port NAME: the one it had, if that is free, else another. Below the range that outgoing connections take theirs from.
port() {
    local file=$state/$1/port port
    mkdir -p "$state/$1"
    port=$(cat "$file" 2>/dev/null || true)
    while [ -z "$port" ] || answers "$port"; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
    done
    echo "$port" | tee "$file"
}

# secret NAME: made once, in a file that only its owner reads.
secret() {
    mkdir -p "$state/$1"
    [ -f "$state/$1/password" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$state/$1/password")
    cat "$state/$1/password"
}

# `docker` or `native`: what this state was made by, else what is asked for, else Docker where its engine runs.
way() {
    if [ -f "$state/way" ]; then
        cat "$state/way"
    elif [ -n "${COMPOSE_WAY:-}" ]; then
        echo "$COMPOSE_WAY"
    elif have docker && docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
        echo docker
    else
        echo native
    fi
}

# once PATH COMMAND…: makes PATH by `COMMAND… PATH`, once among all checkouts; whole or not at all.
once() {
    local path=$1
    shift
    mkdir -p "$(dirname "$path")"
    (
        flock 8
        [ -e "$path" ] && exit 0
        rm -rf "$path.part"
        "$@" "$path.part" 8>&- 9>&- && mv "$path.part" "$path"
    ) 8>"$path.lock"
}

# python_of FOLDER: the interpreter that has what compose/FOLDER/requirements.txt names; made once among all checkouts.
python_of() {
    local wanted=$root/compose/$1/requirements.txt venv
    venv=$cache/python-$1-$(cksum <"$wanted" | cut -d' ' -f1)
    need python3 python3 && need venv python3-venv || return 1
    once "$venv.made" python_make "$venv" "$wanted" && echo "$venv/bin/python"
}

# In place, since a virtual environment cannot be moved; what is made by `once` is only the mark that it is whole.
python_make() {
    say "installing what $2 names"
    python3 -m venv --clear "$1" >&2 && "$1/bin/python" -m pip install -q -r "$2" >&2 && touch "$3"
}

have() {
    case $1 in
    postgres) postgres_programs >/dev/null ;;
    venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# need PROGRAM PACKAGE…: whether the program is there. Installs the packages, by apt and as root, only where that was asked
# for: COMPOSE_INSTALL=yes, as .ci/run does.
need() {
    local program=$1
    shift
    if have "$program"; then return 0; fi
    if [ "${COMPOSE_INSTALL:-no}" = yes ] && [ "$(id -u)" = 0 ] && have apt-get; then
        say "installing $*"
        DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 &&
            DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2 &&
            hash -r && have "$program" && return 0
    fi
    say "no \`$program\` here (Debian: apt-get install $*)"
    return 1
}

# shellcheck source=compose/native.sh
. "$root/compose/native.sh"
# shellcheck source=compose/docker.sh
. "$root/compose/docker.sh"
