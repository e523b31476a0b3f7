/*
 * The HTTP channel to the user's app.
 *
 * Course of a callback: start -> (waits for a slot) -> HTTP call -> answer -> slot is given back -> cb. The part of a
 * callback that HTTP needs (`struct request`) has its own life, because an HTTP/2 request goes on after its callback
 * was canceled; it then only holds its slot.
 */
#include "runtime/app/channel.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/app/forward.h"
#include "runtime/base/json.h"
#include "runtime/base/uri.h"

struct tr_app_channel {
    struct tr_loop *loop;          /* borrowed */
    struct tr_http_client *client; /* owned */
    struct tr_app_actors actors;
    struct tr_buf app_id;
    struct tr_buf ns;
    struct tr_buf token;
    struct tr_buf base; /* "http://host:port" for error texts */
    struct tr_http_headers get_headers;
    struct tr_link waiting; /* of request.link: in order */
    uint32_t waiting_len;
    uint32_t running_len;
    uint32_t concurrency_max;
    uint64_t body_bytes_max;
    uint64_t rest_ms;
    bool is_h2;
    bool is_healthy;
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

struct request {
    struct tr_app_channel *channel; /* borrowed */
    struct tr_app_call *call;       /* borrowed; NULL after it was canceled or told */
    struct tr_http_call http;
    struct tr_http_headers headers;
    struct tr_buf target;
    struct tr_buf body;
    struct tr_link link;    /* while it waits for a slot */
    struct tr_defer told;   /* tells what is known without an answer, or before its end */
    struct tr_timer rest;   /* ends the wait for the rest of an answer, after the call was canceled */
    bool is_sent;
    bool is_note; /* only brings the callback: see let_go() */
};

static void on_deactivated(struct tr_http_call *http);
static void on_http_done(struct tr_http_call *http);

static void request_free(struct request *request)
{
    tr_defer_cancel(&request->told);
    tr_timer_stop(&request->rest);
    tr_http_headers_fini(&request->headers);
    tr_http_call_fini(&request->http);
    tr_buf_fini(&request->target);
    tr_buf_fini(&request->body);
    free(request);
}

/* --- the request ---------------------------------------------------------------------------------------------------- */

/* May the byte stand in a path as it is? Source: Go net/url, validEncoded and shouldEscape for paths. */
static bool is_path_byte(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
        return true;
    }
    return c != '\0' && strchr("-_.~/!'()*;:@&=+$,[]", c) != NULL;
}

/* Append one value as a part of a path. An escape that is already there stays; a broken one is an error. */
static enum tr_code add_path(struct tr_buf *out, struct tr_slice value, struct tr_err *err)
{
    struct tr_buf decoded = { 0 };
    const enum tr_code rc = tr_uri_decode_segment(value, &decoded, err);
    tr_buf_fini(&decoded);
    if (rc != TR_OK) {
        return err->code = TR_ACTOR_INVOKE;
    }
    for (size_t i = 0; i < value.len; i++) {
        const char c = value.ptr[i];
        if (c == '%' || is_path_byte(c)) {
            tr_buf_add_char(out, c);
        } else {
            tr_buf_addf(out, "%%%02X", (unsigned char)c);
        }
    }
    return TR_OK;
}

static enum tr_code make_target(struct request *request, struct tr_err *err)
{
    const struct tr_app_call *call = request->call;
    static const char *const before_name[] = {
        [TR_APP_METHOD] = "/method/",
        [TR_APP_REMINDER] = "/method/remind/",
        [TR_APP_TIMER] = "/method/timer/",
        [TR_APP_DEACTIVATE] = "",
    };
    struct tr_buf path = { 0 };
    tr_buf_add_str(&path, "/actors/");
    enum tr_code rc = add_path(&path, call->actor_type, err);
    if (rc == TR_OK) {
        tr_buf_add_char(&path, '/');
        rc = add_path(&path, call->actor_id, err);
    }
    if (rc == TR_OK) {
        tr_buf_add_str(&path, before_name[call->kind]);
        rc = add_path(&path, call->name, err);
    }
    if (rc == TR_OK) {
        tr_uri_clean_path(tr_buf_slice(&path), &request->target);
    }
    if (rc == TR_OK && call->kind == TR_APP_METHOD && call->query.len > 0) {
        tr_buf_add_char(&request->target, '?');
        tr_buf_add(&request->target, call->query);
    }
    tr_buf_fini(&path);
    return rc;
}

