/* One suite of what every store promises, run over each of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/state/store_contract.h"

/* --- fixture --------------------------------------------------------------------------------------------------------- */

#define WAIT_MS 30000U

static bool is_true(void *ctx)
{
    return *(bool *)ctx;
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

void store_test_init(struct store_test *t, store_open_fn *open)
{
    *t = (struct store_test){ .loop = tr_loop_new() };
    open(t);
}

void store_test_close(struct store_test *t)
{
    bool is_closed = false;
    tr_store_close(t->store, on_closed, &is_closed);
    assert_true(tr_loop_run_until(t->loop, is_true, &is_closed, WAIT_MS));
    t->store = NULL;
}

void store_test_folder(struct store_test *t)
{
    (void)snprintf(t->folder, sizeof(t->folder), "/tmp/troupe-store-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
}

void store_test_fini(struct store_test *t)
{
    if (t->store != NULL) {
        store_test_close(t);
    }
    tr_loop_free(&t->loop);
    if (t->folder[0] != '\0') {
        static const char *const files[] = { "data.mdb", "lock.mdb" };
        for (size_t i = 0; i < TR_ARRAY_LEN(files); i++) {
            char path[128];
            (void)snprintf(path, sizeof(path), "%s/%s", t->folder, files[i]);
            (void)unlink(path);
        }
        (void)rmdir(t->folder);
    }
}

/* The operations of these helpers find their waiter behind a static: one at a time. */
static bool is_done;

static void on_get(struct tr_store_get *get)
{
    (void)get;
    is_done = true;
}

static void on_tx(struct tr_store_tx *tx)
{
    (void)tx;
    is_done = true;
}

static void on_scan(struct tr_store_scan *scan)
{
    (void)scan;
    is_done = true;
}

void store_get(struct store_test *t, struct tr_store_get *get)
{
    is_done = false;
    get->cb = on_get;
    tr_store_get_start(t->store, get);
    assert_false(is_done);
    assert_true(tr_loop_run_until(t->loop, is_true, &is_done, WAIT_MS));
    t->err = get->err;
}

void store_scan(struct store_test *t, struct tr_store_scan *scan)
{
    is_done = false;
    scan->cb = on_scan;
    tr_store_scan_start(t->store, scan);
    assert_false(is_done);
    assert_true(tr_loop_run_until(t->loop, is_true, &is_done, WAIT_MS));
    t->err = scan->err;
}

enum tr_code store_tx(struct store_test *t, const struct tr_store_op *ops, size_t ops_len,
                      struct tr_slice partition, uint64_t epoch)
{
    struct tr_store_tx tx = {
        .ops = ops, .ops_len = ops_len, .partition = partition, .epoch = epoch, .cb = on_tx
    };
    is_done = false;
    tr_store_tx_start(t->store, &tx);
    assert_false(is_done);
    assert_true(tr_loop_run_until(t->loop, is_true, &is_done, WAIT_MS));
    t->err = tx.err;
    t->failed_at = tx.failed_at;
    return tx.err.code;
}

struct tr_store_op upsert_of(const char *key, const char *value)
{
    return (struct tr_store_op){ .kind = TR_STORE_UPSERT,
                                 .key = tr_slice_str(key),
                                 .value = tr_slice_str(value) };
}

struct tr_store_op delete_of(const char *key)
{
    return (struct tr_store_op){ .kind = TR_STORE_DELETE, .key = tr_slice_str(key) };
}

enum tr_code store_put(struct store_test *t, const char *key, const char *value)
{
    const struct tr_store_op op = upsert_of(key, value);
    return store_tx(t, &op, 1, TR_SLICE_LIT(""), 0);
}

enum tr_code store_remove(struct store_test *t, const char *key)
{
    const struct tr_store_op op = delete_of(key);
    return store_tx(t, &op, 1, TR_SLICE_LIT(""), 0);
}

const char *store_text(struct store_test *t, const char *key, char out_etag[TR_STORE_ETAG_MAX])
{
    static char text[256];
    const struct tr_slice keys[] = { tr_slice_str(key) };
    struct tr_store_get get = { .keys = keys, .keys_len = 1 };
    store_get(t, &get);
    assert_int_equal(get.err.code, TR_OK);
    const struct tr_store_value *value = &get.values[0];
    (void)snprintf(text, sizeof(text), "%.*s", value->found ? (int)value->value.len : 1,
                   value->found && value->value.len > 0 ? value->value.ptr
                   : value->found                       ? ""
                                                        : "-");
    if (out_etag != NULL) {
        memcpy(out_etag, value->etag, TR_STORE_ETAG_MAX);
    }
    tr_store_get_fini(&get);
    return text;
}

/* Wait until the wall clock of the loop has passed `unix_ms`. */
struct clock_wait {
    struct tr_loop *loop;
    int64_t unix_ms;
    struct tr_timer timer;
};

static bool clock_has_passed(void *ctx)
{
    const struct clock_wait *wait = ctx;
    return tr_loop_unix_ms(wait->loop) > wait->unix_ms;
}

static void on_clock(struct tr_timer *timer)
{
    struct clock_wait *wait = TR_CONTAINER_OF(timer, struct clock_wait, timer);
    tr_timer_set(timer, tr_loop_now_ms(wait->loop) + 1);
}

static void wait_for_clock(struct store_test *t, int64_t unix_ms)
{
    struct clock_wait wait = { .loop = t->loop, .unix_ms = unix_ms };
    tr_timer_init(&wait.timer, t->loop, on_clock);
    on_clock(&wait.timer);
    assert_true(tr_loop_run_until(t->loop, clock_has_passed, &wait, WAIT_MS));
    tr_timer_stop(&wait.timer);
}

/* --- what every store promises --------------------------------------------------------------------------------------- */

static void a_value_is_read_back_as_it_was_written(void **state)
{
    struct store_test *t = *state;
    assert_int_equal(store_put(t, "k", "value"), TR_OK);
    assert_string_equal(store_text(t, "k", NULL), "value");
    assert_int_equal(store_put(t, "k", ""), TR_OK);
    assert_string_equal(store_text(t, "k", NULL), "");
    assert_int_equal(store_remove(t, "k"), TR_OK);
    assert_string_equal(store_text(t, "k", NULL), "-");
    assert_int_equal(store_remove(t, "k"), TR_OK);
}

static void a_get_answers_each_key_in_order(void **state)
{
    struct store_test *t = *state;
    assert_int_equal(store_put(t, "a", "1"), TR_OK);
    assert_int_equal(store_put(t, "c", "3"), TR_OK);
    const struct tr_slice keys[] = { TR_SLICE_LIT("c"), TR_SLICE_LIT("b"), TR_SLICE_LIT("a"),
                                     TR_SLICE_LIT("c") };
    struct tr_store_get get = { .keys = keys, .keys_len = 4 };
    store_get(t, &get);
    assert_int_equal(get.err.code, TR_OK);
    assert_true(tr_slice_eq_str(tr_buf_slice(&get.values[0].value), "3"));
    assert_false(get.values[1].found);
    assert_true(tr_slice_eq_str(tr_buf_slice(&get.values[2].value), "1"));
    assert_string_equal(get.values[0].etag, get.values[3].etag);
    tr_store_get_fini(&get);
}

static void nothing_to_do_is_done(void **state)
{
    struct store_test *t = *state;
    assert_int_equal(store_tx(t, NULL, 0, TR_SLICE_LIT(""), 0), TR_OK);
    struct tr_store_get get = { 0 };
    store_get(t, &get);
    assert_int_equal(get.err.code, TR_OK);
    tr_store_get_fini(&get);
}

static void every_write_gives_a_new_etag(void **state)
{
    struct store_test *t = *state;
    char before[TR_STORE_ETAG_MAX];
    char after[TR_STORE_ETAG_MAX];
    char again[TR_STORE_ETAG_MAX];
    assert_int_equal(store_put(t, "k", "same"), TR_OK);
    (void)store_text(t, "k", before);
    assert_int_equal(store_put(t, "k", "same"), TR_OK);
    (void)store_text(t, "k", after);
    assert_string_not_equal(before, after);
    assert_int_equal(store_remove(t, "k"), TR_OK);
    assert_int_equal(store_put(t, "k", "same"), TR_OK);
    (void)store_text(t, "k", again);
    assert_string_not_equal(again, before);
    assert_string_not_equal(again, after);
}

static struct tr_store_op with_etag(struct tr_store_op op, const char *etag)
{
    op.has_etag = true;
    op.etag = tr_slice_str(etag);
    return op;
}

static void a_write_with_the_right_etag_is_done_and_with_another_refused(void **state)
{
    struct store_test *t = *state;
    char etag[TR_STORE_ETAG_MAX];
    assert_int_equal(store_put(t, "k", "1"), TR_OK);
    (void)store_text(t, "k", etag);
    const struct tr_store_op right = with_etag(upsert_of("k", "2"), etag);
    assert_int_equal(store_tx(t, &right, 1, TR_SLICE_LIT(""), 0), TR_OK);
    assert_int_equal(store_tx(t, &right, 1, TR_SLICE_LIT(""), 0), TR_ETAG);
    const struct tr_store_op gone = with_etag(delete_of("k"), etag);
    assert_int_equal(store_tx(t, &gone, 1, TR_SLICE_LIT(""), 0), TR_ETAG);
    static const char *const foreign[] = { "1",  "999999", "not a number", "18446744073709551616",
                                           "-1", " " };
    for (size_t i = 0; i < TR_ARRAY_LEN(foreign); i++) {
        const struct tr_store_op op = with_etag(upsert_of("k", "3"), foreign[i]);
        assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_ETAG);
    }
    assert_string_equal(store_text(t, "k", etag), "2");
    const struct tr_store_op last = with_etag(delete_of("k"), etag);
    assert_int_equal(store_tx(t, &last, 1, TR_SLICE_LIT(""), 0), TR_OK);
    assert_int_equal(store_tx(t, &last, 1, TR_SLICE_LIT(""), 0), TR_ETAG);
    assert_string_equal(
        t->err.msg,
        "possible etag mismatch. error from state store: state not exist or expired for key=k");
}

static void an_empty_etag_is_none(void **state)
{
    struct store_test *t = *state;
    const struct tr_store_op op = with_etag(upsert_of("k", "1"), "");
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_OK);
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_OK);
}

