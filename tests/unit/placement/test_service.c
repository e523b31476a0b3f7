/*
 * The service and the sidecars' clients together, over real streams in one process. Nothing sleeps: each step runs the
 * loop until what it waits for is so.
 */
#include <stdio.h>

#include "placement/client.h"
#include "placement/server.h"
#include "placement/wire.h"
#include "runtime/base/log.h"
#include "tests/unit/invoke/rpc_fixture.h"

#define SIDECARS_MAX 24

struct sidecar {
    struct tr_placement_client *client;
    char name[32];
    uint64_t update_token; /* of an update that is not done */
    uint64_t lost_token;
    struct tr_buf changed; /* types of the last update, blank between */
    unsigned locks;
    unsigned updates;
    unsigned unlocks;
    unsigned losts;
    unsigned readies;
    bool is_in_update; /* the last update is not unlocked */
    bool is_slow;      /* update and loss wait for the test */
    bool is_closed;
};

struct service {
    struct fixture f;
    struct tr_log_sink sink;
    struct tr_log log;
    struct tr_placement_server *server;
    struct tr_buf gauges; /* last told, as text */
    struct sidecar sidecars[SIDECARS_MAX];
    size_t sidecars_len;
    bool is_closed;
};

/* --- set-up ------------------------------------------------------------------------------------------------------- */

static void on_gauges(void *ctx, struct tr_slice ns, size_t runtimes, size_t actor_runtimes)
{
    struct service *s = ctx;
    tr_buf_clear(&s->gauges);
    tr_buf_addf(&s->gauges, "%.*s %zu %zu", TR_SLICE_ARG(ns), runtimes, actor_runtimes);
}

static struct tr_placement_server *server_on(struct service *s, struct tr_rpc_server *rpc_server,
                                             uint64_t limit_ms)
{
    const struct tr_placement_server_conf conf = {
        .loop = s->f.loop,
        .rpc_server = rpc_server,
        .log = &s->log,
        .id = "p-0",
        .limit_ms = limit_ms,
        .limit_text = "some time",
        .factor = 50,
        .on_gauges = on_gauges,
        .ctx = s,
    };
    return tr_placement_server_new(&conf);
}

static struct service *service_begin(uint64_t limit_ms)
{
    struct service *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    struct tr_rpc_server_conf conf = { .message_bytes_max = TR_ORDER_BYTES_MAX };
    struct tr_rpc_channel_conf channel_conf = { 0 };
    fixture_init(&s->f, &conf);
    tr_log_sink_init(&s->sink);
    s->sink.level = getenv("TEST_LOG") == NULL ? TR_LOG_OFF : TR_LOG_DEBUG;
    tr_log_init(&s->log, &s->sink, "test");
    s->server = server_on(s, s->f.server, limit_ms);
    fixture_start(&s->f, &channel_conf);
    tr_placement_server_lead(s->server, true);
    return s;
}

static void on_lock(void *ctx, uint64_t version)
{
    struct sidecar *c = ctx;
    (void)version;
    c->locks++;
}

static void on_update(void *ctx, uint64_t token, const struct tr_slice *types, size_t types_len)
{
    struct sidecar *c = ctx;
    tr_buf_clear(&c->changed);
    for (size_t i = 0; i < types_len; i++) {
        tr_buf_addf(&c->changed, "%s%.*s", i == 0 ? "" : " ", TR_SLICE_ARG(types[i]));
    }
    c->updates++;
    c->is_in_update = true;
    c->update_token = token;
    if (!c->is_slow) {
        tr_placement_update_done(c->client, token);
    }
}

static void on_unlock(void *ctx, uint64_t version)
{
    struct sidecar *c = ctx;
    (void)version;
    c->unlocks++;
    c->is_in_update = false;
}

static void on_lost(void *ctx, uint64_t token)
{
    struct sidecar *c = ctx;
    c->losts++;
    c->lost_token = token;
    if (!c->is_slow) {
        tr_placement_lost_done(c->client, token);
    }
}

static void on_ready(void *ctx)
{
    struct sidecar *c = ctx;
    c->readies++;
}

static struct sidecar *sidecar_at(struct service *s, const struct tr_slice *addresses,
                                  size_t addresses_len, const char *type, uint64_t limit_ms)
{
    assert_true(s->sidecars_len < SIDECARS_MAX);
    struct sidecar *c = &s->sidecars[s->sidecars_len++];
    (void)snprintf(c->name, sizeof(c->name), "10.0.0.%zu:50002", s->sidecars_len);
    const struct tr_placement_client_conf conf = {
        .loop = s->f.loop,
        .rpc = s->f.rpc,
        .log = &s->log,
        .addresses = addresses,
        .addresses_len = addresses_len,
        .name = tr_slice_str(c->name),
        .app_id = TR_SLICE_LIT("app"),
        .ns = TR_SLICE_LIT("default"),
        .round_limit_ms = limit_ms,
        .events = { on_lock, on_update, on_unlock, on_lost, on_ready },
        .ctx = c,
    };
    struct tr_err err;
    assert_int_equal(tr_placement_client_new(&conf, &c->client, &err), TR_OK);
    const struct tr_slice types[] = { tr_slice_str(type) };
    tr_placement_set_types(c->client, types, type == NULL ? 0 : 1);
    return c;
}

