/* See engine_test.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/actor/engine_test.h"

#include <stdio.h>
#include <stdlib.h>

/* --- app --- */

static void app_take(struct fake_app *app, size_t i)
{
    assert_true(i < app->open_len);
    for (size_t j = i; j + 1 < app->open_len; j++) {
        app->open[j] = app->open[j + 1];
        app->is_canceled[j] = app->is_canceled[j + 1];
    }
    app->open_len--;
}

static void on_app_later(struct tr_defer *defer)
{
    struct fake_app *app = TR_CONTAINER_OF(defer, struct fake_app, later);
    for (size_t i = 0; i < app->open_len;) {
        struct tr_app_call *call = app->open[i];
        if (app->is_canceled[i]) {
            app_take(app, i);
            tr_err_set(&call->err, TR_CANCELED, "context canceled");
            call->cb(call);
        } else if (app->deactivates_at_once && call->kind == TR_APP_DEACTIVATE) {
            app_take(app, i);
            call->err.code = TR_OK;
            call->status = 200;
            call->cb(call);
        } else {
            i++;
        }
    }
}

static void app_start(void *ctx, struct tr_app_call *call)
{
    struct fake_app *app = ctx;
    assert_true(app->open_len < OPEN_MAX);
    app->open[app->open_len] = call;
    app->is_canceled[app->open_len++] = false;
    if (call->kind == TR_APP_DEACTIVATE) {
        app->deactivations++;
        if (app->deactivates_at_once) {
            tr_defer(app->loop, &app->later, on_app_later);
        }
    } else {
        app->started++;
    }
}

static void app_cancel(void *ctx, struct tr_app_call *call)
{
    struct fake_app *app = ctx;
    for (size_t i = 0; i < app->open_len; i++) {
        if (app->open[i] == call) {
            assert_false(app->is_canceled[i]);
            app->is_canceled[i] = !app->is_stubborn;
            tr_defer(app->loop, &app->later, on_app_later);
            return;
        }
    }
    fail_msg("cancel of a call that is not open");
}

struct tr_app_call *app_open(struct engine_test *t, size_t i)
{
    assert_true(i < t->app.open_len);
    return t->app.open[i];
}

bool app_open_is(struct engine_test *t, size_t i, enum tr_app_call_kind kind, const char *id)
{
    return i < t->app.open_len && t->app.open[i]->kind == kind &&
           tr_slice_eq_str(t->app.open[i]->actor_id, id);
}

void app_answer(struct engine_test *t, size_t i, int status, const char *body)
{
    struct tr_app_call *call = app_open(t, i);
    app_take(&t->app, i);
    call->err.code = TR_OK;
    call->status = status;
    tr_buf_add_str(&call->body_out, body);
    if (status != 200) {
        tr_buf_addf(&call->failure, "error from actor service: (%d) %s", status, body);
    }
    call->cb(call);
    loop_fake_settle(t->loop);
}

void app_fail(struct engine_test *t, size_t i, enum tr_code code, const char *text)
{
    struct tr_app_call *call = app_open(t, i);
    app_take(&t->app, i);
    tr_err_set(&call->err, code, "%s", text);
    call->cb(call);
    loop_fake_settle(t->loop);
}

/* --- other sidecars --- */

static void remote_take(struct fake_remote *remote, size_t i)
{
    assert_true(i < remote->open_len);
    for (size_t j = i; j + 1 < remote->open_len; j++) {
        remote->open[j] = remote->open[j + 1];
        remote->is_canceled[j] = remote->is_canceled[j + 1];
    }
    remote->open_len--;
}

static void on_remote_later(struct tr_defer *defer)
{
    struct fake_remote *remote = TR_CONTAINER_OF(defer, struct fake_remote, later);
    for (size_t i = 0; i < remote->open_len;) {
        struct tr_remote_call *call = remote->open[i];
        if (!remote->is_canceled[i]) {
            i++;
            continue;
        }
        remote_take(remote, i);
        call->grpc_status = 1;
        tr_buf_add_str(&call->message, "context canceled");
        call->cb(call);
    }
}

static void remote_start(void *ctx, struct tr_remote_call *call)
{
    struct fake_remote *remote = ctx;
    assert_true(remote->open_len < TR_ARRAY_LEN(remote->open));
    remote->open[remote->open_len] = call;
    remote->is_canceled[remote->open_len++] = false;
    remote->started++;
}

static void remote_cancel(void *ctx, struct tr_remote_call *call)
{
    struct fake_remote *remote = ctx;
    for (size_t i = 0; i < remote->open_len; i++) {
        if (remote->open[i] == call) {
            remote->is_canceled[i] = true;
            tr_defer(remote->loop, &remote->later, on_remote_later);
        }
    }
}

