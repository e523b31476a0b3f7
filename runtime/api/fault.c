/* Errors with details: the JSON of HTTP and the google.rpc.Status of gRPC. */
#include "proto/common.pb-c.h"
#include "proto/wire.h"
#include "runtime/api/api_int.h"
#include "runtime/base/json.h"

#define DOMAIN "dapr.io"
#define TYPE(name) "type.googleapis.com/google.rpc." name
#define DETAILS_MAX 4U

void api_fault_fini(struct api_fault *fault)
{
    tr_buf_fini(&fault->message);
    tr_buf_fini(&fault->resource);
    tr_buf_fini(&fault->field);
    for (size_t i = 0; i < fault->pairs_len; i++) {
        tr_buf_fini(&fault->pairs[i].value);
    }
    *fault = (struct api_fault){ 0 };
}

void api_fault_set(struct api_fault *fault, enum tr_code code, const char *fmt, ...)
{
    va_list args;
    fault->code = code;
    fault->http_status = tr_code_http(code);
    fault->grpc_status = tr_code_grpc(code);
    tr_buf_clear(&fault->message);
    va_start(args, fmt);
    tr_buf_vaddf(&fault->message, fmt, args);
    va_end(args);
}

void api_fault_pair(struct api_fault *fault, const char *key, struct tr_slice value)
{
    tr_assert(fault->pairs_len < API_FAULT_PAIRS_MAX);
    struct api_fault_pair *pair = &fault->pairs[fault->pairs_len++];
    pair->key = key;
    tr_buf_set(&pair->value, value);
}

/* --- counting ------------------------------------------------------------------------------------------------------- */

/* Source: Dapr pkg/messages/errorcodes/errorcodes.go: the names of an area begin alike, but for one. */
const char *api_category(enum tr_code code)
{
    static const struct {
        const char *prefix;
        const char *category;
    } rows[] = {
        { "ERR_ACTOR_", "actor" },
        { "ERR_STATE_", "state" },
        { "ERR_NOT_SUPPORTED_STATE_", "state" },
        { "ERR_DIRECT_INVOKE", "service-invocation" },
        { "ERR_HEALTH_", "health" },
        { "ERR_OUTBOUND_HEALTH_", "health" },
    };
    const struct tr_slice name = tr_slice_str(tr_code_name(code));
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        if (tr_slice_starts(name, tr_slice_str(rows[i].prefix))) {
            return rows[i].category;
        }
    }
    return "common";
}

void api_count_error(struct tr_api *api, enum tr_code code, const char *category)
{
    const char *name = tr_code_name(code);
    if (api->counts_errors && name[0] != '\0') {
        tr_metric_add(&api->errors, TR_LABELS(tr_slice_str(category), tr_slice_str(name)), 1);
    }
}

/* --- JSON: members of a detail are sorted by name, those of what stands in a detail are not -------------------------- */

static void begin_detail(struct tr_json_out *out, const char *type)
{
    tr_json_begin_object(out);
    tr_json_key(out, "@type");
    tr_json_str(out, tr_slice_str(type));
}

static void add_member(struct tr_json_out *out, const char *name, struct tr_slice text)
{
    tr_json_key(out, name);
    tr_json_str(out, text);
}

static void json_bad_request(const struct api_fault *fault, struct tr_json_out *out)
{
    begin_detail(out, TYPE("BadRequest"));
    tr_json_key(out, "field_violations");
    tr_json_begin_array(out);
    tr_json_begin_object(out);
    if (fault->field.len > 0) {
        add_member(out, "field", tr_buf_slice(&fault->field));
    }
    add_member(out, "description", tr_buf_slice(&fault->message));
    tr_json_end_object(out);
    tr_json_end_array(out);
    tr_json_end_object(out);
}

static void json_help(const struct api_fault *fault, struct tr_json_out *out)
{
    begin_detail(out, TYPE("Help"));
    tr_json_key(out, "links");
    tr_json_begin_array(out);
    tr_json_begin_object(out);
    add_member(out, "description", tr_slice_str(fault->help_text));
    add_member(out, "url", tr_slice_str(fault->help_url));
    tr_json_end_object(out);
    tr_json_end_array(out);
    tr_json_end_object(out);
}

static void json_resource(const struct api_fault *fault, struct tr_json_out *out)
{
    begin_detail(out, TYPE("ResourceInfo"));
    add_member(out, "description", TR_SLICE_LIT(""));
    add_member(out, "owner", TR_SLICE_LIT(""));
    add_member(out, "resource_name", tr_buf_slice(&fault->resource));
    add_member(out, "resource_type", TR_SLICE_LIT("state"));
    tr_json_end_object(out);
}

static void json_info(const struct api_fault *fault, struct tr_json_out *out)
{
    begin_detail(out, TYPE("ErrorInfo"));
    add_member(out, "domain", TR_SLICE_LIT(DOMAIN));
    tr_json_key(out, "metadata");
    if (fault->pairs_len == 0) {
        tr_json_null(out);
    } else {
        tr_json_begin_object(out);
        for (size_t i = 0; i < fault->pairs_len; i++) {
            add_member(out, fault->pairs[i].key, tr_buf_slice(&fault->pairs[i].value));
        }
        tr_json_end_object(out);
    }
    add_member(out, "reason", tr_slice_str(fault->reason));
    tr_json_end_object(out);
}

