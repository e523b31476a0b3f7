/* State over HTTP, from the bytes of a request to those of the answer. */
#include <stdlib.h>

#include "tests/unit/api/state_test.h"
#include "tests/unit/http/core.h"

struct http_test {
    struct core core;
    struct state_test base;
};

static void on_request(void *ctx, struct tr_http_exchange *ex)
{
    struct http_test *t = TR_CONTAINER_OF((struct core *)ctx, struct http_test, core);
    tr_api_http_request(t->base.api, ex);
}

static bool is_idle(void *ctx)
{
    struct http_test *t = ctx;
    core_run(&t->core);
    return tr_api_open(t->base.api) == 0;
}

/* Send a request, with header lines or "", and take the answer; free it. */
static char *exchange(struct http_test *t, const char *line, const char *headers, const char *body)
{
    struct tr_buf text = { 0 };
    tr_buf_addf(&text, "%s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n%s", line, headers, strlen(body), body);
    core_feed(&t->core, tr_buf_slice(&text));
    tr_buf_fini(&text);
    assert_true(tr_loop_run_until(t->base.loop, is_idle, t, STATE_TEST_WAIT_MS));
    return core_take_sent(&t->core);
}

static void assert_empty(struct http_test *t, const char *line, const char *headers, const char *body)
{
    char *answer = exchange(t, line, headers, body);
    assert_string_equal(answer, "HTTP/1.1 204 No Content\r\n\r\n");
    free(answer);
}

/* The answer has this status line and this body. */
static void assert_answer(struct http_test *t, const char *line, const char *body, const char *want_status,
                          const char *want_body)
{
    char *answer = exchange(t, line, "", body);
    const char *at = strstr(answer, "\r\n\r\n");
    assert_non_null(at);
    assert_string_equal(at + 4, want_body);
    assert_true(tr_slice_starts(tr_slice_str(answer), tr_slice_str(want_status)));
    assert_non_null(strstr(answer, "application/json"));
    free(answer);
}

/* Value of a header in an answer; free it. */
static char *header_of(const char *answer, const char *name)
{
    const char *at = strstr(answer, name);
    assert_non_null(at);
    at += strlen(name);
    return tr_xstrdup(tr_slice(at, (size_t)(strstr(at, "\r\n") - at)));
}

static char *etag_of(struct http_test *t, const char *line)
{
    char *answer = exchange(t, line, "", "");
    char *etag = header_of(answer, "Etag: ");
    free(answer);
    return etag;
}

#define MALFORMED(text) "{\"errorCode\":\"ERR_MALFORMED_REQUEST\",\"message\":\"" text "\"}"

static void a_value_is_saved_read_and_deleted(void **state)
{
    struct http_test *t = *state;
    assert_empty(t, "GET /v1.0/state/store/k", "", "");
    assert_empty(t, "POST /v1.0/state/store", "", "[{\"key\":\"k\",\"value\":{ \"a\" : \"b\" }}]");
    assert_answer(t, "GET /v1.0/state/store/k", "", "HTTP/1.1 200 OK", "{\"a\":\"b\"}");
    assert_empty(t, "PUT /v1.0/state/store", "", "[{\"key\":\"k\",\"value\":\"text\"}]");
    assert_answer(t, "GET /v1.0/state/store/k?consistency=nonsense", "", "HTTP/1.1 200 OK", "\"text\"");
    assert_empty(t, "DELETE /v1.0/state/store/k", "", "");
    assert_empty(t, "GET /v1.0/state/store/k", "", "");
}

static void names_are_decoded_after_routing(void **state)
{
    struct http_test *t = *state;
    tr_api_store_set(t->base.api, TR_SLICE_LIT("a/b c"), TR_SLICE_LIT(""), TR_SLICE_LIT(""), t->base.memory);
    assert_empty(t, "POST /v1.0/state/a%2Fb%20c", "", "[{\"key\":\"x/y\",\"value\":1}]");
    assert_answer(t, "GET /v1.0/state/a%2Fb+c/x%2Fy", "", "HTTP/1.1 200 OK", "1");
}