static void a_first_write_finds_the_key_free(void **state)
{
    struct store_test *t = *state;
    struct tr_store_op op = upsert_of("k", "1");
    op.is_first_write = true;
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_OK);
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_ETAG);
    char etag[TR_STORE_ETAG_MAX];
    (void)store_text(t, "k", etag);
    op = with_etag(op, etag);
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_OK);
}

static void a_transaction_is_whole_or_absent(void **state)
{
    struct store_test *t = *state;
    assert_int_equal(store_put(t, "b", "old"), TR_OK);
    assert_int_equal(store_put(t, "d", "old"), TR_OK);
    const struct tr_store_op bad[] = { upsert_of("a", "new"), upsert_of("b", "new"),
                                       with_etag(upsert_of("c", "new"), "7"), delete_of("d") };
    assert_int_equal(store_tx(t, bad, 4, TR_SLICE_LIT(""), 0), TR_ETAG);
    assert_int_equal(t->failed_at, 2);
    assert_string_equal(store_text(t, "a", NULL), "-");
    assert_string_equal(store_text(t, "b", NULL), "old");
    assert_string_equal(store_text(t, "d", NULL), "old");
    const struct tr_store_op good[] = { upsert_of("a", "new"), upsert_of("b", "new"),
                                        delete_of("d") };
    assert_int_equal(store_tx(t, good, 3, TR_SLICE_LIT(""), 0), TR_OK);
    assert_string_equal(store_text(t, "a", NULL), "new");
    assert_string_equal(store_text(t, "b", NULL), "new");
    assert_string_equal(store_text(t, "d", NULL), "-");
}

