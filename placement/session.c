/*
 * One stream of a sidecar. Everything that ends it comes through end(): a message that is refused, the peer's half-close
 * or loss, a send that failed, or the user. The rpc call is finished there, once; what is in flight comes back later and
 * finds the session ENDED.
 */
#include "placement/session.h"

#include <stdlib.h>

/* "spiffe://<trust domain>/ns/<namespace>/<app id>"; false for any other form. Source: Dapr pkg/security/spiffe. */
static bool parse_spiffe(struct tr_slice text, struct tr_admission_peer *peer)
{
    const struct tr_slice scheme = TR_SLICE_LIT("spiffe://");
    struct tr_slice parts[4];
    if (!tr_slice_starts(text, scheme)) {
        return false;
    }
    struct tr_slice rest = tr_slice_skip(text, scheme.len);
    for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++) {
        if (!tr_slice_split(&rest, '/', &parts[i])) {
            return false;
        }
    }
    if (rest.ptr != NULL || !tr_slice_eq_str(parts[1], "ns")) {
        return false;
    }
    peer->ns = parts[2];
    peer->app_id = parts[3];
    return true;
}

static struct tr_admission_peer peer_of(struct tr_session *session)
{
    struct tr_admission_peer peer = { .is_tls = session->is_tls };
    if (peer.is_tls) {
        peer.has_identity = parse_spiffe(tr_rpc_call_peer_spiffe(session->call), &peer);
    }
    return peer;
}

static void drop_orders(struct tr_session *session)
{
    for (size_t i = 0; i < session->orders_len; i++) {
        tr_order_unref(&session->orders[i]);
    }
    session->orders_len = 0;
}

void tr_session_end(struct tr_session *session, const struct tr_err *err)
{
    if (session->state == TR_SESSION_ENDED) {
        return;
    }
    session->state = TR_SESSION_ENDED;
    drop_orders(session);
    tr_rpc_call_fail_err(session->call, err);
}

