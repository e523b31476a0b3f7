/* Bodies of the state API: what is read, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/api/state_json.h"

typedef enum tr_code read_fn(struct api_state_job *job, struct tr_slice body, struct tr_err *err);

static void assert_text(struct tr_slice text, const char *want)
{
    assert_true(tr_slice_eq_str(text, want));
}

static void must_read(struct api_state_job *job, read_fn *read, const char *body)
{
    struct tr_err err = { .code = TR_OK };
    *job = (struct api_state_job){ 0 };
    if (read(job, tr_slice_str(body), &err) != TR_OK) {
        fail_msg("%s: %s", body, err.msg);
    }
}

static void must_refuse(read_fn *read, const char *body, enum tr_code code, const char *message)
{
    struct api_state_job job = { 0 };
    struct tr_err err = { .code = TR_OK };
    if (read(&job, tr_slice_str(body), &err) == TR_OK) {
        fail_msg("%s was read", body);
    }
    assert_int_equal(err.code, code);
    if (message != NULL) {
        assert_string_equal(err.msg, message);
    }
    api_state_job_fini(&job);
}

static void an_item_has_all_its_parts(void **state)
{
    struct api_state_job job;
    must_read(&job, api_state_read_items,
              "[{\"key\": \"a\\u0062\", \"value\": {\"x\" : [1, 2]}, \"etag\": \"7\", \"metadata\": {\"ttlInSeconds\": "
              "\"5\", \"other\": null}, \"options\": {\"concurrency\": \"first-write\", \"consistency\": \"strong\"}}]");
    assert_int_equal(job.items_len, 1);
    const struct api_state_item *item = &job.items[0];
    assert_text(item->key, "ab");
    assert_text(item->value, "{\"x\":[1,2]}");
    assert_true(item->has_etag);
    assert_text(item->etag, "7");
    assert_text(item->ttl, "5");
    assert_text(item->concurrency, "first-write");
    assert_text(item->consistency, "strong");
    assert_false(item->is_delete);
    api_state_job_fini(&job);
    (void)state;
}

static void a_string_is_stored_as_json_text(void **state)
{
    struct api_state_job job;
    must_read(&job, api_state_read_items, "[{\"key\":\"a\",\"value\":\"v\"},{\"key\":\"b\",\"value\":\"<&>\"},{\"key\":\"c\"},"
                                          "{\"key\":\"d\",\"value\":\"\\u00e9\\/\\n\"}]");
    assert_text(job.items[0].value, "\"v\"");
    assert_text(job.items[1].value, "\"\\u003c\\u0026\\u003e\"");
    assert_text(job.items[2].value, "null");
    assert_text(job.items[3].value, "\"\xc3\xa9/\\n\"");
    api_state_job_fini(&job);
    (void)state;
}

static void names_of_members_have_no_case(void **state)
{
    struct api_state_job job;
    must_read(&job, api_state_read_items,
              "[{\"KEY\":\"a\",\"Value\":1,\"eTag\":\"2\",\"Options\":{\"Concurrency\":\"last-write\"},\"METADATA\":"
              "{\"ttlinseconds\":\"3\"}}]");
    assert_text(job.items[0].key, "a");
    assert_text(job.items[0].value, "1");
    assert_text(job.items[0].etag, "2");
    assert_text(job.items[0].concurrency, "last-write");
    assert_text(job.items[0].ttl, ""); /* keys of a map have one */
    api_state_job_fini(&job);
    (void)state;
}

static void null_is_the_same_as_absent(void **state)
{
    struct api_state_job job;
    must_read(&job, api_state_read_items, "null");
    assert_int_equal(job.items_len, 0);
    api_state_job_fini(&job);
    must_read(&job, api_state_read_items, "[null, {\"key\":\"a\",\"etag\":null,\"metadata\":null,\"options\":null}]");
    assert_text(job.items[0].key, "");
    assert_false(job.items[1].has_etag);
    api_state_job_fini(&job);
    must_read(&job, api_state_read_operations, "{\"operations\":null}");
    assert_int_equal(job.items_len, 0);
    api_state_job_fini(&job);
    must_read(&job, api_state_read_keys, " {} ");
    assert_int_equal(job.items_len, 0);
    api_state_job_fini(&job);
    (void)state;
}

/* The bodies of Dapr's own test tests/integration/suite/daprd/state/http/basic.go that fail in the decoder. */
static void bodies_of_another_form_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "foobar",
        "[1]",
        "[{\"key\": \"key1\", \"value\": \"value1\"},]",
        "[{\"key\": \"key1\", \"value\": \"value1\", \"etag\": 123}]",
        "[{\"key\": 1}]",
        "[{\"key\": \"a\", \"metadata\": []}]",
        "[{\"key\": \"a\", \"metadata\": {\"ttlInSeconds\": 5}}]",
        "[{\"key\": \"a\", \"options\": \"first-write\"}]",
        "[{\"key\": \"a\", \"options\": {\"concurrency\": 1}}]",
        "[{\"key\": \"a\", \"options\": {\"consistency\": false}}]",
        "[{\"key\": \"a\"}",
    };
    must_refuse(api_state_read_items, "", TR_MALFORMED, "EOF");
    must_refuse(api_state_read_items, " \n", TR_MALFORMED, "EOF");
    for (size_t i = 0; i < TR_ARRAY_LEN(bodies); i++) {
        must_refuse(api_state_read_items, bodies[i], TR_MALFORMED, NULL);
    }
    (void)state;
}

