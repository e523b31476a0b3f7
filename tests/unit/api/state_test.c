#include "tests/unit/api/state_test.h"

#include <stdlib.h>

#include "state/store_int.h"

static void broken_get(struct tr_store *store, struct tr_store_get *get)
{
    (void)store;
    (void)tr_err_set(&get->err, TR_IO, "no disk");
    tr_op_finish_later(&get->op);
}

static void broken_tx(struct tr_store *store, struct tr_store_tx *tx)
{
    (void)store;
    (void)tr_err_set(&tx->err, TR_IO, "no disk");
    tr_op_finish_later(&tx->op);
}

static void broken_scan(struct tr_store *store, struct tr_store_scan *scan)
{
    (void)store;
    (void)tr_err_set(&scan->err, TR_IO, "no disk");
    tr_op_finish_later(&scan->op);
}

static void broken_free(struct tr_store *store)
{
    free(store);
}

/* With and without transactions. */
static const struct tr_store_class broken_classes[] = {
    { "state.broken", TR_STORE_ETAG | TR_STORE_TRANSACTION, broken_get, broken_tx, broken_scan, broken_free },
    { "state.broken", TR_STORE_ETAG, broken_get, broken_tx, broken_scan, broken_free },
};

void state_test_init(struct state_test *t, struct tr_loop *loop)
{
    *t = (struct state_test){ .loop = loop, .memory = tr_store_mem_new(loop) };
    tr_configuration_init(&t->configuration);
    t->configuration.metrics.records_error_codes = true;
    tr_metrics_init(&t->metrics, "app");
    const struct tr_api_conf conf = { .loop = loop,
                                      .metrics = &t->metrics,
                                      .configuration = &t->configuration,
                                      .app_id = TR_SLICE_LIT("app"),
                                      .body_bytes_max = STATE_TEST_BODY_MAX };
    t->api = tr_api_new(&conf);
    tr_api_store_set(t->api, TR_SLICE_LIT("store"), TR_SLICE_LIT(""), TR_SLICE_LIT(""), t->memory);
}

void state_test_add_broken(struct state_test *t, const char *name, unsigned features)
{
    assert_null(t->broken);
    t->broken = tr_xzalloc(sizeof(*t->broken));
    tr_store_init(t->broken, &broken_classes[(features & TR_STORE_TRANSACTION) != 0 ? 0 : 1], t->loop);
    tr_api_store_set(t->api, tr_slice_str(name), TR_SLICE_LIT(""), TR_SLICE_LIT(""), t->broken);
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

void state_test_wait(struct state_test *t, const bool *flag)
{
    assert_true(tr_loop_run_until(t->loop, is_set, (void *)(uintptr_t)flag, STATE_TEST_WAIT_MS));
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

void state_test_close(struct state_test *t, struct tr_store *store)
{
    bool is_closed = false;
    if (store != NULL) {
        tr_store_close(store, on_closed, &is_closed);
        state_test_wait(t, &is_closed);
    }
}

void state_test_fini(struct state_test *t)
{
    state_test_close(t, t->memory);
    state_test_close(t, t->broken);
    tr_api_free(&t->api);
    tr_metrics_fini(&t->metrics);
    tr_configuration_fini(&t->configuration);
}
