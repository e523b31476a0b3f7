/* State tables: the legal moves of a state machine, checked at each move. */
#ifndef TR_BASE_SM_H
#define TR_BASE_SM_H

#include <stdint.h>

struct tr_sm_state {
    const char *name;
    uint32_t moves; /* TR_SM_TO bits of the states that may follow */
};

#define TR_SM_TO(state) (UINT32_C(1) << (state))

/* Move `*state` to `to`; an illegal move is a bug and aborts, naming both states. */
void tr_sm_move(const struct tr_sm_state *table, unsigned len, unsigned *state, unsigned to);

#endif