static struct sidecar *sidecar(struct service *s, const char *type)
{
    const struct tr_slice address = tr_slice_str(s->f.target);
    struct sidecar *c = sidecar_at(s, &address, 1, type, 30000);
    tr_placement_client_start(c->client);
    return c;
}

static void on_flag(void *ctx)
{
    bool *flag = ctx;
    *flag = true;
}

static void leave(struct service *s, struct sidecar *c)
{
    tr_placement_client_close(c->client, on_flag, &c->is_closed);
    fixture_wait(&s->f, &c->is_closed);
    tr_placement_client_free(&c->client);
    tr_buf_fini(&c->changed);
}

static void service_end(struct service *s)
{
    for (size_t i = 0; i < s->sidecars_len; i++) {
        if (s->sidecars[i].client != NULL) {
            leave(s, &s->sidecars[i]);
        }
    }
    if (!s->is_closed) {
        tr_placement_server_close(s->server, on_flag, &s->is_closed);
        fixture_wait(&s->f, &s->is_closed);
    }
    tr_placement_server_free(&s->server);
    fixture_fini(&s->f);
    tr_buf_fini(&s->gauges);
    tr_log_sink_fini(&s->sink);
    free(s);
}

static bool wait_for_text(const struct service *s, const char *text)
{
    struct tr_buf json = { 0 };
    tr_placement_server_state_json(s->server, &json);
    bool found = strstr(tr_buf_cstr(&json), text) != NULL;
    tr_buf_fini(&json);
    return found;
}

static unsigned lookup(struct sidecar *c, const char *type, const char *id)
{
    struct tr_owner_host host;
    return tr_placement_lookup(c->client, tr_slice_str(type), tr_slice_str(id), &host);
}

/* All sidecars have the table with this many hosts of type "t", and the round is over. */
struct goal {
    struct service *s;
    unsigned unlocks;
};

static bool all_have_unlocks(void *ctx)
{
    const struct goal *goal = ctx;
    for (size_t i = 0; i < goal->s->sidecars_len; i++) {
        if (goal->s->sidecars[i].client != NULL && goal->s->sidecars[i].unlocks < goal->unlocks) {
            return false;
        }
    }
    return true;
}

/* --- life of a sidecar ---------------------------------------------------------------------------------------------- */

static void a_sidecar_gets_ready_and_owns_its_actors(void **state)
{
    struct service *s = service_begin(8000);
    const struct tr_slice address = tr_slice_str(s->f.target);
    struct sidecar *c = sidecar_at(s, &address, 1, "t", 30000);
    assert_int_equal(lookup(c, "t", "a"), TR_OWNER_NO_TABLE);
    tr_placement_client_start(c->client);
    assert_false(tr_placement_is_connected(c->client));
    fixture_wait_count(&s->f, &c->readies, 1);
    assert_true(tr_placement_is_connected(c->client));
    assert_true(tr_placement_is_ready(c->client));
    assert_int_equal(tr_placement_table_version(c->client), 1);
    assert_int_equal(lookup(c, "t", "a"), TR_OWNER_LOCAL);
    assert_int_equal(lookup(c, "u", "a"), TR_OWNER_NONE);
    assert_true(tr_placement_owns(c->client, TR_SLICE_LIT("t"), TR_SLICE_LIT("a")));
    assert_false(tr_placement_owns(c->client, TR_SLICE_LIT("u"), TR_SLICE_LIT("a")));
    assert_text(tr_buf_slice(&c->changed), "t");
    assert_int_equal(c->locks, 1);
    assert_int_equal(c->losts, 0);
    service_end(s);
    (void)state;
}

static void a_sidecar_without_types_routes_to_the_others(void **state)
{
    struct service *s = service_begin(8000);
    struct sidecar *a = sidecar(s, "t");
    fixture_wait_count(&s->f, &a->readies, 1);
    struct sidecar *b = sidecar(s, NULL);
    fixture_wait_count(&s->f, &b->readies, 1);
    struct tr_owner_host host;
    assert_int_equal(tr_placement_lookup(b->client, TR_SLICE_LIT("t"), TR_SLICE_LIT("a"), &host),
                     TR_OWNER_REMOTE);
    assert_text(host.address, "10.0.0.1:50002");
    assert_text(host.app_id, "app");
    assert_int_equal(a->unlocks, 1); /* hears nothing of it */
    service_end(s);
    (void)state;
}

