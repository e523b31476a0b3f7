/* Break the n-th call of a kind. */
#include "tests/lib/fault.h"

#include <stdatomic.h>

struct fault {
    atomic_bool is_armed;
    atomic_bool is_sticky;
    atomic_bool has_fired;
    atomic_int left; /* calls that still succeed */
};

static struct fault faults[FAULT_KINDS_LEN];

static void arm(enum fault_kind kind, unsigned nth, bool is_sticky)
{
    struct fault *fault = &faults[kind];
    atomic_store(&fault->has_fired, false);
    atomic_store(&fault->is_sticky, is_sticky);
    atomic_store(&fault->left, (int)nth);
    atomic_store(&fault->is_armed, true);
}

void fault_arm(enum fault_kind kind, unsigned nth)
{
    arm(kind, nth, false);
}

void fault_arm_from(enum fault_kind kind, unsigned nth)
{
    arm(kind, nth, true);
}

bool fault_disarm(enum fault_kind kind)
{
    atomic_store(&faults[kind].is_armed, false);
    return atomic_load(&faults[kind].has_fired);
}

bool fault_hit(enum fault_kind kind)
{
    struct fault *fault = &faults[kind];
    if (!atomic_load(&fault->is_armed)) {
        return false;
    }
    const int left = atomic_fetch_sub(&fault->left, 1);
    const bool is_hit = left == 0 || (left < 0 && atomic_load(&fault->is_sticky));
    if (is_hit) {
        atomic_store(&fault->has_fired, true);
    }
    return is_hit;
}
