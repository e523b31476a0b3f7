#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/base/metric.h"

static const struct tr_metric_spec calls_spec = {
    .name = "dapr_calls_total",
    .help = "Calls.",
    .kind = TR_METRIC_COUNTER,
    .has_app_id = true,
    .labels = { "method", "status" },
};
static const struct tr_metric_spec leader_spec = { .name = "dapr_leader",
                                                   .help = "Leader.",
                                                   .kind = TR_METRIC_GAUGE };
static const double bounds[] = { 0.5, 10, 1048576 };
static const struct tr_metric_spec size_spec = { .name = "dapr_size",
                                                 .help = "Size.",
                                                 .kind = TR_METRIC_HISTOGRAM,
                                                 .labels = { "m" },
                                                 .bounds = bounds,
                                                 .bounds_len = 3 };

struct metric_test {
    struct tr_metrics metrics;
    struct tr_metric metric;
    struct tr_buf text;
};

static void metric_test_init(struct metric_test *t, const struct tr_metric_spec *spec)
{
    t->text = (struct tr_buf){ 0 };
    tr_metrics_init(&t->metrics, "app");
    t->metrics.series_max = 3;
    tr_metric_init(&t->metric, &t->metrics, spec);
}

static void metric_test_fini(struct metric_test *t)
{
    tr_metric_fini(&t->metric);
    tr_metrics_fini(&t->metrics);
    tr_buf_fini(&t->text);
}

static const char *written(struct metric_test *t)
{
    tr_buf_clear(&t->text);
    tr_metrics_write(&t->metrics, &t->text);
    return tr_buf_cstr(&t->text);
}

static void a_counter_has_a_series_per_set_of_values(void **state)
{
    (void)state;
    struct metric_test t;
    metric_test_init(&t, &calls_spec);
    assert_string_equal(written(&t), "");
    tr_metric_add(&t.metric, TR_LABELS(TR_SLICE_LIT("GET"), TR_SLICE_LIT("200")), 1);
    tr_metric_add(&t.metric, TR_LABELS(TR_SLICE_LIT("PUT"), TR_SLICE_LIT("")), 1);
    tr_metric_add(&t.metric, TR_LABELS(TR_SLICE_LIT("GET"), TR_SLICE_LIT("200")), 2);
    assert_string_equal(written(&t),
                        "# HELP dapr_calls_total Calls.\n# TYPE dapr_calls_total counter\n"
                        "dapr_calls_total{app_id=\"app\",method=\"GET\",status=\"200\"} 3\n"
                        "dapr_calls_total{app_id=\"app\",method=\"PUT\",status=\"\"} 1\n");
    metric_test_fini(&t);
}

static void values_that_only_together_are_equal_are_kept_apart(void **state)
{
    (void)state;
    struct metric_test t;
    metric_test_init(&t, &calls_spec);
    struct tr_series *a =
        tr_metric_series(&t.metric, TR_LABELS(TR_SLICE_LIT("ab"), TR_SLICE_LIT("c")));
    struct tr_series *b =
        tr_metric_series(&t.metric, TR_LABELS(TR_SLICE_LIT("a"), TR_SLICE_LIT("bc")));
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(a,
                     tr_metric_series(&t.metric, TR_LABELS(TR_SLICE_LIT("ab"), TR_SLICE_LIT("c"))));
    metric_test_fini(&t);
}

static void a_gauge_without_labels_is_there_from_the_start(void **state)
{
    (void)state;
    struct metric_test t;
    metric_test_init(&t, &leader_spec);
    assert_string_equal(written(&t),
                        "# HELP dapr_leader Leader.\n# TYPE dapr_leader gauge\ndapr_leader 0\n");
    tr_metric_set(&t.metric, NULL, 1);
    tr_metric_add(&t.metric, NULL, -3);
    assert_non_null(strstr(written(&t), "dapr_leader -2\n"));
    metric_test_fini(&t);
}

