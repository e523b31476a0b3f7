/* Health, metadata and shutdown over HTTP. Source: invocation 10.1-10.3. */
#include "runtime/api/metadata.h"
#include "runtime/base/uri.h"

#define METADATA_VALUE_MAX 65536U

static void handle_health(struct api_request *req)
{
    const struct tr_api_conf *conf = &req->api->conf;
    struct tr_buf text = { 0 };
    struct tr_buf app_id = { 0 };
    if (!conf->is_ready(conf->ctx, &text)) {
        struct tr_buf message = { 0 };
        tr_buf_add_str(&message, "dapr is not ready: [");
        tr_buf_add(&message, tr_buf_slice(&text));
        tr_buf_add_char(&message, ']');
        api_reply_code(req, TR_HEALTH_NOT_READY, tr_buf_slice(&message));
        tr_buf_fini(&message);
    } else if (tr_uri_query_get(req->ex->query, TR_SLICE_LIT("appid"), &app_id) && app_id.len > 0 &&
               !tr_slice_eq(tr_buf_slice(&app_id), conf->app_id)) {
        api_reply_code(req, TR_HEALTH_APPID, TR_SLICE_LIT("dapr app-id does not match"));
    } else {
        api_reply_empty(req);
    }
    tr_buf_fini(&text);
    tr_buf_fini(&app_id);
}

static void handle_outbound_health(struct api_request *req)
{
    if (req->api->conf.is_outbound_ready(req->api->conf.ctx)) {
        api_reply_empty(req);
    } else {
        api_reply_code(req, TR_OUTBOUND_NOT_READY, TR_SLICE_LIT("dapr outbound is not ready"));
    }
}

static void handle_get_metadata(struct api_request *req)
{
    struct tr_buf body = { 0 };
    api_metadata_json(req->api, &body);
    api_reply_json(req, 200, tr_buf_slice(&body));
    tr_buf_fini(&body);
}

static void on_metadata_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct api_request *req = ex->user;
    struct tr_err cause;
    if (err->code != TR_OK) {
        cause = *err;
        cause.code = TR_MALFORMED;
        api_reply_err(req, &cause);
    } else if (!api_extended_set(req->api, api_param(req, 0), tr_buf_slice(&ex->body))) {
        (void)tr_err_set(&cause, TR_BAD_REQUEST, "metadata has %u entries already", TR_API_EXTENDED_MAX);
        api_reply_err(req, &cause);
    } else {
        api_reply_empty(req);
    }
}

static void handle_put_metadata(struct api_request *req)
{
    tr_http_exchange_read_all(req->ex, METADATA_VALUE_MAX, on_metadata_body);
}

static void handle_shutdown(struct api_request *req)
{
    const bool is_forced = api_is_true(tr_http_headers_value(&req->ex->headers, "dapr-force-shutdown"));
    tr_log_text(&req->api->log, TR_LOG_INFO, "Shutdown requested via API");
    api_reply_empty(req);
    req->api->conf.on_shutdown(req->api->conf.ctx, is_forced);
}

const struct api_route api_meta_routes[] = {
    { API_GET, "/v1.0/healthz", { NULL }, "v1", "healthz", "Healthz", handle_health, true, true, true },
    { API_GET, "/v1.0/healthz/outbound", { NULL }, "v1", "healthz", "HealthzOutbound", handle_outbound_health, true, true,
      true },
    { API_GET, "/v1.0/metadata", { NULL }, "v1", "metadata", "GetMetadata", handle_get_metadata, false, false, true },
    { API_PUT, "/v1.0/metadata/{key}", { "key" }, "v1", "metadata", "SetMetadata", handle_put_metadata, false, false, false },
    { API_POST, "/v1.0/shutdown", { NULL }, "v1", "shutdown", "Shutdown", handle_shutdown, false, false, false },
};
const size_t api_meta_routes_len = TR_ARRAY_LEN(api_meta_routes);
