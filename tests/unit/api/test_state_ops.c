/* The state API without its surfaces: results, and what a failure is called. */
#include "runtime/api/state_ops.h"
#include "tests/unit/api/state_test.h"

/* A job that notes its end. */
struct run {
    struct api_state_job job;
    bool is_done;
};

static void on_done(struct api_state_job *job)
{
    struct run *run = TR_CONTAINER_OF(job, struct run, job);
    assert_false(run->is_done);
    run->is_done = true;
}

static void run_init(struct state_test *t, struct run *run, enum api_state_action action, size_t items_len)
{
    *run = (struct run){ .job = { .api = t->api, .action = action, .store_name = TR_SLICE_LIT("store"), .cb = on_done } };
    api_state_items_new(&run->job, items_len);
}

static void run_start(struct state_test *t, struct run *run)
{
    struct tr_api_store *store = api_state_store(&run->job, true);
    assert_non_null(store);
    api_state_start(&run->job, store);
    assert_false(run->is_done); /* never from inside */
    state_test_wait(t, &run->is_done);
}

static void assert_fault(const struct run *run, enum tr_code code, int http_status, int grpc_status, const char *message)
{
    const struct api_fault *fault = &run->job.fault;
    struct tr_buf text = { 0 };
    tr_buf_set(&text, tr_buf_slice(&fault->message));
    assert_string_equal(tr_buf_cstr(&text), message);
    tr_buf_fini(&text);
    assert_int_equal(fault->code, code);
    assert_int_equal(fault->http_status, http_status);
    assert_int_equal(fault->grpc_status, grpc_status);
}

static void upsert(struct run *run, size_t i, const char *key, const char *value)
{
    run->job.items[i].key = tr_slice_str(key);
    run->job.items[i].value = tr_slice_str(value);
}

/* Write one item, which the caller may change in `item`, whose key and value count. */
static void save_item(struct state_test *t, struct run *run, struct api_state_item item)
{
    run_init(t, run, item.is_delete ? API_STATE_DELETE : API_STATE_SAVE, 1);
    run->job.items[0] = item;
    run_start(t, run);
}

static void must_save(struct state_test *t, struct api_state_item item)
{
    struct run run;
    save_item(t, &run, item);
    assert_int_equal(run.job.fault.code, TR_OK);
    api_state_job_fini(&run.job);
}

static void must_fail(struct state_test *t, struct api_state_item item, enum tr_code code, int http_status,
                      int grpc_status, const char *message)
{
    struct run run;
    save_item(t, &run, item);
    assert_fault(&run, code, http_status, grpc_status, message);
    api_state_job_fini(&run.job);
}

static void assert_stored(struct state_test *t, const char *key, const char *want)
{
    struct run run;
    run_init(t, &run, API_STATE_GET, 1);
    run.job.items[0].key = tr_slice_str(key);
    run_start(t, &run);
    assert_int_equal(run.job.fault.code, TR_OK);
    const struct tr_store_value *value = run.job.rows[0].value;
    assert_int_equal(value->found, want != NULL);
    if (want != NULL) {
        assert_true(tr_slice_eq_str(tr_buf_slice(&value->value), want));
    }
    api_state_job_fini(&run.job);
}

static struct api_state_item item_of(const char *key, const char *value)
{
    return (struct api_state_item){ .key = tr_slice_str(key), .value = tr_slice_str(value) };
}

static void a_value_is_saved_read_and_deleted(void **state)
{
    struct state_test *t = *state;
    assert_stored(t, "k", NULL);
    must_save(t, item_of("k", "1"));
    assert_stored(t, "k", "1");
    must_save(t, (struct api_state_item){ .key = TR_SLICE_LIT("k"), .is_delete = true });
    assert_stored(t, "k", NULL);
}

static void keys_carry_the_prefix_of_the_store(void **state)
{
    struct state_test *t = *state;
    struct run run;
    must_save(t, item_of("k", "1"));
    tr_api_store_set(t->api, TR_SLICE_LIT("store"), TR_SLICE_LIT("none"), TR_SLICE_LIT(""), t->memory);
    run_init(t, &run, API_STATE_GET, 1);
    run.job.items[0].key = TR_SLICE_LIT("k");
    run_start(t, &run);
    assert_false(run.job.rows[0].value->found);
    api_state_job_fini(&run.job);
    tr_api_store_set(t->api, TR_SLICE_LIT("store"), TR_SLICE_LIT(""), TR_SLICE_LIT(""), t->memory);
    assert_stored(t, "k", "1");
}

