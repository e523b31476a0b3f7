/* What the files of the API share. */
#ifndef TR_API_INT_H
#define TR_API_INT_H

#include "runtime/api/api.h"
#include "runtime/api/meter.h"
#include "runtime/api/path.h"
#include "runtime/base/log.h"

struct tr_api {
    struct tr_api_conf conf;
    struct tr_log log;
    struct tr_log http_log; /* API log lines */
    struct tr_log grpc_log;
    struct tr_api_store *stores; /* owned */
    size_t stores_len;
    struct tr_http_headers extended; /* key and value, in order of arrival */
    struct api_method *methods;      /* owned: one per gRPC method */
    size_t open_len;
    struct api_meter meter;
    bool counts_errors;
    struct tr_metric errors; /* dapr_error_code_total, if they are counted */
};

#define API_VERSION_KEY "daprRuntimeVersion" /* entry of the metadata that the sidecar sets itself */

struct tr_api_store *api_store_find(struct tr_api *api, struct tr_slice name);
/*
 * Set an entry of the metadata; an empty key is ignored, and so is the one that the sidecar sets itself. False: too
 * many.
 */
bool api_extended_set(struct tr_api *api, struct tr_slice key, struct tr_slice value);

/* --- HTTP ----------------------------------------------------------------------------------------------------------- */

struct api_request;
typedef void api_handler_fn(struct api_request *req);

#define API_GET    (1U << TR_HTTP_GET)
#define API_POST   (1U << TR_HTTP_POST)
#define API_PUT    (1U << TR_HTTP_PUT)
#define API_DELETE (1U << TR_HTTP_DELETE)

struct api_route {
    unsigned methods;
    const char *pattern;
    const char *param_names[TR_PATH_PARAMS_MAX]; /* for error texts */
    const char *version;                         /* "v1", for allow lists, with the group */
    const char *group;                           /* "actors" */
    const char *name;                            /* operation, for the log */
    api_handler_fn *handler;
    bool is_open;   /* no token, not in allow lists: health */
    bool is_health; /* may be left out of the log */
    bool is_public; /* served on the public port too */
};

/* One request. A handler with work in flight sets `work`, `cancel` and `free_work`. */
struct api_request {
    struct tr_api *api;
    struct tr_http_exchange *ex;
    const struct api_route *route; /* NULL: none matched */
    struct tr_buf path;            /* clean */
    struct tr_buf params[TR_PATH_PARAMS_MAX];
    void *work;                             /* the handler's */
    void (*cancel)(struct api_request *req); /* the client went away; NULL: nothing to cancel */
    void (*free_work)(void *work);
    uint64_t started_us;
    int status;
    size_t reply_bytes;
    bool is_public;
};

static inline struct tr_slice api_param(struct api_request *req, size_t i)
{
    return tr_buf_slice(&req->params[i]);
}

/* Answers; each ends the request. */
void api_reply(struct api_request *req, int status, struct tr_http_headers *headers, struct tr_slice body);
void api_reply_json(struct api_request *req, int status, struct tr_slice body);
void api_reply_empty(struct api_request *req); /* 204 */
/* The JSON error body of `code`; a code without a name goes out as "ERROR" with its own status. */
void api_reply_code(struct api_request *req, enum tr_code code, struct tr_slice message);
void api_reply_err(struct api_request *req, const struct tr_err *err);
/* `code` with the message "<prefix><cause>". */
void api_reply_wrapped(struct api_request *req, enum tr_code code, const char *prefix, const struct tr_err *cause);

extern const struct api_route api_actor_routes[];
extern const size_t api_actor_routes_len;
extern const struct api_route api_state_routes[];
extern const size_t api_state_routes_len;
extern const struct api_route api_meta_routes[];
extern const size_t api_meta_routes_len;

/* --- gRPC ----------------------------------------------------------------------------------------------------------- */

/* One call; a handler with work in flight embeds it. */
struct api_call {
    struct tr_api *api;
    struct tr_rpc_call *rpc;
    const struct api_method *method;
    struct tr_rpc_watch watch;
    void *work;
    void (*cancel)(struct api_call *call);
    void (*free_work)(void *work);
    uint64_t started_us;
};