/* The exact bytes of a reminder's or timer's body: members in this order, no blanks. Source: actors 5.6 [T]. */
static void make_firing_body(struct request *request)
{
    const struct tr_app_call *call = request->call;
    struct tr_json_out out;
    tr_json_out_init(&out, &request->body);
    tr_json_begin_object(&out);
    if (call->body.len > 0) {
        tr_json_key(&out, "data");
        tr_json_raw(&out, call->body);
    }
    if (call->kind == TR_APP_TIMER) {
        tr_json_key(&out, "callback");
        tr_json_str(&out, call->callback);
    }
    tr_json_key(&out, "dueTime");
    tr_json_str(&out, call->due_time);
    tr_json_key(&out, "period");
    tr_json_str(&out, call->period);
    tr_json_end_object(&out);
}

static void make_method_headers(struct request *request)
{
    const struct tr_app_call *call = request->call;
    const struct tr_app_channel *channel = request->channel;
    struct tr_http_headers *headers = &request->headers;
    if (call->headers != NULL) {
        tr_forward_headers(call->headers, headers);
    }
    tr_forward_strip_identity(headers);
    if (call->content_type.len > 0) {
        tr_http_headers_add(headers, TR_SLICE_LIT("content-type"), call->content_type);
    }
    tr_http_headers_set(headers, TR_SLICE_LIT("dapr-api-call"), TR_SLICE_LIT("true"));
    if (call->chain_id.len > 0) {
        tr_http_headers_set(headers, TR_SLICE_LIT("dapr-reentrancy-id"), call->chain_id);
    }
    tr_http_headers_add(headers, TR_SLICE_LIT("dapr-caller-app-id"), tr_buf_slice(&channel->app_id));
    tr_http_headers_add(headers, TR_SLICE_LIT("dapr-caller-namespace"), tr_buf_slice(&channel->ns));
    if (call->is_remote) {
        tr_http_headers_set(headers, TR_SLICE_LIT("x-dapr-remote"), TR_SLICE_LIT("true"));
    }
}

static enum tr_code make_request(struct request *request, struct tr_err *err)
{
    const struct tr_app_call *call = request->call;
    const struct tr_app_channel *channel = request->channel;
    const enum tr_code rc = make_target(request, err);
    if (rc != TR_OK) {
        return rc;
    }
    request->http.method = call->kind == TR_APP_DEACTIVATE ? TR_SLICE_LIT("DELETE") : TR_SLICE_LIT("PUT");
    if (call->kind == TR_APP_METHOD) {
        make_method_headers(request);
        if (channel->is_h2) {
            tr_buf_add(&request->body, call->body); /* may be needed after the caller has gone */
        }
        request->http.body = channel->is_h2 ? tr_buf_slice(&request->body) : call->body;
    } else if (call->kind == TR_APP_DEACTIVATE) {
        tr_http_headers_add_str(&request->headers, "content-type", "application/x-protobuf");
        request->http.on_head = on_deactivated;
    } else {
        tr_http_headers_add_str(&request->headers, "content-type", "application/json");
        make_firing_body(request);
        request->http.body = tr_buf_slice(&request->body);
    }
    if (channel->token.len > 0) {
        tr_http_headers_set(&request->headers, TR_SLICE_LIT("dapr-api-token"), tr_buf_slice(&channel->token));
    }
    request->http.target = tr_buf_slice(&request->target);
    request->http.headers = &request->headers;
    request->http.has_body = call->kind != TR_APP_DEACTIVATE;
    request->http.body_bytes_max = channel->body_bytes_max;
    request->http.cb = on_http_done;
    return TR_OK;
}

/* --- the way through ------------------------------------------------------------------------------------------------ */

static void send(struct request *request)
{
    request->is_sent = true;
    request->channel->running_len++;
    tr_http_call_start(request->channel->client, &request->http);
}

static void send_waiting(struct tr_app_channel *channel)
{
    while (channel->waiting_len > 0 && channel->running_len < channel->concurrency_max) {
        struct tr_link *link = tr_list_pop(&channel->waiting);
        channel->waiting_len--;
        send(TR_CONTAINER_OF(link, struct request, link));
    }
}

static void on_told(struct tr_defer *defer)
{
    struct request *request = TR_CONTAINER_OF(defer, struct request, told);
    struct tr_app_call *call = request->call;
    request_free(request);
    call->cb(call);
}

static void tell_later(struct request *request)
{
    tr_defer(request->channel->loop, &request->told, on_told);
}

static void on_rest_late(struct tr_timer *timer)
{
    struct request *request = TR_CONTAINER_OF(timer, struct request, rest);
    if (tr_op_is_open(&request->http.op)) {
        tr_http_call_cancel(&request->http);
    }
}

