/*
 * Other processes on the folder of a store: killed in the middle of their writes, writing at the same time, letting the
 * database grow beyond our map, dying as readers; and a disk that is full.
 *
 * A child is this program again, told what to do by its arguments; it waits for a byte to begin.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/base/rng.h"
#include "state/lmdb_env.h"
#include "tests/unit/state/store_contract.h"

static void open_in(struct store_test *t, const char *folder, uint64_t map_bytes)
{
    struct store_test fresh = { .loop = tr_loop_new() };
    (void)snprintf(fresh.folder, sizeof(fresh.folder), "%s", folder); /* it may be t's own */
    *t = fresh;
    const struct tr_store_lmdb_conf conf = { .path = t->folder, .map_bytes = map_bytes };
    assert_int_equal(tr_store_lmdb_open(t->loop, &conf, &t->store, &t->err), TR_OK);
}

/* Close without removing the folder. */
static void leave(struct store_test *t)
{
    store_test_close(t);
    tr_loop_free(&t->loop);
}

struct child {
    pid_t pid;
    int to;   /* what we write to it */
    int from; /* what it writes to us */
};

#define CHILD_IN  3
#define CHILD_OUT 4

/* Start this program as a child that runs the body of that name once it gets a byte, and ends with its result. */
static struct child child_start(const char *folder, const char *body)
{
    int down[2];
    int up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    const int in = fcntl(down[0], F_DUPFD_CLOEXEC, 10); /* out of the way of the numbers below */
    const int out = fcntl(up[1], F_DUPFD_CLOEXEC, 10);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(in, CHILD_IN);
        (void)dup2(out, CHILD_OUT);
        (void)execl("/proc/self/exe", "test_store_crash", body, folder, (char *)NULL);
        _exit(98);
    }
    (void)close(in);
    (void)close(out);
    (void)close(down[0]);
    (void)close(up[1]);
    return (struct child){ .pid = pid, .to = down[1], .from = up[0] };
}

static void child_go(struct child *child)
{
    assert_int_equal(write(child->to, "g", 1), 1);
}

static void child_close(struct child *child)
{
    (void)close(child->to);
    (void)close(child->from);
}

static void child_expect_success(struct child *child)
{
    int status = 0;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    child_close(child);
}

static void child_kill(struct child *child)
{
    int status = 0;
    assert_int_equal(kill(child->pid, SIGKILL), 0);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFSIGNALED(status));
}

/* --- killed while it writes ------------------------------------------------------------------------------------------ */

#define WRITERS 32U

/* One of many chains of writes: transaction `number` writes two rows that must agree. */
struct writer {
    struct tr_store_tx tx;
    struct tr_store_op ops[2];
    char keys[2][24];
    char value[24];
    uint32_t number;
};
static struct writer writers[WRITERS];
static struct tr_store *writers_store;
static uint32_t writers_next;

static void on_written(struct tr_store_tx *tx);

static void writer_start(struct writer *writer)
{
    writer->number = writers_next++;
    (void)snprintf(writer->keys[0], sizeof(writer->keys[0]), "one%u", writer->number);
    (void)snprintf(writer->keys[1], sizeof(writer->keys[1]), "two%u", writer->number);
    (void)snprintf(writer->value, sizeof(writer->value), "%u", writer->number);
    writer->ops[0] = upsert_of(writer->keys[0], writer->value);
    writer->ops[1] = upsert_of(writer->keys[1], writer->value);
    writer->tx = (struct tr_store_tx){ .ops = writer->ops, .ops_len = 2, .cb = on_written };
    tr_store_tx_start(writers_store, &writer->tx);
}

static void on_written(struct tr_store_tx *tx)
{
    struct writer *writer = TR_CONTAINER_OF(tx, struct writer, tx);
    if (tx->err.code != TR_OK ||
        write(CHILD_OUT, &writer->number, sizeof(writer->number)) != sizeof(writer->number)) {
        _exit(1);
    }
    writer_start(writer);
}

