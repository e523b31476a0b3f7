/* The functions of loop_fake.h for tests whose loop has sockets: the clock is the system's. */
#include "tests/lib/loop_fake.h"

#define SETTLE_TURNS 30

void loop_fake_settle(struct tr_loop *loop)
{
    for (unsigned i = 0; i < SETTLE_TURNS; i++) {
        tr_loop_turn(loop);
    }
}

struct until {
    struct tr_loop *loop;
    uint64_t at_ms;
};

static bool is_time(void *ctx)
{
    const struct until *until = ctx;
    return tr_loop_now_ms(until->loop) >= until->at_ms;
}

void loop_fake_advance(struct tr_loop *loop, uint64_t ms)
{
    struct until until = { .loop = loop, .at_ms = tr_loop_now_ms(loop) + ms };
    if (!tr_loop_run_until(loop, is_time, &until, ms + 10000)) {
        TR_BUG("time stands still");
    }
    loop_fake_settle(loop);
}