static void a_histogram_sums_its_buckets_up(void **state)
{
    (void)state;
    struct metric_test t;
    metric_test_init(&t, &size_spec);
    struct tr_series *series = tr_metric_series(&t.metric, TR_LABELS(TR_SLICE_LIT("x")));
    tr_series_observe(series, 0.5);
    tr_series_observe(series, 0.6);
    tr_series_observe(series, 10);
    tr_series_observe(series, 2000000);
    assert_int_equal((int)tr_series_value(series), 4);
    assert_string_equal(written(&t), "# HELP dapr_size Size.\n# TYPE dapr_size histogram\n"
                                     "dapr_size_bucket{m=\"x\",le=\"0.5\"} 1\n"
                                     "dapr_size_bucket{m=\"x\",le=\"10\"} 3\n"
                                     "dapr_size_bucket{m=\"x\",le=\"1.048576e+06\"} 3\n"
                                     "dapr_size_bucket{m=\"x\",le=\"+Inf\"} 4\n"
                                     "dapr_size_sum{m=\"x\"} 2.0000111e+06\n"
                                     "dapr_size_count{m=\"x\"} 4\n");
    metric_test_fini(&t);
}

static void label_values_are_escaped_and_cut(void **state)
{
    (void)state;
    struct metric_test t;
    char text[2 * TR_METRIC_VALUE_BYTES_MAX];
    memset(text, 'x', sizeof(text));
    metric_test_init(&t, &size_spec);
    tr_metric_observe(&t.metric, TR_LABELS(TR_SLICE_LIT("a\"b\\c\nd")), 1);
    assert_non_null(strstr(written(&t), "dapr_size_count{m=\"a\\\"b\\\\c\\nd\"} 1\n"));
    struct tr_series *series = tr_metric_series(&t.metric, TR_LABELS(tr_slice(text, sizeof(text))));
    assert_ptr_equal(
        series, tr_metric_series(&t.metric, TR_LABELS(tr_slice(text, TR_METRIC_VALUE_BYTES_MAX))));
    metric_test_fini(&t);
}

static void what_exceeds_the_limit_is_counted_together(void **state)
{
    (void)state;
    struct metric_test t;
    metric_test_init(&t, &calls_spec);
    for (int i = 0; i < 10; i++) {
        char method[16];
        (void)snprintf(method, sizeof(method), "m%d", i);
        tr_metric_add(&t.metric, TR_LABELS(tr_slice_str(method), TR_SLICE_LIT("200")), 1);
    }
    const char *text = written(&t);
    assert_non_null(strstr(text, "method=\"m2\",status=\"200\"} 1\n"));
    assert_null(strstr(text, "method=\"m3\""));
    assert_non_null(strstr(text, "{app_id=\"app\",method=\"_other\",status=\"_other\"} 7\n"));
    metric_test_fini(&t);
}

static void numbers_look_as_in_go(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        { 0, "0" },           { 100000, "100000" },
        { 1000000, "1e+06" }, { 123456.5, "123456.5" },
        { 0.1, "0.1" },       { 0.0001, "0.0001" },
        { 0.00001, "1e-05" }, { 4294967296, "4.294967296e+09" },
        { -2.5, "-2.5" },     { 1e21, "1e+21" },
        { 65, "65" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct metric_test t;
        char line[64];
        metric_test_init(&t, &leader_spec);
        tr_metric_set(&t.metric, NULL, cases[i].value);
        (void)snprintf(line, sizeof(line), "\ndapr_leader %s\n", cases[i].text);
        assert_non_null(strstr(written(&t), line));
        metric_test_fini(&t);
    }
}

static void the_process_tells_its_memory(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_metrics_write_process(&buf);
    const char *at = strstr(tr_buf_cstr(&buf), "\nprocess_resident_memory_bytes ");
    assert_non_null(at);
    double bytes = 0;
    assert_int_equal(sscanf(at, "\nprocess_resident_memory_bytes %lf", &bytes), 1);
    assert_true(bytes > 100000);
    assert_non_null(strstr(tr_buf_cstr(&buf), "\nprocess_open_fds "));
    assert_non_null(strstr(tr_buf_cstr(&buf), "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(tr_buf_cstr(&buf), "\nprocess_start_time_seconds "));
    tr_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_has_a_series_per_set_of_values),
        cmocka_unit_test(values_that_only_together_are_equal_are_kept_apart),
        cmocka_unit_test(a_gauge_without_labels_is_there_from_the_start),
        cmocka_unit_test(a_histogram_sums_its_buckets_up),
        cmocka_unit_test(label_values_are_escaped_and_cut),
        cmocka_unit_test(what_exceeds_the_limit_is_counted_together),
        cmocka_unit_test(numbers_look_as_in_go),
        cmocka_unit_test(the_process_tells_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