static int write_until_killed(const char *folder)
{
    struct store_test t;
    open_in(&t, folder, 0);
    writers_store = t.store;
    for (size_t i = 0; i < WRITERS; i++) {
        writer_start(&writers[i]);
    }
    tr_loop_run(t.loop);
    return 1;
}

static bool row_is(struct store_test *t, const char *name, uint32_t number, bool *out_found)
{
    char key[24];
    char want[24];
    (void)snprintf(key, sizeof(key), "%s%u", name, number);
    (void)snprintf(want, sizeof(want), "%u", number);
    const char *text = store_text(t, key, NULL);
    *out_found = strcmp(text, "-") != 0;
    return !*out_found || strcmp(text, want) == 0;
}

/* Every acknowledged transaction is there, and of the others each is whole or absent. */
static void check_rows(const char *folder, const bool *acked, uint32_t numbers_len)
{
    struct store_test t;
    open_in(&t, folder, 0);
    for (uint32_t number = 0; number < numbers_len; number++) {
        bool has_one = false;
        bool has_two = false;
        assert_true(row_is(&t, "one", number, &has_one));
        assert_true(row_is(&t, "two", number, &has_two));
        assert_int_equal(has_one, has_two);
        assert_true(has_one || !acked[number]);
    }
    assert_int_equal(store_put(&t, "after", "the crash"), TR_OK);
    leave(&t);
}

#define NUMBERS_MAX 20000U

static void what_was_acknowledged_survives_kill_9(void **state)
{
    (void)state;
    struct tr_rng rng;
    tr_rng_init_system(&rng);
    const uint64_t seed = tr_rng_next(&rng);
    print_message("seed=%llu\n", (unsigned long long)seed);
    tr_rng_init_seed(&rng, seed);
    for (unsigned round = 0; round < 5; round++) {
        struct store_test folder = { 0 };
        store_test_folder(&folder);
        bool *acked = calloc(NUMBERS_MAX, sizeof(*acked));
        struct child child = child_start(folder.folder, "write_until_killed");
        child_go(&child);
        const uint64_t acks_len = tr_rng_between(&rng, 1, 3000);
        uint32_t number = 0;
        uint32_t numbers_len = 0;
        for (uint64_t i = 0; i < acks_len; i++) {
            assert_int_equal(read(child.from, &number, sizeof(number)), sizeof(number));
            assert_true(number < NUMBERS_MAX - WRITERS);
            acked[number] = true;
        }
        child_kill(&child);
        while (read(child.from, &number, sizeof(number)) == sizeof(number) &&
               number < NUMBERS_MAX - WRITERS) {
            acked[number] = true; /* acknowledged before it died */
        }
        for (uint32_t i = 0; i < NUMBERS_MAX - WRITERS; i++) {
            numbers_len = acked[i] ? i + 1 + WRITERS : numbers_len;
        }
        check_rows(folder.folder, acked, numbers_len);
        child_close(&child);
        free(acked);
        folder.loop = tr_loop_new();
        store_test_fini(&folder);
    }
}

/* --- writing at the same time ---------------------------------------------------------------------------------------- */

#define COUNTS 60U

/* Raise a shared counter COUNTS times, each time by its etag. */
static int count_up(const char *folder)
{
    struct store_test t;
    open_in(&t, folder, 0);
    for (unsigned done = 0; done < COUNTS;) {
        char etag[TR_STORE_ETAG_MAX];
        char value[16];
        const char *text = store_text(&t, "count", etag);
        (void)snprintf(value, sizeof(value), "%lu", strtoul(text, NULL, 10) + 1);
        struct tr_store_op op = upsert_of("count", value);
        op.has_etag = true;
        op.etag = tr_slice_str(etag);
        const enum tr_code code = store_tx(&t, &op, 1, TR_SLICE_LIT(""), 0);
        if (code != TR_OK && code != TR_ETAG) {
            return 1;
        }
        done += code == TR_OK ? 1 : 0;
    }
    leave(&t);
    return 0;
}

