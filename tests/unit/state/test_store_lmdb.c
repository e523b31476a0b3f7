/* The store on LMDB keeps the contract, and what it says about its folder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "state/lmdb_env.h"
#include "tests/unit/state/store_contract.h"

static enum tr_code open_at(struct store_test *t, const char *path, uint64_t map_bytes,
                            struct tr_store **out_store)
{
    const struct tr_store_lmdb_conf conf = { .path = path, .map_bytes = map_bytes };
    return tr_store_lmdb_open(t->loop, &conf, out_store, &t->err);
}

static void open_lmdb(struct store_test *t)
{
    store_test_folder(t);
    assert_int_equal(open_at(t, t->folder, 0, &t->store), TR_OK);
}

static void reopen(struct store_test *t)
{
    store_test_close(t);
    assert_int_equal(open_at(t, t->folder, 0, &t->store), TR_OK);
}

static void rows_and_etags_survive_the_close(void **state)
{
    (void)state;
    struct store_test t;
    char before[TR_STORE_ETAG_MAX];
    char after[TR_STORE_ETAG_MAX];
    store_test_init(&t, open_lmdb);
    assert_int_equal(store_put(&t, "k", "v"), TR_OK);
    (void)store_text(&t, "k", before);
    reopen(&t);
    assert_string_equal(store_text(&t, "k", after), "v");
    assert_string_equal(before, after);
    assert_int_equal(store_put(&t, "k", "w"), TR_OK);
    (void)store_text(&t, "k", after);
    assert_string_not_equal(before, after);
    store_test_fini(&t);
}

static void an_epoch_survives_the_close(void **state)
{
    (void)state;
    struct store_test t;
    store_test_init(&t, open_lmdb);
    const struct tr_store_op op = upsert_of("k", "v");
    assert_int_equal(store_tx(&t, &op, 1, TR_SLICE_LIT("p"), 7), TR_OK);
    assert_int_equal(store_tx(&t, &op, 1, TR_SLICE_LIT(""), 3), TR_OK);
    reopen(&t);
    assert_int_equal(store_tx(&t, &op, 1, TR_SLICE_LIT("p"), 6), TR_PRECONDITION);
    assert_int_equal(store_tx(&t, &op, 1, TR_SLICE_LIT(""), 2), TR_PRECONDITION);
    assert_int_equal(store_tx(&t, &op, 1, TR_SLICE_LIT("p"), 7), TR_OK);
    store_test_fini(&t);
}

static void two_stores_of_one_process_share_a_folder(void **state)
{
    (void)state;
    struct store_test t;
    struct store_test other;
    store_test_init(&t, open_lmdb);
    other = t;
    other.folder[0] = '\0';
    char dotted[128];
    (void)snprintf(dotted, sizeof(dotted), "%s/.", t.folder);
    assert_int_equal(open_at(&other, dotted, UINT64_C(64) << 30U, &other.store), TR_OK);
    assert_int_equal(store_put(&t, "k", "v"), TR_OK);
    assert_string_equal(store_text(&other, "k", NULL), "v");
    store_test_close(&t);
    assert_int_equal(store_put(&other, "k", "w"), TR_OK);
    assert_int_equal(open_at(&t, t.folder, 0, &t.store), TR_OK);
    assert_string_equal(store_text(&t, "k", NULL), "w");
    store_test_close(&other);
    assert_string_equal(store_text(&t, "k", NULL), "w");
    store_test_fini(&t);
}

/* Waits until so many entries are left in the two databases; the environment is shared with the store. */
struct entries_wait {
    struct tr_lmdb_env *env;
    size_t rows_len;
    size_t due_len;
};

static bool entries_are_left(void *ctx)
{
    const struct entries_wait *wait = ctx;
    MDB_txn *reader = NULL;
    MDB_stat rows;
    MDB_stat due;
    struct tr_err err;
    assert_int_equal(tr_lmdb_read_begin(wait->env, &reader, &err), TR_OK);
    assert_int_equal(mdb_stat(reader, wait->env->rows, &rows), 0);
    assert_int_equal(mdb_stat(reader, wait->env->due, &due), 0);
    tr_lmdb_read_end(wait->env, reader);
    mdb_txn_abort(reader);
    return rows.ms_entries == wait->rows_len && due.ms_entries == wait->due_len;
}

