/*
 * LMDB environments.
 *
 * Opening: make the folder; find it in the process's list; else create, open, then in one write transaction check or write
 * the format and open the databases. It fails when the path is no folder, we have no rights, no space is left, or the
 * folder's database has another format or another owner; then nothing stays open.
 *
 * A database that another process let grow beyond our map shows as MDB_MAP_RESIZED when a transaction begins: the lock
 * of sizes keeps all transactions of this process out while the map is made again.
 */
#include "state/lmdb_env.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/rng.h"
#include "state/key.h"

#define SPACE_BYTES_MIN (1U << 20U)
/* A slot of a reader takes a line of the processor's cache; the rest is a page at most. Source: LMDB mdb.c, MDB_reader. */
#define LOCK_FILE_BYTES (TR_LMDB_READERS_MAX * 64U + 4096U)

/* The environments of this process; the only mutable global here, because LMDB's locks are the process's. */
static pthread_mutex_t envs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tr_link envs = { .prev = &envs, .next = &envs };

/* --- errors ---------------------------------------------------------------------------------------------------------- */

/* Is there so little room that a write may have been cut short? LMDB calls that an input/output error. */
static bool is_full(const char *path)
{
    struct statvfs fs;
    struct rlimit file;
    return (statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < SPACE_BYTES_MIN) ||
           (getrlimit(RLIMIT_FSIZE, &file) == 0 && file.rlim_cur != RLIM_INFINITY);
}

static enum tr_code err_of(const char *path, int rc, struct tr_err *err)
{
    if (rc == EIO && is_full(path)) {
        rc = ENOSPC;
    }
    switch (rc) {
    case MDB_MAP_FULL:
        return tr_err_set(err, TR_LIMIT, "state store %s: the database is full; raise mapSizeMb",
                          path);
    case MDB_TXN_FULL:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
        return tr_err_set(err, TR_LIMIT, "state store %s: the transaction is too large", path);
    case MDB_READERS_FULL:
        return tr_err_set(err, TR_LIMIT, "state store %s: more than %u readers", path,
                          TR_LMDB_READERS_MAX);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return tr_err_set(err, TR_LIMIT, "state store %s: no space: %s", path, mdb_strerror(rc));
    case EACCES:
    case EPERM:
    case EROFS:
        return tr_err_set(err, TR_PERMISSION, "state store %s: %s", path, mdb_strerror(rc));
    case ENOTDIR:
        return tr_err_set(err, TR_PRECONDITION, "state store %s: the path is not a folder", path);
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return tr_err_set(err, TR_PRECONDITION,
                          "state store %s: the folder has a database that is not a state store",
                          path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return tr_err_set(err, TR_DATA_LOSS, "state store %s: the database is damaged: %s", path,
                          mdb_strerror(rc));
    case MDB_PANIC:
        return tr_err_set(err, TR_IO,
                          "state store %s: an earlier write failed half-way; restart to recover",
                          path);
    default:
        return tr_err_set(err, TR_IO, "state store %s: %s", path, mdb_strerror(rc));
    }
}

enum tr_code tr_lmdb_err(const struct tr_lmdb_env *env, int rc, struct tr_err *err)
{
    return err_of(env->path, rc, err);
}

/* --- transactions ---------------------------------------------------------------------------------------------------- */

/* Take over the size that another process gave the database. */
static int map_adopt(struct tr_lmdb_env *env, uint64_t bytes)
{
    tr_assert(pthread_rwlock_wrlock(&env->size_lock) == 0);
    const int rc = mdb_env_set_mapsize(env->mdb, bytes);
    tr_assert(pthread_rwlock_unlock(&env->size_lock) == 0);
    return rc;
}

static int read_try(struct tr_lmdb_env *env, MDB_txn **reader)
{
    if (*reader != NULL) {
        return mdb_txn_renew(*reader);
    }
    return mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, reader);
}

#define BEGIN_TRIES_MAX 8 /* another process may grow the database again in between */

