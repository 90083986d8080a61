# shellcheck shell=bash
# What the native servers have in common; kafka, mongo and zipkin source it. Each of them sets first
#   server         its name, for people
#   folder         its folder under .native (jars, data, log, pid, port)
#   port           where it listens; port_variable is the setting that chooses it
#   pom, size      the Maven file that pins its jars, and how much there is to fetch
#   marker         a pattern that only its command line matches
#   wait_seconds   how long it may take to start
#   stopped_note   what became of its data, said at its stop (by default: it stays)
# then defines launch (which execs the server), and where it has something to add: prepare (before the start),
# ready (it works, not only listens), more_ports; and ends with: native_server "$@"
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
state="$(realpath -m "${NATIVE_DIR:-$here/../../.native}")/$folder"
copy_dependencies=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
more_ports=()

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

prepare() { :; }
ready() { answers "$port"; }

running() { # the server's pid, if it lives and is the one that was started here
    local pid
    pid="$(cat "$state/pid" 2>/dev/null)" || return 1
    { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q -- "$marker" || return 1
    printf '%s' "$pid"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

address() { printf '127.0.0.1:%s' "$(cat "$state/port" 2>/dev/null || printf '%s' "$port")"; }

need_java() {
    local missing=()
    command -v java >/dev/null || missing+=("${java_package:-default-jre-headless}")
    [[ -f "$state/jars/.complete" ]] || command -v mvn >/dev/null || missing+=(maven)
    ((${#missing[@]} == 0)) || fail "The native $server needs Java and Maven. Missing here: apt-get install ${missing[*]}"
}

fetch_jars() {
    [[ "$state/jars/.complete" -nt "$here/$pom" ]] && return
    echo "fetching $server's jars ($size, once)"
    rm -rf "$state/jars"
    mvn -B -q -f "$here/$pom" "$copy_dependencies" -DoutputDirectory="$state/jars" -DincludeScope=runtime \
        >"$state/maven.log" 2>&1 ||
        fail "Maven could not fetch $server's jars; the last lines of $state/maven.log:" "$(tail -n 5 "$state/maven.log")"
    touch "$state/jars/.complete"
}

start() {
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock -w 120 9 || fail "another 'make native' is at work for two minutes already (lock $state/lock)"
    local pid each
    if pid="$(running)"; then
        [[ "$(address)" == "127.0.0.1:$port" ]] ||
            fail "$server runs at $(address), not at port $port. Stop it first (make native-stop) or say $port_variable=$(cat "$state/port")"
        echo "$server already runs at $(address) (pid $pid)"
        return
    fi
    need_java
    for each in "$port" "${more_ports[@]}"; do
        ! answers "$each" || fail "Port $each is in use by another program. Choose another: make native $port_variable=$((port + 10000))"
    done
    fetch_jars
    prepare
    printf '%s' "$port" >"$state/port"
    launch >"$state/log" 2>&1 9>&- </dev/null &
    pid=$!
    printf '%s' "$pid" >"$state/pid"
    for ((tenth = 0; tenth < wait_seconds * 10; tenth++)); do
        kill -0 "$pid" 2>/dev/null || fail "$server ended at once; the last lines of $state/log:" "$(tail -n 5 "$state/log")"
        if ready; then
            echo "$server runs at $(address) (pid $pid, stop it with: make native-stop)"
            return
        fi
        sleep 0.1
    done
    fail "$server does not answer at $(address) after $wait_seconds s; see $state/log"
}

stop() {
    local pid
    pid="$(running)" || { echo "no native $server runs"; rm -f "$state/pid"; return; }
    kill "$pid"
    for ((tenth = 0; tenth < 300; tenth++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -0 "$pid" 2>/dev/null && kill -KILL "$pid"
    rm -f "$state/pid"
    echo "$server stopped (${stopped_note:-its data stays in $(realpath --relative-base=. "$state")})"
}

native_server() {
    local pid
    case "${1:-}" in
    start) start ;;
    stop) stop ;;
    status) if pid="$(running)"; then echo "$server runs at $(address) (pid $pid)"; else echo "no native $server runs"; exit 1; fi ;;
    address) running >/dev/null && address ;;
    jars) need_java; mkdir -p "$state"; exec 9>"$state/lock"; flock 9; fetch_jars >&2; echo "$state/jars" ;;
    *) fail "usage: infra/native/$folder start|stop|status|address|jars" ;;
    esac
}