void remote_answer(struct engine_test *t, size_t i, int grpc_status, const char *text)
{
    assert_true(i < t->remote.open_len);
    struct tr_remote_call *call = t->remote.open[i];
    remote_take(&t->remote, i);
    call->grpc_status = grpc_status;
    call->status = 200;
    tr_buf_add_str(grpc_status == 0 ? &call->body_out : &call->message, text);
    call->cb(call);
    loop_fake_settle(t->loop);
}

/* --- placement --- */

static enum tr_owner owner_of(const struct fake_owner *owner, struct tr_slice id)
{
    return tr_slice_starts(id, TR_SLICE_LIT("far")) ? owner->far_answer : owner->answer;
}

static enum tr_owner owner_lookup(void *ctx, struct tr_slice type, struct tr_slice id,
                                  struct tr_owner_host *out_host)
{
    struct fake_owner *owner = ctx;
    const enum tr_owner answer = owner_of(owner, id);
    if (answer == TR_OWNER_LOCAL || answer == TR_OWNER_REMOTE) {
        *out_host =
            (struct tr_owner_host){ .address = owner->address, .app_id = TR_SLICE_LIT("peer") };
    }
    (void)type;
    return answer;
}

/* Held or not, far ids are others' once placement gives them away. */
static bool owner_owns(void *ctx, struct tr_slice type, struct tr_slice id)
{
    struct fake_owner *owner = ctx;
    (void)type;
    return !tr_slice_starts(id, TR_SLICE_LIT("far")) || owner->far_answer == TR_OWNER_LOCAL;
}

static void owner_wait_start(void *ctx, struct tr_placement_wait *wait)
{
    struct fake_owner *owner = ctx;
    tr_link_init(&wait->op.link);
    tr_list_add_tail(&owner->waits, &wait->op.link);
}

static void on_owner_later(struct tr_defer *defer)
{
    struct fake_owner *owner = TR_CONTAINER_OF(defer, struct fake_owner, later);
    struct tr_link *link;
    while ((link = tr_list_pop(&owner->canceled)) != NULL) {
        struct tr_placement_wait *wait = TR_CONTAINER_OF(link, struct tr_placement_wait, op.link);
        tr_err_set(&wait->err, TR_CANCELED, "canceled");
        wait->cb(wait);
    }
}

static void owner_wait_cancel(void *ctx, struct tr_placement_wait *wait)
{
    struct fake_owner *owner = ctx;
    tr_link_remove(&wait->op.link);
    tr_list_add_tail(&owner->canceled, &wait->op.link);
    tr_defer(owner->loop, &owner->later, on_owner_later);
}

void owner_release(struct engine_test *t)
{
    struct tr_link waits;
    struct tr_link *link;
    tr_link_init(&waits);
    tr_list_splice(&waits, &t->owner.waits);
    while ((link = tr_list_pop(&waits)) != NULL) {
        struct tr_placement_wait *wait = TR_CONTAINER_OF(link, struct tr_placement_wait, op.link);
        wait->err.code = TR_OK;
        wait->cb(wait);
    }
    loop_fake_settle(t->loop);
}

static void owner_set_types(void *ctx, const struct tr_slice *types, size_t types_len)
{
    struct fake_owner *owner = ctx;
    size_t at = 0;
    owner->types[0] = '\0';
    owner->reports++;
    for (size_t i = 0; i < types_len && at < sizeof(owner->types); i++) {
        at += (size_t)snprintf(owner->types + at, sizeof(owner->types) - at, "%s%.*s",
                               i == 0 ? "" : ",", TR_SLICE_ARG(types[i]));
    }
}

static void owner_update_done(void *ctx, uint64_t token)
{
    ((struct fake_owner *)ctx)->update_done = token;
}

static void owner_lost_done(void *ctx, uint64_t token)
{
    ((struct fake_owner *)ctx)->lost_done = token;
}

/* --- engine --- */

struct tr_actor_type_conf engine_test_type(const char *name)
{
    return (struct tr_actor_type_conf){ .type = tr_slice_str(name), .idle_ms = 60000 };
}

void engine_test_register(struct engine_test *t, const struct tr_actor_type_conf *types,
                          size_t types_len)
{
    const struct tr_actor_host_conf conf = { .types = types,
                                             .types_len = types_len,
                                             .app = &t->app.actors };
    struct tr_err err;
    assert_int_equal(tr_actor_register(t->engine, &conf, &err), TR_OK);
    loop_fake_settle(t->loop);
}

