/* The end of the process after a mistake of our own. */
#include "runtime/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void tr_assert_fail(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "assertion failed: %s:%d: %s\n", file, line, what);
    (void)fflush(stderr);
    abort();
}