static struct request *request_new(struct tr_app_channel *channel, struct tr_app_call *call)
{
    struct request *request = tr_xzalloc(sizeof(*request));
    request->channel = channel;
    request->call = call;
    tr_link_init(&request->link);
    tr_timer_init(&request->rest, channel->loop, on_rest_late);
    call->impl = request;
    return request;
}

/* The app goes on; only the wait ends. A small request of its own brings the callback. */
static void let_go(struct request *request)
{
    struct request *note = request_new(request->channel, request->call);
    note->is_note = true;
    request->call = NULL;
    tell_later(note);
}

static void on_app_start(void *ctx, struct tr_app_call *call)
{
    struct tr_app_channel *channel = ctx;
    tr_app_call_reset(call);
    struct request *request = request_new(channel, call);
    if (!channel->is_healthy || channel->is_closing) {
        (void)tr_err_set(&call->err, TR_INTERNAL, "app is not in a healthy state");
        tell_later(request);
        return;
    }
    if (make_request(request, &call->err) != TR_OK) {
        tell_later(request);
        return;
    }
    if (channel->concurrency_max == 0 || channel->running_len < channel->concurrency_max) {
        send(request);
        return;
    }
    if (channel->waiting_len == TR_APP_WAITING_MAX) {
        (void)tr_err_set(&call->err, TR_LIMIT, "more than %u callbacks wait for the app", TR_APP_WAITING_MAX);
        tell_later(request);
        return;
    }
    tr_list_add_tail(&channel->waiting, &request->link);
    channel->waiting_len++;
}

static void on_app_cancel(void *ctx, struct tr_app_call *call)
{
    struct tr_app_channel *channel = ctx;
    struct request *request = call->impl;
    if (call->err.code != TR_OK || request->is_note) {
        return; /* the result stands */
    }
    if (!request->is_sent) {
        tr_link_remove(&request->link);
        channel->waiting_len--;
        (void)tr_err_set(&call->err, TR_CANCELED, "context canceled");
        tell_later(request);
        return;
    }
    if (!channel->is_h2) {
        if (tr_op_is_open(&request->http.op)) {
            tr_http_call_cancel(&request->http);
        }
        return;
    }
    if (request->http.has_head) {
        if (!tr_timer_is_set(&request->rest)) {
            tr_timer_set(&request->rest, tr_loop_now_ms(channel->loop) + channel->rest_ms);
        }
        return;
    }
    (void)tr_err_set(&call->err, TR_CANCELED, "context canceled");
    let_go(request);
}

/* --- the answer ----------------------------------------------------------------------------------------------------- */

/* What callers are told of an answer other than 200. */
static void describe_failure(struct tr_app_call *call)
{
    if (call->status == 404 && call->kind != TR_APP_DEACTIVATE) {
        static const char *const before_name[] = { [TR_APP_METHOD] = "", [TR_APP_REMINDER] = "remind/",
                                                   [TR_APP_TIMER] = "timer/" };
        tr_buf_addf(&call->failure, "actor method not found: actors/%.*s/%.*s/method/%s%.*s",
                    TR_SLICE_ARG(call->actor_type), TR_SLICE_ARG(call->actor_id), before_name[call->kind],
                    TR_SLICE_ARG(call->name));
        return;
    }
    tr_buf_addf(&call->failure, "error from actor service: (%d) ", call->status);
    tr_buf_add(&call->failure, tr_buf_slice(&call->body_out));
}

static void take_answer(struct tr_app_call *call, struct tr_http_call *http)
{
    call->status = http->status;
    tr_http_headers_move(&call->headers_out, &http->headers_out);
    tr_buf_move(&call->body_out, &http->body_out);
    tr_buf_add(&call->content_type_out, tr_http_headers_value(&call->headers_out, "content-type"));
    call->is_canceled = tr_http_headers_has(&call->headers_out, "x-daprremindercancel");
    if (call->status != 200) {
        describe_failure(call);
    }
}

static void take_failure(struct tr_app_call *call, const struct request *request)
{
    const struct tr_http_call *http = &request->http;
    if (http->err.code == TR_CANCELED) {
        call->err = http->err;
        return;
    }
    (void)tr_err_set(&call->err, TR_ACTOR_INVOKE, "%s \"%.*s%.*s\": %s",
                     call->kind == TR_APP_DEACTIVATE ? "Delete" : "Put", TR_SLICE_ARG(tr_buf_slice(&request->channel->base)),
                     TR_SLICE_ARG(http->target), http->err.msg);
}

