/*
 * The one error type, and the only table in which a code meets its Dapr name and statuses.
 *
 * A function that can fail returns `enum tr_code`, is TR_MUST_USE, and takes `struct tr_err *err` last, never NULL and
 * written only on failure. "Absent" as a normal answer is a bool or NULL, never an error. What an app answers, even a
 * 500, is a response and never a tr_err.
 */
#ifndef TR_BASE_ERR_H
#define TR_BASE_ERR_H

#include <stddef.h>
#include <stdbool.h>

#include "runtime/base/assert.h"

/*
 * code, Dapr name, HTTP status, gRPC status.
 * The first seventeen are the gRPC statuses in their own order, so that a status of a peer maps by number.
 * Named rows: Dapr pkg/messages/predefined.go and errorcodes.go, 1.18.
 */
#define TR_CODES(X)                                                                                \
    X(TR_OK, "", 200, 0)                                                                           \
    X(TR_CANCELED, "", 500, 1)                                                                     \
    X(TR_UNKNOWN, "", 500, 2)                                                                      \
    X(TR_INVALID, "", 400, 3)                                                                      \
    X(TR_DEADLINE, "", 500, 4)                                                                     \
    X(TR_NOT_FOUND, "", 404, 5)                                                                    \
    X(TR_EXISTS, "", 409, 6)                                                                       \
    X(TR_PERMISSION, "", 403, 7)                                                                   \
    X(TR_LIMIT, "", 500, 8)                                                                        \
    X(TR_PRECONDITION, "", 400, 9)                                                                 \
    X(TR_ABORTED, "", 409, 10)                                                                     \
    X(TR_OUT_OF_RANGE, "", 400, 11)                                                                \
    X(TR_UNIMPLEMENTED, "", 501, 12)                                                               \
    X(TR_INTERNAL, "", 500, 13)                                                                    \
    X(TR_UNAVAILABLE, "", 503, 14)                                                                 \
    X(TR_DATA_LOSS, "", 500, 15)                                                                   \
    X(TR_UNAUTHENTICATED, "", 401, 16)                                                             \
    X(TR_IO, "", 500, 13)      /* a system call or library failed */                               \
    X(TR_EOF, "", 500, 14)     /* the other side ended the stream */                               \
    X(TR_CLOSED, "", 503, 14)  /* the object is closing */                                         \
    X(TR_ETAG, "", 409, 10)    /* etag does not match */                                           \
    X(TR_ETAG_INVALID, "", 400, 3)                                                                 \
    X(TR_BAD_REQUEST, "ERR_BAD_REQUEST", 400, 3)                                                   \
    X(TR_MALFORMED, "ERR_MALFORMED_REQUEST", 400, 3)                                               \
    X(TR_DIRECT_INVOKE, "ERR_DIRECT_INVOKE", 500, 13)                                              \
    X(TR_NO_APP_ID, "ERR_DIRECT_INVOKE", 404, 5)                                                   \
    X(TR_ACTOR_NO_PLACEMENT, "ERR_ACTOR_NO_PLACEMENT", 400, 14)                                    \
    X(TR_ACTOR_CLOSED, "ERR_ACTOR_RUNTIME_CLOSED", 503, 14)                                        \
    X(TR_ACTOR_RESERVED, "ERR_ACTOR_TYPE_RESERVED", 403, 7)                                        \
    X(TR_ACTOR_NO_STORE, "ERR_ACTOR_RUNTIME_NOT_FOUND", 500, 13)                                   \
    X(TR_ACTOR_INVOKE, "ERR_ACTOR_INVOKE_METHOD", 500, 13)                                         \
    X(TR_ACTOR_DEPTH, "ERR_ACTOR_STACK_DEPTH", 500, 8)                                             \
    X(TR_ACTOR_MISSING, "ERR_ACTOR_INSTANCE_MISSING", 400, 13)                                     \
    X(TR_ACTOR_STATE_TX, "ERR_ACTOR_STATE_TRANSACTION_SAVE", 500, 13)                              \
    X(TR_ACTOR_STATE_GET, "ERR_ACTOR_STATE_GET", 500, 13)                                          \
    X(TR_ACTOR_NOT_HOSTED, "ERR_ACTOR_REMINDER_NON_HOSTED", 403, 7)                                \
    X(TR_ACTOR_REMINDER_EXISTS, "ERR_ACTOR_REMINDER_ALREADY_EXISTS", 409, 6)                       \
    X(TR_ACTOR_REMINDER_CREATE, "ERR_ACTOR_REMINDER_CREATE", 500, 13)                              \
    X(TR_ACTOR_REMINDER_NOT_FOUND, "ERR_ACTOR_REMINDER_NOT_FOUND", 404, 5)                         \
    X(TR_ACTOR_REMINDER_GET, "ERR_ACTOR_REMINDER_GET", 500, 13)                                    \
    X(TR_ACTOR_REMINDER_DELETE, "ERR_ACTOR_REMINDER_DELETE", 500, 13)                              \
    X(TR_ACTOR_TIMER_CREATE, "ERR_ACTOR_TIMER_CREATE", 500, 13)                                    \
    X(TR_ACTOR_NO_ADDRESS, "ERR_ACTOR_NO_ADDRESS", 404, 9)                                         \
    X(TR_STATE_NOT_CONFIGURED, "ERR_STATE_STORE_NOT_CONFIGURED", 500, 9)                           \
    X(TR_STATE_NOT_FOUND, "ERR_STATE_STORE_NOT_FOUND", 400, 3)                                     \
    X(TR_STATE_NOT_SUPPORTED, "ERR_STATE_STORE_NOT_SUPPORTED", 500, 12)                            \
    X(TR_STATE_TOO_MANY, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS", 400, 3)                          \
    X(TR_STATE_BAD_OPERATION, "ERR_NOT_SUPPORTED_STATE_OPERATION", 400, 12)                        \
    X(TR_STATE_GET, "ERR_STATE_GET", 500, 13)                                                      \
    X(TR_STATE_SAVE, "ERR_STATE_SAVE", 500, 13)                                                    \
    X(TR_STATE_DELETE, "ERR_STATE_DELETE", 500, 13)                                                \
    X(TR_STATE_BULK_GET, "ERR_STATE_BULK_GET", 500, 13)                                            \
    X(TR_STATE_TRANSACTION, "ERR_STATE_TRANSACTION", 500, 13)                                      \
    X(TR_HEALTH_NOT_READY, "ERR_HEALTH_NOT_READY", 500, 14)                                        \
    X(TR_HEALTH_APPID, "ERR_HEALTH_APPID_NOT_MATCH", 500, 14)                                      \
    X(TR_OUTBOUND_NOT_READY, "ERR_OUTBOUND_HEALTH_NOT_READY", 500, 14)

enum tr_code {
#define TR_CODE_ENUM(code, name, http, grpc) code,
    TR_CODES(TR_CODE_ENUM)
#undef TR_CODE_ENUM
        TR_CODES_LEN
};

#define TR_ERR_MSG_MAX 512

struct tr_err {
    enum tr_code code;
    char msg[TR_ERR_MSG_MAX]; /* NUL-terminated; long text is cut at a character boundary */
};

/* Set code and message of `err`, and return the code, so that `return tr_err_set(...)` works. Thread: any. */
enum tr_code tr_err_set(struct tr_err *err, enum tr_code code, const char *fmt, ...) TR_PRINTF(3, 4);

/* Put "<text>: " in front of the message; the code stays. Returns the code. Thread: any. */
enum tr_code tr_err_wrap(struct tr_err *err, const char *fmt, ...) TR_PRINTF(2, 3);

/* Dapr's name of `code` ("ERR_..."), or "" for a code without one. Static text. Thread: any. */
const char *tr_code_name(enum tr_code code);

/* HTTP and gRPC status of `code`. Thread: any. */
int tr_code_http(enum tr_code code);
int tr_code_grpc(enum tr_code code);

/* Code of a gRPC status number; TR_UNKNOWN for numbers that gRPC does not define. Thread: any. */
enum tr_code tr_code_from_grpc(int status);

/* gRPC's name of a status as Go prints it: "OK", "Canceled", ..., "Code(<n>)" is given as "Unknown". Static text. */
const char *tr_grpc_status_name(int status);

#endif
