/*
 * The client's calls: from start to callback, with what both protocols do alike, the pause of an
 * answer and the back-pressure of a streamed request.
 *
 * The answer's body goes to on_body or body_out. While the call is paused, what still arrives (no
 * more than one read of HTTP/1.1, or one window of HTTP/2) stands in `stash`; an answer that is
 * complete waits behind it (`is_over`).
 */
#include "runtime/http/client_int.h"

/* --- the end ---------------------------------------------------------------------------------- */

static void on_call_complete(struct tr_op *op)
{
    struct tr_http_call *call = TR_CONTAINER_OF(op, struct tr_http_call, op);
    struct tr_http_client *client = call->client;
    tr_assert(client->calls_len > 0);
    client->calls_len--;
    client_finish_if_over(client);
    call->cb(call);
}

static void wait_remove(struct tr_http_call *call)
{
    if (tr_link_linked(&call->wait)) {
        tr_link_remove(&call->wait);
        call->client->waiting_len--;
    }
}

void client_call_done(struct tr_http_call *call)
{
    wait_remove(call);
    call->conn = NULL;
    tr_timer_stop(&call->due);
    tr_defer_cancel(&call->wake);
    tr_buf_fini(&call->out);
    tr_buf_fini(&call->stash);
    tr_op_finish_later(&call->op);
}

void client_call_fail(struct tr_http_call *call, const struct tr_err *err)
{
    call->err = *err;
    client_call_done(call);
}

void client_call_abandon(struct tr_http_call *call)
{
    struct tr_http_client_conn *conn = call->conn;
    if (conn == NULL) {
        return;
    }
    if (conn->session != NULL) {
        client_h2_cancel(conn, call);
        return;
    }
    conn->call = NULL;
    client_conn_close(conn);
}

static void on_call_due(struct tr_timer *timer)
{
    struct tr_http_call *call = TR_CONTAINER_OF(timer, struct tr_http_call, due);
    client_call_abandon(call);
    (void)tr_err_set(&call->err, TR_DEADLINE, "context deadline exceeded");
    client_call_done(call);
}

void tr_http_call_cancel(struct tr_http_call *call)
{
    tr_assert(tr_op_is_open(&call->op));
    tr_loop_assert(call->client->loop);
    if (!tr_op_is_started(&call->op)) {
        return; /* the result stands */
    }
    client_call_abandon(call);
    (void)tr_err_set(&call->err, TR_CANCELED, "context canceled");
    client_call_done(call);
}

void tr_http_call_fini(struct tr_http_call *call)
{
    tr_http_headers_fini(&call->headers_out);
    tr_buf_fini(&call->body_out);
}

/* --- the start -------------------------------------------------------------------------------- */

static void reset(struct tr_http_client *client, struct tr_http_call *call)
{
    call->client = client;
    call->conn = NULL;
    call->err.code = TR_OK;
    call->status = 0;
    call->headers_out = (struct tr_http_headers){ 0 };
    call->body_out = (struct tr_buf){ 0 };
    call->has_head = false;
    call->stream_id = 0;
    call->head_bytes = 0;
    call->body_at = 0;
    call->out = (struct tr_buf){ 0 };
    call->out_at = 0;
    call->out_left = call->body_length;
    call->answer_bytes = 0;
    call->stash = (struct tr_buf){ 0 };
    call->is_out_ended = false;
    call->is_out_begun = false;
    call->wants_drain = false;
    call->is_drain_due = false;
    call->is_paused = false;
    call->is_over = false;
    call->was_sent_again = false;
    call->wake = (struct tr_defer){ .is_set = false };
    tr_link_init(&call->wait);
    tr_timer_init(&call->due, client->loop, on_call_due);
}