static void operations_of_a_transaction_take_effect_in_order(void **state)
{
    struct store_test *t = *state;
    const struct tr_store_op ops[] = { upsert_of("a", "1"), delete_of("a"), upsert_of("b", "1"),
                                       upsert_of("b", "2"), delete_of("c"), upsert_of("c", "3") };
    assert_int_equal(store_tx(t, ops, TR_ARRAY_LEN(ops), TR_SLICE_LIT(""), 0), TR_OK);
    assert_string_equal(store_text(t, "a", NULL), "-");
    assert_string_equal(store_text(t, "b", NULL), "2");
    assert_string_equal(store_text(t, "c", NULL), "3");
}

/* Many operations at once, which end in the order of their starts. */
#define MANY 5000U /* more than one commit takes */

struct many {
    struct tr_store_tx tx[MANY];
    struct tr_store_op op[MANY];
    char key[MANY][16];
    size_t done_len;
};
static struct many *many;

static void on_many(struct tr_store_tx *tx)
{
    assert_int_equal(tx->err.code, TR_OK);
    assert_ptr_equal(tx, &many->tx[many->done_len]);
    many->done_len++;
}

static bool many_are_done(void *ctx)
{
    (void)ctx;
    return many->done_len == MANY;
}

static void transactions_end_in_the_order_of_their_starts(void **state)
{
    struct store_test *t = *state;
    many = calloc(1, sizeof(*many));
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(many->key[i], sizeof(many->key[i]), "k%zu", i % 100);
        many->op[i] = upsert_of(many->key[i], many->key[i]);
        many->tx[i] = (struct tr_store_tx){ .ops = &many->op[i], .ops_len = 1, .cb = on_many };
        tr_store_tx_start(t->store, &many->tx[i]);
    }
    assert_int_equal(many->done_len, 0);
    assert_true(tr_loop_run_until(t->loop, many_are_done, NULL, WAIT_MS));
    assert_string_equal(store_text(t, "k99", NULL), "k99");
    free(many);
}