enum tr_code tr_lmdb_read_begin(struct tr_lmdb_env *env, MDB_txn **reader, struct tr_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < BEGIN_TRIES_MAX; i++) {
        tr_assert(pthread_rwlock_rdlock(&env->size_lock) == 0);
        rc = read_try(env, reader);
        if (rc == 0) {
            return TR_OK;
        }
        tr_assert(pthread_rwlock_unlock(&env->size_lock) == 0);
        if (rc == MDB_MAP_RESIZED) {
            rc = map_adopt(env, 0);
        } else if (rc == MDB_READERS_FULL && tr_lmdb_readers_check(env) > 0) {
            rc = 0;
        }
        if (rc != 0) {
            break;
        }
    }
    return tr_lmdb_err(env, rc == 0 ? MDB_MAP_RESIZED : rc, err);
}

void tr_lmdb_read_end(struct tr_lmdb_env *env, MDB_txn *reader)
{
    mdb_txn_reset(reader);
    tr_assert(pthread_rwlock_unlock(&env->size_lock) == 0);
}

int tr_lmdb_write_begin(struct tr_lmdb_env *env, MDB_txn **out_txn)
{
    int rc = 0;
    for (unsigned i = 0; i < BEGIN_TRIES_MAX && rc == 0; i++) {
        tr_assert(pthread_rwlock_rdlock(&env->size_lock) == 0);
        rc = mdb_txn_begin(env->mdb, NULL, 0, out_txn);
        if (rc == 0) {
            return 0;
        }
        tr_assert(pthread_rwlock_unlock(&env->size_lock) == 0);
        if (rc == MDB_MAP_RESIZED) {
            rc = map_adopt(env, 0);
        }
    }
    return rc == 0 ? MDB_MAP_RESIZED : rc;
}

int tr_lmdb_write_commit(struct tr_lmdb_env *env, MDB_txn *txn)
{
    const int rc = mdb_txn_commit(txn);
    tr_assert(pthread_rwlock_unlock(&env->size_lock) == 0);
    return rc;
}

void tr_lmdb_write_abort(struct tr_lmdb_env *env, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    tr_assert(pthread_rwlock_unlock(&env->size_lock) == 0);
}

int tr_lmdb_readers_check(struct tr_lmdb_env *env)
{
    int dead_len = 0;
    return mdb_reader_check(env->mdb, &dead_len) == 0 ? dead_len : 0;
}

/* --- opening --------------------------------------------------------------------------------------------------------- */

/* Make the folder and those above it. */
static int folder_make(const char *path)
{
    struct tr_buf part = { 0 };
    int rc = 0;
    for (const char *at = path; rc == 0; at++) {
        const bool is_end = *at == '\0';
        if ((is_end || *at == '/') && part.len > 0 && mkdir(tr_buf_cstr(&part), 0700) != 0 &&
            errno != EEXIST) {
            struct stat
                st; /* a part that is there and may not be made, on a read-only file system, is good */
            const int failed = errno;
            rc = stat(tr_buf_cstr(&part), &st) == 0 ? 0 : failed;
        }
        if (is_end) {
            break;
        }
        tr_buf_add_char(&part, *at);
    }
    tr_buf_fini(&part);
    return rc;
}

#define META_VAL(text)                                                                             \
    ((MDB_val){ .mv_size = sizeof(text) - 1, .mv_data = (void *)(uintptr_t)(text) })

static int meta_put(MDB_txn *txn, MDB_dbi meta, MDB_val key, uint64_t number)
{
    MDB_val value = { .mv_size = sizeof(number), .mv_data = &number };
    return mdb_put(txn, meta, &key, &value, 0);
}

/* MDB_NOTFOUND, or MDB_INVALID when it has another size. */
static int meta_get(MDB_txn *txn, MDB_dbi meta, MDB_val key, uint64_t *out_number)
{
    MDB_val value;
    const int rc = mdb_get(txn, meta, &key, &value);
    if (rc == 0 && value.mv_size != sizeof(*out_number)) {
        return MDB_INVALID;
    }
    if (rc == 0) {
        memcpy(out_number, value.mv_data, sizeof(*out_number));
    }
    return rc;
}