static void the_etag_guards_a_write(void **state)
{
    struct http_test *t = *state;
    struct tr_buf text = { 0 };
    assert_empty(t, "POST /v1.0/state/store", "", "[{\"key\":\"k\",\"value\":1,\"etag\":null}]");
    char *etag = etag_of(t, "GET /v1.0/state/store/k");
    tr_buf_addf(&text, "[{\"key\":\"k\",\"value\":2,\"etag\":\"%s\"}]", etag);
    assert_empty(t, "POST /v1.0/state/store", "", tr_buf_cstr(&text));
    char *answer = exchange(t, "POST /v1.0/state/store", "", tr_buf_cstr(&text));
    assert_non_null(strstr(answer, "409 Conflict"));
    assert_non_null(strstr(answer, "{\"errorCode\":\"ERR_STATE_SAVE\",\"message\":\"failed saving state in state store "
                                   "store: possible etag mismatch. error from state store: state etag not match for "
                                   "key=app||k: current="));
    assert_null(strstr(answer, "details"));
    free(answer);
    tr_buf_clear(&text);
    tr_buf_addf(&text, "If-Match: %s\r\n", etag);
    free(etag);
    answer = exchange(t, "DELETE /v1.0/state/store/k", tr_buf_cstr(&text), "");
    assert_non_null(strstr(answer, "409 Conflict"));
    assert_non_null(strstr(answer, "\"errorCode\":\"ERR_STATE_DELETE\""));
    free(answer);
    etag = etag_of(t, "GET /v1.0/state/store/k");
    tr_buf_clear(&text);
    tr_buf_addf(&text, "if-match: %s\r\n", etag);
    free(etag);
    assert_empty(t, "DELETE /v1.0/state/store/k", tr_buf_cstr(&text), "");
    tr_buf_fini(&text);
}

static void the_concurrency_of_a_delete_is_in_the_query(void **state)
{
    struct http_test *t = *state;
    assert_empty(t, "POST /v1.0/state/store", "", "[{\"key\":\"k\",\"value\":1}]");
    assert_answer(t, "DELETE /v1.0/state/store/k?concurrency=first-write", "", "HTTP/1.1 409 Conflict",
                  "{\"errorCode\":\"ERR_STATE_DELETE\",\"message\":\"failed deleting state with key k: possible etag "
                  "mismatch. error from state store: item already exists and no etag was passed\"}");
    assert_answer(t, "DELETE /v1.0/state/store/k?consistency=weak", "", "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_DELETE\",\"message\":\"failed deleting state with key k: unrecognized "
                  "consistency model 'weak'\"}");
    assert_empty(t, "DELETE /v1.0/state/store/k?concurrency=last-write&consistency=strong", "", "");
}

static void the_time_to_live_comes_back_as_a_header(void **state)
{
    struct http_test *t = *state;
    assert_empty(t, "POST /v1.0/state/store", "", "[{\"key\":\"k\",\"value\":1,\"metadata\":{\"ttlInSeconds\":\"100\"}}]");
    char *answer = exchange(t, "GET /v1.0/state/store/k", "", "");
    char *time = header_of(answer, "Metadata.ttlexpiretime: ");
    assert_int_equal(strlen(time), strlen("2026-01-02T03:04:05Z"));
    free(time);
    free(answer);
    /* The query counts more than the item. */
    assert_empty(t, "POST /v1.0/state/store?metadata.ttlInSeconds=-1", "",
                 "[{\"key\":\"k\",\"value\":1,\"metadata\":{\"ttlInSeconds\":\"100\"}}]");
    answer = exchange(t, "GET /v1.0/state/store/k", "", "");
    assert_null(strstr(answer, "ttlexpiretime"));
    free(answer);
    assert_answer(t, "POST /v1.0/state/store?metadata.ttlInSeconds=x", "[{\"key\":\"k\",\"value\":1}]",
                  "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_SAVE\",\"message\":\"failed saving state in state store store: strconv.Atoi: "
                  "parsing \\\"x\\\": invalid syntax\"}");
}

/* Source: Dapr tests/integration/suite/daprd/state/http/basic.go. */
static void bodies_that_are_no_items_are_refused(void **state)
{
    struct http_test *t = *state;
    assert_answer(t, "POST /v1.0/state/store", "", "HTTP/1.1 400 Bad Request", MALFORMED("EOF"));
    assert_answer(t, "POST /v1.0/state/store", "{}", "HTTP/1.1 400 Bad Request", MALFORMED("the body is no array"));
    assert_answer(t, "POST /v1.0/state/store", "[{}]", "HTTP/1.1 400 Bad Request",
                  MALFORMED("\\\"key\\\" is a required field"));
    assert_answer(t, "POST /v1.0/state/store", "[{\"ey\":\"key0\",\"value\":\"value1\"}]", "HTTP/1.1 400 Bad Request",
                  MALFORMED("\\\"key\\\" is a required field"));
    assert_empty(t, "POST /v1.0/state/store", "", "[]");
}

