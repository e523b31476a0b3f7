#!/bin/bash
# Install what is missing, build, run all tests. Ends with the line "N passed, N failed"; exits 0 only if none failed.
#   tests/run.sh           everything
#   tests/run.sh --quick   unit tests, lint and a part of the process tests, in under five minutes
# Builds live in build/, logs in build/logs/.
set -u
exec </dev/null
cd "$(dirname "$0")/.." || exit 2

quick=no
case "${1:-}" in
'') ;;
--quick) quick=yes ;;
*)
    echo "usage: tests/run.sh [--quick]" >&2
    exit 2
    ;;
esac

passed=0
failed=0
failures=
logs=build/logs
mkdir -p "$logs"

count() { # NAME PASSED FAILED: add to the sums
    passed=$((passed + $2))
    failed=$((failed + $3))
    [ "$3" = 0 ] || failures="$failures $1"
    printf '%-28s %5d passed %5d failed  %4d s\n' "$1" "$2" "$3" $((SECONDS - started))
}

step() { # NAME COMMAND...: one thing that works or does not; its output is shown when it does not
    local name=$1
    shift
    started=$SECONDS
    if "$@" >"$logs/$name.log" 2>&1; then
        count "$name" 1 0
        return 0
    fi
    tail -40 "$logs/$name.log"
    count "$name" 0 1
    return 1
}

build() { # PRESET COMPILER: configure and build build/<preset>
    cmake -S . -B "build/$1" -G Ninja -DTROUPE_PRESET="$1" -DCMAKE_C_COMPILER="$2" && ninja -C "build/$1"
}

ctests() { # NAME BUILD ARGS...: run ctest and add its counts
    local name=$1 dir=$2 total bad
    shift 2
    started=$SECONDS
    ctest --test-dir "$dir" --output-on-failure -j2 "$@" >"$logs/$name.log" 2>&1
    read -r bad total < <(sed -nE 's/^.*% tests passed, ([0-9]+) tests failed out of ([0-9]+).*/\1 \2/p' "$logs/$name.log")
    if [ -z "${total:-}" ]; then
        tail -20 "$logs/$name.log"
        count "$name" 0 1
        return
    fi
    [ "$bad" = 0 ] || grep -vE '^ *[0-9]+/[0-9]+ Test.*Passed|^ *Start' "$logs/$name.log" | tail -150
    count "$name" $((total - bad)) "$bad"
}

pytests() { # NAME ARGS...: run pytest and add its counts (an expected failure that passes is a failure)
    local name=$1 status line good bad skipped expected
    shift
    started=$SECONDS
    build/venv/bin/python -m pytest "$@" >"$logs/$name.log" 2>&1
    status=$?
    line=$(grep -E '^=* ?[0-9]+ [a-z]+(,| in ).* in [0-9.]+s|^=* ?[0-9]+ [a-z]+ in [0-9.]+s' "$logs/$name.log" | tail -1)
    number() { # WORD: how many of it the last line tells of
        local found
        found=$(echo "$line" | grep -oE "\b[0-9]+ $1\b" | grep -oE '^[0-9]+')
        echo "${found:-0}"
    }
    good=$(number passed)
    bad=$(($(number failed) + $(number 'errors?')))
    skipped=$(number skipped)
    expected=$(number xfailed)
    [ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1 # it ended before it could count
    if [ "$bad" != 0 ]; then
        grep -E '^(FAILED|ERROR)' "$logs/$name.log" | head -60
        tail -5 "$logs/$name.log"
    fi
    [ "$skipped" = 0 ] || echo "$name: $skipped skipped"
    [ "$expected" = 0 ] || echo "$name: $expected expected failures (tests/compat/expected_failures.txt)"
    count "$name" "$good" "$bad"
}

venv() { # the Python packages of the process and compatibility tests
    [ -x build/venv/bin/python ] || python3 -m venv build/venv || return 1
    cmp -s tests/compat/requirements.txt build/venv/requirements.txt && return 0
    build/venv/bin/pip install -q -r tests/compat/requirements.txt &&
        cp tests/compat/requirements.txt build/venv/requirements.txt
}

end() {
    [ -z "$failures" ] || echo "failed in:$failures (logs in $logs)"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" != 0 ]
    exit
}

step setup tests/setup.sh test || end
if [ $quick = yes ]; then
    step build-debug build debug gcc && ctests unit-debug build/debug
    step build-release build release gcc && step venv venv && CONFORMANCE_BIN=$PWD/build/release/bin pytests proc tests/proc -m quick
    end
fi

step build-debug build debug gcc && ctests unit-debug build/debug
step build-release build release gcc
step build-fuzz build fuzz clang && ctests fuzz build/fuzz -R '^fuzz_'
step build-thread build thread gcc && ctests unit-thread build/thread -LE no_thread
if step venv venv; then
    export CONFORMANCE_BIN=$PWD/build/release/bin
    pytests proc tests/proc
    pytests compat-actors tests/compat/actors
    pytests compat-control tests/compat/control
    # Of service invocation's cases those that need no service invocation.
    pytests compat-invocation tests/compat/invocation/test_invoke_utility.py tests/compat/invocation/test_invoke_http_server.py
    CONFORMANCE_BIN=$PWD/build/debug/bin pytests proc-sanitized tests/proc
fi
step quickstart samples/quickstart.sh --no-build build/release/bin/troupe
end
