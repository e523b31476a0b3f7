/* State tables. */
#include "runtime/base/sm.h"

#include <stdio.h>

#include "runtime/base/assert.h"

void tr_sm_move(const struct tr_sm_state *table, unsigned len, unsigned *state, unsigned to)
{
    tr_assert(*state < len);
    tr_assert(to < len);
    if ((table[*state].moves & TR_SM_TO(to)) == 0) {
        char what[128];
        (void)snprintf(what, sizeof(what), "bug: no move from state '%s' to '%s'", table[*state].name, table[to].name);
        tr_assert_fail(__FILE__, __LINE__, what);
    }
    *state = to;
}