/* End for a reason of the stream's own, and tell. */
static void fail(struct tr_session *session, const struct tr_err *err)
{
    enum tr_session_state was = session->state;
    tr_session_end(session, err);
    if (was == TR_SESSION_OPEN) {
        session->events->on_end(session->ctx, session);
    }
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void send_next(struct tr_session *session)
{
    if (session->is_sending || session->orders_len == 0) {
        return;
    }
    struct tr_order *order = session->orders[0];
    session->orders_len--;
    for (size_t i = 0; i < session->orders_len; i++) {
        session->orders[i] = session->orders[i + 1];
    }
    session->is_sending = true;
    session->send.message = tr_buf_slice(&order->bytes);
    tr_rpc_call_send_start(session->call, &session->send); /* copies the message */
    tr_order_unref(&order);
}

static void on_sent(struct tr_rpc_send *send)
{
    struct tr_session *session = TR_CONTAINER_OF(send, struct tr_session, send);
    session->is_sending = false;
    if (session->state == TR_SESSION_ENDED) {
        return;
    }
    if (send->err.code != TR_OK) {
        fail(session, &send->err);
        return;
    }
    send_next(session);
}

void tr_session_send(struct tr_session *session, struct tr_order *order)
{
    if (session->state != TR_SESSION_OPEN) {
        tr_order_unref(&order);
        return;
    }
    if (order->op == TR_ORDER_LOCK) {
        drop_orders(session);
    }
    tr_assert(session->orders_len < TR_SESSION_ORDERS_MAX);
    session->orders[session->orders_len++] = order;
    send_next(session);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static void receive_next(struct tr_session *session)
{
    if (session->is_receiving || session->has_kept || session->state == TR_SESSION_ENDED) {
        return;
    }
    session->is_receiving = true;
    tr_rpc_call_recv_start(session->call, &session->recv);
}

/* Without TLS anybody may name any id and namespace, but not another one later: the rounds of its namespace have it. */
static enum tr_code check_pin(struct tr_session *session, const struct tr_host *message,
                              struct tr_err *err)
{
    if (session->state == TR_SESSION_NEW) {
        tr_buf_set(&session->id, message->id);
        tr_buf_set(&session->ns, message->ns);
        return TR_OK;
    }
    if (!tr_slice_eq(message->id, tr_buf_slice(&session->id)) ||
        !tr_slice_eq(message->ns, tr_buf_slice(&session->ns))) {
        return tr_err_set(err, TR_INVALID, "host ID and namespace may not change within a stream");
    }
    return TR_OK;
}

static enum tr_code read_message(struct tr_session *session, const struct tr_rpc_recv *recv,
                                 struct tr_host *out_message, struct tr_err *err)
{
    if (recv->err.code != TR_OK) {
        *err = recv->err;
        return err->code;
    }
    if (!recv->has_message) {
        return tr_err_set(err, TR_UNKNOWN, "EOF"); /* what Go's io.EOF becomes */
    }
    struct tr_host message = { 0 };
    struct tr_admission_peer peer = peer_of(session);
    enum tr_code rc = tr_host_decode(tr_buf_slice(&recv->message), &message, err);
    if (rc == TR_OK) {
        rc = tr_admission_check(&peer, &message, err);
    }
    if (rc == TR_OK) {
        rc = check_pin(session, &message, err);
    }
    if (rc != TR_OK) {
        tr_host_fini(&message);
        return rc;
    }
    *out_message = message;
    return TR_OK;
}

static void on_received(struct tr_rpc_recv *recv)
{
    struct tr_session *session = TR_CONTAINER_OF(recv, struct tr_session, recv);
    struct tr_host message;
    struct tr_err err;
    session->is_receiving = false;
    if (session->state == TR_SESSION_ENDED) {
        tr_buf_fini(&recv->message);
        return;
    }
    enum tr_code rc = read_message(session, recv, &message, &err);
    tr_buf_fini(&recv->message);
    if (rc != TR_OK) {
        fail(session, &err);
        return;
    }
    if (session->state == TR_SESSION_NEW) {
        session->state = TR_SESSION_OPEN;
        session->events->on_first(session->ctx, session, &message);
    } else if (session->is_held) {
        session->kept = message;
        session->has_kept = true;
    } else {
        session->events->on_message(session->ctx, session, &message);
    }
    receive_next(session);
}

void tr_session_hold(struct tr_session *session)
{
    session->is_held = true;
}

bool tr_session_release(struct tr_session *session, struct tr_host *out_kept)
{
    session->is_held = false;
    bool has_kept = session->has_kept;
    if (has_kept) {
        session->has_kept = false;
        *out_kept = session->kept;
        session->kept = (struct tr_host){ 0 };
        receive_next(session);
    }
    return has_kept;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_cancel(struct tr_rpc_watch *watch)
{
    struct tr_session *session = TR_CONTAINER_OF(watch, struct tr_session, watch);
    struct tr_err err;
    (void)tr_err_set(&err, TR_CANCELED, "context canceled");
    fail(session, &err);
}

static void on_call_close(struct tr_rpc_watch *watch)
{
    struct tr_session *session = TR_CONTAINER_OF(watch, struct tr_session, watch);
    tr_assert(session->state == TR_SESSION_ENDED);
    session->call = NULL;
    session->events->on_close(session->ctx, session);
}

struct tr_session *tr_session_new(struct tr_rpc_call *call, bool is_tls,
                                  const struct tr_session_events *events, void *ctx)
{
    struct tr_session *session = tr_xzalloc(sizeof(*session));
    tr_link_init(&session->link);
    tr_link_init(&session->resume_link);
    session->events = events;
    session->ctx = ctx;
    session->call = call;
    session->is_tls = is_tls;
    session->watch.on_cancel = on_cancel;
    session->watch.on_close = on_call_close;
    session->recv.cb = on_received;
    session->send.cb = on_sent;
    tr_rpc_call_watch(call, &session->watch);
    receive_next(session);
    return session;
}

void tr_session_free(struct tr_session **session_place)
{
    struct tr_session *session = *session_place;
    *session_place = NULL;
    if (session == NULL) {
        return;
    }
    tr_assert(session->call == NULL);
    tr_assert(!tr_link_linked(&session->link));
    tr_assert(!tr_link_linked(&session->resume_link));
    drop_orders(session);
    tr_host_fini(&session->kept);
    tr_buf_fini(&session->id);
    tr_buf_fini(&session->ns);
    free(session);
}