struct api_grpc_row {
    const char *path;
    void (*handler)(struct api_call *call);
};

struct api_method {
    struct tr_api *api;
    const struct api_grpc_row *row;
};

/* Answers; each ends the call. */
void api_call_reply(struct api_call *call, const void *message);
/* The same for an encoded message. */
void api_call_reply_bytes(struct api_call *call, struct tr_slice bytes);
void api_call_reply_empty(struct api_call *call);
void api_call_fail(struct api_call *call, int status, struct tr_slice message);
/* With one google.rpc.ErrorInfo of this reason; none if it is NULL. */
void api_call_fail_reason(struct api_call *call, int status, struct tr_slice message, const char *reason);
void api_call_fail_err(struct api_call *call, const struct tr_err *err);
void api_call_fail_wrapped(struct api_call *call, enum tr_code code, const char *prefix, const struct tr_err *cause);
/* Decode the request; false: the call has been answered. Free the message with tr_wire_free(). */
bool api_call_decode(struct api_call *call, const void *descriptor, void *out_message);

extern const struct api_grpc_row api_actor_rows[];
extern const size_t api_actor_rows_len;
extern const struct api_grpc_row api_state_rows[];
extern const size_t api_state_rows_len;
extern const struct api_grpc_row api_meta_rows[];
extern const size_t api_meta_rows_len;

/* --- errors with details -------------------------------------------------------------------------------------------- */

#define API_FAULT_PAIRS_MAX 2U

/*
 * An error with the google.rpc details that stand beside it, as both surfaces tell them. All zero is "no error".
 * Source: Dapr kit errors/errors.go, for which details there are, their order and their JSON.
 */
struct api_fault {
    enum tr_code code;       /* names the error over HTTP; TR_OK: none */
    int http_status;
    int grpc_status;
    struct tr_buf message;   /* owned */
    const char *reason;      /* of ErrorInfo; NULL: no details at all */
    struct api_fault_pair {  /* ErrorInfo's metadata, sorted by key */
        const char *key;
        struct tr_buf value; /* owned */
    } pairs[API_FAULT_PAIRS_MAX];
    size_t pairs_len;
    struct tr_buf resource;  /* owned: the state store that ResourceInfo names; empty: none */
    bool has_field;          /* BadRequest with one violation, described by the message */
    struct tr_buf field;     /* owned */
    const char *help_url;    /* of Help; NULL: none */
    const char *help_text;
    bool is_plain_over_http; /* HTTP leaves the details out */
};

void api_fault_fini(struct api_fault *fault);
/* Set code, the statuses of its row, and the message; the rest is left as it is. */
void api_fault_set(struct api_fault *fault, enum tr_code code, const char *fmt, ...) TR_PRINTF(3, 4);
void api_fault_pair(struct api_fault *fault, const char *key, struct tr_slice value);
/* Count an error that HTTP answers with. Only HTTP counts, as in the reference. */
void api_count_error(struct tr_api *api, enum tr_code code, const char *category);
/* What area the error is from: "actor", "state", "common" and so on. */
const char *api_category(enum tr_code code);
/* Append the JSON body. */
void api_fault_json(const struct api_fault *fault, struct tr_buf *out);
/* Append the encoded google.rpc.Status. */
void api_fault_pack(const struct api_fault *fault, struct tr_buf *out);

/* Answer with the error, and end the request or call. */
void api_reply_fault(struct api_request *req, const struct api_fault *fault);
void api_call_fail_fault(struct api_call *call, const struct api_fault *fault);

/* --- shared by both ------------------------------------------------------------------------------------------------- */

/* Is the type one of the workflow engine's? Then `err` says that it is reserved. */
bool api_is_reserved(struct tr_slice type, struct tr_err *err);

/* Is it the token that clients must send? Any is if none is configured. Time does not tell how much of it was right. */
bool api_is_token(const struct tr_api *api, struct tr_slice token);

/* Does the value ask for a forced shutdown? */
bool api_is_true(struct tr_slice value);

#endif