static void a_body_over_the_limit_is_refused(void **state)
{
    struct http_test *t = *state;
    struct tr_buf body = { 0 };
    while (body.len <= STATE_TEST_BODY_MAX) {
        tr_buf_add_char(&body, ' ');
    }
    assert_answer(t, "POST /v1.0/state/store/bulk", tr_buf_cstr(&body), "HTTP/1.1 400 Bad Request",
                  MALFORMED("failed deserializing HTTP body: stream too large"));
    tr_buf_fini(&body);
}

static void an_illegal_key_is_told_with_details(void **state)
{
    struct http_test *t = *state;
    static const char text[] =
        "{\"errorCode\":\"ERR_MALFORMED_REQUEST\",\"message\":\"api error: code = InvalidArgument desc = input "
        "key/keyPrefix 'a||b' can't contain '||'\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\","
        "\"field_violations\":[{\"field\":\"a||b\",\"description\":\"api error: code = InvalidArgument desc = input "
        "key/keyPrefix 'a||b' can't contain '||'\"}]},{\"@type\":\"type.googleapis.com/google.rpc.ResourceInfo\","
        "\"description\":\"\",\"owner\":\"\",\"resource_name\":\"store\",\"resource_type\":\"state\"},{\"@type\":"
        "\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":\"dapr.io\",\"metadata\":null,\"reason\":"
        "\"DAPR_STATE_ILLEGAL_KEY\"}]}";
    assert_answer(t, "POST /v1.0/state/store", "[{\"key\":\"a||b\"}]", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "GET /v1.0/state/store/a%7C%7Cb", "", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "DELETE /v1.0/state/store/a%7c%7cb", "", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "POST /v1.0/state/store/bulk", "{\"keys\":[\"x\",\"a||b\"]}", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "POST /v1.0/state/store/transaction",
                  "{\"operations\":[{\"operation\":\"delete\",\"request\":{\"key\":\"a||b\"}}]}", "HTTP/1.1 400 Bad Request",
                  text);
}

static void the_store_is_looked_for_first(void **state)
{
    struct http_test *t = *state;
    static const char text[] =
        "{\"errorCode\":\"ERR_STATE_STORE_NOT_FOUND\",\"message\":\"state store other is not found\",\"details\":[{"
        "\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":\"dapr.io\",\"metadata\":{\"appID\":\"app\"},"
        "\"reason\":\"DAPR_STATE_NOT_FOUND\"}]}";
    assert_answer(t, "POST /v1.0/state/other", "", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "POST /v1.0/state/other/bulk", "", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "POST /v1.0/state/other/transaction", "", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "GET /v1.0/state/other/k", "", "HTTP/1.1 400 Bad Request", text);
    assert_answer(t, "DELETE /v1.0/state/other/k", "", "HTTP/1.1 400 Bad Request", text);
    tr_api_store_remove(t->base.api, TR_SLICE_LIT("store"));
    assert_answer(t, "GET /v1.0/state/store/k", "", "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_STORE_NOT_CONFIGURED\",\"message\":\"state store store is not configured\","
                  "\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":\"dapr.io\",\"metadata\":"
                  "{\"appID\":\"app\"},\"reason\":\"DAPR_STATE_NOT_CONFIGURED\"}]}");
}

static void many_keys_are_read_at_once(void **state)
{
    struct http_test *t = *state;
    struct tr_buf text = { 0 };
    assert_empty(t, "POST /v1.0/state/store", "", "[{\"key\":\"a\",\"value\":\"<\"},{\"key\":\"b\",\"value\":[1]}]");
    char *etag_a = etag_of(t, "GET /v1.0/state/store/a");
    char *etag_b = etag_of(t, "GET /v1.0/state/store/b");
    tr_buf_addf(&text,
                "[{\"key\":\"b\",\"data\":[1],\"etag\":\"%s\"},{\"key\":\"none\"},{\"key\":\"a\",\"data\":\"\\u003c\","
                "\"etag\":\"%s\"},{\"key\":\"\"}]\n",
                etag_b, etag_a);
    assert_answer(t, "POST /v1.0/state/store/bulk", "{\"keys\":[\"b\",\"none\",\"a\",\"\"],\"parallelism\":2}",
                  "HTTP/1.1 200 OK", tr_buf_cstr(&text));
    free(etag_a);
    free(etag_b);
    tr_buf_fini(&text);
    assert_answer(t, "PUT /v1.0/state/store/bulk", "{\"keys\":[]}", "HTTP/1.1 200 OK", "[]\n");
    assert_answer(t, "PUT /v1.0/state/store/bulk", "[]", "HTTP/1.1 400 Bad Request",
                  MALFORMED("failed deserializing HTTP body: the body is no object"));
}

