#!/bin/sh
# Section 11 of the style guide: calls that are not made here.
cd "$(dirname "$0")/../.." || exit 2
bad=0
if git grep -nwE '(strcpy|strcat|sprintf|strtok|rand|gettimeofday|sleep|alloca)\(' -- 'runtime/*.c' 'placement/*.c' 'invoke/*.c' \
    'state/*.c' 'proto/*.c'; then
    echo "these calls are not used here"
    bad=1
fi
if git grep -nwE '(TODO|FIXME|XXX)' -- '*.c' '*.h' '*.py' '*.sh' ':!tests/lint'; then
    echo "a bare reminder in the text"
    bad=1
fi
exit $bad