void api_fault_json(const struct api_fault *fault, struct tr_buf *buf)
{
    struct tr_json_out out;
    const char *name = tr_code_name(fault->code);
    tr_json_out_init(&out, buf);
    tr_json_begin_object(&out);
    add_member(&out, "errorCode", tr_slice_str(name[0] != '\0' ? name : "ERROR"));
    add_member(&out, "message", tr_buf_slice(&fault->message));
    if (fault->reason != NULL && !fault->is_plain_over_http) {
        tr_json_key(&out, "details");
        tr_json_begin_array(&out);
        if (fault->has_field) {
            json_bad_request(fault, &out);
        }
        if (fault->help_url != NULL) {
            json_help(fault, &out);
        }
        if (fault->resource.len > 0) {
            json_resource(fault, &out);
        }
        json_info(fault, &out);
        tr_json_end_array(&out);
    }
    tr_json_end_object(&out);
}

/* --- google.rpc.Status ---------------------------------------------------------------------------------------------- */

/* The details while they are collected; they borrow from `bytes`. */
struct details {
    struct tr_buf bytes[DETAILS_MAX]; /* owned */
    Tr__Common__Any any[DETAILS_MAX];
    Tr__Common__Any *pointers[DETAILS_MAX];
    size_t len;
};

static void add_detail(struct details *details, const char *type, const void *message)
{
    const size_t i = details->len++;
    tr_wire_pack(message, &details->bytes[i]);
    tr__common__any__init(&details->any[i]);
    TR_WIRE_SET(&details->any[i], type_url, tr_slice_str(type));
    TR_WIRE_SET(&details->any[i], value, tr_buf_slice(&details->bytes[i]));
    details->pointers[i] = &details->any[i];
}

static void pack_bad_request(const struct api_fault *fault, struct details *details)
{
    Tr__Common__FieldViolation violation = TR__COMMON__FIELD_VIOLATION__INIT;
    Tr__Common__FieldViolation *violations[] = { &violation };
    Tr__Common__BadRequest message = TR__COMMON__BAD_REQUEST__INIT;
    TR_WIRE_SET(&violation, field, tr_buf_slice(&fault->field));
    TR_WIRE_SET(&violation, description, tr_buf_slice(&fault->message));
    message.n_field_violations = 1;
    message.field_violations = violations;
    add_detail(details, TYPE("BadRequest"), &message);
}

static void pack_help(const struct api_fault *fault, struct details *details)
{
    Tr__Common__HelpLink link = TR__COMMON__HELP_LINK__INIT;
    Tr__Common__HelpLink *links[] = { &link };
    Tr__Common__Help message = TR__COMMON__HELP__INIT;
    TR_WIRE_SET(&link, description, tr_slice_str(fault->help_text));
    TR_WIRE_SET(&link, url, tr_slice_str(fault->help_url));
    message.n_links = 1;
    message.links = links;
    add_detail(details, TYPE("Help"), &message);
}

static void pack_resource(const struct api_fault *fault, struct details *details)
{
    Tr__Common__ResourceInfo message = TR__COMMON__RESOURCE_INFO__INIT;
    TR_WIRE_SET(&message, resource_type, TR_SLICE_LIT("state"));
    TR_WIRE_SET(&message, resource_name, tr_buf_slice(&fault->resource));
    add_detail(details, TYPE("ResourceInfo"), &message);
}

static void pack_info(const struct api_fault *fault, struct details *details)
{
    Tr__Common__StringEntry entries[API_FAULT_PAIRS_MAX];
    Tr__Common__StringEntry *pointers[API_FAULT_PAIRS_MAX];
    Tr__Common__ErrorInfo message = TR__COMMON__ERROR_INFO__INIT;
    for (size_t i = 0; i < fault->pairs_len; i++) {
        tr__common__string_entry__init(&entries[i]);
        TR_WIRE_SET(&entries[i], key, tr_slice_str(fault->pairs[i].key));
        TR_WIRE_SET(&entries[i], value, tr_buf_slice(&fault->pairs[i].value));
        pointers[i] = &entries[i];
    }
    TR_WIRE_SET(&message, reason, tr_slice_str(fault->reason));
    TR_WIRE_SET(&message, domain, TR_SLICE_LIT(DOMAIN));
    message.n_metadata = fault->pairs_len;
    message.metadata = pointers;
    add_detail(details, TYPE("ErrorInfo"), &message);
}

void api_fault_pack(const struct api_fault *fault, struct tr_buf *out)
{
    struct details details = { .len = 0 };
    Tr__Common__RpcStatus status = TR__COMMON__RPC_STATUS__INIT;
    if (fault->reason != NULL && fault->has_field) {
        pack_bad_request(fault, &details);
    }
    if (fault->reason != NULL && fault->help_url != NULL) {
        pack_help(fault, &details);
    }
    if (fault->reason != NULL && fault->resource.len > 0) {
        pack_resource(fault, &details);
    }
    if (fault->reason != NULL) {
        pack_info(fault, &details);
    }
    status.has_code = true;
    status.code = fault->grpc_status;
    TR_WIRE_SET(&status, message, tr_buf_slice(&fault->message));
    status.n_details = details.len;
    status.details = details.pointers;
    tr_wire_pack(&status, out);
    for (size_t i = 0; i < details.len; i++) {
        tr_buf_fini(&details.bytes[i]);
    }
}