static bool is_stable(void *ctx)
{
    struct service *s = ctx;
    for (size_t i = 0; i < s->sidecars_len; i++) {
        struct sidecar *c = &s->sidecars[i];
        if (c->client != NULL &&
            (tr_placement_table_version(c->client) !=
                 tr_placement_table_version(s->sidecars[s->sidecars_len - 1].client) ||
             c->is_in_update || c->unlocks == 0)) {
            return false;
        }
    }
    struct tr_buf json = { 0 };
    tr_buf_addf(&json, "\"version\":%d}",
                (int)tr_placement_table_version(s->sidecars[s->sidecars_len - 1].client));
    bool is_newest = wait_for_text(s, tr_buf_cstr(&json));
    tr_buf_fini(&json);
    return is_newest;
}

static void assert_one_owner_each(struct service *s)
{
    for (int i = 0; i < 300; i++) {
        char id[16];
        unsigned local = 0;
        (void)snprintf(id, sizeof(id), "actor-%d", i);
        for (size_t c = 0; c < s->sidecars_len; c++) {
            if (s->sidecars[c].client != NULL) {
                unsigned owner = lookup(&s->sidecars[c], "t", id);
                assert_true(owner == TR_OWNER_LOCAL || owner == TR_OWNER_REMOTE);
                local += owner == TR_OWNER_LOCAL ? 1 : 0;
            }
        }
        assert_int_equal(local, 1);
    }
}

static void twenty_sidecars_agree_on_every_owner_while_they_come_and_go(void **state)
{
    struct service *s = service_begin(8000);
    for (int i = 0; i < 20; i++) {
        (void)sidecar(s, "t");
    }
    fixture_wait_for(&s->f, is_stable, s);
    assert_one_owner_each(s);
    for (int i = 0; i < 10; i++) {
        leave(s, &s->sidecars[i]);
    }
    fixture_wait_for(&s->f, is_stable, s);
    assert_one_owner_each(s);
    service_end(s);
    (void)state;
}

static void types_may_change_and_be_withdrawn(void **state)
{
    struct service *s = service_begin(8000);
    struct sidecar *c = sidecar(s, "t");
    fixture_wait_count(&s->f, &c->unlocks, 1);
    const struct tr_slice types[] = { TR_SLICE_LIT("u"), TR_SLICE_LIT("t"), TR_SLICE_LIT("u") };
    tr_placement_set_types(c->client, types, 3);
    fixture_wait_count(&s->f, &c->unlocks, 2);
    assert_text(tr_buf_slice(&c->changed), "u"); /* "t" stays as it was */
    assert_int_equal(lookup(c, "u", "a"), TR_OWNER_LOCAL);
    tr_placement_set_types(c->client, types, 2); /* the same: no report */
    tr_placement_set_types(c->client, NULL, 0);
    fixture_wait_count(&s->f, &c->unlocks, 3);
    assert_int_equal(lookup(c, "t", "a"), TR_OWNER_NONE);
    assert_int_equal(tr_placement_table_version(c->client), 3);
    service_end(s);
    (void)state;
}

/* --- waits -------------------------------------------------------------------------------------------------------- */

struct wait {
    struct tr_placement_wait op;
    struct sidecar *c;
    unsigned owner; /* looked up in the callback */
    bool is_done;
    unsigned place; /* which wait it was that ended */
};

static unsigned waits_done;

static void on_wait(struct tr_placement_wait *op)
{
    struct wait *w = TR_CONTAINER_OF(op, struct wait, op);
    w->is_done = true;
    w->place = waits_done++;
    if (op->err.code == TR_OK) {
        struct tr_owner_host host;
        w->owner = tr_placement_lookup(w->c->client, op->type, TR_SLICE_LIT("a"), &host);
    }
}

static void wait_start(struct wait *w, struct sidecar *c, const char *type, uint64_t deadline_ms)
{
    *w = (struct wait){
        .op = { .type = tr_slice_str(type), .deadline_ms = deadline_ms, .cb = on_wait }, .c = c
    };
    tr_placement_wait_start(c->client, &w->op);
    assert_false(w->is_done);
}

static void waits_end_in_order_when_the_first_round_is_over(void **state)
{
    struct service *s = service_begin(8000);
    struct sidecar *c = sidecar(s, "t");
    struct wait waits[5];
    waits_done = 0;
    for (unsigned i = 0; i < 5; i++) {
        wait_start(&waits[i], c, "t", 0);
    }
    for (unsigned i = 0; i < 5; i++) {
        fixture_wait(&s->f, &waits[i].is_done);
        assert_int_equal(waits[i].op.err.code, TR_OK);
        assert_int_equal(waits[i].place, i);
        assert_int_equal(waits[i].owner, TR_OWNER_LOCAL);
    }
    assert_int_equal(c->unlocks, 1);
    struct wait late; /* nothing to wait for: still not from inside */
    wait_start(&late, c, "t", 0);
    fixture_wait(&s->f, &late.is_done);
    assert_int_equal(late.op.err.code, TR_OK);
    service_end(s);
    (void)state;
}

