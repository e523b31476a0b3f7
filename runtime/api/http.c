/*
 * The public HTTP API: from an exchange to a handler and back.
 *
 * A request's memory lives until the exchange is closed. The client going away cancels the handler's work; the handler
 * then ends the request as always, and the answer is dropped.
 */
#include "runtime/api/api_int.h"

#include <stdlib.h>

#include "runtime/base/json.h"
#include "runtime/base/uri.h"

static const struct {
    const struct api_route *routes;
    const size_t *len;
} tables[] = {
    { api_actor_routes, &api_actor_routes_len },
    { api_state_routes, &api_state_routes_len },
    { api_meta_routes, &api_meta_routes_len },
};

/* --- answers -------------------------------------------------------------------------------------------------------- */

void api_reply(struct api_request *req, int status, struct tr_http_headers *headers, struct tr_slice body)
{
    req->status = status;
    req->reply_bytes = body.len;
    tr_http_respond(req->ex, status, headers, body);
}

void api_reply_json(struct api_request *req, int status, struct tr_slice body)
{
    req->status = status;
    req->reply_bytes = body.len;
    tr_http_respond_text(req->ex, status, "application/json", body);
}

static void reply_text(struct api_request *req, int status, struct tr_slice body)
{
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "Content-Type", "text/plain; charset=utf-8");
    tr_http_headers_add_str(&headers, "X-Content-Type-Options", "nosniff");
    api_reply(req, status, &headers, body);
    tr_http_headers_fini(&headers);
}

void api_reply_empty(struct api_request *req)
{
    api_reply(req, 204, NULL, TR_SLICE_LIT(""));
}

void api_reply_code(struct api_request *req, enum tr_code code, struct tr_slice message)
{
    struct tr_buf body = { 0 };
    struct tr_json_out out;
    const char *name = tr_code_name(code);
    tr_json_out_init(&out, &body);
    tr_json_begin_object(&out);
    tr_json_key(&out, "errorCode");
    tr_json_str(&out, tr_slice_str(name[0] != '\0' ? name : "ERROR"));
    tr_json_key(&out, "message");
    tr_json_str(&out, message);
    tr_json_end_object(&out);
    api_count_error(req->api, code, api_category(code));
    api_reply_json(req, name[0] != '\0' ? tr_code_http(code) : 500, tr_buf_slice(&body));
    tr_buf_fini(&body);
}

void api_reply_err(struct api_request *req, const struct tr_err *err)
{
    api_reply_code(req, err->code, tr_slice_str(err->msg));
}

void api_reply_wrapped(struct api_request *req, enum tr_code code, const char *prefix, const struct tr_err *cause)
{
    struct tr_buf text = { 0 };
    tr_buf_addf(&text, "%s%s", prefix, cause->msg);
    api_reply_code(req, code, tr_buf_slice(&text));
    tr_buf_fini(&text);
}

void api_reply_fault(struct api_request *req, const struct api_fault *fault)
{
    struct tr_buf body = { 0 };
    api_fault_json(fault, &body);
    api_count_error(req->api, fault->code, "state"); /* only state has faults, even of a malformed request */
    api_reply_json(req, fault->http_status, tr_buf_slice(&body));
    tr_buf_fini(&body);
}

/* --- routing -------------------------------------------------------------------------------------------------------- */

static bool is_served(const struct tr_api *api, const struct api_route *route)
{
    return route->is_open ||
           tr_configuration_allows_http(api->conf.configuration, route->version, route->group, route->pattern + 1);
}

static const struct api_route *find_route(struct api_request *req, struct tr_slice *out_params)
{
    const unsigned method = 1U << req->ex->method;
    for (size_t t = 0; t < TR_ARRAY_LEN(tables); t++) {
        for (size_t i = 0; i < *tables[t].len; i++) {
            const struct api_route *route = &tables[t].routes[i];
            if ((route->methods & method) != 0 && tr_path_match(tr_buf_slice(&req->path), route->pattern, out_params) &&
                is_served(req->api, route)) {
                return route;
            }
        }
    }
    return NULL;
}

/* Decode the parameters; false: the request has been answered. */
static bool decode_params(struct api_request *req, const struct tr_slice *raw)
{
    struct tr_err err;
    for (size_t i = 0; i < TR_PATH_PARAMS_MAX && req->route->param_names[i] != NULL; i++) {
        if (tr_uri_decode_query(raw[i], &req->params[i], &err) != TR_OK) {
            struct tr_buf text = { 0 };
            tr_buf_addf(&text, "failed to unescape request parameter \"%s\". Error: %s\n", req->route->param_names[i],
                        err.msg);
            reply_text(req, 400, tr_buf_slice(&text));
            tr_buf_fini(&text);
            return false;
        }
    }
    return true;
}