/* The end of a transaction that another one is waited for behind it. */
static void on_earlier_tx(struct tr_store_tx *tx)
{
    (void)tx;
}

static void of_two_first_writes_at_once_one_wins(void **state)
{
    struct store_test *t = *state;
    struct tr_store_op op = upsert_of("k", "v");
    op.is_first_write = true;
    struct tr_store_tx one = { .ops = &op, .ops_len = 1, .cb = on_earlier_tx };
    tr_store_tx_start(t->store, &one);
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_ETAG);
    assert_int_equal(one.err.code, TR_OK);
}

/* --- expiry ---------------------------------------------------------------------------------------------------------- */

static struct tr_store_op with_ttl(struct tr_store_op op, uint32_t ttl_s)
{
    op.has_ttl = true;
    op.ttl_s = ttl_s;
    return op;
}

static void a_value_with_a_ttl_shows_when_it_expires(void **state)
{
    struct store_test *t = *state;
    const struct tr_store_op op = with_ttl(upsert_of("k", "v"), 100);
    const int64_t before = tr_loop_unix_ms(t->loop);
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_OK);
    const struct tr_slice keys[] = { TR_SLICE_LIT("k") };
    struct tr_store_get get = { .keys = keys, .keys_len = 1 };
    store_get(t, &get);
    assert_true(get.values[0].has_expiry);
    assert_true(get.values[0].expiry_unix_ms >= before + 100000 - t->expiry_grain_ms);
    assert_true(get.values[0].expiry_unix_ms <= tr_loop_unix_ms(t->loop) + 100000);
    tr_store_get_fini(&get);
    assert_int_equal(store_put(t, "k", "v"), TR_OK);
    struct tr_store_get again = { .keys = keys, .keys_len = 1 };
    store_get(t, &again);
    assert_false(again.values[0].has_expiry);
    tr_store_get_fini(&again);
}

static void an_expired_value_is_absent_at_once_and_for_etags_too(void **state)
{
    struct store_test *t = *state;
    char etag[TR_STORE_ETAG_MAX];
    const struct tr_store_op op = with_ttl(upsert_of("k", "v"), 1);
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT(""), 0), TR_OK);
    const int64_t written = tr_loop_unix_ms(t->loop);
    assert_int_equal(store_put(t, "other", "v"), TR_OK);
    assert_string_equal(store_text(t, "k", etag), "v");
    wait_for_clock(t, written + 1000);
    assert_string_equal(store_text(t, "k", NULL), "-");
    struct tr_store_scan scan = { .rows_max = 10 };
    store_scan(t, &scan);
    assert_int_equal(scan.rows_len, 1);
    tr_store_scan_fini(&scan);
    const struct tr_store_op late = with_etag(upsert_of("k", "w"), etag);
    assert_int_equal(store_tx(t, &late, 1, TR_SLICE_LIT(""), 0), TR_ETAG);
    struct tr_store_op first = upsert_of("k", "first");
    first.is_first_write = true;
    assert_int_equal(store_tx(t, &first, 1, TR_SLICE_LIT(""), 0), TR_OK);
    /* The sweep of the old value leaves the new one alone. */
    wait_for_clock(t, written + 1000 + 2 * TR_STORE_SWEEP_MS);
    assert_string_equal(store_text(t, "k", NULL), "first");
}

/* --- scans ----------------------------------------------------------------------------------------------------------- */