static void an_unknown_store_is_told_from_none_at_all(void **state)
{
    struct state_test *t = *state;
    struct run run;
    run_init(t, &run, API_STATE_GET, 1);
    run.job.store_name = TR_SLICE_LIT("other");
    assert_null(api_state_store(&run.job, true));
    assert_fault(&run, TR_STATE_NOT_FOUND, 400, 3, "state store other is not found");
    assert_string_equal(run.job.fault.reason, "DAPR_STATE_NOT_FOUND");
    assert_int_equal(run.job.fault.pairs_len, 1);
    assert_string_equal(run.job.fault.pairs[0].key, "appID");
    assert_true(tr_slice_eq_str(tr_buf_slice(&run.job.fault.pairs[0].value), "app"));
    api_state_job_fini(&run.job);
    tr_api_store_remove(t->api, TR_SLICE_LIT("store"));
    run_init(t, &run, API_STATE_GET, 1);
    assert_null(api_state_store(&run.job, false));
    assert_fault(&run, TR_STATE_NOT_CONFIGURED, 500, 9, "state store store is not configured");
    assert_string_equal(run.job.fault.reason, "DAPR_STATE_NOT_CONFIGURED");
    assert_int_equal(run.job.fault.pairs_len, 0);
    api_state_job_fini(&run.job);
}

static void a_key_with_the_separator_is_refused(void **state)
{
    struct state_test *t = *state;
    struct run run;
    save_item(t, &run, item_of("a||b", "1"));
    assert_fault(&run, TR_MALFORMED, 400, 3, "input key/keyPrefix 'a||b' can't contain '||'");
    assert_string_equal(run.job.fault.reason, "DAPR_STATE_ILLEGAL_KEY");
    assert_true(run.job.fault.has_field);
    assert_true(tr_slice_eq_str(tr_buf_slice(&run.job.fault.field), "a||b"));
    assert_true(tr_slice_eq_str(tr_buf_slice(&run.job.fault.resource), "store"));
    api_state_job_fini(&run.job);
}

static void an_etag_must_match(void **state)
{
    struct state_test *t = *state;
    struct api_state_item item = item_of("k", "1");
    must_save(t, item);
    item.has_etag = true;
    must_save(t, item); /* an empty one is none */
    item.etag = TR_SLICE_LIT("x");
    struct run run;
    save_item(t, &run, item);
    assert_int_equal(run.job.fault.code, TR_STATE_SAVE);
    assert_int_equal(run.job.fault.http_status, 409);
    assert_int_equal(run.job.fault.grpc_status, 10);
    assert_string_equal(run.job.fault.reason, "ERR_STATE_SAVE");
    assert_true(tr_slice_starts(tr_buf_slice(&run.job.fault.message),
                                TR_SLICE_LIT("failed saving state in state store store: possible etag mismatch. error from "
                                             "state store: state etag not match for key=app||k: current=")));
    api_state_job_fini(&run.job);
    item.is_delete = true;
    item.key = TR_SLICE_LIT("gone");
    must_fail(t, item, TR_STATE_DELETE, 409, 10,
              "failed deleting state with key gone: possible etag mismatch. error from state store: state not exist or "
              "expired for key=app||gone");
}

static void a_first_write_fails_over_a_value(void **state)
{
    struct state_test *t = *state;
    struct api_state_item item = item_of("k", "1");
    item.concurrency = TR_SLICE_LIT("first-write");
    must_save(t, item);
    must_fail(t, item, TR_STATE_SAVE, 409, 10,
              "failed saving state in state store store: possible etag mismatch. error from state store: item already "
              "exists and no etag was passed");
    item.concurrency = TR_SLICE_LIT("last-write");
    item.consistency = TR_SLICE_LIT("eventual");
    must_save(t, item);
}