static void only_types_that_change_hands_are_held(void **state)
{
    struct service *s = service_begin(8000);
    struct sidecar *a = sidecar(s, "t");
    fixture_wait_count(&s->f, &a->unlocks, 1);
    a->is_slow = true;
    struct sidecar *b = sidecar(s, "u");
    fixture_wait_count(&s->f, &a->updates, 2);
    assert_int_equal(lookup(a, "u", "a"), TR_OWNER_LOCKED);
    assert_int_equal(lookup(a, "t", "a"), TR_OWNER_LOCAL);
    struct wait held;
    struct wait free_now;
    wait_start(&held, a, "u", 0);
    wait_start(&free_now, a, "t", 0);
    fixture_wait(&s->f, &free_now.is_done);
    assert_false(held.is_done);
    assert_int_equal(b->unlocks, 0);                          /* everybody waits for the slow one */
    tr_placement_update_done(a->client, a->update_token + 7); /* no such token */
    tr_placement_update_done(a->client, a->update_token);
    fixture_wait(&s->f, &held.is_done);
    assert_int_equal(held.owner, TR_OWNER_REMOTE);
    fixture_wait_count(&s->f, &b->unlocks, 1);
    service_end(s);
    (void)state;
}

static void a_wait_ends_at_its_deadline_or_when_it_is_canceled_or_the_client_closes(void **state)
{
    struct service *s = service_begin(8000);
    const struct tr_slice address = tr_slice_str(s->f.target);
    struct sidecar *c = sidecar_at(s, &address, 1, "t", 30000); /* never started: no table */
    struct wait late;
    struct wait canceled;
    struct wait closed;
    struct wait refused;
    wait_start(&late, c, "t", tr_loop_now_ms(s->f.loop) + 5);
    wait_start(&canceled, c, "t", tr_loop_now_ms(s->f.loop) + 60000);
    wait_start(&closed, c, "t", 0);
    tr_placement_wait_cancel(&canceled.op);
    assert_false(canceled.is_done);
    fixture_wait(&s->f, &late.is_done);
    assert_int_equal(late.op.err.code, TR_DEADLINE);
    assert_true(canceled.is_done);
    assert_int_equal(canceled.op.err.code, TR_CANCELED);
    assert_false(closed.is_done);
    tr_placement_client_close(c->client, on_flag, &c->is_closed);
    assert_int_equal(lookup(c, "t", "a"), TR_OWNER_CLOSED);
    wait_start(&refused, c, "t", 0);
    fixture_wait(&s->f, &c->is_closed);
    assert_int_equal(closed.op.err.code, TR_CLOSED);
    assert_int_equal(refused.op.err.code, TR_CLOSED);
    tr_placement_client_free(&c->client);
    tr_buf_fini(&c->changed);
    service_end(s);
    (void)state;
}

/* --- trouble ------------------------------------------------------------------------------------------------------ */

static void a_sidecar_that_is_too_slow_is_closed_halts_and_comes_back(void **state)
{
    struct service *s = service_begin(100);
    struct sidecar *a = sidecar(s, "t");
    fixture_wait_count(&s->f, &a->unlocks, 1);
    struct sidecar *b = sidecar(s, "t");
    b->is_slow = true;
    fixture_wait_count(&s->f, &b->losts, 1);
    uint64_t void_token = b->update_token;
    assert_int_equal(lookup(b, "t", "a"), TR_OWNER_NO_TABLE);
    assert_false(tr_placement_owns(b->client, TR_SLICE_LIT("t"), TR_SLICE_LIT("a")));
    b->is_slow = false;
    tr_placement_update_done(b->client, void_token); /* of the lost stream: ignored */
    tr_placement_lost_done(b->client, b->lost_token);
    fixture_wait_count(&s->f, &b->unlocks, 1);
    fixture_wait_for(&s->f, is_stable, s);
    assert_int_equal(a->losts, 0); /* only the slow one was closed */
    assert_one_owner_each(s);
    service_end(s);
    (void)state;
}

static void no_update_is_worked_on_before_the_actors_are_halted(void **state)
{
    struct service *s = service_begin(100);
    struct sidecar *a = sidecar(s, "t");
    fixture_wait_count(&s->f, &a->unlocks, 1);
    a->is_slow = true;
    tr_placement_server_lead(s->server, false);
    fixture_wait_count(&s->f, &a->losts, 1);
    tr_placement_server_lead(s->server, true);
    fixture_wait_count(&s->f, &a->locks, 2);
    assert_int_equal(a->updates, 1);
    a->is_slow = false;
    tr_placement_lost_done(a->client, a->lost_token);
    fixture_wait_count(&s->f, &a->unlocks, 2);
    assert_int_equal(a->losts, 1);
    assert_text(tr_buf_slice(&a->changed),
                "t"); /* the same table as before, but others may have had our actors */
    service_end(s);
    (void)state;
}

