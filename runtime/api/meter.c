/* What both surfaces count of each call. */
#include "runtime/api/meter.h"

#include "runtime/base/err.h"
#include "runtime/http/http.h"

#define ACTOR_SEGMENTS_MIN 5 /* v1.0/actors/TYPE/ID/KIND */

#define HTTP_LABELS { "method", "path", "status" }

static const struct tr_metric_spec http_requests_spec = {
    .name = "dapr_http_server_request_count",
    .help = "Count of HTTP requests processed by the server.",
    .kind = TR_METRIC_COUNTER,
    .has_app_id = true,
    .labels = HTTP_LABELS,
};
static const struct tr_metric_spec http_responses_spec = {
    .name = "dapr_http_server_response_count",
    .help = "Count of HTTP responses.",
    .kind = TR_METRIC_COUNTER,
    .has_app_id = true,
    .labels = HTTP_LABELS,
};
static const struct tr_metric_spec http_latency_spec = {
    .name = "dapr_http_server_latency",
    .help = "HTTP request end-to-end latency on the server, in milliseconds.",
    .kind = TR_METRIC_HISTOGRAM,
    .has_app_id = true,
    .labels = HTTP_LABELS,
    .bounds = tr_metric_latency_bounds,
    .bounds_len = TR_ARRAY_LEN(tr_metric_latency_bounds),
};
static const struct tr_metric_spec http_request_bytes_spec = {
    .name = "dapr_http_server_request_bytes",
    .help = "Size of HTTP request bodies.",
    .kind = TR_METRIC_HISTOGRAM,
    .has_app_id = true,
    .bounds = tr_metric_size_bounds,
    .bounds_len = TR_ARRAY_LEN(tr_metric_size_bounds),
};
static const struct tr_metric_spec http_response_bytes_spec = {
    .name = "dapr_http_server_response_bytes",
    .help = "Size of HTTP response bodies.",
    .kind = TR_METRIC_HISTOGRAM,
    .has_app_id = true,
    .bounds = tr_metric_size_bounds,
    .bounds_len = TR_ARRAY_LEN(tr_metric_size_bounds),
};
static const struct tr_metric_spec grpc_completed_spec = {
    .name = "dapr_grpc_io_server_completed_rpcs",
    .help = "Count of RPCs by method and status.",
    .kind = TR_METRIC_COUNTER,
    .has_app_id = true,
    .labels = { "grpc_server_method", "grpc_server_status" },
};
static const struct tr_metric_spec grpc_latency_spec = {
    .name = "dapr_grpc_io_server_server_latency",
    .help = "RPC latency on the server, in milliseconds.",
    .kind = TR_METRIC_HISTOGRAM,
    .has_app_id = true,
    .labels = { "grpc_server_method", "grpc_server_status" },
    .bounds = tr_metric_latency_bounds,
    .bounds_len = TR_ARRAY_LEN(tr_metric_latency_bounds),
};
static const struct tr_metric_spec grpc_received_spec = {
    .name = "dapr_grpc_io_server_received_bytes_per_rpc",
    .help = "Bytes received of each RPC.",
    .kind = TR_METRIC_HISTOGRAM,
    .has_app_id = true,
    .labels = { "grpc_server_method" },
    .bounds = tr_metric_size_bounds,
    .bounds_len = TR_ARRAY_LEN(tr_metric_size_bounds),
};
static const struct tr_metric_spec grpc_sent_spec = {
    .name = "dapr_grpc_io_server_sent_bytes_per_rpc",
    .help = "Bytes sent of each RPC.",
    .kind = TR_METRIC_HISTOGRAM,
    .has_app_id = true,
    .labels = { "grpc_server_method" },
    .bounds = tr_metric_size_bounds,
    .bounds_len = TR_ARRAY_LEN(tr_metric_size_bounds),
};

struct family {
    struct tr_metric *metric;
    const struct tr_metric_spec *spec;
};

#define FAMILIES_LEN 9
static void list_families(struct api_meter *meter, struct family out[FAMILIES_LEN])
{
    const struct family all[FAMILIES_LEN] = {
        { &meter->http_requests, &http_requests_spec },
        { &meter->http_responses, &http_responses_spec },
        { &meter->http_latency, &http_latency_spec },
        { &meter->http_request_bytes, &http_request_bytes_spec },
        { &meter->http_response_bytes, &http_response_bytes_spec },
        { &meter->grpc_completed, &grpc_completed_spec },
        { &meter->grpc_latency, &grpc_latency_spec },
        { &meter->grpc_received_bytes, &grpc_received_spec },
        { &meter->grpc_sent_bytes, &grpc_sent_spec },
    };
    memcpy(out, all, sizeof(all));
}

