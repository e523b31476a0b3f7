/*
 * The HTTP endpoints of the placement process: health and tables on one port, metrics on another.
 *
 *   GET /healthz          200 when every target is ready, else 503; any method
 *   GET /placement/state  the tables, if they are to be shown
 *   (metrics port) any path: Prometheus text
 *
 * Source: Dapr pkg/healthz/server/server.go, pkg/metrics/exporter.go; placement specification, section 9.
 */
#ifndef TR_PLACEMENT_ADMIN_H
#define TR_PLACEMENT_ADMIN_H

#include "placement/server.h"
#include "runtime/base/log.h"
#include "runtime/base/metric.h"
#include "runtime/http/server.h"

/* What must be ready; the names are told at debug level when something is not. */
enum tr_placement_target {
    TR_TARGET_METRICS,
    TR_TARGET_HEALTHZ,
    TR_TARGET_SECURITY,
    TR_TARGET_GRPC,
    TR_TARGET_LEADERSHIP,
    TR_TARGETS_LEN
};

struct tr_placement_admin {
    struct tr_loop *loop;               /* in, borrowed, as all of these */
    const struct tr_log *log;           /* in */
    const struct tr_metrics *metrics;   /* in */
    struct tr_placement_server *server; /* in; NULL: not there yet, or gone */
    bool is_state_shown;                /* in */
    bool is_ready[TR_TARGETS_LEN];      /* all false at first */
    struct tr_http_server *health;      /* private, as all below */
    struct tr_http_server *metrics_http;
    unsigned closing_len;
    void (*closed_cb)(void *ctx);
    void *closed_ctx;
};

/* Open the health port. Hosts: numeric, "localhost", or "" for all. Errors: TR_IO. */
enum tr_code tr_placement_admin_serve_health(struct tr_placement_admin *admin, const char *host,
                                             uint16_t port, struct tr_err *err) TR_MUST_USE;
/* Open the metrics port. Errors: TR_IO. */
enum tr_code tr_placement_admin_serve_metrics(struct tr_placement_admin *admin, const char *host,
                                              uint16_t port, struct tr_err *err) TR_MUST_USE;
/* Let open requests finish until `deadline_ms`, then call back; from a later turn. */
void tr_placement_admin_close(struct tr_placement_admin *admin, uint64_t deadline_ms,
                              void (*cb)(void *ctx), void *ctx);
void tr_placement_admin_fini(struct tr_placement_admin *admin);

#endif
