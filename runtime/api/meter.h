/*
 * What both surfaces count of each call, for Prometheus.
 * Source: Dapr pkg/diagnostics/http_monitoring.go, grpc_monitoring.go (1.18); invocation 9.6-9.8.
 */
#ifndef TR_API_METER_H
#define TR_API_METER_H

#include "runtime/base/metric.h"

struct api_meter {
    bool is_on;
    bool has_paths; /* metrics.http.increasedCardinality: paths as labels, and responses counted apart */
    bool has_verbs; /* not metrics.http.excludeVerbs */
    struct tr_metric http_requests;
    struct tr_metric http_responses;
    struct tr_metric http_latency;
    struct tr_metric http_request_bytes;
    struct tr_metric http_response_bytes;
    struct tr_metric grpc_completed;
    struct tr_metric grpc_latency;
    struct tr_metric grpc_received_bytes;
    struct tr_metric grpc_sent_bytes;
};

/* `metrics` NULL: nothing is counted. */
void api_meter_init(struct api_meter *meter, struct tr_metrics *metrics, bool has_paths, bool has_verbs);
void api_meter_fini(struct api_meter *meter);

/* One HTTP request: its verb, clean path, status, duration and bodies. Cost: five hashes of the labels. */
void api_meter_http(struct api_meter *meter, struct tr_slice verb, struct tr_slice path, int status, uint64_t duration_us,
                    uint64_t request_bytes, uint64_t response_bytes);
/* One gRPC call. */
void api_meter_grpc(struct api_meter *meter, const char *path, int status, uint64_t duration_us, uint64_t request_bytes,
                    uint64_t response_bytes);

/*
 * Append the label of a path: ids of actors left out, so that the number of labels stays bounded by what the user's
 * code names. Source: invocation 9.8.
 */
void api_meter_path(struct tr_slice path, struct tr_buf *out);

#endif