/* A peer that speaks the protocol by hand. */
struct raw {
    struct tr_rpc_stream stream;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    unsigned orders;
    unsigned sent;
    bool is_done;
};

static void on_raw_recv(struct tr_rpc_recv *recv)
{
    struct raw *r = TR_CONTAINER_OF(recv, struct raw, recv);
    if (recv->err.code == TR_OK && recv->has_message) {
        r->orders++;
        tr_buf_fini(&recv->message);
        tr_rpc_stream_recv_start(&r->stream, recv);
    }
}

static void on_raw_sent(struct tr_rpc_send *send)
{
    struct raw *r = TR_CONTAINER_OF(send, struct raw, send);
    r->sent++;
}

static void on_raw_end(struct tr_rpc_stream *stream)
{
    struct raw *r = TR_CONTAINER_OF(stream, struct raw, stream);
    r->is_done = true;
}

static void raw_start(struct service *s, struct raw *r)
{
    *r = (struct raw){
        .stream = { .path = TR_SLICE_LIT(TR_PLACEMENT_PATH), .cb = on_raw_end },
        .recv = { .cb = on_raw_recv },
        .send = { .cb = on_raw_sent },
    };
    tr_rpc_stream_start(s->f.channel, &r->stream);
    tr_rpc_stream_recv_start(&r->stream, &r->recv);
}

static void raw_send_bytes(struct service *s, struct raw *r, struct tr_slice bytes)
{
    unsigned sent = r->sent;
    r->send.message = bytes;
    tr_rpc_stream_send_start(&r->stream, &r->send);
    fixture_wait_count(&s->f, &r->sent, sent + 1);
}