void engine_test_init_bare(struct engine_test *t)
{
    engine_test_init_bare_on(t, NULL, false);
}

void engine_test_init_bare_on(struct engine_test *t, struct tr_loop *loop, bool is_disabled)
{
    memset(t, 0, sizeof(*t));
    t->is_loop_borrowed = loop != NULL;
    t->loop = loop != NULL ? loop : tr_loop_new();
    tr_log_sink_init(&t->sink);
    t->sink.level = TR_LOG_OFF;
    tr_log_init(&t->log, &t->sink, "dapr.test");
    t->app.loop = t->loop;
    t->app.actors =
        (struct tr_app_actors){ .start = app_start, .cancel = app_cancel, .ctx = &t->app };
    t->remote.loop = t->loop;
    t->owner.loop = t->loop;
    t->owner.answer = TR_OWNER_LOCAL;
    t->owner.far_answer = TR_OWNER_LOCAL;
    t->owner.address = TR_SLICE_LIT("10.0.0.2:50002");
    tr_link_init(&t->owner.waits);
    tr_link_init(&t->owner.canceled);
    t->conf = (struct tr_actor_engine_conf){
        .loop = t->loop,
        .log = &t->log,
        .owner = { owner_lookup, owner_owns, owner_wait_start, owner_wait_cancel, owner_set_types,
                   owner_update_done, owner_lost_done, &t->owner },
        .remote = { remote_start, remote_cancel, &t->remote },
        .is_disabled = is_disabled,
        .round_limit_ms = 30000,
    };
    t->engine = tr_actor_engine_new(&t->conf);
}

void engine_test_init(struct engine_test *t)
{
    engine_test_init_bare(t);
    const struct tr_actor_type_conf type = engine_test_type("cat");
    engine_test_register(t, &type, 1);
}

static void on_closed(void *ctx)
{
    ((struct engine_test *)ctx)->is_closed = true;
}

void engine_test_fini(struct engine_test *t)
{
    t->app.deactivates_at_once = true;
    t->app.is_stubborn = false;
    on_app_later(&t->app.later);
    if (!t->is_closed) {
        tr_actor_engine_close(t->engine, tr_loop_now_ms(t->loop) + 5000, on_closed, t);
        loop_fake_settle(t->loop);
    }
    assert_true(t->is_closed);
    assert_int_equal(t->app.open_len, 0);
    tr_actor_engine_free(&t->engine);
    assert_null(t->engine);
    tr_log_sink_fini(&t->sink);
    if (!t->is_loop_borrowed) {
        tr_loop_free(&t->loop);
    }
}

/* --- calls --- */

static void on_call_done(struct tr_actor_call *call)
{
    TR_CONTAINER_OF(call, struct test_call, call)->done++;
}

void test_call_init(struct test_call *c, const char *type, const char *id, const char *method)
{
    memset(c, 0, sizeof(*c));
    c->call.actor_type = tr_slice_str(type);
    c->call.actor_id = tr_slice_str(id);
    c->call.name = tr_slice_str(method);
    c->call.cb = on_call_done;
}

void test_call_start(struct engine_test *t, struct test_call *c)
{
    tr_actor_call_start(t->engine, &c->call);
    assert_int_equal(c->done, 0); /* never from inside */
    loop_fake_settle(t->loop);
}

void test_call(struct engine_test *t, struct test_call *c, const char *id)
{
    test_call_init(c, "cat", id, "feed");
    test_call_start(t, c);
}

void test_call_fini(struct test_call *c)
{
    assert_int_equal(c->done, 1);
    tr_actor_call_fini(&c->call);
}

static const char *failure_text(struct tr_actor_failure *failure, int status)
{
    static char text[1024];
    snprintf(text, sizeof(text), "%d %s: %.*s", status, tr_code_name(failure->code),
             TR_SLICE_ARG(tr_buf_slice(&failure->message)));
    tr_buf_fini(&failure->message);
    return text;
}

const char *test_call_http(const struct test_call *c)
{
    struct tr_actor_failure failure;
    assert_int_equal(c->done, 1);
    tr_actor_failure_http(&c->call, &failure);
    return failure_text(&failure, tr_code_http(failure.code));
}

const char *test_call_grpc(const struct test_call *c)
{
    struct tr_actor_failure failure;
    assert_int_equal(c->done, 1);
    tr_actor_failure_grpc(&c->call, &failure);
    failure.code = TR_OK;
    return failure_text(&failure, failure.grpc_status);
}
