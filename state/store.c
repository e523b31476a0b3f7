/* What all stores share: the entry points and the memory of results. */
#include "state/store.h"

#include <stdlib.h>

void tr_store_value_fini(struct tr_store_value *value)
{
    tr_buf_fini(&value->value);
    *value = (struct tr_store_value){ 0 };
}

void tr_store_get_start(struct tr_store *store, struct tr_store_get *get)
{
    tr_loop_assert(store->loop);
    get->store = store;
    get->err.code = TR_OK;
    get->values = tr_xzalloc(get->keys_len * sizeof(*get->values));
    tr_link_init(&get->link);
    get->later = (struct tr_defer){ 0 };
    store->class->get(store, get);
}

void tr_store_get_fini(struct tr_store_get *get)
{
    for (size_t i = 0; get->values != NULL && i < get->keys_len; i++) {
        tr_store_value_fini(&get->values[i]);
    }
    free(get->values);
    get->values = NULL;
}

void tr_store_tx_start(struct tr_store *store, struct tr_store_tx *tx)
{
    tr_loop_assert(store->loop);
    tx->store = store;
    tx->err.code = TR_OK;
    tx->failed_at = 0;
    tr_link_init(&tx->link);
    tx->later = (struct tr_defer){ 0 };
    store->class->tx(store, tx);
}

void tr_store_scan_start(struct tr_store *store, struct tr_store_scan *scan)
{
    tr_loop_assert(store->loop);
    scan->store = store;
    scan->err.code = TR_OK;
    scan->rows = NULL;
    scan->rows_len = 0;
    scan->has_more = false;
    tr_link_init(&scan->link);
    scan->later = (struct tr_defer){ 0 };
    store->class->scan(store, scan);
}

void tr_store_scan_fini(struct tr_store_scan *scan)
{
    for (size_t i = 0; i < scan->rows_len; i++) {
        tr_buf_fini(&scan->rows[i].key);
        tr_store_value_fini(&scan->rows[i].value);
    }
    free(scan->rows);
    scan->rows = NULL;
    scan->rows_len = 0;
}

void tr_store_close(struct tr_store *store, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(store->loop);
    store->class->close(store, cb, ctx);
}