static void raw_send(struct service *s, struct raw *r, const char *id, const char *type,
                     uint32_t op)
{
    struct tr_slice types[] = { tr_slice_str(type) };
    const struct tr_host host = {
        .name = TR_SLICE_LIT("10.9.9.9:1"),
        .id = tr_slice_str(id),
        .ns = TR_SLICE_LIT("default"),
        .types = types,
        .types_len = type == NULL ? 0 : 1,
        .op = op,
    };
    struct tr_buf bytes = { 0 };
    tr_host_encode(&host, &bytes);
    raw_send_bytes(s, r, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
}

static void raw_end(struct service *s, struct raw *r)
{
    if (!r->is_done) {
        tr_rpc_stream_cancel(&r->stream);
    }
    fixture_wait(&s->f, &r->is_done);
    tr_rpc_stream_fini(&r->stream);
}

static bool is_connected(void *ctx)
{
    return tr_placement_is_connected(((const struct sidecar *)ctx)->client);
}

static bool is_disconnected(void *ctx)
{
    return !is_connected(ctx);
}

static void a_round_without_an_update_within_the_own_limit_ends_the_stream(void **state)
{
    struct service *s = service_begin(60000);
    struct raw silent;
    raw_start(s, &silent);
    raw_send(s, &silent, "app", "u", TR_HOST_REPORT);
    fixture_wait_count(&s->f, &silent.orders, 1);
    raw_send(s, &silent, "app", "u", TR_HOST_UNKNOWN);
    raw_send(s, &silent, "app", "u", TR_HOST_UNKNOWN);
    raw_send(s, &silent, "app", "u", TR_HOST_UNKNOWN);
    fixture_wait_count(&s->f, &silent.orders, 3);
    const struct tr_slice address = tr_slice_str(s->f.target);
    struct sidecar *c = sidecar_at(s, &address, 1, "t", 50);
    tr_placement_client_start(c->client);
    fixture_wait_count(&s->f, &c->locks, 1);
    fixture_wait_for(&s->f, is_disconnected, c); /* it gave up the stream ... */
    fixture_wait_for(&s->f, is_connected, c);    /* ... and came again */
    assert_int_equal(c->updates, 0);
    assert_int_equal(c->losts, 0); /* no actor could have been active */
    raw_end(s, &silent);
    fixture_wait_count(&s->f, &c->locks, 2);
    fixture_wait_count(&s->f, &c->readies, 1);
    service_end(s);
    (void)state;
}

static void messages_sent_ahead_by_a_waiting_host_count_when_it_has_joined(void **state)
{
    struct service *s = service_begin(60000);
    struct sidecar *a = sidecar(s, "t");
    fixture_wait_count(&s->f, &a->unlocks, 1);
    a->is_slow = true;
    struct raw first;
    struct raw second;
    raw_start(s, &first);
    raw_send(s, &first, "app", "u", TR_HOST_UNKNOWN);
    fixture_wait_count(&s->f, &first.orders, 1);
    raw_start(s, &second); /* waits, and says three times what it has */
    for (int i = 0; i < 3; i++) {
        raw_send(s, &second, "app", "v", TR_HOST_UNKNOWN);
    }
    raw_end(s, &first);
    a->is_slow = false;
    fixture_wait_count(&s->f, &a->updates, 2);
    tr_placement_update_done(a->client, a->update_token);
    /* the leaver's round, then that of the waiting: lock and update acknowledged in advance */
    fixture_wait_count(&s->f, &second.orders, 2);
    raw_send(s, &second, "app", "v", TR_HOST_UNKNOWN);
    fixture_wait_for(&s->f, is_stable, s);
    assert_int_equal(second.orders, 3);
    raw_end(s, &second);
    service_end(s);
    (void)state;
}

static void peers_out_of_the_protocol_are_refused_with_status_and_text(void **state)
{
    struct service *s = service_begin(8000);
    struct raw r;

    raw_start(s, &r);
    tr_rpc_stream_half_close(&r.stream);
    fixture_wait(&s->f, &r.is_done);
    assert_int_equal(r.stream.status, TR_RPC_UNKNOWN);
    assert_text(tr_buf_slice(&r.stream.message), "EOF");
    raw_end(s, &r);

    raw_start(s, &r);
    raw_send(s, &r, "", "t", TR_HOST_REPORT);
    fixture_wait(&s->f, &r.is_done);
    assert_int_equal(r.stream.status, TR_RPC_INVALID_ARGUMENT);
    assert_text(tr_buf_slice(&r.stream.message), "host ID and namespace must be provided");
    raw_end(s, &r);

    raw_start(s, &r);
    raw_send_bytes(s, &r, TR_SLICE_LIT("\x0a\x7f"));
    fixture_wait(&s->f, &r.is_done);
    assert_int_equal(r.stream.status, TR_RPC_INTERNAL);
    raw_end(s, &r);

    raw_start(s, &r);
    raw_send(s, &r, "app", "t", TR_HOST_REPORT);
    fixture_wait_count(&s->f, &r.orders, 1);
    raw_send(s, &r, "other", "t", TR_HOST_REPORT);
    fixture_wait(&s->f, &r.is_done);
    assert_int_equal(r.stream.status, TR_RPC_INVALID_ARGUMENT);
    raw_end(s, &r);

    raw_start(s, &r);
    raw_send(s, &r, "app", "t", TR_HOST_REPORT);
    fixture_wait_count(&s->f, &r.orders, 1);
    raw_send(s, &r, "app", "dapr.internal.x.y", TR_HOST_REPORT);
    fixture_wait(&s->f, &r.is_done);
    assert_int_equal(r.stream.status, TR_RPC_PERMISSION_DENIED);
    assert_text(tr_buf_slice(&r.stream.message),
                "entity dapr.internal.x.y is not allowed for app ID app in namespace default");
    raw_end(s, &r);

    tr_placement_server_lead(s->server, false);
    raw_start(s, &r);
    fixture_wait(&s->f, &r.is_done);
    assert_int_equal(r.stream.status, TR_RPC_FAILED_PRECONDITION);
    assert_text(tr_buf_slice(&r.stream.message),
                "node id=p-0 is not a leader. Only the leader can serve requests");
    raw_end(s, &r);
    service_end(s);
    (void)state;
}

static void a_silent_peer_is_closed_with_the_limit_in_the_text(void **state)
{
    struct service *s = service_begin(50);
    struct raw r;
    raw_start(s, &r);
    raw_send(s, &r, "app", "t", TR_HOST_REPORT);
    fixture_wait(&s->f, &r.is_done);
    assert_int_equal(r.stream.status, TR_RPC_DEADLINE_EXCEEDED);
    assert_text(tr_buf_slice(&r.stream.message),
                "dissemination timeout after some time for version 1");
    assert_true(wait_for_text(s, "{}"));
    raw_end(s, &r);
    service_end(s);
    (void)state;
}

static void a_refused_sidecar_goes_on_to_the_leader(void **state)
{
    struct service *s = service_begin(8000);
    const struct tr_slice any = TR_SLICE_LIT("127.0.0.1:0");
    const struct tr_rpc_server_conf conf = { .addresses = &any, .addresses_len = 1 };
    struct tr_rpc_server *follower_rpc;
    struct tr_err err;
    assert_int_equal(tr_rpc_server_new(s->f.rpc, &conf, &follower_rpc, &err), TR_OK);
    struct tr_placement_server *follower = server_on(s, follower_rpc, 8000);
    tr_rpc_server_start(follower_rpc);
    char target[32];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d",
                   (int)tr_rpc_server_port(follower_rpc, 0));
    const struct tr_slice addresses[] = { tr_slice_str(target), tr_slice_str(s->f.target) };
    struct sidecar *c = sidecar_at(s, addresses, 2, "t", 30000);
    tr_placement_client_start(c->client);
    fixture_wait_count(&s->f, &c->readies, 1);
    assert_int_equal(c->losts, 0);
    assert_int_equal(tr_placement_server_streams_len(follower), 0);
    bool is_closed = false;
    tr_placement_server_close(follower, on_flag, &is_closed);
    fixture_wait(&s->f, &is_closed);
    is_closed = false;
    tr_rpc_server_close(follower_rpc, on_flag, &is_closed);
    fixture_wait(&s->f, &is_closed);
    tr_placement_server_free(&follower);
    service_end(s);
    (void)state;
}

