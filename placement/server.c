/*
 * The placement service. An event of a session goes to the rounds of its namespace; then settle() carries out what the
 * rounds decided, lets go of sessions that were held until they had joined, and sets the timer anew. Nothing calls back
 * from inside (sessions and calls answer on later turns), so settle() is never entered twice.
 */
#include "placement/server_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/log.h"

/* How much of a peer's text goes into one line of the log. */
#define LOG_TEXT_MAX 256

static void set_not_leader(const struct tr_placement_server *server, struct tr_err *err)
{
    /* Sidecars look for "is not a leader". Source: Dapr pkg/placement/internal/server/server.go, ReportDaprStatus. */
    (void)tr_err_set(err, TR_PRECONDITION,
                     "node id=%.*s is not a leader. Only the leader can serve requests",
                     TR_SLICE_ARG(tr_buf_slice(&server->id)));
}

/* --- namespaces ------------------------------------------------------------------------------------------------- */

static void on_due(struct tr_timer *timer);

static enum tr_code open_ns(struct tr_placement_server *server, struct tr_slice name,
                            struct tr_placement_ns **out_ns, struct tr_err *err)
{
    struct tr_placement_ns *ns = tr_map_get(&server->namespaces, name);
    if (ns == NULL) {
        if (server->namespaces.len >= TR_PLACEMENT_NAMESPACES_MAX) {
            return tr_err_set(err, TR_LIMIT, "placement serves %d namespaces already",
                              TR_PLACEMENT_NAMESPACES_MAX);
        }
        ns = tr_xzalloc(sizeof(*ns));
        ns->server = server;
        ns->rounds = tr_rounds_new(&server->rounds_conf, name);
        tr_timer_init(&ns->timer, server->conf.loop, on_due);
        tr_link_init(&ns->resume);
        (void)tr_map_put(&server->namespaces, name, ns);
    }
    *out_ns = ns;
    return TR_OK;
}

static void tell_gauges(struct tr_placement_ns *ns)
{
    size_t runtimes = tr_rounds_joined_len(ns->rounds);
    size_t actor_runtimes = tr_rounds_joined_with_types_len(ns->rounds);
    if (ns->server->conf.on_gauges != NULL &&
        (runtimes != ns->runtimes || actor_runtimes != ns->actor_runtimes)) {
        ns->server->conf.on_gauges(ns->server->conf.ctx, tr_rounds_name(ns->rounds), runtimes,
                                   actor_runtimes);
    }
    ns->runtimes = runtimes;
    ns->actor_runtimes = actor_runtimes;
}

static void free_ns(struct tr_placement_ns *ns)
{
    tr_assert(tr_list_empty(&ns->resume));
    (void)tr_map_remove(&ns->server->namespaces, tr_rounds_name(ns->rounds));
    tr_timer_stop(&ns->timer);
    tr_rounds_free(&ns->rounds);
    free(ns);
}

static struct tr_session *session_of(struct tr_rounds_stream *stream)
{
    return TR_CONTAINER_OF(stream, struct tr_session, stream);
}

static void forget_session(struct tr_session *session)
{
    tr_link_remove(&session->resume_link);
    session->ns_ref = NULL;
}

static void carry_out(struct tr_placement_ns *ns)
{
    const struct tr_log *log = ns->server->conf.log;
    struct tr_rounds_action action;
    while (tr_rounds_next_action(ns->rounds, &action)) {
        struct tr_session *session = session_of(action.stream);
        switch (action.kind) {
        case TR_ROUNDS_SEND:
            tr_session_send(session, action.order);
            if (session->is_held && !tr_link_linked(&session->resume_link)) {
                tr_list_add_tail(&ns->resume, &session->resume_link);
            }
            break;
        case TR_ROUNDS_CLOSE:
            tr_log_warn(log, "Closing host that did not answer in time",
                        "namespace=%.*s id=%.*s error=%s", TR_SLICE_ARG(tr_buf_slice(&session->ns)),
                        TR_SLICE_ARG(tr_buf_slice(&session->id)), action.err.msg);
            forget_session(session);
            tr_session_end(session, &action.err);
            break;
        }
    }
}

