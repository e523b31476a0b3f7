/* Files, whole and with a limit. */
#include "runtime/resource/file_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/resource/resource.h"

#define READ_BYTES 65536

static enum tr_code io_error(const char *what, const char *path, struct tr_err *err)
{
    return tr_err_set(err, TR_IO, "%s '%s': %s", what, path, strerrordesc_np(errno));
}

static enum tr_code read_all(int fd, const char *path, struct tr_buf *out, struct tr_err *err)
{
    const size_t before = out->len;
    for (;;) {
        tr_buf_reserve(out, READ_BYTES);
        const ssize_t len = read(fd, out->ptr + out->len, READ_BYTES);
        if (len == 0) {
            return TR_OK;
        }
        if (len < 0 && errno != EINTR) {
            return io_error("read", path, err);
        }
        out->len += len > 0 ? (size_t)len : 0;
        if (out->len - before > TR_RESOURCE_FILE_BYTES) {
            return tr_err_set(err, TR_LIMIT, "file '%s' has more than %u bytes", path,
                              TR_RESOURCE_FILE_BYTES);
        }
    }
}

enum tr_code file_read(const char *path, struct tr_buf *out, struct tr_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return io_error("open", path, err);
    }
    const enum tr_code rc = read_all(fd, path, out, err);
    (void)close(fd);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void file_names_fini(struct file_names *names)
{
    for (size_t i = 0; i < names->len; i++) {
        free(names->items[i]);
    }
    free((void *)names->items);
    *names = (struct file_names){ 0 };
}

static enum tr_code list_open(DIR *dir, const char *folder, struct file_names *names,
                              struct tr_err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            return errno == 0 ? TR_OK : io_error("read folder", folder, err);
        }
        struct stat info;
        if (fstatat(dirfd(dir), entry->d_name, &info, 0) != 0 || S_ISDIR(info.st_mode)) {
            continue; /* a folder, or gone meanwhile */
        }
        if (names->len == TR_RESOURCE_FILES_MAX) {
            return tr_err_set(err, TR_LIMIT, "folder '%s' has more than %u files", folder,
                              TR_RESOURCE_FILES_MAX);
        }
        names->items = tr_xrealloc((void *)names->items, (names->len + 1) * sizeof(char *));
        names->items[names->len++] = tr_xstrdup(tr_slice_str(entry->d_name));
    }
}

enum tr_code file_list(const char *folder, struct file_names *out_names, struct tr_err *err)
{
    struct file_names names = { 0 };
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return io_error("open folder", folder, err);
    }
    const enum tr_code rc = list_open(dir, folder, &names, err);
    (void)closedir(dir);
    if (rc != TR_OK) {
        file_names_fini(&names);
        return rc;
    }
    if (names.len > 0) {
        qsort((void *)names.items, names.len, sizeof(char *), compare_names);
    }
    *out_names = names;
    return TR_OK;
}
