/* Families and series, and their text. */
#include "runtime/base/metric.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OTHER TR_SLICE_LIT("_other")

const double tr_metric_latency_bounds[34] = {
    1,   2,   3,   4,   5,   6,   8,   10,  13,  16,  20,   25,   30,   40,    50,    65,    80,
    100, 130, 160, 200, 250, 300, 400, 500, 650, 800, 1000, 2000, 5000, 10000, 20000, 50000, 100000,
};
const double tr_metric_size_bounds[13] = { 1024,      2048,       4096,      16384,    65536,
                                           262144,    1048576,    4194304,   16777216, 67108864,
                                           268435456, 1073741824, 4294967296 };

struct tr_series {
    const struct tr_metric_spec *spec; /* borrowed */
    struct tr_link link;               /* in the family's series */
    char *labels;       /* owned: `name="value",...` as it is written, without braces */
    double value;       /* histogram: sum of the values */
    uint64_t count;     /* histogram: values */
    uint64_t buckets[]; /* histogram: values per bound, not yet summed up */
};

void tr_metrics_init(struct tr_metrics *metrics, const char *app_id)
{
    tr_link_init(&metrics->families);
    metrics->app_id = app_id;
    metrics->series_max = TR_METRIC_SERIES_MAX;
}

void tr_metrics_fini(struct tr_metrics *metrics)
{
    tr_assert(tr_list_empty(&metrics->families));
}

/* Source: Prometheus text format: backslash, quote and line feed are escaped in label values. */
static void add_label(struct tr_buf *buf, const char *name, struct tr_slice value)
{
    tr_buf_addf(buf, "%s%s=\"", buf->len > 0 ? "," : "", name);
    for (size_t i = 0; i < value.len; i++) {
        switch (value.ptr[i]) {
        case '\\':
            tr_buf_add_str(buf, "\\\\");
            break;
        case '"':
            tr_buf_add_str(buf, "\\\"");
            break;
        case '\n':
            tr_buf_add_str(buf, "\\n");
            break;
        default:
            tr_buf_add_char(buf, value.ptr[i]);
            break;
        }
    }
    tr_buf_add_char(buf, '"');
}

static struct tr_slice cut(struct tr_slice value)
{
    return tr_slice(value.ptr,
                    value.len < TR_METRIC_VALUE_BYTES_MAX ? value.len : TR_METRIC_VALUE_BYTES_MAX);
}

/* `values` NULL stands for the series of the rest. */
static struct tr_series *series_new(struct tr_metric *metric, const struct tr_slice *values)
{
    const struct tr_metric_spec *spec = metric->spec;
    struct tr_series *series =
        tr_xzalloc(sizeof(*series) + spec->bounds_len * sizeof(series->buckets[0]));
    struct tr_buf labels = { 0 };
    if (spec->has_app_id && metric->metrics->app_id != NULL) {
        add_label(&labels, "app_id", tr_slice_str(metric->metrics->app_id));
    }
    for (size_t i = 0; i < metric->labels_len; i++) {
        add_label(&labels, spec->labels[i], values == NULL ? OTHER : cut(values[i]));
    }
    series->spec = spec;
    series->labels = tr_xstrdup(tr_buf_slice(&labels));
    tr_buf_fini(&labels);
    tr_link_init(&series->link);
    tr_list_add_tail(&metric->series, &series->link);
    (void)tr_map_put(&metric->by_labels, tr_buf_slice(&metric->key), series);
    return series;
}

void tr_metric_init(struct tr_metric *metric, struct tr_metrics *metrics,
                    const struct tr_metric_spec *spec)
{
    *metric = (struct tr_metric){ .spec = spec, .metrics = metrics };
    while (metric->labels_len < TR_METRIC_LABELS_MAX && spec->labels[metric->labels_len] != NULL) {
        metric->labels_len++;
    }
    tr_assert(spec->bounds_len <= TR_METRIC_BOUNDS_MAX);
    tr_assert(spec->bounds_len == 0 || spec->kind == TR_METRIC_HISTOGRAM);
    tr_link_init(&metric->series);
    tr_link_init(&metric->link);
    tr_list_add_tail(&metrics->families, &metric->link);
    if (metric->labels_len == 0) {
        (void)tr_metric_series(metric, NULL);
    }
}

void tr_metric_fini(struct tr_metric *metric)
{
    struct tr_link *link;
    while ((link = tr_list_pop(&metric->series)) != NULL) {
        struct tr_series *series = TR_CONTAINER_OF(link, struct tr_series, link);
        free(series->labels);
        free(series);
    }
    tr_map_fini(&metric->by_labels);
    tr_buf_fini(&metric->key);
    tr_link_remove(&metric->link);
}

/* The key of a series: each value behind its length, so that no two sets of values share one. */
static void make_key(struct tr_metric *metric, const struct tr_slice *values)
{
    tr_buf_clear(&metric->key);
    for (size_t i = 0; i < metric->labels_len; i++) {
        const struct tr_slice value = cut(values[i]);
        const uint32_t len = (uint32_t)value.len;
        tr_buf_add(&metric->key, tr_slice(&len, sizeof(len)));
        tr_buf_add(&metric->key, value);
    }
}

