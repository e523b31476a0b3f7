/* The HTTP endpoints of the placement process. */
#include "placement/admin.h"

/* Clients of these ports are probes and scrapers: a few at a time, with small requests. */
#define ADMIN_CONNECTIONS_MAX 256
#define ADMIN_KEEP_ALIVE_MS   60000

static const char *const target_names[TR_TARGETS_LEN] = {
    [TR_TARGET_METRICS] = "metrics-exporter",
    [TR_TARGET_HEALTHZ] = "healthz-server",
    [TR_TARGET_SECURITY] = "security-provider",
    [TR_TARGET_GRPC] = "placement-grpc-server",
    [TR_TARGET_LEADERSHIP] = "placement-raft-leadership",
};

static void answer_health(const struct tr_placement_admin *admin, struct tr_http_exchange *ex)
{
    int status = 200;
    for (unsigned i = 0; i < TR_TARGETS_LEN; i++) {
        if (!admin->is_ready[i]) {
            tr_log_debug(admin->log, "target is unhealthy", "target=%s", target_names[i]);
            status = 503;
        }
    }
    tr_http_respond(ex, status, NULL, tr_slice("", 0));
}

static void answer_state(const struct tr_placement_admin *admin, struct tr_http_exchange *ex)
{
    if (ex->method != TR_HTTP_GET && ex->method != TR_HTTP_HEAD) {
        tr_http_respond(ex, 405, NULL, tr_slice("", 0));
        return;
    }
    if (admin->server == NULL) {
        tr_http_respond_text(ex, 503, "text/plain",
                             TR_SLICE_LIT("placement server is not running"));
        return;
    }
    if (!tr_placement_server_is_leader(admin->server)) {
        /* The reference answers 200 and "null" here: an error that it overlooks. */
        tr_http_respond_text(ex, 503, "text/plain", TR_SLICE_LIT("this member is not the leader"));
        return;
    }
    struct tr_buf json = { 0 };
    tr_placement_server_state_json(admin->server, &json);
    tr_http_respond_text(ex, 200, "application/json", tr_buf_slice(&json));
    tr_buf_fini(&json);
}

static void on_health_request(void *ctx, struct tr_http_exchange *ex)
{
    const struct tr_placement_admin *admin = ctx;
    if (tr_slice_eq_str(ex->path, "/healthz")) {
        answer_health(admin, ex);
    } else if (admin->is_state_shown && tr_slice_eq_str(ex->path, "/placement/state")) {
        answer_state(admin, ex);
    } else {
        tr_http_respond_text(ex, 404, "text/plain; charset=utf-8",
                             TR_SLICE_LIT("404 page not found\n"));
    }
}

static void on_metrics_request(void *ctx, struct tr_http_exchange *ex)
{
    const struct tr_placement_admin *admin = ctx;
    struct tr_buf text = { 0 };
    tr_metrics_write(admin->metrics, &text);
    tr_metrics_write_process(&text);
    tr_http_respond_text(ex, 200, TR_METRICS_CONTENT_TYPE, tr_buf_slice(&text));
    tr_buf_fini(&text);
}

static enum tr_code serve(struct tr_placement_admin *admin, const char *host, uint16_t port,
                          void (*on_request)(void *ctx, struct tr_http_exchange *ex),
                          struct tr_http_server **out_server, struct tr_err *err)
{
    const struct tr_http_server_conf conf = {
        .on_request = on_request,
        .ctx = admin,
        .connections_max = ADMIN_CONNECTIONS_MAX,
        .keep_alive_ms = ADMIN_KEEP_ALIVE_MS,
        .h2c_off = true,
    };
    *out_server = tr_http_server_new(admin->loop, &conf);
    return tr_http_server_listen(*out_server, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                                 port, NULL, err);
}

enum tr_code tr_placement_admin_serve_health(struct tr_placement_admin *admin, const char *host,
                                             uint16_t port, struct tr_err *err)
{
    enum tr_code rc = serve(admin, host, port, on_health_request, &admin->health, err);
    if (rc == TR_OK) {
        admin->is_ready[TR_TARGET_HEALTHZ] = true;
        tr_log_text(admin->log, TR_LOG_INFO, "Healthz server is listening on %s:%u", host,
                    (unsigned)port);
    }
    return rc;
}

enum tr_code tr_placement_admin_serve_metrics(struct tr_placement_admin *admin, const char *host,
                                              uint16_t port, struct tr_err *err)
{
    enum tr_code rc = serve(admin, host, port, on_metrics_request, &admin->metrics_http, err);
    if (rc == TR_OK) {
        admin->is_ready[TR_TARGET_METRICS] = true;
        tr_log_text(admin->log, TR_LOG_INFO, "metrics server started on %s:%u/", host,
                    (unsigned)port);
    }
    return rc;
}

static void on_closed(void *ctx)
{
    struct tr_placement_admin *admin = ctx;
    admin->closing_len--;
    if (admin->closing_len == 0) {
        admin->closed_cb(admin->closed_ctx);
    }
}

void tr_placement_admin_close(struct tr_placement_admin *admin, uint64_t deadline_ms,
                              void (*cb)(void *ctx), void *ctx)
{
    admin->closed_cb = cb;
    admin->closed_ctx = ctx;
    tr_assert(admin->health != NULL); /* so that there is something whose end calls back */
    admin->closing_len = admin->metrics_http == NULL ? 1 : 2;
    tr_http_server_close(admin->health, deadline_ms, on_closed, admin);
    if (admin->metrics_http != NULL) {
        tr_http_server_close(admin->metrics_http, deadline_ms, on_closed, admin);
    }
}

void tr_placement_admin_fini(struct tr_placement_admin *admin)
{
    tr_http_server_free(&admin->health);
    tr_http_server_free(&admin->metrics_http);
}
