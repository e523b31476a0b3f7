/* Paths of the public API. */
#include "runtime/api/path.h"

#include <stdio.h>

#include "runtime/base/quote.h"
#include "runtime/base/uri.h"

bool tr_path_match(struct tr_slice path, const char *pattern, struct tr_slice out_params[TR_PATH_PARAMS_MAX])
{
    struct tr_slice rest = tr_slice_str(pattern);
    struct tr_slice want;
    struct tr_slice have;
    size_t params_len = 0;
    while (tr_slice_split(&rest, '/', &want)) {
        if (!tr_slice_split(&path, '/', &have)) {
            return false;
        }
        if (want.len > 0 && want.ptr[0] == '{') {
            tr_assert(params_len < TR_PATH_PARAMS_MAX);
            if (have.len == 0) {
                return false;
            }
            out_params[params_len++] = have;
        } else if (!tr_slice_eq(want, have)) {
            return false;
        }
    }
    return path.ptr == NULL;
}

static enum tr_code refuse(struct tr_err *err, const char *what, struct tr_slice value)
{
    struct tr_buf text = { 0 };
    tr_buf_add_quoted(&text, value);
    (void)tr_err_set(err, TR_BAD_REQUEST, "%s: %s", what, tr_buf_cstr(&text));
    tr_buf_fini(&text);
    return TR_BAD_REQUEST;
}

/* `subject` is "name" or "method"; `forbidden` may hold NUL, hence its length. */
static enum tr_code check_characters(struct tr_slice value, const char *subject, struct tr_slice forbidden,
                                     struct tr_err *err)
{
    char what[64];
    for (size_t i = 0; i < value.len; i++) {
        if (tr_slice_find(forbidden, value.ptr[i]) < forbidden.len) {
            (void)snprintf(what, sizeof(what), "%s contains forbidden character", subject);
            return refuse(err, what, value);
        }
    }
    for (size_t i = 0; i < value.len; i++) {
        const unsigned char c = (unsigned char)value.ptr[i];
        if (c < 0x20U || c == 0x7FU) {
            (void)snprintf(what, sizeof(what), "%s contains control character at position %zu", subject, i);
            return refuse(err, what, value);
        }
    }
    return TR_OK;
}

enum tr_code tr_path_check_name(struct tr_slice name, struct tr_err *err)
{
    const enum tr_code rc = check_characters(name, "name", tr_slice("#?\0/\\", 5), err);
    if (rc != TR_OK) {
        return rc;
    }
    if (tr_slice_eq_str(name, ".") || tr_slice_eq_str(name, "..")) {
        return refuse(err, "name is a path traversal sequence", name);
    }
    return TR_OK;
}

enum tr_code tr_path_clean_method(struct tr_slice method, struct tr_buf *out, struct tr_err *err)
{
    const enum tr_code rc = check_characters(method, "method", tr_slice("#?\0", 3), err);
    if (rc != TR_OK) {
        return rc;
    }
    struct tr_buf clean = { 0 };
    tr_uri_clean_path(method, &clean);
    tr_buf_add(out, tr_slice_skip(tr_buf_slice(&clean), 1));
    tr_buf_fini(&clean);
    return TR_OK;
}