static void counts_of_two_processes_add_up(void **state)
{
    (void)state;
    struct store_test t = { 0 };
    store_test_folder(&t);
    struct child one = child_start(t.folder, "count_up");
    struct child two = child_start(t.folder, "count_up");
    open_in(&t, t.folder, 0);
    assert_int_equal(store_put(&t, "count", "0"), TR_OK);
    child_go(&one);
    child_go(&two);
    child_expect_success(&one);
    child_expect_success(&two);
    assert_int_equal(strtoul(store_text(&t, "count", NULL), NULL, 10), 2 * COUNTS);
    store_test_fini(&t);
}

static void a_writer_goes_on_when_another_is_killed(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct store_test t = { 0 };
        store_test_folder(&t);
        struct child victim = child_start(t.folder, "write_until_killed");
        struct child other = child_start(t.folder, "count_up");
        open_in(&t, t.folder, 0);
        assert_int_equal(store_put(&t, "count", "0"), TR_OK);
        child_go(&victim);
        child_go(&other);
        uint32_t number = 0;
        for (unsigned i = 0; i < 30 * (round + 1); i++) {
            assert_int_equal(read(victim.from, &number, sizeof(number)), sizeof(number));
        }
        child_kill(&victim);
        child_close(&victim);
        child_expect_success(&other);
        assert_int_equal(strtoul(store_text(&t, "count", NULL), NULL, 10), COUNTS);
        store_test_fini(&t);
    }
}

/* --- growth, dead readers -------------------------------------------------------------------------------------------- */

#define LARGE_BYTES 100000U

static int write_large(const char *folder)
{
    struct store_test t;
    open_in(&t, folder, 64U << 20U);
    char *value = malloc(LARGE_BYTES);
    memset(value, 'v', LARGE_BYTES);
    for (unsigned i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "large%u", i);
        const struct tr_store_op op = { .key = tr_slice_str(key),
                                        .value = tr_slice(value, LARGE_BYTES) };
        if (store_tx(&t, &op, 1, TR_SLICE_LIT(""), 0) != TR_OK) {
            return 1;
        }
    }
    free(value);
    leave(&t);
    return 0;
}

static void growth_by_another_process_is_followed(void **state)
{
    (void)state;
    struct store_test t = { 0 };
    store_test_folder(&t);
    struct child child = child_start(t.folder, "write_large");
    open_in(&t, t.folder, 1U << 20U);
    assert_int_equal(store_put(&t, "k", "v"), TR_OK);
    assert_string_equal(store_text(&t, "k", NULL), "v");
    child_go(&child);
    child_expect_success(&child);
    assert_string_equal(store_text(&t, "k", NULL), "v");
    assert_string_not_equal(store_text(&t, "large99", NULL), "-");
    assert_int_equal(store_put(&t, "k", "w"), TR_OK);
    assert_string_equal(store_text(&t, "k", NULL), "w");
    store_test_fini(&t);
}

static void growth_is_followed_by_a_write_too(void **state)
{
    (void)state;
    struct store_test t = { 0 };
    store_test_folder(&t);
    struct child child = child_start(t.folder, "write_large");
    open_in(&t, t.folder, 1U << 20U);
    child_go(&child);
    child_expect_success(&child);
    assert_int_equal(store_put(&t, "k", "w"), TR_OK);
    assert_string_equal(store_text(&t, "k", NULL), "w");
    store_test_fini(&t);
}

/* Begin to read, say so, and wait to be killed. */
static int read_until_killed(const char *folder)
{
    struct tr_lmdb_env *env = NULL;
    MDB_txn *reader = NULL;
    struct tr_err err;
    char never;
    if (tr_lmdb_env_open(folder, 16U << 20U, &env, &err) != TR_OK ||
        tr_lmdb_read_begin(env, &reader, &err) != TR_OK || write(CHILD_OUT, "r", 1) != 1) {
        return 1;
    }
    return read(CHILD_IN, &never, 1) == 1 ? 0 : 1;
}

