/* The code table, and the text of errors. */
#include "runtime/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/assert.h"

struct code_row {
    const char *name;
    int http;
    int grpc;
};

static const struct code_row rows[TR_CODES_LEN] = {
#define CODE_ROW(code, name, http, grpc) [code] = { name, http, grpc },
    TR_CODES(CODE_ROW)
#undef CODE_ROW
};

/* Source: google.golang.org/grpc/codes code_string.go. */
static const char *const status_names[] = {
    "OK",           "Canceled",       "Unknown",           "InvalidArgument",    "DeadlineExceeded",
    "NotFound",     "AlreadyExists",  "PermissionDenied",  "ResourceExhausted",  "FailedPrecondition",
    "Aborted",      "OutOfRange",     "Unimplemented",     "Internal",           "Unavailable",
    "DataLoss",     "Unauthenticated",
};

/* End the text before a UTF-8 character that was cut in the middle. */
static void trim_cut_character(char *text)
{
    const size_t len = strlen(text);
    size_t start = len;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0U) == 0x80U && len - start < 3) {
        start--;
    }
    if (start == 0) {
        return;
    }
    const unsigned char lead = (unsigned char)text[start - 1];
    const size_t need = lead >= 0xF0U ? 3 : lead >= 0xE0U ? 2 : lead >= 0xC0U ? 1 : 0;
    if (need > len - start) {
        text[start - 1] = '\0';
    }
}

enum tr_code tr_err_set(struct tr_err *err, enum tr_code code, const char *fmt, ...)
{
    tr_assert(code != TR_OK);
    va_list args;
    va_start(args, fmt);
    /* The arguments may point into err itself. */
    char text[TR_ERR_MSG_MAX];
    const int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len >= (int)sizeof(text)) {
        trim_cut_character(text);
    }
    err->code = code;
    memcpy(err->msg, text, strlen(text) + 1);
    return code;
}

enum tr_code tr_err_wrap(struct tr_err *err, const char *fmt, ...)
{
    tr_assert(err->code != TR_OK);
    va_list args;
    va_start(args, fmt);
    char text[2 * TR_ERR_MSG_MAX + 3];
    int len = vsnprintf(text, TR_ERR_MSG_MAX, fmt, args);
    va_end(args);
    if (len >= TR_ERR_MSG_MAX) {
        len = TR_ERR_MSG_MAX - 1;
    }
    tr_assert(len >= 0);
    const size_t used = (size_t)len;
    const int all = snprintf(text + used, sizeof(text) - used, ": %s", err->msg);
    tr_assert(all >= 0);
    if (used + (size_t)all >= TR_ERR_MSG_MAX) {
        text[TR_ERR_MSG_MAX - 1] = '\0';
        trim_cut_character(text);
    }
    memcpy(err->msg, text, strlen(text) + 1);
    return err->code;
}

const char *tr_code_name(enum tr_code code)
{
    tr_assert(code < TR_CODES_LEN);
    return rows[code].name;
}

int tr_code_http(enum tr_code code)
{
    tr_assert(code < TR_CODES_LEN);
    return rows[code].http;
}

int tr_code_grpc(enum tr_code code)
{
    tr_assert(code < TR_CODES_LEN);
    return rows[code].grpc;
}

enum tr_code tr_code_from_grpc(int status)
{
    if (status < 0 || status >= (int)TR_ARRAY_LEN(status_names)) {
        return TR_UNKNOWN;
    }
    return (enum tr_code)status;
}

const char *tr_grpc_status_name(int status)
{
    if (status < 0 || status >= (int)TR_ARRAY_LEN(status_names)) {
        return "Unknown";
    }
    return status_names[status];
}