static void unknown_options_fail_the_write(void **state)
{
    struct state_test *t = *state;
    struct api_state_item item = item_of("k", "1");
    item.concurrency = TR_SLICE_LIT("none");
    must_fail(t, item, TR_STATE_SAVE, 500, 13,
              "failed saving state in state store store: unrecognized concurrency model 'none'");
    item.consistency = TR_SLICE_LIT("weak"); /* is looked at first */
    must_fail(t, item, TR_STATE_SAVE, 500, 13,
              "failed saving state in state store store: unrecognized consistency model 'weak'");
    item.is_delete = true;
    must_fail(t, item, TR_STATE_DELETE, 500, 13, "failed deleting state with key k: unrecognized consistency model 'weak'");
}

static int64_t expiry_of(struct state_test *t, const char *key)
{
    struct run run;
    run_init(t, &run, API_STATE_GET, 1);
    run.job.items[0].key = tr_slice_str(key);
    run_start(t, &run);
    assert_true(run.job.rows[0].value->found);
    const int64_t expiry = run.job.rows[0].value->has_expiry ? run.job.rows[0].value->expiry_unix_ms : 0;
    api_state_job_fini(&run.job);
    return expiry;
}

static void a_time_to_live_is_read_as_go_reads_numbers(void **state)
{
    struct state_test *t = *state;
    const struct {
        const char *ttl;
        int64_t seconds; /* 0: for ever */
    } good[] = { { "", 0 }, { "0", 0 }, { "-1", 0 }, { "-99", 0 }, { "60", 60 }, { "+60", 60 }, { "0060", 60 },
                 { "9223372036854775807", UINT32_MAX } };
    for (size_t i = 0; i < TR_ARRAY_LEN(good); i++) {
        struct api_state_item item = item_of("k", "1");
        item.ttl = tr_slice_str(good[i].ttl);
        const int64_t before = tr_loop_unix_ms(t->loop);
        must_save(t, item);
        const int64_t expiry = expiry_of(t, "k");
        if (good[i].seconds == 0) {
            assert_int_equal(expiry, 0);
        } else {
            assert_true(expiry >= before + good[i].seconds * 1000);
            assert_true(expiry <= tr_loop_unix_ms(t->loop) + good[i].seconds * 1000);
        }
    }
    static const struct {
        const char *ttl;
        const char *why;
    } bad[] = { { "abc", "\"abc\": invalid syntax" },
                { "1.5", "\"1.5\": invalid syntax" },
                { "-", "\"-\": invalid syntax" },
                { " 1", "\" 1\": invalid syntax" },
                { "9223372036854775808", "\"9223372036854775808\": value out of range" } };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        struct tr_buf message = { 0 };
        struct api_state_item item = item_of("k", "1");
        item.ttl = tr_slice_str(bad[i].ttl);
        tr_buf_addf(&message, "failed saving state in state store store: strconv.Atoi: parsing %s", bad[i].why);
        must_fail(t, item, TR_STATE_SAVE, 500, 13, tr_buf_cstr(&message));
        tr_buf_fini(&message);
    }
}

static void several_writes_stand_or_fail_each_by_itself(void **state)
{
    struct state_test *t = *state;
    struct run run;
    run_init(t, &run, API_STATE_SAVE, 4);
    upsert(&run, 0, "a", "1");
    upsert(&run, 1, "b", "2");
    upsert(&run, 2, "c", "3");
    upsert(&run, 3, "a", "4"); /* the later one counts */
    run.job.items[1].has_etag = true;
    run.job.items[1].etag = TR_SLICE_LIT("9");
    run_start(t, &run);
    assert_fault(&run, TR_STATE_SAVE, 409, 10,
                 "failed saving state in state store store: possible etag mismatch. error from state store: possible etag "
                 "mismatch. error from state store: state not exist or expired for key=app||b");
    api_state_job_fini(&run.job);
    assert_stored(t, "a", "4");
    assert_stored(t, "b", NULL);
    assert_stored(t, "c", "3");
}

