/* A status report from anybody: it is refused, or it is text that survives being sent on. */
#include <stdint.h>

#include "placement/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tr_host host;
    struct tr_err err;
    if (tr_host_decode(tr_slice(data, size), &host, &err) != TR_OK) {
        return 0;
    }
    struct tr_buf bytes = { 0 };
    struct tr_host again;
    tr_host_encode(&host, &bytes);
    tr_assert(tr_host_decode(tr_buf_slice(&bytes), &again, &err) == TR_OK);
    tr_assert(again.types_len == host.types_len);
    tr_assert(tr_slice_eq(again.name, host.name));
    const struct tr_host *hosts[] = { &host };
    struct tr_order *order = tr_order_new(TR_ORDER_UPDATE, host.version, 1, hosts, 1);
    tr_order_unref(&order);
    tr_buf_fini(&bytes);
    tr_host_fini(&again);
    tr_host_fini(&host);
    return 0;
}