static void expired_rows_are_swept_also_after_a_restart(void **state)
{
    (void)state;
    struct store_test t;
    store_test_init(&t, open_lmdb);
    struct tr_store_op ops[] = { upsert_of("a", "1"), upsert_of("b", "2"), upsert_of("c", "3"),
                                 upsert_of("d", "4") };
    for (size_t i = 0; i < TR_ARRAY_LEN(ops); i++) {
        ops[i].has_ttl = true;
        ops[i].ttl_s = i == 3 ? 1000 : 1;
    }
    assert_int_equal(store_tx(&t, ops, 4, TR_SLICE_LIT(""), 0), TR_OK);
    assert_int_equal(store_put(&t, "c", "stays"), TR_OK);
    reopen(&t);
    struct entries_wait wait = { .rows_len = 4, .due_len = 3 };
    assert_int_equal(tr_lmdb_env_open(t.folder, 0, &wait.env, &t.err), TR_OK);
    assert_true(entries_are_left(&wait));
    wait.rows_len = 2;
    wait.due_len = 1;
    assert_true(tr_loop_run_until(t.loop, entries_are_left, &wait, 30000));
    assert_string_equal(store_text(&t, "c", NULL), "stays");
    assert_string_equal(store_text(&t, "d", NULL), "4");
    tr_lmdb_env_close(&wait.env);
    store_test_fini(&t);
}

