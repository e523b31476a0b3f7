#!/bin/sh
# Install what Troupe needs on Debian 12: `tests/setup.sh build` for the binary, `tests/setup.sh test` also for the tests.
# Packages that are there already cost nothing; root rights (or sudo) are needed only when one is missing.
set -eu

build_packages="gcc g++ cmake ninja-build pkg-config libuv1-dev libgrpc-dev libprotobuf-c-dev protobuf-c-compiler
    protobuf-compiler libssl-dev libxxhash-dev liblmdb-dev libsqlite3-dev node-llhttp libnghttp2-dev libyaml-dev libre2-dev
    libc-ares-dev libabsl-dev zlib1g-dev python3 curl"
test_packages="clang clang-format libclang-rt-14-dev libcmocka-dev python3-venv git wrk"

case "${1:-test}" in
build) wanted=$build_packages ;;
test) wanted="$build_packages $test_packages" ;;
*)
    echo "usage: $0 [build|test]" >&2
    exit 2
    ;;
esac

missing=
for package in $wanted; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "$0: these packages are missing and need root to install:$missing" >&2
        exit 1
    }
    as_root=sudo
fi
echo "installing:$missing"
# shellcheck disable=SC2086 # the lists are words
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
