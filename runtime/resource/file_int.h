/* Files, whole and with a limit. */
#ifndef TR_RESOURCE_FILE_INT_H
#define TR_RESOURCE_FILE_INT_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

/* Append the content of the file. Errors: TR_IO, or TR_LIMIT beyond TR_RESOURCE_FILE_BYTES. */
enum tr_code file_read(const char *path, struct tr_buf *out, struct tr_err *err) TR_MUST_USE;

struct file_names {
    char **items; /* owned */
    size_t len;
};

/* Names in the folder that are no folders themselves, sorted by their bytes. Errors: TR_IO, TR_LIMIT. */
enum tr_code file_list(const char *folder, struct file_names *out_names, struct tr_err *err) TR_MUST_USE;
void file_names_fini(struct file_names *names);

#endif