void api_meter_init(struct api_meter *meter, struct tr_metrics *metrics, bool has_paths, bool has_verbs)
{
    struct family families[FAMILIES_LEN];
    *meter = (struct api_meter){ .is_on = metrics != NULL, .has_paths = has_paths, .has_verbs = has_verbs };
    list_families(meter, families);
    for (size_t i = 0; meter->is_on && i < FAMILIES_LEN; i++) {
        tr_metric_init(families[i].metric, metrics, families[i].spec);
    }
}

void api_meter_fini(struct api_meter *meter)
{
    struct family families[FAMILIES_LEN];
    list_families(meter, families);
    for (size_t i = 0; meter->is_on && i < FAMILIES_LEN; i++) {
        tr_metric_fini(families[i].metric);
    }
    meter->is_on = false;
}

static void add_segment(struct tr_buf *out, struct tr_slice segment)
{
    tr_buf_add_char(out, '/');
    tr_buf_add(out, segment);
}

void api_meter_path(struct tr_slice path, struct tr_buf *out)
{
    struct tr_slice rest = tr_slice_skip(path, 1);
    struct tr_slice segments[ACTOR_SEGMENTS_MIN];
    size_t len = 0;
    while (len < ACTOR_SEGMENTS_MIN && tr_slice_split(&rest, '/', &segments[len])) {
        len++;
    }
    if (len == ACTOR_SEGMENTS_MIN && tr_slice_eq_str(segments[1], "actors")) {
        add_segment(out, segments[0]);
        add_segment(out, segments[1]);
        add_segment(out, segments[2]);
        add_segment(out, TR_SLICE_LIT("{id}"));
        add_segment(out, segments[4]);
    } else if (len >= 3 && (tr_slice_eq_str(segments[1], "state") || tr_slice_eq_str(segments[1], "secrets"))) {
        add_segment(out, segments[0]);
        add_segment(out, segments[1]);
        add_segment(out, segments[2]);
    } else {
        tr_buf_add(out, path);
    }
}

/* Latencies are whole milliseconds, cut. */
static double milliseconds(uint64_t duration_us)
{
    return (double)(duration_us / 1000);
}

void api_meter_http(struct api_meter *meter, struct tr_slice verb, struct tr_slice path, int status, uint64_t duration_us,
                    uint64_t request_bytes, uint64_t response_bytes)
{
    if (!meter->is_on) {
        return;
    }
    struct tr_buf texts = { 0 };
    if (meter->has_paths) {
        api_meter_path(path, &texts);
    }
    const size_t path_len = texts.len;
    tr_buf_add_u64(&texts, (uint64_t)status);
    if (tr_http_method_parse(verb) == TR_HTTP_OTHER) {
        verb = TR_SLICE_LIT("UNKNOWN");
    }
    const struct tr_slice labels[] = { meter->has_verbs ? verb : TR_SLICE_LIT(""), tr_slice(texts.ptr, path_len),
                                       tr_slice_skip(tr_buf_slice(&texts), path_len) };
    tr_metric_add(&meter->http_requests, labels, 1);
    if (meter->has_paths) {
        tr_metric_add(&meter->http_responses, labels, 1);
    }
    tr_metric_observe(&meter->http_latency, labels, milliseconds(duration_us));
    tr_metric_observe(&meter->http_request_bytes, NULL, (double)request_bytes);
    tr_metric_observe(&meter->http_response_bytes, NULL, (double)response_bytes);
    tr_buf_fini(&texts);
}

void api_meter_grpc(struct api_meter *meter, const char *path, int status, uint64_t duration_us, uint64_t request_bytes,
                    uint64_t response_bytes)
{
    if (!meter->is_on) {
        return;
    }
    const struct tr_slice labels[] = { tr_slice_str(path), tr_slice_str(tr_grpc_status_name(status)) };
    tr_metric_add(&meter->grpc_completed, labels, 1);
    tr_metric_observe(&meter->grpc_latency, labels, milliseconds(duration_us));
    tr_metric_observe(&meter->grpc_received_bytes, labels, (double)request_bytes);
    tr_metric_observe(&meter->grpc_sent_bytes, labels, (double)response_bytes);
}