static void a_sidecar_waits_for_a_server_that_is_not_there_yet(void **state)
{
    struct service *s = service_begin(8000);
    struct tr_err err;
    /* A port that nobody listens on: bound, then given up. */
    const struct tr_slice any = TR_SLICE_LIT("127.0.0.1:0");
    const struct tr_rpc_server_conf conf = { .addresses = &any, .addresses_len = 1 };
    struct tr_rpc_server *gone;
    assert_int_equal(tr_rpc_server_new(s->f.rpc, &conf, &gone, &err), TR_OK);
    char target[32];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", (int)tr_rpc_server_port(gone, 0));
    tr_rpc_server_start(gone);
    bool is_closed = false;
    tr_rpc_server_close(gone, on_flag, &is_closed);
    fixture_wait(&s->f, &is_closed);
    const struct tr_slice addresses[] = { tr_slice_str(target), tr_slice_str(s->f.target) };
    struct sidecar *c = sidecar_at(s, addresses, 2, "t", 30000);
    tr_placement_client_start(c->client);
    fixture_wait_count(&s->f, &c->readies, 1); /* after one pause */
    service_end(s);
    (void)state;
}

static void a_name_may_be_looked_up_for_every_attempt(void **state)
{
    struct service *s = service_begin(8000);
    static const char *const names[] = { "127.0.0.1", "no.such.name.invalid" };
    const char *port = strchr(s->f.target, ':');
    for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s%s", i == 0 ? names[0] : "",
                       i == 0 ? port : names[1]);
        const struct tr_slice address = tr_slice_str(name);
        struct sidecar *c = &s->sidecars[s->sidecars_len++];
        const struct tr_placement_client_conf conf = {
            .loop = s->f.loop,
            .rpc = s->f.rpc,
            .log = &s->log,
            .addresses = &address,
            .addresses_len = 1,
            .is_resolved_each_time = true,
            .name = TR_SLICE_LIT("h:1"),
            .app_id = TR_SLICE_LIT("app"),
            .ns = TR_SLICE_LIT("default"),
            .round_limit_ms = 30000,
            .events = { on_lock, on_update, on_unlock, on_lost, on_ready },
            .ctx = c,
        };
        struct tr_err err;
        assert_int_equal(tr_placement_client_new(&conf, &c->client, &err), TR_OK);
        tr_placement_client_start(c->client);
    }
    fixture_wait_count(&s->f, &s->sidecars[0].readies, 1);
    assert_int_equal(s->sidecars[1].readies, 0); /* goes on trying, and can still be closed */
    service_end(s);
    (void)state;
}