static void failures_of_several_writes_are_joined(void **state)
{
    struct state_test *t = *state;
    struct run run;
    run_init(t, &run, API_STATE_DELETE_BULK, 3);
    for (size_t i = 0; i < 3; i++) {
        run.job.items[i] = (struct api_state_item){ .key = TR_SLICE_LIT("a"), .is_delete = true };
    }
    run.job.items[0].concurrency = TR_SLICE_LIT("x");
    run.job.items[2].consistency = TR_SLICE_LIT("y");
    run_start(t, &run);
    assert_fault(&run, TR_STATE_DELETE, 500, 13,
                 "failed deleting state in state store store: unrecognized concurrency model 'x'\nunrecognized consistency "
                 "model 'y'");
    assert_string_equal(run.job.fault.reason, "ERR_STATE_BULK_DELETE");
    api_state_job_fini(&run.job);
}

static void nothing_to_delete_is_done_at_once(void **state)
{
    struct state_test *t = *state;
    struct run run;
    run_init(t, &run, API_STATE_DELETE_BULK, 0);
    run_start(t, &run);
    assert_int_equal(run.job.fault.code, TR_OK);
    api_state_job_fini(&run.job);
}

static void a_transaction_is_whole_or_absent(void **state)
{
    struct state_test *t = *state;
    struct run run;
    must_save(t, item_of("old", "0"));
    run_init(t, &run, API_STATE_TRANSACT, 2);
    upsert(&run, 0, "a", "1");
    run.job.items[1] = (struct api_state_item){ .key = TR_SLICE_LIT("old"), .is_delete = true };
    run_start(t, &run);
    assert_int_equal(run.job.fault.code, TR_OK);
    api_state_job_fini(&run.job);
    assert_stored(t, "a", "1");
    assert_stored(t, "old", NULL);
    run_init(t, &run, API_STATE_TRANSACT, 2);
    upsert(&run, 0, "a", "2");
    upsert(&run, 1, "b", "2");
    run.job.items[1].has_etag = true;
    run.job.items[1].etag = TR_SLICE_LIT("9");
    run_start(t, &run);
    assert_fault(&run, TR_STATE_TRANSACTION, 500, 13, /* also for an etag */
                 "error while executing state transaction: possible etag mismatch. error from state store: state not exist "
                 "or expired for key=app||b");
    api_state_job_fini(&run.job);
    assert_stored(t, "a", "1");
}

static void a_transaction_with_a_bad_option_writes_nothing(void **state)
{
    struct state_test *t = *state;
    struct run run;
    run_init(t, &run, API_STATE_TRANSACT, 2);
    upsert(&run, 0, "a", "1");
    upsert(&run, 1, "b", "1");
    run.job.items[1].ttl = TR_SLICE_LIT("soon");
    run_start(t, &run);
    assert_fault(&run, TR_STATE_TRANSACTION, 500, 13,
                 "error while executing state transaction: strconv.Atoi: parsing \"soon\": invalid syntax");
    api_state_job_fini(&run.job);
    assert_stored(t, "a", NULL);
}

static void a_bulk_read_tells_of_each_key(void **state)
{
    static char long_key[TR_STORE_KEY_MAX + 1];
    struct state_test *t = *state;
    struct run run;
    memset(long_key, 'x', sizeof(long_key));
    must_save(t, item_of("a", "1"));
    run_init(t, &run, API_STATE_GET_BULK, 4);
    run.job.items[0].key = tr_slice(long_key, sizeof(long_key));
    run.job.items[1].key = TR_SLICE_LIT("none");
    run.job.items[2].key = TR_SLICE_LIT("a");
    run.job.items[3].key = TR_SLICE_LIT("a");
    run_start(t, &run);
    assert_int_equal(run.job.fault.code, TR_OK);
    assert_null(run.job.rows[0].value);
    assert_string_equal(run.job.rows[0].error, "the key has 4102 bytes, more than 4096");
    assert_false(run.job.rows[1].value->found);
    assert_true(tr_slice_eq_str(tr_buf_slice(&run.job.rows[2].value->value), "1"));
    assert_true(tr_slice_eq_str(tr_buf_slice(&run.job.rows[3].value->value), "1"));
    api_state_job_fini(&run.job);
    run_init(t, &run, API_STATE_GET_BULK, 1);
    run.job.items[0].key = tr_slice(long_key, sizeof(long_key));
    run_start(t, &run);
    assert_null(run.job.rows[0].value);
    api_state_job_fini(&run.job);
}