static void a_reader_that_died_is_removed(void **state)
{
    (void)state;
    struct store_test t = { 0 };
    store_test_folder(&t);
    struct child child = child_start(t.folder, "read_until_killed");
    open_in(&t, t.folder, 0);
    struct tr_lmdb_env *env = NULL;
    assert_int_equal(tr_lmdb_env_open(t.folder, 0, &env, &t.err), TR_OK);
    child_go(&child);
    char reading;
    assert_int_equal(read(child.from, &reading, 1), 1);
    assert_int_equal(tr_lmdb_readers_check(env), 0);
    child_kill(&child);
    child_close(&child);
    assert_int_equal(tr_lmdb_readers_check(env), 1);
    assert_int_equal(tr_lmdb_readers_check(env), 0);
    tr_lmdb_env_close(&env);
    store_test_fini(&t);
}

/* --- a full disk ----------------------------------------------------------------------------------------------------- */

static void a_full_disk_is_an_error_and_what_was_stored_stays(void **state)
{
    (void)state;
    struct store_test t = { 0 };
    store_test_folder(&t);
    open_in(&t, t.folder, 0);
    assert_int_equal(store_put(&t, "before", "v"), TR_OK);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    const struct rlimit small = { .rlim_cur = 300000,
                                  .rlim_max = before.rlim_max }; /* no whole number of pages */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char *value = malloc(LARGE_BYTES);
    memset(value, 'v', LARGE_BYTES);
    enum tr_code code = TR_OK;
    unsigned failed_at = 0;
    for (unsigned i = 0; i < 10 && code == TR_OK; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "large%u", i);
        const struct tr_store_op op = { .key = tr_slice_str(key),
                                        .value = tr_slice(value, LARGE_BYTES) };
        code = store_tx(&t, &op, 1, TR_SLICE_LIT(""), 0);
        failed_at = i;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(code, TR_LIMIT);
    assert_non_null(strstr(t.err.msg, "no space"));
    char key[16];
    (void)snprintf(key, sizeof(key), "large%u", failed_at);
    assert_string_equal(store_text(&t, key, NULL), "-");
    assert_string_equal(store_text(&t, "before", NULL), "v");
    const struct tr_store_op op = { .key = tr_slice_str(key),
                                    .value = tr_slice(value, LARGE_BYTES) };
    assert_int_equal(store_tx(&t, &op, 1, TR_SLICE_LIT(""), 0), TR_OK);
    assert_string_not_equal(store_text(&t, key, NULL), "-");
    free(value);
    store_test_fini(&t);
}

static int child_main(const char *name, const char *folder)
{
    static const struct {
        const char *name;
        int (*body)(const char *folder);
    } bodies[] = {
        { "write_until_killed", write_until_killed },
        { "count_up", count_up },
        { "write_large", write_large },
        { "read_until_killed", read_until_killed },
    };
    char go;
    for (size_t i = 0; i < TR_ARRAY_LEN(bodies); i++) {
        if (strcmp(bodies[i].name, name) == 0) {
            return read(CHILD_IN, &go, 1) == 1 ? bodies[i].body(folder) : 99;
        }
    }
    return 97;
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        return child_main(argv[1], argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_kill_9),
        cmocka_unit_test(counts_of_two_processes_add_up),
        cmocka_unit_test(a_writer_goes_on_when_another_is_killed),
        cmocka_unit_test(growth_by_another_process_is_followed),
        cmocka_unit_test(growth_is_followed_by_a_write_too),
        cmocka_unit_test(a_reader_that_died_is_removed),
        cmocka_unit_test(a_full_disk_is_an_error_and_what_was_stored_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