/* Write what a new store begins with: etags begin at random, so that those of a folder that was removed match nothing. */
static int format_write(struct tr_lmdb_env *env, MDB_txn *txn)
{
    MDB_stat stat;
    int rc = mdb_stat(txn, env->meta, &stat);
    if (rc == 0 && stat.ms_entries > 0) {
        return MDB_INVALID; /* somebody else's */
    }
    struct tr_rng rng;
    tr_rng_init_system(&rng);
    env->seed = tr_rng_next(&rng);
    if (rc == 0) {
        rc = meta_put(txn, env->meta, META_VAL("!format"), TR_KEY_FORMAT);
    }
    if (rc == 0) {
        rc = meta_put(txn, env->meta, META_VAL("!seed"), env->seed);
    }
    if (rc == 0) {
        rc = meta_put(txn, env->meta, META_VAL("!etag"), tr_rng_next(&rng) >> 16U);
    }
    return rc;
}

/* Check or write the format and open the databases. A foreign format is told in `*out_format`. */
static int databases_open(struct tr_lmdb_env *env, MDB_txn *txn, uint64_t *out_format)
{
    int rc = mdb_dbi_open(txn, NULL, 0, &env->meta);
    if (rc != 0) {
        return rc;
    }
    *out_format = TR_KEY_FORMAT;
    rc = meta_get(txn, env->meta, META_VAL("!format"), out_format);
    if (rc == 0 && *out_format != TR_KEY_FORMAT) {
        return MDB_VERSION_MISMATCH;
    }
    rc = rc == MDB_NOTFOUND ? format_write(env, txn)
         : rc == 0          ? meta_get(txn, env->meta, META_VAL("!seed"), &env->seed)
                            : rc;
    if (rc == MDB_NOTFOUND) {
        return MDB_INVALID;
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "rows", MDB_CREATE, &env->rows);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "due", MDB_CREATE, &env->due);
    }
    return rc == 0 ? mdb_dbi_open(txn, "fence", MDB_CREATE, &env->fence) : rc;
}

static enum tr_code store_check(struct tr_lmdb_env *env, struct tr_err *err)
{
    MDB_txn *txn = NULL;
    uint64_t format = TR_KEY_FORMAT;
    int rc = tr_lmdb_write_begin(env, &txn);
    if (rc != 0) {
        return tr_lmdb_err(env, rc, err);
    }
    rc = databases_open(env, txn, &format);
    if (rc == 0) {
        rc = tr_lmdb_write_commit(env, txn);
    } else {
        tr_lmdb_write_abort(env, txn);
    }
    if (format != TR_KEY_FORMAT) {
        return tr_err_set(err, TR_PRECONDITION,
                          "state store %s: format version %" PRIu64 ", this program knows %u",
                          env->path, format, TR_KEY_FORMAT);
    }
    return rc == 0 ? TR_OK : tr_lmdb_err(env, rc, err);
}

/*
 * Take the disk's blocks for the lock file, which LMDB maps and writes to: without them, on a full disk, the first touch of
 * a page would end the process with SIGBUS. The size is LMDB's to set. Only before the environment is open: closing the
 * descriptor would drop LMDB's lock on the file.
 */
static int lock_file_reserve(const char *folder)
{
    struct tr_buf path = { 0 };
    tr_buf_addf(&path, "%s/lock.mdb", folder);
    const int fd = open(tr_buf_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    tr_buf_fini(&path);
    if (fd < 0) {
        return errno;
    }
    const int rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOCK_FILE_BYTES) == 0 ? 0 : errno;
    (void)close(fd);
    return rc == ENOSPC || rc == EDQUOT ? rc : 0; /* others: the file system cannot do that */
}

