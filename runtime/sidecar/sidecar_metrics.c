/* The metrics endpoint: what is counted as it happens, and what is read off the engine when asked. */
#include "runtime/sidecar/sidecar_int.h"

static void add_gauge(struct tr_buf *out, const char *name, const char *kind)
{
    tr_buf_addf(out, "# TYPE dapr_runtime_actor_%s %s\n", name, kind);
}

/* A label value as the text format wants it. */
static void add_label_value(struct tr_buf *out, struct tr_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        const char c = value.ptr[i];
        if (c == '\n') {
            tr_buf_add_str(out, "\\n");
            continue;
        }
        if (c == '"' || c == '\\') {
            tr_buf_add_char(out, '\\');
        }
        tr_buf_add_char(out, c);
    }
}

static void add_sample(const struct sidecar *s, struct tr_buf *out, const char *name, struct tr_slice type,
                       const char *more, uint64_t value)
{
    tr_buf_addf(out, "dapr_runtime_actor_%s{app_id=\"%s\",actor_type=\"", name, s->options->flags.app_id);
    add_label_value(out, type);
    tr_buf_addf(out, "\"%s} %llu\n", more, (unsigned long long)value);
}

/* Source: actors 12, invocation 9.7. */
static void add_actors(const struct sidecar *s, struct tr_buf *out)
{
    static const struct {
        const char *name;
        const char *kind;
        const char *more;
        size_t offset;
    } samples[] = {
        { "pending_actor_calls", "gauge", "", offsetof(struct tr_actor_type_stats, pending_calls) },
        { "timers", "gauge", "", offsetof(struct tr_actor_type_stats, timers) },
        { "timers_fired_total", "counter", ",success=\"true\"", offsetof(struct tr_actor_type_stats, timers_fired_ok) },
        { "timers_fired_total", NULL, ",success=\"false\"", offsetof(struct tr_actor_type_stats, timers_fired_failed) },
        { "rebalanced_total", "counter", "", offsetof(struct tr_actor_type_stats, rebalanced) },
        { "deactivated_total", "counter", "", offsetof(struct tr_actor_type_stats, deactivated) },
        { "deactivated_failed_total", "counter", "", offsetof(struct tr_actor_type_stats, deactivated_failed) },
    };
    struct tr_actor_type_stats stats;
    for (size_t i = 0; i < TR_ARRAY_LEN(samples); i++) {
        if (samples[i].kind != NULL) {
            add_gauge(out, samples[i].name, samples[i].kind);
        }
        for (size_t type = 0; tr_actor_type_stats(s->engine, type, &stats); type++) {
            uint64_t value = 0;
            memcpy(&value, (const char *)&stats + samples[i].offset, sizeof(value));
            add_sample(s, out, samples[i].name, stats.type, samples[i].more, value);
        }
    }
}

void sidecar_metrics_request(void *ctx, struct tr_http_exchange *ex)
{
    const struct sidecar *s = ctx;
    struct tr_buf body = { 0 };
    tr_metrics_write(&s->metrics, &body);
    if (s->engine != NULL) {
        add_actors(s, &body);
    }
    tr_metrics_write_process(&body);
    tr_http_respond_text(ex, 200, TR_METRICS_CONTENT_TYPE, tr_buf_slice(&body));
    tr_buf_fini(&body);
}