static void a_full_database_says_so_and_still_reads_and_deletes(void **state)
{
    (void)state;
    struct store_test t;
    store_test_init(&t, open_lmdb);
    store_test_close(&t);
    assert_int_equal(open_at(&t, t.folder, 1U << 20U, &t.store), TR_OK);
    struct tr_buf value = { 0 };
    tr_buf_reserve(&value, 100000);
    memset(value.ptr, 'v', 100000);
    value.len = 100000;
    char key[16];
    enum tr_code code = TR_OK;
    unsigned stored_len = 0;
    for (unsigned i = 0; i < 20 && code == TR_OK; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        const struct tr_store_op op = { .key = tr_slice_str(key), .value = tr_buf_slice(&value) };
        code = store_tx(&t, &op, 1, TR_SLICE_LIT(""), 0);
        stored_len = i;
    }
    assert_int_equal(code, TR_LIMIT);
    assert_non_null(strstr(t.err.msg, "the database is full; raise mapSizeMb"));
    assert_non_null(strstr(t.err.msg, t.folder));
    assert_string_equal(store_text(&t, key, NULL), "-");
    assert_string_not_equal(store_text(&t, "k0", NULL), "-");
    assert_true(stored_len > 5);
    assert_int_equal(store_remove(&t, "k0"), TR_OK);
    assert_int_equal(store_remove(&t, "k1"), TR_OK);
    assert_int_equal(store_put(&t, "small", "fits"), TR_OK);
    tr_buf_fini(&value);
    store_test_fini(&t);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_path_that_is_no_folder_is_refused(void **state)
{
    (void)state;
    struct store_test t;
    struct tr_store *store;
    store_test_init(&t, open_lmdb);
    store_test_close(&t);
    char path[128];
    write_file(t.folder, "file", "text");
    (void)snprintf(path, sizeof(path), "%s/file", t.folder);
    assert_int_equal(open_at(&t, path, 0, &store), TR_PRECONDITION);
    assert_non_null(strstr(t.err.msg, "/file: the path is not a folder"));
    (void)snprintf(path, sizeof(path), "%s/file/below", t.folder);
    assert_int_equal(open_at(&t, path, 0, &store), TR_PRECONDITION);
    (void)snprintf(path, sizeof(path), "%s/file", t.folder);
    assert_int_equal(unlink(path), 0);
    store_test_fini(&t);
}

static void missing_folders_are_made(void **state)
{
    (void)state;
    struct store_test t;
    store_test_init(&t, open_lmdb);
    store_test_close(&t);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/a/b/", t.folder);
    assert_int_equal(open_at(&t, path, 0, &t.store), TR_OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    store_test_close(&t);
    static const char *const gone[] = { "a/b/data.mdb", "a/b/lock.mdb", "a/b", "a" };
    for (size_t i = 0; i < TR_ARRAY_LEN(gone); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", t.folder, gone[i]);
        assert_int_equal(i < 2 ? unlink(path) : rmdir(path), 0);
    }
    store_test_fini(&t);
}

static void a_folder_without_rights_is_refused(void **state)
{
    (void)state;
    struct store_test t;
    struct tr_store *store;
    if (geteuid() == 0) { /* root has all rights: leave them for this test */
        assert_int_equal(seteuid(65534), 0);
    }
    t = (struct store_test){ .loop = tr_loop_new() };
    store_test_folder(&t);
    assert_int_equal(chmod(t.folder, 0500), 0);
    assert_int_equal(open_at(&t, t.folder, 0, &store), TR_PERMISSION);
    assert_non_null(strstr(t.err.msg, "Permission denied"));
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/below", t.folder);
    assert_int_equal(open_at(&t, path, 0, &store), TR_PERMISSION);
    (void)seteuid(getuid());
    store_test_fini(&t);
}

static void what_is_not_a_store_of_ours_is_refused(void **state)
{
    (void)state;
    struct store_test t;
    struct tr_store *store;
    store_test_init(&t, open_lmdb);
    store_test_close(&t);
    char text[8193];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    write_file(t.folder, "data.mdb", text);
    assert_int_equal(open_at(&t, t.folder, 0, &store), TR_PRECONDITION);
    assert_non_null(strstr(t.err.msg, "the folder has a database that is not a state store"));
    store_test_fini(&t);
}

/* Put one record into the unnamed database of a folder. */
static void meta_write(const char *folder, const char *key, const void *bytes, size_t len)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    MDB_val name = { .mv_size = strlen(key), .mv_data = (void *)(uintptr_t)key };
    MDB_val value = { .mv_size = len, .mv_data = (void *)(uintptr_t)bytes };
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, folder, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &name, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void another_format_or_owner_is_refused(void **state)
{
    (void)state;
    struct store_test t;
    struct tr_store *store;
    store_test_init(&t, open_lmdb);
    store_test_close(&t);
    const uint64_t format = 2;
    meta_write(t.folder, "!format", &format, sizeof(format));
    assert_int_equal(open_at(&t, t.folder, 0, &store), TR_PRECONDITION);
    assert_non_null(strstr(t.err.msg, "format version 2, this program knows 1"));
    store_test_fini(&t);

    t = (struct store_test){ .loop = tr_loop_new() };
    store_test_folder(&t);
    meta_write(t.folder, "theirs", "x", 1);
    assert_int_equal(open_at(&t, t.folder, 0, &store), TR_PRECONDITION);
    store_test_fini(&t);
}

static void a_component_opens_by_its_settings(void **state)
{
    (void)state;
    struct store_test t = { .loop = tr_loop_new() };
    store_test_folder(&t);
    struct tr_store_setting settings[] = {
        { TR_SLICE_LIT("actorStateStore"), TR_SLICE_LIT("true") },
        { TR_SLICE_LIT("PATH"), tr_slice_str(t.folder) },
        { TR_SLICE_LIT("mapsizemb"), TR_SLICE_LIT("64") },
    };
    assert_int_equal(tr_store_open(t.loop, TR_SLICE_LIT("state.lmdb"), TR_SLICE_LIT("v1"), settings,
                                   3, &t.store, &t.err),
                     TR_OK);
    assert_string_equal(tr_store_type(t.store), "state.lmdb");
    assert_int_equal(tr_store_features(t.store),
                     TR_STORE_ETAG | TR_STORE_TRANSACTION | TR_STORE_TTL | TR_STORE_DELETE_PREFIX |
                         TR_STORE_KEYS_LIKE);
    store_test_close(&t);
    static const char *const bad[] = {
        "0", "-1", "1e3", "64M", "99999999999999999999", "67108865"
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        settings[2].value = tr_slice_str(bad[i]);
        assert_int_equal(tr_store_open(t.loop, TR_SLICE_LIT("state.lmdb"), TR_SLICE_LIT(""),
                                       settings, 3, &t.store, &t.err),
                         TR_INVALID);
    }
    assert_int_equal(tr_store_open(t.loop, TR_SLICE_LIT("state.lmdb"), TR_SLICE_LIT("v1"), settings,
                                   1, &t.store, &t.err),
                     TR_INVALID);
    assert_string_equal(t.err.msg, "state.lmdb: the setting 'path' is missing");
    assert_int_equal(tr_store_open(t.loop, TR_SLICE_LIT("state.foo"), TR_SLICE_LIT("v2"), NULL, 0,
                                   &t.store, &t.err),
                     TR_NOT_FOUND);
    assert_string_equal(t.err.msg, "couldn't find state store state.foo/v2");
    assert_int_equal(tr_store_open(t.loop, TR_SLICE_LIT("state.in-memory"), TR_SLICE_LIT("v1"),
                                   NULL, 0, &t.store, &t.err),
                     TR_OK);
    store_test_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_etags_survive_the_close),
        cmocka_unit_test(an_epoch_survives_the_close),
        cmocka_unit_test(two_stores_of_one_process_share_a_folder),
        cmocka_unit_test(expired_rows_are_swept_also_after_a_restart),
        cmocka_unit_test(a_full_database_says_so_and_still_reads_and_deletes),
        cmocka_unit_test(a_path_that_is_no_folder_is_refused),
        cmocka_unit_test(missing_folders_are_made),
        cmocka_unit_test(a_folder_without_rights_is_refused),
        cmocka_unit_test(what_is_not_a_store_of_ours_is_refused),
        cmocka_unit_test(another_format_or_owner_is_refused),
        cmocka_unit_test(a_component_opens_by_its_settings),
    };
    return store_contract_run("state.lmdb", open_lmdb) + cmocka_run_group_tests(tests, NULL, NULL);
}
