# shellcheck shell=bash disable=SC2154 # compose/lib.sh assigns.
# The engines as processes of this machine: compose/engines/ says how to get and run each.

native_engines() { echo postgres kafka mongo; }

native_is_up() { running "$1" >/dev/null; }

native_url() { "$1_url"; }

native_version() { "$1_version"; }

# Further variables that tests and tools may want, one a line.
native_more() {
    if declare -F "$1_more" >/dev/null; then "$1_more"; fi
}

native_up() {
    local engine status=0
    for engine; do
        if ! native_is_up "$engine"; then
            if ! { "${engine}_prepare" && start "$engine" && "${engine}_started"; }; then
                say "$engine could not be started"
                status=1
                continue
            fi
        fi
        say "$engine: $(native_version "$engine"), port $(cat "$state/$engine/port")"
    done
    return "$status"
}

native_down() {
    local engine
    for engine in mongo kafka postgres; do
        halt "$engine" "$("${engine}_signal")"
    done
    if [ "${1:-}" = --data ]; then rm -rf "$state"; fi
}

# launch NAME COMMAND…: in the background and a session of its own, output to NAME/log.
launch() {
    local name=$1
    shift
    setsid "$@" >>"$state/$name/log" 2>&1 </dev/null 9>&- &
    echo "$! $(birth $!)" >"$state/$name/pid"
}

# The number of a process that `launch` started and that still runs.
running() { alive "$state/$1/pid"; }

# halt NAME SIGNAL: asks it to end, and after 30 seconds makes it.
halt() {
    local pid i
    pid=$(running "$1") || return 0
    kill -"$2" "$pid"
    for ((i = 0; i < 150; i++)); do
        running "$1" >/dev/null || return 0
        sleep 0.2
    done
    say "$1 did not end by SIG$2: killed"
    kill -KILL "$pid"
}

# Whether the process itself (not someone who was quicker) listens on the port.
listens() {
    local pid=$1 hex inode
    answers "$2" || return 1
    [ -r /proc/net/tcp ] || return 0
    hex=$(printf %04X "$2")
    while read -r inode; do
        if find "/proc/$pid/fd" -lname "socket:\[$inode\]" 2>/dev/null | grep -q .; then
            return 0
        fi
    done < <(awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    return 1
}

# start NAME: runs NAME_launch until the process listens; again, on another port where need be, if it ends before.
start() {
    local name=$1 attempt pid i
    for attempt in 1 2 3 4 5; do
        "${name}_launch" "$(port "$name")" || return 1
        for ((i = 0; i < 600; i++)); do
            pid=$(running "$name") || break
            if listens "$pid" "$(cat "$state/$name/port")"; then
                return 0
            fi
            sleep 0.2
        done
        halt "$name" KILL
        # A port that another took meanwhile is not asked for again.
        if [ "$attempt" -gt 1 ]; then rm -f "$state/$name/port"; fi
        sleep 1
    done
    say "$name did not start; the end of $state/$name/log:"
    tail -n 20 "$state/$name/log" >&2
    return 1
}

# shellcheck source=compose/engines/tls.sh
. "$root/compose/engines/tls.sh"
# shellcheck source=compose/engines/postgres.sh
. "$root/compose/engines/postgres.sh"
# shellcheck source=compose/engines/kafka.sh
. "$root/compose/engines/kafka.sh"
# shellcheck source=compose/engines/mongo.sh
. "$root/compose/engines/mongo.sh"
