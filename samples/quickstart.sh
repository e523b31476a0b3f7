#!/bin/sh
# Troupe in one minute: install what is missing, build, then show actors on two hosts that keep their state.
#   samples/quickstart.sh [--no-build BINARY]
# Exits 0 only if everything it says was seen.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    for log in "$work"/*.log; do
        [ -s "$log" ] && printf -- '--- last lines of %s\n' "$log" >&2 && tail -5 "$log" >&2
    done
    exit 1
}

if [ "${1:-}" = --no-build ]; then
    troupe=$2
else
    say "installing what is missing and building (only the first time takes long)"
    tests/setup.sh build
    cmake -S . -B build/release -G Ninja -DTROUPE_PRESET=release -DTROUPE_TESTS=OFF >/dev/null
    ninja -C build/release troupe | tail -1
    troupe=build/release/bin/troupe
fi
ls -l "$troupe" | awk '{ printf "the binary: %s, %.1f MB\n", $NF, $5 / 1e6 }'

work=$(mktemp -d)
stop() { # NAME...: a graceful end of each, one after the other
    for name in "$@"; do
        eval "pid=\${pid_$name:-}"
        [ -n "$pid" ] || continue
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        eval "pid_$name="
    done
}
# The sidecars first: their apps and the placement service are then still there for a graceful end.
stop_all() { stop sidecar_a sidecar_b app_a app_b placement; }
trap 'stop_all; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
holders = [socket.socket() for _ in range(int(sys.argv[1]))]
for holder in holders:
    holder.bind(("127.0.0.1", 0))
print(*[holder.getsockname()[1] for holder in holders])
PY
}
# shellcheck disable=SC2046 # one word a port
set -- $(free_ports 11)
placement=$1 placement_health=$2
app_a=$3 http_a=$4 grpc_a=$5 internal_a=$6
app_b=$7 http_b=$8 grpc_b=$9 internal_b=${10}

mkdir -p "$work/resources" "$work/state"
cat >"$work/resources/state.yaml" <<YAML
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: { name: store }
spec:
  type: state.lmdb
  version: v1
  metadata:
  - { name: path, value: "$work/state" }
  - { name: actorStateStore, value: "true" }
YAML

start() { # NAME COMMAND...
    name=$1
    shift
    "$@" >>"$work/$name.log" 2>&1 &
    eval "pid_$name=$!"
}
start_placement() {
    start placement "$troupe" placement --port "$placement" --listen-address 127.0.0.1 \
        --healthz-port "$placement_health" --healthz-listen-address 127.0.0.1 --enable-metrics=false
}
start_host() { # NAME APP_PORT HTTP GRPC INTERNAL: an app and the sidecar beside it
    start "app_$1" python3 samples/counter/app.py "$2" "$3" "host-$1"
    start "sidecar_$1" "$troupe" sidecar --app-id counter-app --app-port "$2" --dapr-http-port "$3" \
        --dapr-grpc-port "$4" --dapr-internal-grpc-port "$5" --dapr-internal-grpc-listen-address 127.0.0.1 \
        --dapr-listen-addresses 127.0.0.1 --placement-host-address "127.0.0.1:$placement" \
        --resources-path "$work/resources" --enable-metrics=false
}
wait_ready() { # HTTP PORT
    for _ in $(seq 1 200); do
        [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$1/v1.0/healthz")" = 204 ] && return 0
        sleep 0.05
    done
    fail "the sidecar on port $1 did not become ready"
}
call() { # HTTP_PORT ACTOR METHOD
    curl -sS --max-time 20 -X POST "http://127.0.0.1:$1/v1.0/actors/counter/$2/method/$3"
}
start_all() {
    start_placement
    start_host a "$app_a" "$http_a" "$grpc_a" "$internal_a"
    start_host b "$app_b" "$http_b" "$grpc_b" "$internal_b"
    wait_ready "$http_a"
    wait_ready "$http_b"
}
value_of() { python3 -c 'import json,sys; print(json.load(sys.stdin)["value"])'; }
host_of() { python3 -c 'import json,sys; print(json.load(sys.stdin)["host"])'; }

say "starting a placement service and two hosts, each an app with a sidecar"
start_all
echo "host-a answers at http://127.0.0.1:$http_a, host-b at http://127.0.0.1:$http_b"

say "calling ten actors through both sidecars: each counts to 2, wherever it lives"
hosts=
for i in 1 2 3 4 5 6 7 8 9 10; do
    first=$(call "$http_a" "actor-$i" increment) || fail "call of actor-$i through host-a"
    second=$(call "$http_b" "actor-$i" increment) || fail "call of actor-$i through host-b"
    echo "actor-$i: through host-a $first, through host-b $second"
    [ "$(echo "$second" | value_of)" = 2 ] || fail "actor-$i should have counted to 2"
    [ "$(echo "$first" | host_of)" = "$(echo "$second" | host_of)" ] || fail "actor-$i lives on two hosts"
    hosts="$hosts $(echo "$first" | host_of)"
done
for host in host-a host-b; do
    case "$hosts" in *$host*) ;; *) fail "no actor lives on $host" ;; esac
done
echo "seen: both sidecars reach every actor, and the actors are spread over both hosts"

say "stopping everything and starting it again"
stop_all
start_all
for i in 1 10; do
    answer=$(call "$http_a" "actor-$i" get)
    echo "actor-$i: $answer"
    [ "$(echo "$answer" | value_of)" = 2 ] || fail "actor-$i lost its value"
done
echo "seen: the values survived in $work/state"

say "stopping host-b: its actors move to host-a"
kill -TERM "$pid_sidecar_b"
wait "$pid_sidecar_b" || fail "the sidecar of host-b did not stop cleanly"
pid_sidecar_b=
stop app_b
for i in 1 2 3 4 5 6 7 8 9 10; do
    answer=$(call "$http_a" "actor-$i" increment) || fail "call of actor-$i after host-b stopped"
    [ "$(echo "$answer" | value_of)" = 3 ] || fail "actor-$i should have counted to 3, but: $answer"
    [ "$(echo "$answer" | host_of)" = host-a ] || fail "actor-$i should live on host-a now, but: $answer"
done
echo "seen: all ten actors answer from host-a, each with its value one higher than before"

say "done: everything was as said"
