#!/bin/sh
# Build in release and run every benchmark; each prints one JSON line a measurement. Flags go to bench_actor.py, see README.md.
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build/release}
seconds=${SECONDS_EACH:-5}

for tool in cmake ninja wrk python3; do
    command -v "$tool" > /dev/null || {
        echo "bench/run.sh: '$tool' is missing (Debian: cmake ninja-build wrk python3)" >&2
        exit 1
    }
done
cmake -S . -B "$build" -G Ninja -DTROUPE_PRESET=release -DTROUPE_BENCH=ON > /dev/null
ninja -C "$build" troupe bench/all > /dev/null

data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
"$build/bench/bench_turn"
"$build/bench/bench_ring"
"$build/bench/bench_json"
"$build/bench/floor_uv" "$seconds"
"$build/bench/bench_http" "$seconds"
"$build/bench/bench_rpc"
"$build/bench/bench_store" "$data"
python3 bench/bench_actor.py --bin "$build/bin" --seconds "$seconds" "$@"
