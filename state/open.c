/* From the metadata of a component to its store. */
#include "state/store.h"

#include <stdlib.h>

static const struct tr_slice *setting_find(const struct tr_store_setting *settings,
                                           size_t settings_len, const char *name)
{
    for (size_t i = 0; i < settings_len; i++) {
        if (tr_slice_eq_nocase(settings[i].name, tr_slice_str(name))) {
            return &settings[i].value;
        }
    }
    return NULL;
}

static enum tr_code parse_map_mib(struct tr_slice text, uint64_t *out_mib, struct tr_err *err)
{
    const struct tr_slice digits = tr_slice_trim(text);
    uint64_t mib = 0;
    for (size_t i = 0; i < digits.len && mib <= TR_STORE_MAP_MIB_MAX; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') {
            mib = 0;
            break;
        }
        mib = mib * 10 + (uint64_t)(digits.ptr[i] - '0');
    }
    if (mib == 0 || mib > TR_STORE_MAP_MIB_MAX) {
        return tr_err_set(err, TR_INVALID, "mapSizeMb is '%.*s', not a number of 1 to %u",
                          TR_SLICE_ARG(text), TR_STORE_MAP_MIB_MAX);
    }
    *out_mib = mib;
    return TR_OK;
}

static enum tr_code lmdb_open(struct tr_loop *loop, const struct tr_store_setting *settings,
                              size_t settings_len, struct tr_store **out_store, struct tr_err *err)
{
    const struct tr_slice *path = setting_find(settings, settings_len, "path");
    if (path == NULL || path->len == 0) {
        return tr_err_set(err, TR_INVALID, "state.lmdb: the setting 'path' is missing");
    }
    if (memchr(path->ptr, 0, path->len) != NULL) {
        return tr_err_set(err, TR_INVALID, "state.lmdb: the setting 'path' has a zero byte");
    }
    uint64_t mib = TR_STORE_MAP_MIB;
    const struct tr_slice *map_mib = setting_find(settings, settings_len, "mapSizeMb");
    if (map_mib != NULL && map_mib->len > 0 && parse_map_mib(*map_mib, &mib, err) != TR_OK) {
        return tr_err_wrap(err, "state.lmdb");
    }
    struct tr_buf text = { 0 };
    tr_buf_set(&text, *path);
    const struct tr_store_lmdb_conf conf = { .path = tr_buf_cstr(&text), .map_bytes = mib << 20U };
    const enum tr_code code = tr_store_lmdb_open(loop, &conf, out_store, err);
    tr_buf_fini(&text);
    return code;
}

/* A setting as a C string, `fallback` if it is absent or empty. Owned by the caller. */
static char *setting_text(const struct tr_store_setting *settings, size_t settings_len, const char *name,
                          const char *fallback)
{
    const struct tr_slice *value = setting_find(settings, settings_len, name);
    return tr_xstrdup(value != NULL && value->len > 0 ? *value : tr_slice_str(fallback));
}

static enum tr_code sqlite_open(struct tr_loop *loop, const struct tr_store_setting *settings,
                                size_t settings_len, struct tr_store **out_store, struct tr_err *err)
{
    char *connection = setting_text(settings, settings_len, "connectionString", "");
    char *table = setting_text(settings, settings_len, "tableName", "state");
    char *wal_off = setting_text(settings, settings_len, "disableWAL", "false");
    const struct tr_store_sqlite_conf conf = {
        .connection = connection,
        .table = table,
        .wal_off = tr_slice_eq_nocase(tr_slice_str(wal_off), TR_SLICE_LIT("true")),
    };
    enum tr_code code;
    if (connection[0] == '\0') {
        code = tr_err_set(err, TR_INVALID, "missing connection string");
    } else {
        code = tr_store_sqlite_open(loop, &conf, out_store, err);
    }
    free(connection);
    free(table);
    free(wal_off);
    return code;
}

enum tr_code tr_store_open(struct tr_loop *loop, struct tr_slice type, struct tr_slice version,
                           const struct tr_store_setting *settings, size_t settings_len,
                           struct tr_store **out_store, struct tr_err *err)
{
    const bool is_v1 = version.len == 0 || tr_slice_eq_nocase(version, TR_SLICE_LIT("v1"));
    if (is_v1 && tr_slice_eq_nocase(type, TR_SLICE_LIT("state.in-memory"))) {
        *out_store = tr_store_mem_new(loop);
        return TR_OK;
    }
    if (is_v1 && tr_slice_eq_nocase(type, TR_SLICE_LIT("state.lmdb"))) {
        return lmdb_open(loop, settings, settings_len, out_store, err);
    }
    if (is_v1 && tr_slice_eq_nocase(type, TR_SLICE_LIT("state.sqlite"))) {
        return sqlite_open(loop, settings, settings_len, out_store, err);
    }
    const struct tr_slice shown = version.len == 0 ? TR_SLICE_LIT("v1") : version;
    return tr_err_set(err, TR_NOT_FOUND, "couldn't find state store %.*s/%.*s", TR_SLICE_ARG(type),
                      TR_SLICE_ARG(shown));
}
