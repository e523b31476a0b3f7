/* Wrappers around LMDB for FAULT_LMDB. The list in tests/unit/state/CMakeLists.txt names the same functions. */
#include <errno.h>
#include <lmdb.h>

#include "tests/lib/fault.h"

/* Declare the real function and define the wrapper: it fails with `rc`, or passes its arguments on. */
#define WRAP(name, rc, params, args)                                                               \
    int __real_##name params;                                                                      \
    int __wrap_##name params;                                                                      \
    int __wrap_##name params                                                                       \
    {                                                                                              \
        return fault_hit(FAULT_LMDB) ? (rc) : __real_##name args;                                  \
    }

WRAP(mdb_env_create, ENOMEM, (MDB_env **env), (env))
WRAP(mdb_env_open, EIO, (MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode), (env, path, flags, mode))
WRAP(mdb_env_set_maxdbs, EINVAL, (MDB_env *env, MDB_dbi dbs), (env, dbs))
WRAP(mdb_env_set_maxreaders, EINVAL, (MDB_env *env, unsigned readers), (env, readers))
WRAP(mdb_env_set_mapsize, ENOMEM, (MDB_env *env, size_t bytes), (env, bytes))
WRAP(mdb_env_info, EINVAL, (MDB_env *env, MDB_envinfo *info), (env, info))
WRAP(mdb_reader_check, EIO, (MDB_env *env, int *dead), (env, dead))
WRAP(mdb_txn_begin, MDB_READERS_FULL, (MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn),
     (env, parent, flags, txn))
WRAP(mdb_txn_renew, EIO, (MDB_txn *txn), (txn))
WRAP(mdb_dbi_open, MDB_DBS_FULL, (MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *dbi), (txn, name, flags, dbi))
WRAP(mdb_stat, EINVAL, (MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat), (txn, dbi, stat))
WRAP(mdb_get, MDB_CORRUPTED, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), (txn, dbi, key, data))
WRAP(mdb_put, MDB_MAP_FULL, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags),
     (txn, dbi, key, data, flags))
WRAP(mdb_del, MDB_TXN_FULL, (MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), (txn, dbi, key, data))
WRAP(mdb_cursor_open, ENOMEM, (MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor), (txn, dbi, cursor))
WRAP(mdb_cursor_get, MDB_PAGE_NOTFOUND, (MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op),
     (cursor, key, data, op))
WRAP(mdb_cursor_del, MDB_MAP_FULL, (MDB_cursor *cursor, unsigned flags), (cursor, flags))

/* A commit that fails has freed its transaction. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (fault_hit(FAULT_LMDB)) {
        mdb_txn_abort(txn);
        return ENOSPC;
    }
    return __real_mdb_txn_commit(txn);
}
