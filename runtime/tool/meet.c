/* One file with ports and a lock. */
#include "runtime/tool/meet.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 256U

/* --- text ------------------------------------------------------------------------------------- */

void tr_meet_format(const struct tr_meet_place *place, struct tr_buf *out)
{
    tr_buf_addf(out, "port %u\nhealth %u\npid %" PRIu32 "\nend\n", place->port, place->health,
                place->pid);
}

/* One line "NAME NUMBER", cut off `*rest`. */
static bool take_number(struct tr_slice *rest, const char *name, uint64_t max, uint64_t *out)
{
    struct tr_slice line;
    struct tr_slice word;
    if (!tr_slice_split(rest, '\n', &line) || !tr_slice_split(&line, ' ', &word) ||
        !tr_slice_eq_str(word, name)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9' || value > max) {
            return false;
        }
        value = value * 10 + (uint64_t)(line.ptr[i] - '0');
    }
    *out = value;
    return value > 0 && value <= max;
}

bool tr_meet_parse(struct tr_slice text, struct tr_meet_place *out_place)
{
    uint64_t port = 0;
    uint64_t health = 0;
    uint64_t pid = 0;
    if (!take_number(&text, "port", UINT16_MAX, &port) ||
        !take_number(&text, "health", UINT16_MAX, &health) ||
        !take_number(&text, "pid", UINT32_MAX, &pid) || !tr_slice_eq_str(text, "end\n")) {
        return false;
    }
    *out_place = (struct tr_meet_place){ .port = (uint16_t)port,
                                         .health = (uint16_t)health,
                                         .pid = (uint32_t)pid };
    return true;
}

/* --- file ------------------------------------------------------------------------------------- */

void tr_meet_folder(const char *runtime_dir, unsigned uid, struct tr_buf *out)
{
    if (runtime_dir != NULL && runtime_dir[0] == '/') {
        tr_buf_addf(out, "%s/troupe", runtime_dir);
    } else {
        tr_buf_addf(out, "/tmp/troupe-%u", uid);
    }
}

/* A folder in /tmp could have been put there by anybody. */
static enum tr_code check_folder(const char *folder, struct tr_err *err)
{
    struct stat st;
    if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST) {
        return tr_err_set(err, TR_IO, "make folder '%s': %s", folder, strerror(errno));
    }
    if (lstat(folder, &st) != 0) {
        return tr_err_set(err, TR_IO, "look at folder '%s': %s", folder, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return tr_err_set(err, TR_PERMISSION, "'%s' is no folder", folder);
    }
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return tr_err_set(err, TR_PERMISSION, "folder '%s' is not this user's alone", folder);
    }
    return TR_OK;
}

enum tr_code tr_meet_open(struct tr_meet *meet, const char *folder, struct tr_err *err)
{
    *meet = (struct tr_meet){ .fd = -1 };
    const enum tr_code rc = check_folder(folder, err);
    if (rc != TR_OK) {
        return rc;
    }
    tr_buf_addf(&meet->path, "%s/placement", folder);
    const char *path = tr_buf_cstr(&meet->path);
    meet->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (meet->fd < 0) {
        tr_err_set(err, TR_IO, "open file '%s': %s", path, strerror(errno));
        tr_buf_fini(&meet->path);
        return err->code;
    }
    return TR_OK;
}

void tr_meet_close(struct tr_meet *meet)
{
    if (meet->fd >= 0) {
        (void)close(meet->fd); /* and with it the lock, which no child has */
    }
    meet->fd = -1;
    meet->is_owner = false;
    tr_buf_fini(&meet->path);
}

bool tr_meet_own(struct tr_meet *meet)
{
    meet->is_owner = meet->is_owner || flock(meet->fd, LOCK_EX | LOCK_NB) == 0;
    return meet->is_owner;
}

bool tr_meet_read(const struct tr_meet *meet, struct tr_meet_place *out_place)
{
    char text[FILE_BYTES_MAX];
    const ssize_t n = pread(meet->fd, text, sizeof(text), 0);
    return n > 0 && tr_meet_parse(tr_slice(text, (size_t)n), out_place);
}

enum tr_code tr_meet_write(struct tr_meet *meet, const struct tr_meet_place *place,
                           struct tr_err *err)
{
    tr_assert(meet->is_owner);
    struct tr_buf text = { 0 };
    tr_meet_format(place, &text);
    tr_assert(text.len <= FILE_BYTES_MAX);
    enum tr_code rc = TR_OK;
    if (pwrite(meet->fd, text.ptr, text.len, 0) != (ssize_t)text.len ||
        ftruncate(meet->fd, (off_t)text.len) != 0) {
        rc = tr_err_set(err, TR_IO, "write file '%s': %s", tr_buf_cstr(&meet->path),
                        strerror(errno));
    }
    tr_buf_fini(&text);
    return rc;
}