/* A write past the API, as gRPC could make it. */
struct put {
    struct tr_store_tx tx;
    struct tr_store_op op;
    bool is_done;
};

static void on_put(struct tr_store_tx *tx)
{
    TR_CONTAINER_OF(tx, struct put, tx)->is_done = true;
}

static void put_raw(struct state_test *t, struct put *put, const char *key, const char *value)
{
    put->op = (struct tr_store_op){ .kind = TR_STORE_UPSERT, .key = tr_slice_str(key), .value = tr_slice_str(value) };
    put->tx = (struct tr_store_tx){ .ops = &put->op, .ops_len = 1, .cb = on_put };
    tr_store_tx_start(t->memory, &put->tx);
    state_test_wait(t, &put->is_done);
    assert_int_equal(put->tx.err.code, TR_OK);
}

static void a_bulk_read_tells_expiry_and_what_is_no_json(void **state)
{
    struct http_test *t = *state;
    struct put put = { .is_done = false };
    put_raw(&t->base, &put, "app||raw", "\1");
    assert_empty(t, "POST /v1.0/state/store", "", "[{\"key\":\"k\",\"value\":1,\"metadata\":{\"ttlInSeconds\":\"100\"}}]");
    char *answer = exchange(t, "POST /v1.0/state/store/bulk", "", "{\"keys\":[\"raw\",\"k\"]}");
    assert_non_null(strstr(answer, "[{\"key\":\"raw\",\"error\":\"the value is no JSON\"},{\"key\":\"k\",\"data\":1,"));
    assert_non_null(strstr(answer, "\",\"metadata\":{\"ttlExpireTime\":\"2"));
    free(answer);
}

static void a_transaction_writes_and_deletes(void **state)
{
    struct http_test *t = *state;
    assert_empty(t, "POST /v1.0/state/store", "", "[{\"key\":\"old\",\"value\":1}]");
    assert_empty(t, "POST /v1.0/state/store/transaction", "",
                 "{\"operations\":[{\"operation\":\"upsert\",\"request\":{\"key\":\"new\",\"value\":\"v\"}},{\"operation\":"
                 "\"delete\",\"request\":{\"key\":\"old\"}}],\"metadata\":{\"partitionKey\":\"p\"}}");
    assert_answer(t, "GET /v1.0/state/store/new", "", "HTTP/1.1 200 OK", "\"v\"");
    assert_empty(t, "GET /v1.0/state/store/old", "", "");
    assert_empty(t, "PUT /v1.0/state/store/transaction", "", "{\"operations\":[]}");
    assert_answer(t, "PUT /v1.0/state/store/transaction", "{\"operations\":[{\"operation\":\"move\",\"request\":{}}]}",
                  "HTTP/1.1 400 Bad Request",
                  "{\"errorCode\":\"ERR_NOT_SUPPORTED_STATE_OPERATION\",\"message\":\"operation type move not supported\"}");
    assert_answer(t, "POST /v1.0/state/store/transaction",
                  "{\"operations\":[{\"operation\":\"upsert\",\"request\":{\"key\":\"none\",\"etag\":\"x\"}}]}",
                  "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_TRANSACTION\",\"message\":\"error while executing state transaction: possible "
                  "etag mismatch. error from state store: state not exist or expired for key=app||none\"}");
    assert_answer(t, "POST /v1.0/state/store/transaction", "x", "HTTP/1.1 400 Bad Request",
                  MALFORMED("failed deserializing HTTP body: invalid JSON at offset 0: unexpected character"));
}

static void a_store_without_transactions_says_so(void **state)
{
    struct http_test *t = *state;
    state_test_add_broken(&t->base, "plain", 0);
    assert_answer(t, "POST /v1.0/state/plain/transaction", "", "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_STORE_NOT_SUPPORTED\",\"message\":\"state store plain doesn't support "
                  "transactions\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.Help\",\"links\":[{\"description\":"
                  "\"Check the list of state stores and the features they support\",\"url\":"
                  "\"https://docs.dapr.io/reference/components-reference/supported-state-stores/\"}]},{\"@type\":"
                  "\"type.googleapis.com/google.rpc.ResourceInfo\",\"description\":\"\",\"owner\":\"\",\"resource_name\":"
                  "\"plain\",\"resource_type\":\"state\"},{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":"
                  "\"dapr.io\",\"metadata\":null,\"reason\":\"DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED\"}]}");
}

