#!/bin/sh
# Section 2 of the style guide: a folder includes only those before it, and foreign headers stay behind their fences.
cd "$(dirname "$0")/../.." || exit 2
bad=0

# Lowest first; folders of one line may not include each other unless listed so.
order="runtime/base proto runtime/http state invoke placement runtime/resource runtime/telemetry runtime/app
    runtime/actor runtime/api runtime/sidecar runtime/kubernetes runtime/tool runtime/main.c"

rank_of() { # PATH: its place in the order, 0 for none
    rank=0
    for folder in $order; do
        rank=$((rank + 1))
        case "$1" in "$folder"/* | "$folder") echo "$rank"; return ;; esac
    done
    echo 0
}

for file in $(git ls-files '*.c' '*.h' | grep -E '^(runtime|proto|state|invoke|placement)/'); do
    own=$(rank_of "$file")
    [ "$own" != 0 ] || { echo "$file: in no layer"; bad=1; }
    for include in $(sed -n 's/^#include "\(.*\)".*/\1/p' "$file"); do
        case "$include" in
        */*) ;;
        *) echo "$file: includes '$include', which is not written from the root"; bad=1; continue ;;
        esac
        theirs=$(rank_of "$include")
        if [ "$theirs" = 0 ] || [ "$theirs" -gt "$own" ]; then
            echo "$file: may not include '$include'"
            bad=1
        fi
    done
done

fence() { # PATTERN ALLOWED: files that include PATTERN must match ALLOWED
    for file in $(git grep -lE "^#include <($1)" -- '*.c' '*.h' | grep -vE '^(tests|bench)/'); do
        echo "$file" | grep -qE "^($2)$" || { echo "$file: includes <$1>, which is fenced"; bad=1; }
    done
}
fence 'uv\.h' 'runtime/base/[a-z_]*_uv\.[ch]'
fence 'grpc/' 'invoke/rpc[a-z_]*\.[ch]'
fence 'openssl/' 'invoke/tls[a-z_]*\.c|invoke/sentry/.*|placement/ring_hash\.c|runtime/sidecar/port\.c'
fence 'sqlite3\.h' 'state/[a-z_]*sqlite[a-z_]*\.[ch]'
fence 'lmdb\.h' 'state/[a-z_]*lmdb[a-z_]*\.[ch]|placement/raft/[a-z_]*_lmdb\.c'
fence 'llhttp\.h|nghttp2/' 'runtime/http/.*'
fence 'assert\.h' 'none'

exit $bad