static void keys_are_read_and_checked(void **state)
{
    struct api_state_job job;
    must_read(&job, api_state_read_keys,
              "{\"Keys\":[\"a\",\"b\\\"\",null],\"parallelism\":10,\"metadata\":{\"partitionKey\":\"p\"}}");
    assert_int_equal(job.items_len, 3);
    assert_text(job.items[0].key, "a");
    assert_text(job.items[1].key, "b\"");
    assert_text(job.items[2].key, "");
    api_state_job_fini(&job);
    must_refuse(api_state_read_keys, "[]", TR_MALFORMED, "the body is no object");
    must_refuse(api_state_read_keys, "{\"keys\":{}}", TR_MALFORMED, "'keys' is no array");
    must_refuse(api_state_read_keys, "{\"keys\":[1]}", TR_MALFORMED, "'keys' holds a value that is no string");
    must_refuse(api_state_read_keys, "{\"keys\":[],\"parallelism\":\"1\"}", TR_MALFORMED, "'parallelism' is no integer");
    must_refuse(api_state_read_keys, "{\"keys\":[],\"metadata\":{\"a\":1}}", TR_MALFORMED, NULL);
    (void)state;
}

static void operations_are_read_and_checked(void **state)
{
    struct api_state_job job;
    must_read(&job, api_state_read_operations,
              "{\"operations\":[{\"operation\":\"upsert\",\"request\":{\"key\":\"a\",\"value\":1}},{\"operation\":"
              "\"delete\",\"request\":{\"key\":\"b\",\"etag\":\"4\",\"value\":2}},{\"operation\":\"upsert\"}],"
              "\"metadata\":{\"ttlInSeconds\":\"3\"}}");
    assert_int_equal(job.items_len, 3);
    assert_text(job.items[0].value, "1");
    assert_text(job.items[0].ttl, "");
    assert_true(job.items[1].is_delete);
    assert_text(job.items[1].key, "b");
    assert_text(job.items[1].etag, "4");
    assert_text(job.items[1].value, "");
    assert_text(job.items[2].key, "");
    assert_text(job.items[2].value, "null");
    api_state_job_fini(&job);
    must_refuse(api_state_read_operations, "{\"operations\":[{\"operation\":\"insert\"}]}", TR_STATE_BAD_OPERATION,
                "operation type insert not supported");
    must_refuse(api_state_read_operations, "{\"operations\":[{}]}", TR_STATE_BAD_OPERATION,
                "operation type  not supported");
    must_refuse(api_state_read_operations, "{\"operations\":[1]}", TR_MALFORMED, "an operation is no object");
    must_refuse(api_state_read_operations, "{\"operations\":[{\"operation\":\"upsert\",\"request\":\"x\"}]}", TR_MALFORMED,
                "an item is no object");
    must_refuse(api_state_read_operations, "{\"operations\":[{\"operation\":true}]}", TR_MALFORMED,
                "'operation' is no string");
    must_refuse(api_state_read_operations, "{\"metadata\":1}", TR_MALFORMED, "'metadata' is no object");
    (void)state;
}

static void fill(struct tr_buf *body, const char *before, const char *element, const char *after)
{
    tr_buf_add_str(body, before);
    for (unsigned i = 0; i <= API_STATE_ITEMS_MAX; i++) {
        tr_buf_add_str(body, i > 0 ? "," : "");
        tr_buf_add_str(body, element);
    }
    tr_buf_add_str(body, after);
}

static void more_than_the_limit_is_refused(void **state)
{
    struct tr_buf body = { 0 };
    struct api_state_job job = { .store_name = TR_SLICE_LIT("s") };
    struct tr_err err;
    fill(&body, "[", "{\"key\":\"a\"}", "]");
    must_refuse(api_state_read_items, tr_buf_cstr(&body), TR_MALFORMED, "10001 items, more than 10000");
    tr_buf_clear(&body);
    fill(&body, "{\"keys\":[", "\"a\"", "]}");
    must_refuse(api_state_read_keys, tr_buf_cstr(&body), TR_MALFORMED, "10001 keys, more than 10000");
    tr_buf_clear(&body);
    fill(&body, "{\"operations\":[", "{\"operation\":\"upsert\"}", "]}");
    assert_int_equal(api_state_read_operations(&job, tr_buf_slice(&body), &err), TR_STATE_TOO_MANY);
    assert_int_equal(job.fault.code, TR_STATE_TOO_MANY);
    assert_string_equal(tr_buf_cstr(&job.fault.message),
                        "the transaction contains 10001 operations, which is more than what the state store supports: 10000");
    assert_int_equal(job.fault.pairs_len, 2);
    assert_text(tr_buf_slice(&job.fault.pairs[0].value), "10001");
    assert_text(tr_buf_slice(&job.fault.pairs[1].value), "10000");
    api_state_job_fini(&job);
    tr_buf_fini(&body);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_has_all_its_parts),
        cmocka_unit_test(a_string_is_stored_as_json_text),
        cmocka_unit_test(names_of_members_have_no_case),
        cmocka_unit_test(null_is_the_same_as_absent),
        cmocka_unit_test(bodies_of_another_form_are_refused),
        cmocka_unit_test(keys_are_read_and_checked),
        cmocka_unit_test(operations_are_read_and_checked),
        cmocka_unit_test(more_than_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
