/*
 * Counters, gauges and histograms, and their text for Prometheus.
 *
 * A registry holds families (one name, one kind, one set of label names); a family holds series (one set of label
 * values). Label values may come from a peer, so each family has a limit: what comes after it is counted in one series
 * whose label values are all "_other".
 *
 *   static const struct tr_metric_spec calls_spec = {
 *       .name = "dapr_http_server_request_count", .help = "...", .kind = TR_METRIC_COUNTER, .has_app_id = true,
 *       .labels = { "method", "path", "status" },
 *   };
 *   tr_metric_init(&m->calls, &metrics, &calls_spec);
 *   tr_metric_add(&m->calls, TR_LABELS(method, path, status), 1);
 *
 * Thread: loop, all of it.
 * Source: Prometheus text exposition format 0.0.4.
 */
#ifndef TR_BASE_METRIC_H
#define TR_BASE_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/list.h"
#include "runtime/base/map.h"
#include "runtime/base/slice.h"

#define TR_METRIC_LABELS_MAX  8
#define TR_METRIC_BOUNDS_MAX  64
#define TR_METRIC_SERIES_MAX  2000 /* per family, the one for the rest not counted */
#define TR_METRIC_VALUE_BYTES_MAX 512 /* of one label value; longer ones are cut */

enum tr_metric_kind { TR_METRIC_COUNTER, TR_METRIC_GAUGE, TR_METRIC_HISTOGRAM };

struct tr_metric_spec {
    const char *name;
    const char *help;
    enum tr_metric_kind kind;
    bool has_app_id;                          /* the registry's app id is the first label */
    const char *labels[TR_METRIC_LABELS_MAX]; /* names, up to the first NULL */
    const double *bounds;                     /* histogram: upper bounds, ascending, without infinity */
    size_t bounds_len;
};

struct tr_metrics {
    struct tr_link families; /* of tr_metric, in the order they came */
    const char *app_id;      /* borrowed */
    size_t series_max;       /* per family; TR_METRIC_SERIES_MAX unless changed before the first family */
};

/* A family. It belongs to whoever counts with it and outlives none of its registry. */
struct tr_metric {
    const struct tr_metric_spec *spec; /* borrowed, static as a rule */
    struct tr_metrics *metrics;        /* borrowed */
    struct tr_link link;               /* private: in metrics->families */
    struct tr_map by_labels;           /* private: owned struct tr_series */
    struct tr_link series;             /* private: the same, in the order they came */
    size_t labels_len;                 /* private */
    struct tr_buf key;                 /* private */
};

struct tr_series; /* one set of label values; lives as long as its family */

/* `app_id` is NULL for processes without one. */
void tr_metrics_init(struct tr_metrics *metrics, const char *app_id);
/* All families must be gone. */
void tr_metrics_fini(struct tr_metrics *metrics);

/* A family without labels has its one series, of value 0, from the start. */
void tr_metric_init(struct tr_metric *metric, struct tr_metrics *metrics, const struct tr_metric_spec *spec);
/* Leave the registry and free the series. */
void tr_metric_fini(struct tr_metric *metric);

/* Label values in the order of the names, without the app id. */
#define TR_LABELS(...) ((const struct tr_slice[]){ __VA_ARGS__ })

/*
 * The series of `values` (NULL for a family without labels), made of value 0 if it is new. Hold on to it where the same
 * labels are counted often.
 *
 * Cost: one hash of the values.
 */
struct tr_series *tr_metric_series(struct tr_metric *metric, const struct tr_slice *values);

/* Counter or gauge: add; a counter takes no negative amount. */
void tr_series_add(struct tr_series *series, double amount);
/* Gauge: set. */
void tr_series_set(struct tr_series *series, double value);
/* Histogram: count one value. */
void tr_series_observe(struct tr_series *series, double value);
/* Counter or gauge: its value; histogram: how many were counted. For tests and the metadata API. */
double tr_series_value(const struct tr_series *series);

void tr_metric_add(struct tr_metric *metric, const struct tr_slice *values, double amount);
void tr_metric_set(struct tr_metric *metric, const struct tr_slice *values, double value);
void tr_metric_observe(struct tr_metric *metric, const struct tr_slice *values, double value);

/* Append all families that have a series. */
void tr_metrics_write(const struct tr_metrics *metrics, struct tr_buf *buf);

/*
 * Append the process's own figures under the names of Prometheus' process collector: resident and virtual memory,
 * processor time, open files and their limit, start time. Reads /proc; figures that cannot be read are left out.
 */
void tr_metrics_write_process(struct tr_buf *buf);

#define TR_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Dapr's bounds. Source: Dapr pkg/diagnostics/metrics.go (latency, in ms) and http_monitoring.go (sizes, in bytes). */
extern const double tr_metric_latency_bounds[34];
extern const double tr_metric_size_bounds[13];

#endif