void tr_http_call_start(struct tr_http_client *client, struct tr_http_call *call)
{
    tr_loop_assert(client->loop);
    tr_op_begin(&call->op, client->loop, &client->calls, on_call_complete);
    tr_assert(call->cb != NULL);
    tr_assert(tr_http_is_token(call->method));
    tr_assert(!call->is_streaming || call->body.len == 0);
    reset(client, call);
    client->calls_len++;
    if (client->is_closing) {
        (void)tr_err_set(&call->err, TR_CLOSED, "client is closing");
    } else if (client->calls_len > client->conf.calls_max) {
        (void)tr_err_set(&call->err, TR_LIMIT, "more than %u calls to '%s'", client->conf.calls_max,
                         client->host);
    } else if (call->target.len == 0 || !tr_http_is_value(call->target) ||
               tr_slice_find(call->target, ' ') < call->target.len) {
        (void)tr_err_set(&call->err, TR_INVALID, "the request's target is empty or has a blank");
    }
    if (call->err.code != TR_OK) {
        client_call_done(call);
        return;
    }
    if (call->deadline_ms != 0) {
        tr_timer_set(&call->due, call->deadline_ms);
    }
    tr_list_add_tail(&client->waiting, &call->wait);
    client->waiting_len++;
    client_serve_waiting(client);
}

/* Source: RFC 9110 9.2.2. */
static bool is_idempotent(struct tr_slice method)
{
    switch (tr_http_method_parse(method)) {
    case TR_HTTP_GET:
    case TR_HTTP_HEAD:
    case TR_HTTP_PUT:
    case TR_HTTP_DELETE:
    case TR_HTTP_OPTIONS:
    case TR_HTTP_TRACE:
        return true;
    case TR_HTTP_POST:
    case TR_HTTP_PATCH:
    case TR_HTTP_CONNECT:
    case TR_HTTP_OTHER:
        return false;
    }
    TR_BUG("method out of range");
}

bool client_call_again(struct tr_http_call *call, bool is_unsent)
{
    tr_assert(tr_op_is_started(&call->op));
    const bool may_repeat = is_unsent || (call->is_replayable && is_idempotent(call->method));
    if (!may_repeat || call->has_head || call->is_out_begun || call->was_sent_again ||
        call->client->is_closing) {
        return false;
    }
    call->was_sent_again = true;
    call->conn = NULL;
    call->err.code = TR_OK;
    call->status = 0;
    tr_http_headers_clear(&call->headers_out);
    call->head_bytes = 0;
    call->body_at = 0;
    tr_list_add_head(&call->client->waiting, &call->wait);
    call->client->waiting_len++;
    client_serve_waiting(call->client);
    return true;
}

/* --- the answer ------------------------------------------------------------------------------- */

void client_call_head(struct tr_http_call *call)
{
    call->has_head = true;
    if (call->on_head != NULL) {
        call->on_head(call);
    }
}

static void deliver(struct tr_http_call *call, struct tr_slice piece)
{
    if (call->on_body == NULL) {
        tr_buf_add(&call->body_out, piece);
        return;
    }
    call->on_body(call, piece);
}

bool client_call_body(struct tr_http_call *call, struct tr_slice piece)
{
    if (call->body_bytes_max != 0 && piece.len > call->body_bytes_max - call->answer_bytes) {
        (void)tr_err_set(&call->err, TR_LIMIT, "answer's body is too large");
        return false;
    }
    call->answer_bytes += piece.len;
    if (call->is_paused || call->stash.len > 0) {
        tr_buf_add(&call->stash, piece);
        return true;
    }
    struct tr_http_client_conn *conn = call->conn;
    deliver(call, piece);
    if (conn != NULL && conn->session != NULL && call->conn == conn) {
        client_h2_consumed(conn, call, piece.len);
    }
    return true;
}

void client_call_over(struct tr_http_call *call)
{
    call->conn = NULL;
    call->is_over = true;
    if (!call->is_paused && call->stash.len == 0) {
        client_call_done(call);
    }
}

