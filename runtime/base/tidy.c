/* Free memory back to the system, by what glibc offers for it. */
#include "runtime/base/tidy.h"

#include <malloc.h>

bool tr_tidy_now(void)
{
    return mallinfo2().fordblks >= TR_TIDY_BYTES_MIN && malloc_trim(0) == 1;
}

static void on_timer(struct tr_timer *timer)
{
    (void)tr_tidy_now();
    tr_timer_set(timer, tr_loop_now_ms(timer->loop) + TR_TIDY_EVERY_MS);
}

void tr_tidy_start(struct tr_tidy *tidy, struct tr_loop *loop)
{
    tr_timer_init(&tidy->timer, loop, on_timer);
    tr_timer_set(&tidy->timer, tr_loop_now_ms(loop) + TR_TIDY_EVERY_MS);
}

void tr_tidy_stop(struct tr_tidy *tidy)
{
    if (tidy->timer.loop != NULL) {
        tr_timer_stop(&tidy->timer);
    }
}
