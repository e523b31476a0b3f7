/* See grpc_wire.h. */
#include "tests/unit/api/grpc_wire.h"

void grpc_test_init(struct grpc_test *t, const struct api_test_conf *given)
{
    struct tr_rpc_server_conf server_conf = { 0 };
    struct tr_rpc_channel_conf channel_conf = { 0 };
    struct api_test_conf conf = { .loop = NULL };
    if (given != NULL) {
        conf = *given;
    }
    fixture_init(&t->rpc, &server_conf);
    conf.loop = t->rpc.loop;
    api_test_init(&t->api, &conf);
    tr_api_grpc_add(t->api.api, t->rpc.server);
    tr_api_internal_add(t->api.api, t->rpc.server);
    fixture_start(&t->rpc, &channel_conf);
}

void grpc_test_fini(struct grpc_test *t)
{
    grpc_wait_open(t, 0);
    fixture_close_channel(&t->rpc);
    fixture_close_server(&t->rpc);
    api_test_fini(&t->api);
    fixture_fini(&t->rpc);
}

int grpc_test_set_up(void **state)
{
    struct grpc_test *t = tr_xzalloc(sizeof(*t));
    grpc_test_init(t, NULL);
    *state = t;
    return 0;
}

int grpc_test_tear_down(void **state)
{
    grpc_test_fini(*state);
    free(*state);
    return 0;
}

void grpc_start(struct grpc_test *t, struct unary *u, const char *path, const void *request,
                const struct tr_rpc_md *metadata)
{
    struct tr_buf bytes = { 0 };
    *u = (struct unary){ .op = { .metadata = metadata } };
    tr_wire_pack(request, &bytes);
    unary_start(&t->rpc, u, path, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
}

void grpc_wait(struct grpc_test *t, struct unary *u)
{
    fixture_wait(&t->rpc, &u->is_done);
}

void grpc_call(struct grpc_test *t, struct unary *u, const char *path, const void *request)
{
    grpc_start(t, u, path, request, NULL);
    grpc_wait(t, u);
}

void *grpc_take(struct unary *u, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    assert_text(tr_buf_slice(&u->op.message), "");
    assert_int_equal(u->op.status, TR_RPC_OK);
    assert_int_equal(tr_wire_unpack(type, tr_buf_slice(&u->op.response), &message, &err), TR_OK);
    tr_rpc_unary_fini(&u->op);
    return message;
}

void grpc_assert_empty(struct unary *u)
{
    assert_text(tr_buf_slice(&u->op.message), "");
    assert_int_equal(u->op.status, TR_RPC_OK);
    assert_int_equal(u->op.response.len, 0);
    tr_rpc_unary_fini(&u->op);
}

void grpc_assert_failed(struct unary *u, int status, const char *message)
{
    assert_text(tr_buf_slice(&u->op.message), message);
    assert_int_equal(u->op.status, status);
    tr_rpc_unary_fini(&u->op);
}

void grpc_must_succeed(struct grpc_test *t, const char *path, const void *request)
{
    struct unary u;
    grpc_call(t, &u, path, request);
    grpc_assert_empty(&u);
}

void grpc_must_fail(struct grpc_test *t, const char *path, const void *request, int status, const char *message)
{
    struct unary u;
    grpc_call(t, &u, path, request);
    grpc_assert_failed(&u, status, message);
}

struct expectation {
    struct grpc_test *t;
    size_t len;
};

static bool has_app(void *ctx)
{
    const struct expectation *e = ctx;
    return e->t->api.engine.app.open_len == e->len;
}

static bool has_remote(void *ctx)
{
    const struct expectation *e = ctx;
    return e->t->api.engine.remote.open_len == e->len;
}

static bool has_open(void *ctx)
{
    const struct expectation *e = ctx;
    return tr_api_open(e->t->api.api) == e->len;
}

void grpc_wait_app(struct grpc_test *t, size_t open)
{
    struct expectation e = { .t = t, .len = open };
    fixture_wait_for(&t->rpc, has_app, &e);
}

void grpc_wait_remote(struct grpc_test *t, size_t open)
{
    struct expectation e = { .t = t, .len = open };
    fixture_wait_for(&t->rpc, has_remote, &e);
}

void grpc_wait_open(struct grpc_test *t, size_t open)
{
    struct expectation e = { .t = t, .len = open };
    fixture_wait_for(&t->rpc, has_open, &e);
}
