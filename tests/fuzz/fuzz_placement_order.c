/* An order from a placement server: refused, or a table that answers look-ups. */
#include <stdint.h>

#include "placement/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tr_order_in order;
    struct tr_err err;
    if (tr_order_decode(tr_slice(data, size), NULL, NULL, &order, &err) != TR_OK ||
        order.table == NULL) {
        return 0;
    }
    struct tr_map_iter iter = { 0 };
    struct tr_slice type;
    const struct tr_ring *ring;
    while (tr_table_next(order.table, &iter, &type, &ring)) {
        (void)tr_ring_lookup(ring, type);
    }
    tr_table_unref(&order.table);
    return 0;
}