static void a_scan_gives_the_keys_of_a_prefix_in_order(void **state)
{
    struct store_test *t = *state;
    static const char *const keys[] = { "b||2", "a||1", "b||10", "b||1", "b|", "c", "b||\xff" };
    for (size_t i = 0; i < TR_ARRAY_LEN(keys); i++) {
        assert_int_equal(store_put(t, keys[i], keys[i]), TR_OK);
    }
    struct tr_store_scan scan = { .prefix = TR_SLICE_LIT("b||"), .rows_max = 10 };
    store_scan(t, &scan);
    assert_int_equal(scan.err.code, TR_OK);
    assert_int_equal(scan.rows_len, 4);
    assert_false(scan.has_more);
    static const char *const want[] = { "b||1", "b||10", "b||2", "b||\xff" };
    for (size_t i = 0; i < 4; i++) {
        assert_true(tr_slice_eq_str(tr_buf_slice(&scan.rows[i].key), want[i]));
        assert_true(tr_slice_eq_str(tr_buf_slice(&scan.rows[i].value.value), want[i]));
    }
    tr_store_scan_fini(&scan);
}

/* Scan in steps of `step` rows; count the rows and check that each comes once. */
static size_t scan_all(struct store_test *t, struct tr_slice prefix, size_t step)
{
    struct tr_buf after = { 0 };
    size_t len = 0;
    bool has_more = true;
    while (has_more) {
        struct tr_store_scan scan = { .prefix = prefix,
                                      .after = tr_buf_slice(&after),
                                      .rows_max = step };
        store_scan(t, &scan);
        assert_int_equal(scan.err.code, TR_OK);
        assert_true(scan.rows_len <= step);
        assert_true(!scan.has_more || scan.rows_len == step);
        for (size_t i = 0; i < scan.rows_len; i++) {
            assert_true(tr_slice_starts(tr_buf_slice(&scan.rows[i].key), prefix));
        }
        len += scan.rows_len;
        has_more = scan.has_more;
        if (scan.rows_len > 0) {
            tr_buf_set(&after, tr_buf_slice(&scan.rows[scan.rows_len - 1].key));
        }
        tr_store_scan_fini(&scan);
    }
    tr_buf_fini(&after);
    return len;
}

static void a_scan_goes_on_where_it_stopped(void **state)
{
    struct store_test *t = *state;
    for (unsigned i = 0; i < 25; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "p%02u", i);
        assert_int_equal(store_put(t, key, "v"), TR_OK);
    }
    assert_int_equal(store_put(t, "q", "v"), TR_OK);
    for (size_t step = 1; step < 30; step++) {
        assert_int_equal(scan_all(t, TR_SLICE_LIT("p"), step), 25);
    }
    assert_int_equal(scan_all(t, TR_SLICE_LIT(""), 5), 26);
    assert_int_equal(scan_all(t, TR_SLICE_LIT("p0"), 3), 10);
    assert_int_equal(scan_all(t, TR_SLICE_LIT("r"), 3), 0);
}

/* A key of `len` bytes that differs from others of that length only at its end. */
static void long_key(struct tr_buf *key, size_t len, unsigned number)
{
    tr_buf_clear(key);
    while (key->len < len - 8) {
        tr_buf_add_char(key, 'x');
    }
    tr_buf_addf(key, "%08u", number);
}

static void long_keys_are_as_good_as_short_ones(void **state)
{
    struct store_test *t = *state;
    struct tr_buf key = { 0 };
    static const size_t lens[] = { 486, 487, 488, 503, 504, 511, 512, TR_STORE_KEY_MAX };
    for (size_t i = 0; i < TR_ARRAY_LEN(lens); i++) {
        for (unsigned number = 0; number < 7; number++) {
            long_key(&key, lens[i], number);
            assert_int_equal(store_put(t, tr_buf_cstr(&key), tr_buf_cstr(&key) + lens[i] - 8),
                             TR_OK);
        }
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(lens); i++) {
        for (unsigned number = 0; number < 7; number++) {
            long_key(&key, lens[i], number);
            assert_string_equal(store_text(t, tr_buf_cstr(&key), NULL),
                                tr_buf_cstr(&key) + lens[i] - 8);
        }
    }
    for (size_t step = 1; step < 60; step += 7) {
        assert_int_equal(scan_all(t, TR_SLICE_LIT("x"), step), 7 * TR_ARRAY_LEN(lens));
        tr_buf_clear(&key);
        while (key.len < 505) {
            tr_buf_add_char(&key, 'x');
        }
        assert_int_equal(scan_all(t, tr_buf_slice(&key), step), 7);
    }
    long_key(&key, 600, 1);
    assert_string_equal(store_text(t, tr_buf_cstr(&key), NULL), "-");
    long_key(&key, 512, 1);
    assert_int_equal(store_remove(t, tr_buf_cstr(&key)), TR_OK);
    assert_string_equal(store_text(t, tr_buf_cstr(&key), NULL), "-");
    tr_buf_fini(&key);
}