static void a_failing_store_is_named(void **state)
{
    struct state_test *t = *state;
    static const struct {
        enum api_state_action action;
        enum tr_code code;
        int grpc_status;
        const char *message;
        const char *reason;
    } cases[] = {
        { API_STATE_GET, TR_STATE_GET, 13, "fail to get k from state store broken: no disk", "ERR_STATE_GET" },
        { API_STATE_GET_BULK, TR_STATE_BULK_GET, 2, "no disk", NULL },
        { API_STATE_SAVE, TR_STATE_SAVE, 13, "failed saving state in state store broken: no disk", "ERR_STATE_SAVE" },
        { API_STATE_DELETE, TR_STATE_DELETE, 13, "failed deleting state with key k: no disk", "ERR_STATE_DELETE" },
        { API_STATE_DELETE_BULK, TR_STATE_DELETE, 13, "failed deleting state in state store broken: no disk",
          "ERR_STATE_BULK_DELETE" },
        { API_STATE_TRANSACT, TR_STATE_TRANSACTION, 13, "error while executing state transaction: no disk",
          "ERR_STATE_TRANSACTION" },
    };
    state_test_add_broken(t, "broken", TR_STORE_TRANSACTION);
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct run run;
        run_init(t, &run, cases[i].action, 1);
        run.job.store_name = TR_SLICE_LIT("broken");
        run.job.items[0].key = TR_SLICE_LIT("k");
        run_start(t, &run);
        assert_fault(&run, cases[i].code, 500, cases[i].grpc_status, cases[i].message);
        assert_true(run.job.fault.is_plain_over_http);
        assert_true(tr_slice_eq_str(tr_slice_str(run.job.fault.reason), cases[i].reason));
        api_state_job_fini(&run.job);
    }
}

static void a_store_without_transactions_says_so(void **state)
{
    struct state_test *t = *state;
    struct run run;
    state_test_add_broken(t, "plain", 0);
    run_init(t, &run, API_STATE_TRANSACT, 1);
    assert_true(api_state_can_transact(&run.job, api_state_store(&run.job, true)));
    run.job.store_name = TR_SLICE_LIT("plain");
    assert_false(api_state_can_transact(&run.job, api_state_store(&run.job, true)));
    assert_fault(&run, TR_STATE_NOT_SUPPORTED, 500, 12, "state store plain doesn't support transactions");
    assert_string_equal(run.job.fault.reason, "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED");
    assert_non_null(run.job.fault.help_url);
    api_state_job_fini(&run.job);
}

static void a_store_that_closes_meanwhile_ends_the_job(void **state)
{
    struct state_test *t = *state;
    struct run run;
    run_init(t, &run, API_STATE_SAVE, 2);
    upsert(&run, 0, "a", "1");
    upsert(&run, 1, "b", "1");
    api_state_start(&run.job, api_state_store(&run.job, true));
    tr_api_store_remove(t->api, TR_SLICE_LIT("store"));
    struct tr_store *store = t->memory;
    t->memory = NULL;
    state_test_close(t, store);
    state_test_wait(t, &run.is_done);
    assert_int_equal(run.job.fault.code, TR_OK);
    api_state_job_fini(&run.job);
}

static int set_up(void **state)
{
    static struct state_test t;
    state_test_init(&t, tr_loop_new());
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct state_test *t = *state;
    struct tr_loop *loop = t->loop;
    state_test_fini(t);
    tr_loop_free(&loop);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_is_saved_read_and_deleted),
        TEST(keys_carry_the_prefix_of_the_store),
        TEST(an_unknown_store_is_told_from_none_at_all),
        TEST(a_key_with_the_separator_is_refused),
        TEST(an_etag_must_match),
        TEST(a_first_write_fails_over_a_value),
        TEST(unknown_options_fail_the_write),
        TEST(a_time_to_live_is_read_as_go_reads_numbers),
        TEST(several_writes_stand_or_fail_each_by_itself),
        TEST(failures_of_several_writes_are_joined),
        TEST(nothing_to_delete_is_done_at_once),
        TEST(a_transaction_is_whole_or_absent),
        TEST(a_transaction_with_a_bad_option_writes_nothing),
        TEST(a_bulk_read_tells_of_each_key),
        TEST(a_failing_store_is_named),
        TEST(a_store_without_transactions_says_so),
        TEST(a_store_that_closes_meanwhile_ends_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
