/* Texts of times and periods: reading them and reckoning with them must neither crash nor overflow. */
#include <stddef.h>
#include <stdint.h>

#include "runtime/actor/period.h"

#define NOW_US INT64_C(1785664800000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Up to three texts, parted by a line end: due time, period, time to live. */
    struct tr_slice rest = tr_slice(data, size);
    struct tr_slice texts[3] = { { 0 } };
    for (size_t i = 0; i < 3 && tr_slice_split(&rest, '\n', &texts[i]); i++) {
    }
    struct tr_schedule schedule;
    struct tr_err err;
    if (tr_schedule_init(&schedule, TR_SLICE_LIT("type||id||name"), texts[0], texts[1], texts[2],
                         NOW_US, &err) != TR_OK) {
        return 0;
    }
    int64_t last_us = schedule.next_us;
    for (unsigned i = 0;
         i < 20 && tr_schedule_is_active(&schedule) && tr_schedule_advance(&schedule); i++) {
        tr_assert(schedule.next_us >= last_us || schedule.period.months != 0 ||
                  schedule.period.days != 0);
        last_us = schedule.next_us;
    }
    return 0;
}