/* --- one request ----------------------------------------------------------------------------------------------------- */

static void log_call(const struct api_request *req)
{
    const struct tr_api *api = req->api;
    if (!api->conf.has_log || req->is_public || req->route == NULL || (req->route->is_health && api->conf.log_skips_health)) {
        return;
    }
    const unsigned long long duration_ms = (tr_loop_now_us(api->conf.loop) - req->started_us) / 1000;
    const struct tr_slice agent = tr_http_headers_value(&req->ex->headers, "user-agent");
    struct tr_buf method = { 0 };
    if (api->conf.has_log_obfuscated) {
        tr_buf_add_str(&method, req->route->name);
    } else {
        tr_buf_add(&method, req->ex->method_text);
        tr_buf_add_char(&method, ' ');
        tr_buf_add(&method, req->ex->path);
    }
    if (agent.len > 0) {
        tr_log_info(&api->http_log, "HTTP API Called", "method=%s useragent=%.*s code=%d size=%zu duration=%llu",
                    tr_buf_cstr(&method), TR_SLICE_ARG(agent), req->status, req->reply_bytes, duration_ms);
    } else {
        tr_log_info(&api->http_log, "HTTP API Called", "method=%s code=%d size=%zu duration=%llu", tr_buf_cstr(&method),
                    req->status, req->reply_bytes, duration_ms);
    }
    tr_buf_fini(&method);
}

static void on_abort(struct tr_http_exchange *ex)
{
    struct api_request *req = ex->user;
    if (req->cancel != NULL) {
        req->cancel(req);
    }
}

static void on_close(struct tr_http_exchange *ex)
{
    struct api_request *req = ex->user;
    log_call(req);
    if (!req->is_public) {
        api_meter_http(&req->api->meter, ex->method_text, tr_buf_slice(&req->path), req->status,
                       tr_loop_now_us(req->api->conf.loop) - req->started_us, ex->body.len, req->reply_bytes);
    }
    if (req->free_work != NULL) {
        req->free_work(req->work);
    }
    for (size_t i = 0; i < TR_PATH_PARAMS_MAX; i++) {
        tr_buf_fini(&req->params[i]);
    }
    tr_buf_fini(&req->path);
    req->api->open_len--;
    free(req);
}

static struct api_request *request_new(struct tr_api *api, struct tr_http_exchange *ex)
{
    struct api_request *req = tr_xzalloc(sizeof(*req));
    req->api = api;
    req->ex = ex;
    req->started_us = tr_loop_now_us(api->conf.loop);
    api->open_len++;
    ex->user = req;
    ex->on_abort = on_abort;
    ex->on_close = on_close;
    tr_uri_clean_path(ex->path, &req->path);
    return req;
}

/* What no route takes would be a call of another app by its name. */
static void reply_unrouted(struct api_request *req)
{
    api_reply_code(req, TR_NO_APP_ID, TR_SLICE_LIT("failed getting app id either from the URL path or the header dapr-app-id"));
}

void tr_api_http_request(void *ctx, struct tr_http_exchange *ex)
{
    struct tr_api *api = ctx;
    struct api_request *req = request_new(api, ex);
    struct tr_slice params[TR_PATH_PARAMS_MAX];
    req->route = find_route(req, params);
    const bool is_open = req->route != NULL && req->route->is_open;
    if (!is_open && !api_is_token(api, tr_http_headers_value(&ex->headers, "dapr-api-token"))) {
        reply_text(req, 401, TR_SLICE_LIT("invalid api token\n"));
        return;
    }
    (void)tr_http_headers_remove(&ex->headers, TR_SLICE_LIT("dapr-api-token"));
    if (req->route == NULL) {
        reply_unrouted(req);
        return;
    }
    if (decode_params(req, params)) {
        req->route->handler(req);
    }
}

void tr_api_http_public_request(void *ctx, struct tr_http_exchange *ex)
{
    struct tr_api *api = ctx;
    struct api_request *req = request_new(api, ex);
    struct tr_slice params[TR_PATH_PARAMS_MAX];
    req->is_public = true;
    for (size_t i = 0; i < api_meta_routes_len; i++) {
        const struct api_route *route = &api_meta_routes[i];
        if (route->is_public && (route->methods & (1U << ex->method)) != 0 &&
            tr_path_match(tr_buf_slice(&req->path), route->pattern, params)) {
            req->route = route;
            if (decode_params(req, params)) {
                route->handler(req);
            }
            return;
        }
    }
    reply_text(req, 404, TR_SLICE_LIT("404 page not found\n"));
}
