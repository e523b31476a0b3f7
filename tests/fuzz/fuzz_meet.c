/* Any bytes as the file at which `troupe dev` meets. What is accepted must be what is written for
 * the same ports. */
#include <stdint.h>

#include "runtime/tool/meet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct tr_meet_place place;
    struct tr_meet_place again;
    struct tr_buf text = { 0 };
    if (tr_meet_parse(tr_slice(data, len), &place)) {
        tr_assert(place.port != 0);
        tr_assert(place.health != 0);
        tr_meet_format(&place, &text);
        tr_assert(tr_meet_parse(tr_buf_slice(&text), &again));
        tr_assert(again.port == place.port);
        tr_assert(again.health == place.health);
        tr_assert(again.pid == place.pid);
        tr_buf_fini(&text);
    }
    return 0;
}