/* --- limits, epochs, the end ----------------------------------------------------------------------------------------- */

static void what_is_too_large_or_empty_is_refused(void **state)
{
    struct store_test *t = *state;
    struct tr_buf key = { 0 };
    long_key(&key, TR_STORE_KEY_MAX + 1, 1);
    const struct tr_store_op bad_key[] = { upsert_of("a", "1"), upsert_of(tr_buf_cstr(&key), "v") };
    assert_int_equal(store_tx(t, bad_key, 2, TR_SLICE_LIT(""), 0), TR_LIMIT);
    assert_int_equal(t->failed_at, 1);
    assert_int_equal(store_put(t, "", "v"), TR_INVALID);
    assert_string_equal(store_text(t, "a", NULL), "-");
    struct tr_slice keys[] = { TR_SLICE_LIT("a"), tr_buf_slice(&key) };
    struct tr_store_get get = { .keys = keys, .keys_len = 2 };
    store_get(t, &get);
    assert_int_equal(get.err.code, TR_LIMIT);
    assert_null(get.values);
    struct tr_store_get many_keys = { .keys = keys, .keys_len = TR_STORE_OPS_MAX + 1 };
    store_get(t, &many_keys);
    assert_int_equal(many_keys.err.code, TR_LIMIT);
    assert_int_equal(store_tx(t, bad_key, TR_STORE_OPS_MAX + 1, TR_SLICE_LIT(""), 0), TR_LIMIT);
    static const size_t rows_max[] = { 0, TR_STORE_SCAN_MAX + 1 };
    for (size_t i = 0; i < 2; i++) {
        struct tr_store_scan scan = { .rows_max = rows_max[i] };
        store_scan(t, &scan);
        assert_int_equal(scan.err.code, TR_LIMIT);
        assert_null(scan.rows);
    }
    const struct tr_store_op large = { .key = TR_SLICE_LIT("k"),
                                       .value = { .ptr = "", .len = TR_STORE_VALUE_MAX + 1 } };
    assert_int_equal(store_tx(t, &large, 1, TR_SLICE_LIT(""), 0), TR_LIMIT);
    tr_buf_fini(&key);
}

static size_t gets_done_len;

static void on_counted(struct tr_store_get *get)
{
    (void)get;
    gets_done_len++;
}

static bool gets_are_done(void *ctx)
{
    (void)ctx;
    return gets_done_len == TR_STORE_OPEN_MAX + 1;
}

static void one_operation_too_many_is_refused_and_the_others_are_done(void **state)
{
    struct store_test *t = *state;
    struct tr_store_get *gets = calloc(TR_STORE_OPEN_MAX + 1, sizeof(*gets));
    gets_done_len = 0;
    for (size_t i = 0; i <= TR_STORE_OPEN_MAX; i++) {
        gets[i].cb = on_counted;
        tr_store_get_start(t->store, &gets[i]);
    }
    assert_true(tr_loop_run_until(t->loop, gets_are_done, NULL, WAIT_MS));
    assert_int_equal(gets[TR_STORE_OPEN_MAX - 1].err.code, TR_OK);
    assert_int_equal(gets[TR_STORE_OPEN_MAX].err.code, TR_LIMIT);
    for (size_t i = 0; i <= TR_STORE_OPEN_MAX; i++) {
        tr_store_get_fini(&gets[i]);
    }
    free(gets);
    assert_int_equal(store_put(t, "k", "v"), TR_OK);
}

