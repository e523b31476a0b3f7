/*
 * A gRPC server: ports, slots for new calls, table of methods, shutdown.
 *
 * gRPC gives a new call only to a request that waits for one. A number of such slots wait at all times; one that got a
 * call asks again at once.
 *
 * Shutdown, in this order: new calls are refused by us, open ones run on; when the last is gone, gRPC closes the ports,
 * cuts the connections and returns the empty slots; then the server is freed. gRPC's own graceful shutdown would answer
 * calls that cross its notice on the way with CANCELLED, which callers do not retry.
 */
#include "invoke/rpc_server_int.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "runtime/base/net.h"

/* --- making ------------------------------------------------------------------------------------------------------- */

static void server_args(struct tr_rpc_args *args, const struct tr_rpc_server_conf *conf)
{
    tr_rpc_args_common(args, conf->keepalive_ms, conf->keepalive_timeout_ms,
                       conf->metadata_bytes_max);
    /* A second process must not silently share our port. */
    tr_rpc_args_int(args, GRPC_ARG_ALLOW_REUSEPORT, 0);
    if (conf->streams_max != 0) {
        tr_rpc_args_int(args, GRPC_ARG_MAX_CONCURRENT_STREAMS, conf->streams_max);
    }
    if (conf->keepalive_ms != 0) {
        tr_rpc_args_int(args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    }
    if (conf->ping_min_ms != 0) {
        tr_rpc_args_int(args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                        conf->ping_min_ms);
    } else {
        /* Measured: with gRPC's defaults a client that pings each second is sent away after four. */
        tr_rpc_args_int(args, GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    }
    if (conf->idle_max_ms != 0) {
        tr_rpc_args_int(args, GRPC_ARG_MAX_CONNECTION_IDLE_MS, conf->idle_max_ms);
    }
    if (conf->age_max_ms != 0) {
        tr_rpc_args_int(args, GRPC_ARG_MAX_CONNECTION_AGE_MS, conf->age_max_ms);
    }
}

/* Bind one address; returns the port, 0 if that cannot be done. */
static uint16_t bind_address(grpc_server *server, struct tr_slice address,
                             grpc_server_credentials *creds)
{
    struct tr_buf text = { 0 };
    if (tr_slice_starts(address, TR_SLICE_LIT(":"))) {
        /* All interfaces, both families. */
        tr_buf_add_str(&text, "[::]");
    }
    tr_buf_add(&text, address);
    const int port = grpc_server_add_http2_port(server, tr_buf_cstr(&text), creds);
    tr_buf_fini(&text);
    tr_assert(port >= 0);
    tr_assert(port <= UINT16_MAX);
    return (uint16_t)port;
}

static unsigned bind_all(struct tr_rpc_server *server, const struct tr_rpc_server_conf *conf)
{
    grpc_server_credentials *creds =
        conf->creds != NULL ? conf->creds->server : grpc_insecure_server_credentials_create();
    unsigned bound = 0;
    for (size_t i = 0; i < conf->addresses_len; i++) {
        server->ports[i] = bind_address(server->server, conf->addresses[i], creds);
        bound += server->ports[i] != 0;
    }
    if (conf->creds == NULL) {
        grpc_server_credentials_release(creds);
    }
    return bound;
}

static void on_never(void *ctx, struct tr_stream *stream)
{
    (void)ctx;
    (void)stream;
    TR_BUG("a listener that is closed at once has accepted");
}

/* gRPC only says that it could not bind: ask the system for the cause by doing it ourselves. */
static enum tr_code explain_unbound(struct tr_loop *loop, struct tr_slice address, struct tr_err *err)
{
    size_t colon = address.len;
    while (colon > 0 && address.ptr[colon - 1] != ':') {
        colon--;
    }
    char *port = tr_xstrdup(tr_slice_skip(address, colon));
    char *host = tr_xstrdup((struct tr_slice){ address.ptr, colon > 0 ? colon - 1 : 0 });
    struct tr_listener *listener = NULL;
    const enum tr_code rc =
        strcmp(host, "unix") == 0
            ? tr_listen_unix(loop, port, on_never, NULL, &listener, err)
            : tr_listen_tcp(loop, host, (uint16_t)strtoul(port, NULL, 10), on_never, NULL,
                            &listener, err);
    tr_listener_close(&listener);
    free(host);
    free(port);
    if (rc == TR_OK) { /* the cause has gone, or it is gRPC's own */
        return tr_err_set(err, TR_UNAVAILABLE, "cannot listen on '%.*s'", TR_SLICE_ARG(address));
    }
    err->code = TR_UNAVAILABLE; /* the cause stays in the text */
    return err->code;
}

static void server_free(struct tr_rpc_server *server)
{
    grpc_server_destroy(server->server);
    struct tr_map_iter iter = { 0 };
    struct tr_slice key;
    void *method;
    while (tr_map_next(&server->methods, &iter, &key, &method)) {
        free(method);
    }
    tr_map_fini(&server->methods);
    tr_map_fini(&server->services);
    tr_rpc_release(server->rpc);
    free(server);
}

enum tr_code tr_rpc_server_new(struct tr_rpc *rpc, const struct tr_rpc_server_conf *conf,
                               struct tr_rpc_server **out_server, struct tr_err *err)
{
    tr_loop_assert(tr_rpc_loop(rpc));
    tr_assert(conf->addresses_len > 0);
    tr_assert(conf->addresses_len <= TR_RPC_ADDRESSES_MAX);
    tr_assert(conf->creds == NULL || conf->creds->server != NULL);
    struct tr_rpc_args args = { .len = 0 };
    server_args(&args, conf);
    struct tr_rpc_server *server = tr_xzalloc(sizeof(*server));
    server->rpc = rpc;
    server->ports_len = conf->addresses_len;
    server->message_bytes_max =
        conf->message_bytes_max != 0 ? conf->message_bytes_max : TR_RPC_MESSAGE_BYTES_MAX;
    server->calls_max = conf->calls_max != 0 ? conf->calls_max : TR_RPC_CALLS_MAX;
    tr_map_init(&server->methods);
    tr_map_init(&server->services);
    tr_link_init(&server->calls);
    const grpc_channel_args channel_args = { .num_args = args.len, .args = args.args };
    server->server = grpc_server_create(&channel_args, NULL);
    grpc_server_register_completion_queue(server->server, tr_rpc_queue(rpc), NULL);
    tr_rpc_hold(rpc);
    tr_rpc_accept_init();
    if (bind_all(server, conf) == 0) {
        /* Nothing to shut down: no listener exists. */
        server_free(server);
        return explain_unbound(tr_rpc_loop(rpc), conf->addresses[0], err);
    }
    *out_server = server;
    return TR_OK;
}

uint16_t tr_rpc_server_port(const struct tr_rpc_server *server, size_t i)
{
    tr_assert(i < server->ports_len);
    return server->ports[i];
}

/* --- methods ------------------------------------------------------------------------------------------------------ */

void tr_rpc_server_add(struct tr_rpc_server *server, const struct tr_rpc_method *method)
{
    const struct tr_slice path = tr_slice_str(method->path);
    size_t cut = path.len;
    while (cut > 0 && path.ptr[cut - 1] != '/') {
        cut--;
    }
    tr_assert(cut >= 3);
    tr_assert(method->handler != NULL);
    struct tr_rpc_method *copy = tr_xalloc(sizeof(*copy));
    *copy = *method;
    copy->path = NULL; /* the map has the text; the caller's may go */
    void *before = tr_map_put(&server->methods, path, copy);
    tr_assert(before == NULL);
    (void)tr_map_put(&server->services, tr_slice(path.ptr + 1, cut - 2), server);
}

void tr_rpc_server_set_fallback(struct tr_rpc_server *server, tr_rpc_handler_fn *handler, void *ctx)
{
    server->fallback = (struct tr_rpc_method){ .is_stream = true, .handler = handler, .ctx = ctx };
}

/* --- new calls ---------------------------------------------------------------------------------------------------- */

static void free_if_done(struct tr_rpc_server *server)
{
    if (!server->is_shut || server->calls_len > 0 || server->slots_waiting > 0) {
        return;
    }
    tr_rpc_closed_fn *cb = server->closed;
    void *ctx = server->closed_ctx;
    server_free(server);
    cb(ctx);
}

static void on_new_call(struct tr_rpc_op *op, bool ok);

static void slot_wait(struct tr_rpc_slot *slot)
{
    struct tr_rpc_server *server = slot->server;
    grpc_completion_queue *queue = tr_rpc_queue(server->rpc);
    server->slots_waiting++;
    tr_rpc_op_began(server->rpc, &slot->op, on_new_call, false);
    const grpc_call_error rc = grpc_server_request_call(server->server, &slot->call, &slot->details,
                                                        &slot->metadata, queue, queue, &slot->op);
    tr_assert(rc == GRPC_CALL_OK);
}

static void slot_fini(struct tr_rpc_slot *slot)
{
    grpc_call_details_destroy(&slot->details);
    grpc_metadata_array_destroy(&slot->metadata);
}

static void on_new_call(struct tr_rpc_op *op, bool ok)
{
    struct tr_rpc_slot *slot = TR_CONTAINER_OF(op, struct tr_rpc_slot, op);
    struct tr_rpc_server *server = slot->server;
    server->slots_waiting--;
    if (ok) {
        tr_rpc_call_accept(server, slot);
        if (!server->is_shutting) {
            slot_wait(slot);
            return;
        }
    }
    slot_fini(slot);
    free_if_done(server);
}

void tr_rpc_server_start(struct tr_rpc_server *server)
{
    tr_assert(!server->is_started);
    tr_assert(!server->is_closing);
    server->is_started = true;
    grpc_server_start(server->server);
    for (size_t i = 0; i < TR_ARRAY_LEN(server->slots); i++) {
        struct tr_rpc_slot *slot = &server->slots[i];
        slot->server = server;
        grpc_call_details_init(&slot->details);
        grpc_metadata_array_init(&slot->metadata);
        slot_wait(slot);
    }
}

uint32_t tr_rpc_server_calls(const struct tr_rpc_server *server)
{
    return server->calls_len;
}

/* --- shutdown ----------------------------------------------------------------------------------------------------- */

void tr_rpc_server_cancel_calls(struct tr_rpc_server *server)
{
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &server->calls) {
        tr_rpc_call_abort(link);
    }
}

static void on_shutdown(struct tr_rpc_op *op, bool ok)
{
    (void)ok;
    struct tr_rpc_server *server = TR_CONTAINER_OF(op, struct tr_rpc_server, shutdown_op);
    server->is_shut = true;
    free_if_done(server);
}

/* No call is left: close the ports, and do not wait for peers that keep their connections, or have frozen. */
static void shut(struct tr_rpc_server *server)
{
    tr_assert(!server->is_shutting);
    server->is_shutting = true;
    tr_rpc_op_began(server->rpc, &server->shutdown_op, on_shutdown, true);
    grpc_server_shutdown_and_notify(server->server, tr_rpc_queue(server->rpc),
                                    &server->shutdown_op);
    grpc_server_cancel_all_calls(server->server);
}

void tr_rpc_server_call_gone(struct tr_rpc_server *server)
{
    tr_assert(server->calls_len > 0);
    server->calls_len--;
    if (server->is_closing && server->calls_len == 0 && !server->is_shutting) {
        shut(server);
    }
    free_if_done(server);
}

void tr_rpc_server_close(struct tr_rpc_server *server, tr_rpc_closed_fn *cb, void *ctx)
{
    tr_loop_assert(tr_rpc_loop(server->rpc));
    tr_assert(!server->is_closing);
    server->is_closing = true;
    server->closed = cb;
    server->closed_ctx = ctx;
    if (server->calls_len == 0) {
        shut(server);
    }
}