/* After each event. The namespace may be gone afterwards. */
static void settle(struct tr_placement_ns *ns)
{
    struct tr_link *link;
    carry_out(ns);
    while ((link = tr_list_pop(&ns->resume)) != NULL) {
        struct tr_session *session = TR_CONTAINER_OF(link, struct tr_session, resume_link);
        struct tr_host kept;
        if (tr_session_release(session, &kept)) {
            tr_rounds_message(ns->rounds, &session->stream, &kept,
                              tr_loop_now_ms(ns->server->conf.loop));
            carry_out(ns);
        }
    }
    tell_gauges(ns);
    if (tr_rounds_streams_len(ns->rounds) == 0) {
        free_ns(ns);
        return;
    }
    uint64_t due_ms = tr_rounds_due_ms(ns->rounds);
    if (due_ms == UINT64_MAX) {
        tr_timer_stop(&ns->timer);
    } else {
        tr_timer_set(&ns->timer, due_ms);
    }
}

static void on_due(struct tr_timer *timer)
{
    struct tr_placement_ns *ns = TR_CONTAINER_OF(timer, struct tr_placement_ns, timer);
    tr_rounds_tick(ns->rounds, tr_loop_now_ms(ns->server->conf.loop));
    settle(ns);
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

static int log_len(struct tr_slice text)
{
    return text.len > LOG_TEXT_MAX ? LOG_TEXT_MAX : (int)text.len;
}

static void on_first(void *ctx, struct tr_session *session, struct tr_host *first)
{
    struct tr_placement_server *server = ctx;
    struct tr_placement_ns *ns = NULL;
    struct tr_err err;
    tr_log_text(server->conf.log, TR_LOG_INFO,
                "Received status report connection from new namespace=%.*s id=%.*s host=%.*s",
                log_len(first->ns), first->ns.ptr, log_len(first->id), first->id.ptr,
                log_len(first->name), first->name.ptr);
    if (open_ns(server, first->ns, &ns, &err) != TR_OK) {
        tr_host_fini(first);
        tr_session_end(session, &err);
        return;
    }
    if (tr_rounds_join(ns->rounds, &session->stream, first, tr_loop_now_ms(server->conf.loop),
                       &err) != TR_OK) {
        tr_host_fini(first);
        tr_session_end(session, &err);
    } else {
        session->ns_ref = ns;
        if (session->stream.is_waiting) {
            tr_session_hold(session);
        }
    }
    settle(ns);
}

static void on_message(void *ctx, struct tr_session *session, struct tr_host *message)
{
    struct tr_placement_server *server = ctx;
    struct tr_placement_ns *ns = session->ns_ref;
    tr_assert(ns != NULL);
    tr_rounds_message(ns->rounds, &session->stream, message, tr_loop_now_ms(server->conf.loop));
    settle(ns);
}

static void on_end(void *ctx, struct tr_session *session)
{
    struct tr_placement_server *server = ctx;
    struct tr_placement_ns *ns = session->ns_ref;
    if (ns == NULL) {
        return;
    }
    tr_log_debug(server->conf.log, "Status report connection ended", "namespace=%.*s id=%.*s",
                 TR_SLICE_ARG(tr_buf_slice(&session->ns)),
                 TR_SLICE_ARG(tr_buf_slice(&session->id)));
    forget_session(session);
    tr_rounds_leave(&session->stream, tr_loop_now_ms(server->conf.loop));
    settle(ns);
}

static void on_closed(struct tr_defer *defer)
{
    struct tr_placement_server *server = TR_CONTAINER_OF(defer, struct tr_placement_server, closed);
    server->closed_cb(server->closed_ctx);
}

static void on_close(void *ctx, struct tr_session *session)
{
    struct tr_placement_server *server = ctx;
    tr_assert(session->ns_ref == NULL);
    tr_link_remove(&session->link);
    server->sessions_len--;
    tr_session_free(&session);
    if (server->is_closing && server->sessions_len == 0) {
        tr_defer(server->conf.loop, &server->closed, on_closed);
    }
}

static const struct tr_session_events session_events = {
    .on_first = on_first,
    .on_message = on_message,
    .on_end = on_end,
    .on_close = on_close,
};

static void on_call(void *ctx, struct tr_rpc_call *call)
{
    struct tr_placement_server *server = ctx;
    struct tr_err err;
    if (!server->is_leader) {
        set_not_leader(server, &err);
        tr_rpc_call_fail_err(call, &err);
        return;
    }
    if (server->is_closing) {
        (void)tr_err_set(&err, TR_UNAVAILABLE, "placement server is shutting down");
        tr_rpc_call_fail_err(call, &err);
        return;
    }
    struct tr_session *session = tr_session_new(call, server->conf.is_tls, &session_events, server);
    tr_list_add_tail(&server->sessions, &session->link);
    server->sessions_len++;
}

/* End every session for one reason. No orders go out for it: all are ended before the first one leaves its rounds. */
static void end_all(struct tr_placement_server *server, const struct tr_err *err)
{
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &server->sessions) {
        tr_session_end(TR_CONTAINER_OF(link, struct tr_session, link), err);
    }
    TR_LIST_FOR_EACH (link, next, &server->sessions) {
        on_end(server, TR_CONTAINER_OF(link, struct tr_session, link));
    }
    tr_assert(server->namespaces.len == 0);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct tr_placement_server *tr_placement_server_new(const struct tr_placement_server_conf *conf)
{
    tr_loop_assert(conf->loop);
    struct tr_placement_server *server = tr_xzalloc(sizeof(*server));
    server->conf = *conf;
    server->rounds_conf = (struct tr_rounds_conf){
        .limit_ms = conf->limit_ms,
        .coalesce_ms = conf->coalesce_ms,
        .factor = conf->factor,
    };
    (void)snprintf(server->rounds_conf.limit_text, sizeof(server->rounds_conf.limit_text), "%s",
                   conf->limit_text);
    tr_buf_add_str(&server->id, conf->id);
    tr_link_init(&server->sessions);
    const struct tr_rpc_method method = {
        .path = TR_PLACEMENT_PATH,
        .is_stream = true,
        .handler = on_call,
        .ctx = server,
    };
    tr_rpc_server_add(conf->rpc_server, &method);
    return server;
}

void tr_placement_server_lead(struct tr_placement_server *server, bool is_leader)
{
    tr_loop_assert(server->conf.loop);
    bool was_leader = server->is_leader;
    server->is_leader = is_leader;
    if (was_leader && !is_leader) {
        struct tr_err err;
        set_not_leader(server, &err);
        end_all(server, &err);
    }
}

bool tr_placement_server_is_leader(const struct tr_placement_server *server)
{
    return server->is_leader;
}

size_t tr_placement_server_streams_len(const struct tr_placement_server *server)
{
    return server->sessions_len;
}

void tr_placement_server_close(struct tr_placement_server *server, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(server->conf.loop);
    tr_assert(!server->is_closing);
    server->is_closing = true;
    server->closed_cb = cb;
    server->closed_ctx = ctx;
    struct tr_err err;
    (void)tr_err_set(&err, TR_CANCELED, "context canceled");
    end_all(server, &err);
    if (server->sessions_len == 0) {
        tr_defer(server->conf.loop, &server->closed, on_closed);
    }
}

void tr_placement_server_free(struct tr_placement_server **server_place)
{
    struct tr_placement_server *server = *server_place;
    *server_place = NULL;
    if (server == NULL) {
        return;
    }
    tr_assert(server->sessions_len == 0);
    tr_defer_cancel(&server->closed);
    tr_map_fini(&server->namespaces);
    tr_buf_fini(&server->id);
    free(server);
}
