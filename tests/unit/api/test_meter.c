/* What the API counts, and under which labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/api/meter.h"

static void assert_label(const char *path, const char *want)
{
    struct tr_buf out = { 0 };
    api_meter_path(tr_slice_str(path), &out);
    assert_string_equal(tr_buf_cstr(&out), want);
    tr_buf_fini(&out);
}

static void ids_of_actors_and_keys_of_state_are_no_labels(void **state)
{
    assert_label("/v1.0/actors/cat/tom/method/purr", "/v1.0/actors/cat/{id}/method");
    assert_label("/v1.0/actors/cat/tom/state", "/v1.0/actors/cat/{id}/state");
    assert_label("/v1.0/state/store/secret-key", "/v1.0/state/store");
    assert_label("/v1.0/state/store", "/v1.0/state/store");
    assert_label("/v1.0/healthz", "/v1.0/healthz");
    assert_label("/v1.0/actors/cat", "/v1.0/actors/cat");
    assert_label("/", "/");
    (void)state;
}

static bool has(struct tr_metrics *metrics, const char *line)
{
    struct tr_buf text = { 0 };
    tr_metrics_write(metrics, &text);
    const bool found = strstr(tr_buf_cstr(&text), line) != NULL;
    tr_buf_fini(&text);
    return found;
}

static void calls_are_counted_by_verb_path_and_status(void **state)
{
    struct tr_metrics metrics;
    struct api_meter meter;
    tr_metrics_init(&metrics, "myapp");
    api_meter_init(&meter, &metrics, true, true);
    api_meter_http(&meter, TR_SLICE_LIT("GET"), TR_SLICE_LIT("/v1.0/healthz"), 204, 1500, 0, 0);
    api_meter_http(&meter, TR_SLICE_LIT("BREW"), TR_SLICE_LIT("/pot"), 404, 10, 3, 5);
    api_meter_grpc(&meter, "/a.B/C", 5, 2500, 7, 0);
    assert_true(has(&metrics, "dapr_http_server_request_count{app_id=\"myapp\",method=\"GET\",path=\"/v1.0/healthz\","
                              "status=\"204\"} 1"));
    assert_true(has(&metrics, "method=\"UNKNOWN\",path=\"/pot\",status=\"404\"} 1"));
    assert_true(has(&metrics, "dapr_http_server_response_count{"));
    assert_true(has(&metrics, "dapr_grpc_io_server_completed_rpcs{app_id=\"myapp\",grpc_server_method=\"/a.B/C\","
                              "grpc_server_status=\"NotFound\"} 1"));
    assert_true(has(&metrics, "dapr_http_server_latency_sum{app_id=\"myapp\",method=\"GET\",path=\"/v1.0/healthz\","
                              "status=\"204\"} 1\n"));
    api_meter_fini(&meter);
    tr_metrics_fini(&metrics);
    (void)state;
}

static void low_cardinality_leaves_out_paths_and_responses(void **state)
{
    struct tr_metrics metrics;
    struct api_meter meter;
    tr_metrics_init(&metrics, "myapp");
    api_meter_init(&meter, &metrics, false, false);
    api_meter_http(&meter, TR_SLICE_LIT("GET"), TR_SLICE_LIT("/x"), 200, 0, 0, 0);
    assert_true(has(&metrics, "dapr_http_server_request_count{app_id=\"myapp\",method=\"\",path=\"\",status=\"200\"} 1"));
    assert_false(has(&metrics, "dapr_http_server_response_count{"));
    api_meter_fini(&meter);
    tr_metrics_fini(&metrics);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_actors_and_keys_of_state_are_no_labels),
        cmocka_unit_test(calls_are_counted_by_verb_path_and_status),
        cmocka_unit_test(low_cardinality_leaves_out_paths_and_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
