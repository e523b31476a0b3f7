#include "tests/unit/invoke/rpc_fixture.h"

#include <stdio.h>

bool fixture_use_thread;

void fixture_init(struct fixture *f, struct tr_rpc_server_conf *conf)
{
    memset(f, 0, sizeof(*f));
    f->loop = tr_loop_new();
    struct tr_err err;
    const struct tr_rpc_conf rpc_conf = { .use_thread = fixture_use_thread };
    assert_int_equal(tr_rpc_new(f->loop, &rpc_conf, &f->rpc, &err), TR_OK);
    const struct tr_slice address = TR_SLICE_LIT("127.0.0.1:0");
    conf->addresses = &address;
    conf->addresses_len = 1;
    assert_int_equal(tr_rpc_server_new(f->rpc, conf, &f->server, &err), TR_OK);
    const int n = snprintf(f->target, sizeof(f->target), "127.0.0.1:%d",
                           (int)tr_rpc_server_port(f->server, 0));
    assert_true(n > 0);
}

void fixture_start(struct fixture *f, struct tr_rpc_channel_conf *conf)
{
    tr_rpc_server_start(f->server);
    conf->target = tr_slice_str(f->target);
    struct tr_err err;
    assert_int_equal(tr_rpc_channel_new(f->rpc, conf, &f->channel, &err), TR_OK);
}

void fixture_serve(struct fixture *f, const struct tr_rpc_method *methods, size_t methods_len)
{
    struct tr_rpc_server_conf server_conf = { 0 };
    struct tr_rpc_channel_conf channel_conf = { 0 };
    fixture_init(f, &server_conf);
    for (size_t i = 0; i < methods_len; i++) {
        tr_rpc_server_add(f->server, &methods[i]);
    }
    fixture_start(f, &channel_conf);
}

static void on_closed(void *ctx)
{
    bool *flag = ctx;
    *flag = true;
}

void fixture_close_channel(struct fixture *f)
{
    bool is_closed = false;
    tr_rpc_channel_close(f->channel, on_closed, &is_closed);
    f->channel = NULL;
    fixture_wait(f, &is_closed);
}

void fixture_close_server(struct fixture *f)
{
    bool is_closed = false;
    tr_rpc_server_close(f->server, on_closed, &is_closed);
    f->server = NULL;
    fixture_wait(f, &is_closed);
}

void fixture_fini(struct fixture *f)
{
    if (f->channel != NULL) {
        fixture_close_channel(f);
    }
    if (f->server != NULL) {
        fixture_close_server(f);
    }
    bool is_closed = false;
    tr_rpc_close(f->rpc, on_closed, &is_closed);
    fixture_wait(f, &is_closed);
    tr_loop_free(&f->loop);
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

void fixture_wait(struct fixture *f, const bool *flag)
{
    fixture_wait_for(f, is_set, (void *)(uintptr_t)flag);
}

struct count {
    const unsigned *value;
    unsigned least;
};

static bool is_reached(void *ctx)
{
    const struct count *count = ctx;
    return *count->value >= count->least;
}

void fixture_wait_count(struct fixture *f, const unsigned *count, unsigned least)
{
    struct count c = { .value = count, .least = least };
    fixture_wait_for(f, is_reached, &c);
}

void fixture_wait_for(struct fixture *f, bool (*fn)(void *ctx), void *ctx)
{
    if (!tr_loop_run_until(f->loop, fn, ctx, FIXTURE_DEADLINE_MS)) {
        fail_msg("nothing happened for %d ms", FIXTURE_DEADLINE_MS);
    }
}

void on_unary(struct tr_rpc_unary *op)
{
    struct unary *u = TR_CONTAINER_OF(op, struct unary, op);
    assert_false(u->is_done);
    u->is_done = true;
}

void unary_start(struct fixture *f, struct unary *u, const char *path, struct tr_slice request)
{
    u->op.path = tr_slice_str(path);
    u->op.request = request;
    u->op.cb = on_unary;
    u->is_done = false;
    tr_rpc_unary_start(f->channel, &u->op);
    assert_false(u->is_done);
}

void unary_call(struct fixture *f, struct unary *u, const char *path, struct tr_slice request)
{
    unary_start(f, u, path, request);
    fixture_wait(f, &u->is_done);
}

void assert_slice(struct tr_slice slice, const char *text, const char *file, int line)
{
    if (!tr_slice_eq_str(slice, text)) {
        print_error("'%.*s' is not '%s'\n", TR_SLICE_ARG(slice), text);
        _fail(file, line);
    }
}