static enum tr_code environment_open(struct tr_lmdb_env *env, uint64_t map_bytes,
                                     struct tr_err *err)
{
    int rc = mdb_env_create(&env->mdb);
    if (rc != 0) {
        env->mdb = NULL;
        return tr_lmdb_err(env, rc, err);
    }
    tr_assert(mdb_env_get_maxkeysize(env->mdb) >= 511);
    rc = mdb_env_set_maxdbs(env->mdb, 4);
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(env->mdb, TR_LMDB_READERS_MAX);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(env->mdb, map_bytes);
    }
    if (rc == 0) {
        rc = lock_file_reserve(env->path);
    }
    if (rc == 0) {
        rc = mdb_env_open(env->mdb, env->path, MDB_NOTLS, 0600);
    }
    if (rc != 0) {
        return tr_lmdb_err(env, rc, err);
    }
    (void)tr_lmdb_readers_check(env);
    return store_check(env, err);
}

static void env_free(struct tr_lmdb_env *env)
{
    if (env->mdb != NULL) {
        mdb_env_close(env->mdb);
    }
    tr_assert(pthread_rwlock_destroy(&env->size_lock) == 0);
    free(env->path);
    free(env);
}

/* The environment of the folder in this process, or NULL. */
static struct tr_lmdb_env *env_find(const struct stat *st)
{
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH (it, tmp, &envs) {
        struct tr_lmdb_env *env = TR_CONTAINER_OF(it, struct tr_lmdb_env, link);
        if (env->dev == st->st_dev && env->ino == st->st_ino) {
            return env;
        }
    }
    return NULL;
}

static enum tr_code env_share(struct tr_lmdb_env *env, uint64_t map_bytes, struct tr_err *err)
{
    MDB_envinfo info;
    int rc = mdb_env_info(env->mdb, &info);
    if (rc == 0 && info.me_mapsize < map_bytes) {
        rc = map_adopt(env, map_bytes);
    }
    if (rc != 0) {
        return tr_lmdb_err(env, rc, err);
    }
    env->refs++;
    return TR_OK;
}

static enum tr_code env_make(const char *path, const struct stat *st, uint64_t map_bytes,
                             struct tr_lmdb_env **out_env, struct tr_err *err)
{
    struct tr_lmdb_env *env = tr_xzalloc(sizeof(*env));
    env->refs = 1;
    env->dev = st->st_dev;
    env->ino = st->st_ino;
    env->path = tr_xstrdup(tr_slice_str(path));
    tr_link_init(&env->link);
    tr_assert(pthread_rwlock_init(&env->size_lock, NULL) == 0);
    if (environment_open(env, map_bytes, err) != TR_OK) {
        env_free(env);
        return err->code;
    }
    tr_list_add_tail(&envs, &env->link);
    *out_env = env;
    return TR_OK;
}

enum tr_code tr_lmdb_env_open(const char *path, uint64_t map_bytes, struct tr_lmdb_env **out_env,
                              struct tr_err *err)
{
    struct stat st;
    int rc = folder_make(path);
    if (rc == 0 && stat(path, &st) != 0) {
        rc = errno;
    }
    if (rc == 0 && !S_ISDIR(st.st_mode)) {
        rc = ENOTDIR;
    }
    if (rc != 0) {
        return err_of(path, rc, err);
    }
    tr_assert(pthread_mutex_lock(&envs_lock) == 0);
    struct tr_lmdb_env *env = env_find(&st);
    enum tr_code code = TR_OK;
    if (env == NULL) {
        code = env_make(path, &st, map_bytes, &env, err);
    } else {
        code = env_share(env, map_bytes, err);
    }
    tr_assert(pthread_mutex_unlock(&envs_lock) == 0);
    if (code == TR_OK) {
        *out_env = env;
    }
    return code;
}

void tr_lmdb_env_close(struct tr_lmdb_env **env)
{
    struct tr_lmdb_env *gone = *env;
    *env = NULL;
    tr_assert(pthread_mutex_lock(&envs_lock) == 0);
    tr_assert(gone->refs > 0);
    if (--gone->refs == 0) {
        tr_link_remove(&gone->link);
        env_free(gone);
    }
    tr_assert(pthread_mutex_unlock(&envs_lock) == 0);
}