/* After a pause, and when there is room for more of the request. Any callback may end the call. */
static void on_wake(struct tr_defer *defer)
{
    struct tr_http_call *call = TR_CONTAINER_OF(defer, struct tr_http_call, wake);
    if (call->is_drain_due) {
        call->is_drain_due = false;
        call->on_drain(call);
    }
    if (tr_op_is_started(&call->op) && !call->is_paused && call->stash.len > 0) {
        struct tr_buf held = { 0 };
        tr_buf_move(&held, &call->stash);
        deliver(call, tr_buf_slice(&held));
        if (tr_op_is_started(&call->op) && call->conn != NULL && call->conn->session != NULL) {
            client_h2_consumed(call->conn, call, held.len);
        }
        tr_buf_fini(&held);
    }
    if (!tr_op_is_started(&call->op) || call->is_paused) {
        return;
    }
    if (call->is_over) {
        client_call_done(call);
    } else if (call->conn != NULL && call->conn->session == NULL) {
        client_h1_hold(call->conn, false);
    }
}

void tr_http_call_pause(struct tr_http_call *call)
{
    tr_assert(tr_op_is_open(&call->op));
    if (!tr_op_is_started(&call->op) || call->is_paused) {
        return;
    }
    call->is_paused = true;
    if (call->conn != NULL && call->conn->session == NULL) {
        client_h1_hold(call->conn, true);
    }
}

void tr_http_call_resume(struct tr_http_call *call)
{
    tr_assert(tr_op_is_open(&call->op));
    if (tr_op_is_started(&call->op) && call->is_paused) {
        call->is_paused = false;
        tr_defer(call->client->loop, &call->wake, on_wake);
    }
}

/* --- the streamed request --------------------------------------------------------------------- */

bool client_call_is_chunked(const struct tr_http_call *call)
{
    return call->is_streaming && call->body_length == TR_HTTP_LENGTH_UNKNOWN;
}

static size_t waiting_bytes(const struct tr_http_call *call)
{
    const bool is_h1 = call->conn != NULL && call->conn->session == NULL;
    return call->out.len - call->out_at + (is_h1 ? client_conn_pending(call->conn) : 0);
}

static void pull(struct tr_http_call *call)
{
    if (call->conn == NULL) {
        return;
    }
    if (call->conn->session != NULL) {
        client_h2_pull(call->conn, call);
    } else {
        client_h1_pull(call->conn);
    }
}

bool tr_http_call_write(struct tr_http_call *call, struct tr_slice piece)
{
    tr_assert(tr_op_is_open(&call->op));
    tr_assert(call->is_streaming);
    tr_assert(!call->is_out_ended);
    if (!tr_op_is_started(&call->op) || call->is_over) {
        return true; /* dropped: the answer is complete */
    }
    if (!client_call_is_chunked(call)) {
        tr_assert(piece.len <= call->out_left);
        call->out_left -= piece.len;
    }
    tr_buf_add(&call->out, piece);
    pull(call);
    call->wants_drain = waiting_bytes(call) > TR_HTTP_CALL_HIGH_BYTES;
    return !call->wants_drain;
}

void tr_http_call_write_end(struct tr_http_call *call)
{
    tr_assert(tr_op_is_open(&call->op));
    tr_assert(call->is_streaming);
    tr_assert(!call->is_out_ended);
    call->is_out_ended = true;
    if (!tr_op_is_started(&call->op) || call->is_over) {
        return;
    }
    tr_assert(client_call_is_chunked(call) || call->out_left == 0);
    pull(call);
}

void client_call_drained(struct tr_http_call *call, size_t waiting)
{
    if (!call->wants_drain || waiting > TR_HTTP_CALL_HIGH_BYTES / 2) {
        return;
    }
    call->wants_drain = false;
    if (call->on_drain != NULL) {
        call->is_drain_due = true;
        tr_defer(call->client->loop, &call->wake, on_wake);
    }
}
