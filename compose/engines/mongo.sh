# shellcheck shell=bash disable=SC2154 # compose/lib.sh assigns.
# mongod where it is installed, as a replica set of one; else SecantusDB, a server that speaks MongoDB's protocol and proves
# nothing about MongoDB's speed. MONGO_STANDIN=python (quick to install) or rust (minutes to build, then many times faster)
# demands one of its two builds.

mongo_kind() {
    if [ -n "${MONGO_STANDIN:-}" ]; then
        echo "$MONGO_STANDIN"
    elif command -v mongod >/dev/null; then
        echo mongod
    else
        echo python
    fi
}

mongo_rust_release=0.5.3-beta.193

mongo_rust() { echo "$cache/secantus-mdb-$mongo_rust_release"; }

mongo_rust_download() {
    need cargo cargo || return 1
    say "building the stand-in for MongoDB, which takes minutes"
    cargo install -q --root "$1" --version "$mongo_rust_release" --ignore-rust-version secantus-mdb >&2
}

mongo_prepare() {
    mkdir -p "$state/mongo/data"
    # Data of one server is of no use to another.
    local kind
    kind=$(mongo_kind)
    if [ -f "$state/mongo/kind" ] && [ "$(cat "$state/mongo/kind")" != "$kind" ]; then
        say "there is data of another MongoDB server in $state/mongo: compose/down --data first"
        return 1
    fi
    echo "$kind" >"$state/mongo/kind"
    case $kind in
    mongod) need python3 python3 ;;
    python) python_of mongo >/dev/null ;;
    rust) once "$(mongo_rust)" mongo_rust_download ;;
    *)
        say "MONGO_STANDIN is \`python\` or \`rust\`"
        return 1
        ;;
    esac
}

mongo_launch() {
    local home=$state/mongo
    case $(cat "$home/kind") in
    mongod)
        launch mongo mongod --port "$1" --bind_ip 127.0.0.1 --dbpath "$home/data" --replSet rs0 --wiredTigerCacheSizeGB 0.25
        ;;
    python)
        # Synced at every commit, as journaled writes are promised to be.
        launch mongo "$(dirname "$(python_of mongo)")/secantusd-py" --host 127.0.0.1 --port "$1" --storage-path "$home/data" \
            --cache-size 2G --log-level WARNING --sync-on-commit
        ;;
    rust)
        launch mongo "$(mongo_rust)/bin/secantusd-rs" --host 127.0.0.1 --port "$1" --storage-path "$home/data" \
            --cache-size 2G --log-level WARNING --sync-on-commit
        ;;
    esac
}

mongo_started() {
    [ "$(cat "$state/mongo/kind")" != mongod ] || python3 "$root/compose/mongo/initiate.py" "$(cat "$state/mongo/port")"
}

# Runs beside tests. A Python stand-in whose cache is full stops for ever: the thread that has its lock waits for pages which the
# threads that wait for the lock hold back. With a cache of 256 MiB (of which updates may have a tenth) the tests did that now and
# then; so it has more, which it need not use. Should it happen all the same, it is killed, started again on its data, and a line
# is added to the file that $1 names.
mongo_watch() {
    [ "$(cat "$state/mongo/kind")" = python ] || return 0
    local status
    while true; do
        status=0
        "$(python_of mongo)" "$root/compose/mongo/watch.py" "$(mongo_url)" || status=$?
        [ "$status" = 3 ] && running mongo >/dev/null || return 0
        say "the stand-in for MongoDB answers nobody any more: it is killed and started again"
        halt mongo KILL
        echo restarted >>"$1"
        start mongo || return 1
    done
}

mongo_signal() { echo TERM; }

mongo_url() { echo "mongodb://127.0.0.1:$(cat "$state/mongo/port")/?directConnection=true"; }

mongo_version() {
    case $(cat "$state/mongo/kind") in
    mongod) mongod --version | sed -n 's/^db version v/MongoDB /p' ;;
    python) sed -n 's/^SecantusDB==/SecantusDB (Python), standing in for MongoDB, /p' "$root/compose/mongo/requirements.txt" ;;
    rust) echo "SecantusDB (Rust), standing in for MongoDB, $mongo_rust_release" ;;
    esac
}