struct tr_series *tr_metric_series(struct tr_metric *metric, const struct tr_slice *values)
{
    tr_assert(values != NULL || metric->labels_len == 0);
    if (metric->labels_len == 0 && !tr_list_empty(&metric->series)) {
        return TR_CONTAINER_OF(metric->series.next, struct tr_series, link);
    }
    make_key(metric, values);
    struct tr_series *series = tr_map_get(&metric->by_labels, tr_buf_slice(&metric->key));
    if (series != NULL) {
        return series;
    }
    if (metric->by_labels.len < metric->metrics->series_max || metric->labels_len == 0) {
        return series_new(metric, values);
    }
    /* No key of real values is a single byte, for each begins with four of a length. */
    tr_buf_set(&metric->key, TR_SLICE_LIT("*"));
    series = tr_map_get(&metric->by_labels, tr_buf_slice(&metric->key));
    return series != NULL ? series : series_new(metric, NULL);
}

void tr_series_add(struct tr_series *series, double amount)
{
    tr_assert(series->spec->kind != TR_METRIC_HISTOGRAM);
    tr_assert(amount >= 0 || series->spec->kind == TR_METRIC_GAUGE);
    series->value += amount;
}

void tr_series_set(struct tr_series *series, double value)
{
    tr_assert(series->spec->kind == TR_METRIC_GAUGE);
    series->value = value;
}

void tr_series_observe(struct tr_series *series, double value)
{
    const struct tr_metric_spec *spec = series->spec;
    tr_assert(spec->kind == TR_METRIC_HISTOGRAM);
    series->value += value;
    series->count++;
    size_t low = 0;
    size_t high = spec->bounds_len;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (value <= spec->bounds[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low < spec->bounds_len) {
        series->buckets[low]++;
    }
}

double tr_series_value(const struct tr_series *series)
{
    return series->spec->kind == TR_METRIC_HISTOGRAM ? (double)series->count : series->value;
}

void tr_metric_add(struct tr_metric *metric, const struct tr_slice *values, double amount)
{
    tr_series_add(tr_metric_series(metric, values), amount);
}

void tr_metric_set(struct tr_metric *metric, const struct tr_slice *values, double value)
{
    tr_series_set(tr_metric_series(metric, values), value);
}

void tr_metric_observe(struct tr_metric *metric, const struct tr_slice *values, double value)
{
    tr_series_observe(tr_metric_series(metric, values), value);
}

/*
 * A number as Go's strconv.FormatFloat(v, 'g', -1, 64) writes it, for readers compare bounds as texts: the shortest
 * digits that read back, with an exponent from a million on and below a ten-thousandth.
 */
static void add_number(struct tr_buf *buf, double value)
{
    if (isnan(value) || isinf(value)) {
        tr_buf_add_str(buf, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    char text[40];
    int digits = 1;
    for (; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    const long exponent = strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 6) {
        tr_buf_add_str(buf, text);
        return;
    }
    const int decimals = digits - 1 - (int)exponent;
    tr_buf_addf(buf, "%.*f", decimals > 0 ? decimals : 0, value);
}

static void add_line(struct tr_buf *buf, const char *name, const char *suffix, const char *labels)
{
    tr_buf_addf(buf, "%s%s", name, suffix);
    if (labels[0] != '\0') {
        tr_buf_addf(buf, "{%s}", labels);
    }
    tr_buf_add_char(buf, ' ');
}

static void add_bucket(struct tr_buf *buf, const struct tr_series *series, double bound,
                       uint64_t count)
{
    tr_buf_addf(buf, "%s_bucket{%s%sle=\"", series->spec->name, series->labels,
                series->labels[0] != '\0' ? "," : "");
    add_number(buf, bound);
    tr_buf_addf(buf, "\"} %" PRIu64 "\n", count);
}

static void add_histogram(struct tr_buf *buf, const struct tr_series *series)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < series->spec->bounds_len; i++) {
        sum += series->buckets[i];
        add_bucket(buf, series, series->spec->bounds[i], sum);
    }
    add_bucket(buf, series, (double)INFINITY, series->count);
    add_line(buf, series->spec->name, "_sum", series->labels);
    add_number(buf, series->value);
    tr_buf_add_char(buf, '\n');
    add_line(buf, series->spec->name, "_count", series->labels);
    tr_buf_addf(buf, "%" PRIu64 "\n", series->count);
}

static void add_head(struct tr_buf *buf, const char *name, const char *help, const char *kind)
{
    tr_buf_addf(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void add_family(struct tr_buf *buf, const struct tr_metric *metric)
{
    static const char *const kinds[] = { [TR_METRIC_COUNTER] = "counter",
                                         [TR_METRIC_GAUGE] = "gauge",
                                         [TR_METRIC_HISTOGRAM] = "histogram" };
    const struct tr_metric_spec *spec = metric->spec;
    if (tr_list_empty(&metric->series)) {
        return;
    }
    add_head(buf, spec->name, spec->help, kinds[spec->kind]);
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH (it, tmp, &metric->series) {
        const struct tr_series *series = TR_CONTAINER_OF(it, struct tr_series, link);
        if (spec->kind == TR_METRIC_HISTOGRAM) {
            add_histogram(buf, series);
            continue;
        }
        add_line(buf, spec->name, "", series->labels);
        add_number(buf, series->value);
        tr_buf_add_char(buf, '\n');
    }
}

void tr_metrics_write(const struct tr_metrics *metrics, struct tr_buf *buf)
{
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH (it, tmp, &metrics->families) {
        add_family(buf, TR_CONTAINER_OF(it, struct tr_metric, link));
    }
}