static void a_server_that_stops_loses_its_sidecars_and_says_so(void **state)
{
    struct service *s = service_begin(8000);
    struct sidecar *a = sidecar(s, "t");
    struct sidecar *b = sidecar(s, NULL);
    fixture_wait_count(&s->f, &a->readies, 1);
    fixture_wait_count(&s->f, &b->readies, 1);
    tr_placement_server_close(s->server, on_flag, &s->is_closed);
    fixture_wait(&s->f, &s->is_closed);
    fixture_wait_count(&s->f, &a->losts, 1);
    fixture_wait_count(&s->f, &b->losts, 1);
    assert_false(tr_placement_is_connected(a->client));
    assert_false(tr_placement_is_ready(a->client));
    assert_int_equal(lookup(a, "t", "a"), TR_OWNER_NO_TABLE);
    assert_text(tr_buf_slice(&s->gauges), "default 0 0");
    service_end(s);
    (void)state;
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

static void state_and_gauges_show_the_hosts(void **state)
{
    struct service *s = service_begin(8000);
    assert_true(wait_for_text(s, "{}"));
    struct sidecar *router = sidecar(s, NULL);
    fixture_wait_count(&s->f, &router->readies, 1);
    assert_true(wait_for_text(s, "{\"tables\":{\"default\":{}}}"));
    assert_text(tr_buf_slice(&s->gauges), "default 1 0");
    struct sidecar *a = sidecar(s, "t");
    fixture_wait_count(&s->f, &a->readies, 1);
    assert_true(wait_for_text(
        s, "{\"tables\":{\"default\":{\"hosts\":[{\"name\":\"10.0.0.2:50002\",\"entities\":[\"t\"],"
           "\"id\":\"app\",\"api_level\":20,\"namespace\":\"default\",\"operation\":1}],"
           "\"version\":1}}}"));
    assert_text(tr_buf_slice(&s->gauges), "default 2 1");
    leave(s, a);
    leave(s, router);
    assert_true(wait_for_text(s, "{}"));
    assert_text(tr_buf_slice(&s->gauges), "default 0 0");
    tr_placement_server_lead(s->server, false);
    assert_true(wait_for_text(s, "null"));
    service_end(s);
    (void)state;
}

static void loopback_names_with_one_port_are_one_host(void **state)
{
    struct service *s = service_begin(8000);
    struct raw r;
    raw_start(s, &r); /* reports as 10.9.9.9:1, which is nobody's loopback */
    raw_send(s, &r, "app", "t", TR_HOST_REPORT);
    fixture_wait_count(&s->f, &r.orders, 1);
    raw_end(s, &r);
    static const char *const names[] = { "localhost:50002", "[::1]:50002", "127.0.0.1:50002" };
    for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
        struct sidecar *c = &s->sidecars[s->sidecars_len++];
        const struct tr_slice address = tr_slice_str(s->f.target);
        const struct tr_placement_client_conf conf = {
            .loop = s->f.loop,
            .rpc = s->f.rpc,
            .log = &s->log,
            .addresses = &address,
            .addresses_len = 1,
            .name = tr_slice_str(names[i]),
            .app_id = TR_SLICE_LIT("app"),
            .ns = TR_SLICE_LIT("loop"),
            .round_limit_ms = 30000,
            .events = { on_lock, on_update, on_unlock, on_lost, on_ready },
            .ctx = c,
        };
        struct tr_err err;
        const struct tr_slice type = TR_SLICE_LIT("t");
        assert_int_equal(tr_placement_client_new(&conf, &c->client, &err), TR_OK);
        tr_placement_set_types(c->client, &type, 1);
        tr_placement_client_start(c->client);
        fixture_wait_count(&s->f, &c->readies, 1);
        for (int id = 0; id < 20; id++) {
            char text[8];
            (void)snprintf(text, sizeof(text), "%d", id);
            assert_int_equal(lookup(c, "t", text), TR_OWNER_LOCAL);
        }
    }
    struct goal goal = { s, 1 };
    fixture_wait_for(&s->f, all_have_unlocks, &goal);
    service_end(s);
    (void)state;
}

static void bad_settings_of_a_client_are_refused(void **state)
{
    struct service *s = service_begin(8000);
    struct tr_placement_client_conf conf = {
        .loop = s->f.loop, .rpc = s->f.rpc, .log = &s->log, .round_limit_ms = 1
    };
    struct tr_placement_client *client = NULL;
    struct tr_err err;
    assert_int_equal(tr_placement_client_new(&conf, &client, &err), TR_INVALID);
    const struct tr_slice address = TR_SLICE_LIT("x:1");
    conf.addresses = &address;
    conf.addresses_len = 1;
    conf.round_limit_ms = 0;
    assert_int_equal(tr_placement_client_new(&conf, &client, &err), TR_INVALID);
    assert_null(client);
    service_end(s);
    (void)state;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sidecar_gets_ready_and_owns_its_actors),
        cmocka_unit_test(a_sidecar_without_types_routes_to_the_others),
        cmocka_unit_test(twenty_sidecars_agree_on_every_owner_while_they_come_and_go),
        cmocka_unit_test(types_may_change_and_be_withdrawn),
        cmocka_unit_test(waits_end_in_order_when_the_first_round_is_over),
        cmocka_unit_test(only_types_that_change_hands_are_held),
        cmocka_unit_test(a_wait_ends_at_its_deadline_or_when_it_is_canceled_or_the_client_closes),
        cmocka_unit_test(a_sidecar_that_is_too_slow_is_closed_halts_and_comes_back),
        cmocka_unit_test(no_update_is_worked_on_before_the_actors_are_halted),
        cmocka_unit_test(a_round_without_an_update_within_the_own_limit_ends_the_stream),
        cmocka_unit_test(messages_sent_ahead_by_a_waiting_host_count_when_it_has_joined),
        cmocka_unit_test(peers_out_of_the_protocol_are_refused_with_status_and_text),
        cmocka_unit_test(a_silent_peer_is_closed_with_the_limit_in_the_text),
        cmocka_unit_test(a_refused_sidecar_goes_on_to_the_leader),
        cmocka_unit_test(a_sidecar_waits_for_a_server_that_is_not_there_yet),
        cmocka_unit_test(a_name_may_be_looked_up_for_every_attempt),
        cmocka_unit_test(a_server_that_stops_loses_its_sidecars_and_says_so),
        cmocka_unit_test(state_and_gauges_show_the_hosts),
        cmocka_unit_test(loopback_names_with_one_port_are_one_host),
        cmocka_unit_test(bad_settings_of_a_client_are_refused),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