static void a_failing_store_is_named(void **state)
{
    struct http_test *t = *state;
    state_test_add_broken(&t->base, "broken", TR_STORE_TRANSACTION);
    assert_answer(t, "GET /v1.0/state/broken/k", "", "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_GET\",\"message\":\"fail to get k from state store broken: no disk\"}");
    assert_answer(t, "POST /v1.0/state/broken/bulk", "{\"keys\":[\"k\"]}", "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_BULK_GET\",\"message\":\"no disk\"}");
}

static void no_store_can_be_queried(void **state)
{
    struct http_test *t = *state;
    assert_answer(t, "POST /v1.0-alpha1/state/store/query", "{\"filter\":{}}", "HTTP/1.1 500 Internal Server Error",
                  "{\"errorCode\":\"ERR_STATE_STORE_NOT_SUPPORTED\",\"message\":\"state store does not support querying\","
                  "\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ResourceInfo\",\"description\":\"\",\"owner\":"
                  "\"\",\"resource_name\":\"store\",\"resource_type\":\"state\"},{\"@type\":"
                  "\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":\"dapr.io\",\"metadata\":null,\"reason\":"
                  "\"DAPR_STATE_QUERYING_NOT_SUPPORTED\"}]}");
    assert_answer(t, "PUT /v1.0-alpha1/state/other/query", "", "HTTP/1.1 400 Bad Request",
                  "{\"errorCode\":\"ERR_STATE_STORE_NOT_FOUND\",\"message\":\"state store other is not found\",\"details\":[{"
                  "\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":\"dapr.io\",\"metadata\":null,"
                  "\"reason\":\"DAPR_STATE_NOT_FOUND\"}]}");
}

static void errors_are_counted_by_code_and_area(void **state)
{
    struct http_test *t = *state;
    struct tr_buf text = { 0 };
    static const char *const requests[] = { "GET /v1.0/state/other/k", "GET /v1.0/state/store/a%7C%7Cb",
                                            "POST /v1.0/state/store", "GET /v1.0/nothing" };
    for (size_t i = 0; i < TR_ARRAY_LEN(requests); i++) {
        free(exchange(t, requests[i], "", ""));
    }
    tr_metrics_write(&t->base.metrics, &text);
    static const char *const lines[] = { "category=\"state\",error_code=\"ERR_STATE_STORE_NOT_FOUND\"} 1\n",
                                         "category=\"state\",error_code=\"ERR_MALFORMED_REQUEST\"} 1\n",
                                         "category=\"common\",error_code=\"ERR_MALFORMED_REQUEST\"} 1\n",
                                         "category=\"service-invocation\",error_code=\"ERR_DIRECT_INVOKE\"} 1\n" };
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        assert_non_null(strstr(tr_buf_cstr(&text), lines[i]));
    }
    tr_buf_fini(&text);
}

static void a_client_that_goes_away_leaves_nothing_behind(void **state)
{
    struct http_test *t = *state;
    core_feed_str(&t->core, "GET /v1.0/state/store/k HTTP/1.1\r\nHost: h\r\n\r\n");
    core_eof(&t->core);
    assert_int_equal(tr_api_open(t->base.api), 1);
    assert_true(tr_loop_run_until(t->base.loop, is_idle, t, STATE_TEST_WAIT_MS));
}

static int set_up(void **state)
{
    static struct http_test t;
    state_test_init(&t.base, tr_loop_new());
    core_init(&t.core, NULL, on_request);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct http_test *t = *state;
    struct tr_loop *loop = t->base.loop;
    core_fini(&t->core);
    state_test_fini(&t->base);
    tr_loop_free(&loop);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_is_saved_read_and_deleted),
        TEST(names_are_decoded_after_routing),
        TEST(the_etag_guards_a_write),
        TEST(the_concurrency_of_a_delete_is_in_the_query),
        TEST(the_time_to_live_comes_back_as_a_header),
        TEST(bodies_that_are_no_items_are_refused),
        TEST(a_body_over_the_limit_is_refused),
        TEST(an_illegal_key_is_told_with_details),
        TEST(the_store_is_looked_for_first),
        TEST(many_keys_are_read_at_once),
        TEST(a_bulk_read_tells_expiry_and_what_is_no_json),
        TEST(a_transaction_writes_and_deletes),
        TEST(a_store_without_transactions_says_so),
        TEST(a_failing_store_is_named),
        TEST(no_store_can_be_queried),
        TEST(errors_are_counted_by_code_and_area),
        TEST(a_client_that_goes_away_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