static void an_older_epoch_of_a_partition_is_refused(void **state)
{
    struct store_test *t = *state;
    const struct tr_store_op op = upsert_of("k", "2");
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT("p"), 2), TR_OK);
    const struct tr_store_op old = upsert_of("k", "1");
    assert_int_equal(store_tx(t, &old, 1, TR_SLICE_LIT("p"), 1), TR_PRECONDITION);
    assert_string_equal(store_text(t, "k", NULL), "2");
    assert_int_equal(store_tx(t, &old, 1, TR_SLICE_LIT("p"), 2), TR_OK);
    assert_int_equal(store_tx(t, &old, 1, TR_SLICE_LIT("q"), 1), TR_OK);
    assert_int_equal(store_tx(t, &old, 1, TR_SLICE_LIT("p"), 0), TR_OK);
    /* A transaction that fails for another reason raises no epoch. */
    const struct tr_store_op bad = with_etag(upsert_of("k", "3"), "7");
    assert_int_equal(store_tx(t, &bad, 1, TR_SLICE_LIT("p"), 9), TR_ETAG);
    assert_int_equal(store_tx(t, &op, 1, TR_SLICE_LIT("p"), 3), TR_OK);
}

static void closing_finishes_what_was_started_and_refuses_the_rest(void **state)
{
    struct store_test *t = *state;
    const struct tr_store_op op = upsert_of("k", "v");
    struct tr_store_tx before = { .ops = &op, .ops_len = 1, .cb = on_tx };
    struct tr_store_tx after = before;
    const struct tr_slice keys[] = { TR_SLICE_LIT("k") };
    struct tr_store_get get = { .keys = keys, .keys_len = 1, .cb = on_get };
    bool is_closed = false;
    tr_store_tx_start(t->store, &before);
    tr_store_get_start(t->store, &get);
    tr_store_close(t->store, on_closed, &is_closed);
    tr_store_tx_start(t->store, &after);
    assert_true(tr_loop_run_until(t->loop, is_true, &is_closed, WAIT_MS));
    assert_int_equal(before.err.code, TR_OK);
    assert_int_equal(get.err.code, TR_OK);
    assert_int_equal(after.err.code, TR_CLOSED);
    tr_store_get_fini(&get);
    t->store = NULL;
}

static struct tr_store_get second_get;

static void on_first_get(struct tr_store_get *get)
{
    tr_store_get_fini(get);
    second_get = (struct tr_store_get){ .keys = get->keys, .keys_len = 1, .cb = on_get };
    tr_store_get_start(get->store, &second_get);
}

static void an_operation_may_start_another_from_its_callback(void **state)
{
    struct store_test *t = *state;
    assert_int_equal(store_put(t, "k", "v"), TR_OK);
    const struct tr_slice keys[] = { TR_SLICE_LIT("k") };
    struct tr_store_get get = { .keys = keys, .keys_len = 1, .cb = on_first_get };
    is_done = false;
    tr_store_get_start(t->store, &get);
    assert_true(tr_loop_run_until(t->loop, is_true, &is_done, WAIT_MS));
    assert_true(second_get.values[0].found);
    tr_store_get_fini(&second_get);
}

/* --- the run --------------------------------------------------------------------------------------------------------- */

static store_open_fn *suite_open;

static int set_up(void **state)
{
    struct store_test *t = calloc(1, sizeof(*t));
    store_test_init(t, suite_open);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    store_test_fini(*state);
    free(*state);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int store_contract_run(const char *name, store_open_fn *open)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_value_is_read_back_as_it_was_written),
        CASE(a_get_answers_each_key_in_order),
        CASE(nothing_to_do_is_done),
        CASE(every_write_gives_a_new_etag),
        CASE(a_write_with_the_right_etag_is_done_and_with_another_refused),
        CASE(an_empty_etag_is_none),
        CASE(a_first_write_finds_the_key_free),
        CASE(a_transaction_is_whole_or_absent),
        CASE(operations_of_a_transaction_take_effect_in_order),
        CASE(transactions_end_in_the_order_of_their_starts),
        CASE(of_two_first_writes_at_once_one_wins),
        CASE(a_value_with_a_ttl_shows_when_it_expires),
        CASE(an_expired_value_is_absent_at_once_and_for_etags_too),
        CASE(a_scan_gives_the_keys_of_a_prefix_in_order),
        CASE(a_scan_goes_on_where_it_stopped),
        CASE(long_keys_are_as_good_as_short_ones),
        CASE(what_is_too_large_or_empty_is_refused),
        CASE(one_operation_too_many_is_refused_and_the_others_are_done),
        CASE(an_older_epoch_of_a_partition_is_refused),
        CASE(closing_finishes_what_was_started_and_refuses_the_rest),
        CASE(an_operation_may_start_another_from_its_callback),
    };
    suite_open = open;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