/*
 * The actor is gone when the head of the answer says so: an app that never ends the body must not hold up the actor's next
 * turn or the end of the process. Source: Dapr pkg/actors/targets/app/transport/http/http.go, Deactivate, reads no body;
 * tests/integration/suite/actors/call/h2c/resiliency.go.
 */
static void on_deactivated(struct tr_http_call *http)
{
    struct request *request = TR_CONTAINER_OF(http, struct request, http);
    if (request->call != NULL && http->status == 200) {
        request->call->status = http->status;
        let_go(request);
    }
}

static void on_http_done(struct tr_http_call *http)
{
    struct request *request = TR_CONTAINER_OF(http, struct request, http);
    struct tr_app_channel *channel = request->channel;
    struct tr_app_call *call = request->call;
    channel->running_len--;
    if (call != NULL) {
        if (http->err.code == TR_OK) {
            take_answer(call, http);
        } else {
            take_failure(call, request);
        }
    }
    request_free(request);
    send_waiting(channel);
    if (call != NULL) {
        call->cb(call);
    }
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

struct tr_app_channel *tr_app_channel_new(const struct tr_app_channel_conf *conf)
{
    struct tr_app_channel *channel = tr_xzalloc(sizeof(*channel));
    const struct tr_http_client_conf client_conf = {
        .host = conf->host,
        .port = conf->port,
        .protocol = conf->protocol,
        .header_bytes_max = conf->header_bytes_max,
        .short_body_ok = true,
    };
    channel->loop = conf->loop;
    channel->client = tr_http_client_new(conf->loop, &client_conf);
    channel->actors = (struct tr_app_actors){ .start = on_app_start, .cancel = on_app_cancel, .ctx = channel };
    tr_buf_add(&channel->app_id, conf->app_id);
    tr_buf_add(&channel->ns, conf->ns);
    tr_buf_add(&channel->token, conf->token);
    tr_buf_addf(&channel->base, "http://%.*s:%u", TR_SLICE_ARG(conf->host), conf->port);
    channel->concurrency_max = conf->concurrency_max;
    channel->body_bytes_max = conf->body_bytes_max;
    channel->rest_ms = conf->rest_ms != 0 ? conf->rest_ms : TR_APP_REST_MS;
    channel->is_h2 = conf->protocol == TR_HTTP_PROTOCOL_2;
    tr_link_init(&channel->waiting);
    tr_http_headers_add(&channel->get_headers, TR_SLICE_LIT("dapr-app-id"), conf->app_id);
    tr_http_headers_add_str(&channel->get_headers, "content-type", "application/json");
    if (conf->token.len > 0) {
        tr_http_headers_add(&channel->get_headers, TR_SLICE_LIT("dapr-api-token"), conf->token);
    }
    return channel;
}

static void on_client_closed(void *ctx)
{
    struct tr_app_channel *channel = ctx;
    void (*cb)(void *ctx) = channel->on_closed;
    void *closed_ctx = channel->closed_ctx;
    tr_buf_fini(&channel->app_id);
    tr_buf_fini(&channel->ns);
    tr_buf_fini(&channel->token);
    tr_buf_fini(&channel->base);
    tr_http_headers_fini(&channel->get_headers);
    free(channel);
    if (cb != NULL) {
        cb(closed_ctx);
    }
}

void tr_app_channel_close(struct tr_app_channel *channel, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(channel->loop);
    tr_assert(!channel->is_closing);
    channel->is_closing = true;
    channel->on_closed = cb;
    channel->closed_ctx = ctx;
    struct tr_link *link;
    while ((link = tr_list_pop(&channel->waiting)) != NULL) {
        struct request *request = TR_CONTAINER_OF(link, struct request, link);
        channel->waiting_len--;
        (void)tr_err_set(&request->call->err, TR_CANCELED, "context canceled");
        tell_later(request);
    }
    tr_http_client_close(channel->client, on_client_closed, channel);
}

const struct tr_app_actors *tr_app_channel_actors(struct tr_app_channel *channel)
{
    return &channel->actors;
}

void tr_app_channel_set_healthy(struct tr_app_channel *channel, bool is_healthy)
{
    channel->is_healthy = is_healthy;
}

void tr_app_channel_get(struct tr_app_channel *channel, struct tr_http_call *call, struct tr_slice target)
{
    call->method = TR_SLICE_LIT("GET");
    call->target = target;
    call->headers = &channel->get_headers;
    call->is_replayable = true;
    tr_http_call_start(channel->client, call);
}
