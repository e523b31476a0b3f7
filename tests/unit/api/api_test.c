/* See api_test.h. */
#include "tests/unit/api/api_test.h"

#include <stdlib.h>
#include <string.h>

static bool is_ready(void *ctx, struct tr_buf *out_unready)
{
    const struct api_test *t = ctx;
    tr_buf_add_str(out_unready, t->unready);
    return t->unready[0] == '\0';
}

static bool is_outbound_ready(void *ctx)
{
    return ((const struct api_test *)ctx)->is_outbound_ready;
}

static void on_shutdown(void *ctx, bool is_forced)
{
    struct api_test *t = ctx;
    t->shutdowns++;
    t->is_shutdown_forced = is_forced;
}

static bool component(void *ctx, size_t i, struct tr_api_component *out_component)
{
    const struct api_test *t = ctx;
    if (i >= t->components_len) {
        return false;
    }
    *out_component = t->components[i];
    return true;
}

static bool is_placement_connected(void *ctx)
{
    return ((const struct api_test *)ctx)->is_placement_connected;
}

void api_test_init(struct api_test *t, const struct api_test_conf *given)
{
    const struct api_test_conf none = { .loop = NULL };
    const struct api_test_conf *conf = given != NULL ? given : &none;
    memset(t, 0, sizeof(*t));
    t->unready = "";
    engine_test_init_bare_on(&t->engine, conf->loop, conf->is_disabled);
    log_catch_init(&t->log);
    tr_configuration_init(&t->configuration);
    tr_metrics_init(&t->metrics, "me");
    t->store = tr_store_mem_new(t->engine.loop);
    if (!conf->has_no_store) {
        const struct tr_actor_state_conf state = { .store = t->store, .is_capable = true, .app_id = TR_SLICE_LIT("me") };
        tr_actor_state_set(t->engine.engine, &state);
    }
    if (!conf->is_bare) {
        const struct tr_actor_type_conf type = engine_test_type("cat");
        engine_test_register(&t->engine, &type, 1);
    }
    struct tr_api_conf api = conf->api;
    api.loop = t->engine.loop;
    api.sink = &t->log.sink;
    api.engine = t->engine.engine;
    api.configuration = &t->configuration;
    api.app_id = TR_SLICE_LIT("me");
    api.version = TR_SLICE_LIT("1.2.3");
    api.body_bytes_max = API_TEST_BODY_MAX;
    api.has_placement = !conf->is_disabled;
    api.is_ready = is_ready;
    api.is_outbound_ready = is_outbound_ready;
    api.on_shutdown = on_shutdown;
    api.component = component;
    api.is_placement_connected = is_placement_connected;
    api.ctx = t;
    t->api = tr_api_new(&api);
}

void api_test_register(struct api_test *t, const struct tr_actor_type_conf *type)
{
    engine_test_register(&t->engine, type, 1);
}

void api_test_activate(struct api_test *t, const char *id)
{
    struct test_call c;
    test_call(&t->engine, &c, id);
    app_answer(&t->engine, t->engine.app.open_len - 1, 200, "");
    test_call_fini(&c);
}

static void on_engine_closed(void *ctx)
{
    ((struct api_test *)ctx)->engine.is_closed = true;
}

void api_test_stop(struct api_test *t)
{
    struct fake_app *app = &t->engine.app;
    app->deactivates_at_once = true;
    for (size_t i = 0; i < app->open_len;) {
        if (app->open[i]->kind == TR_APP_DEACTIVATE) {
            app_answer(&t->engine, i, 200, "");
        } else {
            i++;
        }
    }
    tr_actor_engine_close(t->engine.engine, tr_loop_now_ms(t->engine.loop) + 5000, on_engine_closed, t);
    loop_fake_settle(t->engine.loop);
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

void api_test_fini(struct api_test *t)
{
    bool is_closed = false;
    loop_fake_settle(t->engine.loop);
    assert_int_equal(tr_api_open(t->api), 0);
    tr_api_free(&t->api);
    assert_null(t->api);
    if (!t->engine.is_closed) {
        api_test_stop(t);
    }
    tr_store_close(t->store, set_flag, &is_closed);
    loop_fake_settle(t->engine.loop);
    assert_true(is_closed);
    tr_metrics_fini(&t->metrics);
    tr_configuration_fini(&t->configuration);
    log_catch_fini(&t->log);
    engine_test_fini(&t->engine);
}
