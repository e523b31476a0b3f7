/* Bodies of the state API over HTTP. */
#include "runtime/api/state_json.h"

#include "runtime/base/json.h"

/* A string of the body: without escapes it is a slice of the body, else kept by the job. */
static bool take_string(struct api_state_job *job, struct tr_slice raw, struct tr_slice *out_text)
{
    if (tr_json_type(raw) != TR_JSON_STRING) {
        return false;
    }
    const struct tr_slice inner = tr_slice(raw.ptr + 1, raw.len - 2);
    if (tr_slice_find(inner, '\\') == inner.len) {
        *out_text = inner;
        return true;
    }
    struct tr_buf text = { 0 };
    if (!tr_json_str_get(raw, &text)) {
        return false;
    }
    *out_text = api_state_keep(job, &text);
    return true;
}

static bool get_member(struct tr_slice object, const char *name, struct tr_slice *out_value)
{
    return tr_json_get_nocase(object, name, out_value) && tr_json_type(*out_value) != TR_JSON_NULL;
}

static bool is_absent(struct tr_slice value)
{
    return tr_json_type(value) == TR_JSON_NULL;
}

/* Take the string member `name`, if it is there. */
static enum tr_code read_string(struct api_state_job *job, struct tr_slice object, const char *name,
                                struct tr_slice *out_text, bool *out_found, struct tr_err *err)
{
    struct tr_slice raw;
    *out_found = get_member(object, name, &raw);
    if (*out_found && !take_string(job, raw, out_text)) {
        return tr_err_set(err, TR_MALFORMED, "'%s' is no string", name);
    }
    return TR_OK;
}

/* Check an object of strings; `out_ttl` gets ttlInSeconds, whose name counts with its case. */
static enum tr_code read_metadata(struct api_state_job *job, struct tr_slice object, struct tr_slice *out_ttl,
                                  struct tr_err *err)
{
    struct tr_slice metadata;
    struct tr_slice name;
    struct tr_slice value;
    if (!get_member(object, "metadata", &metadata)) {
        return TR_OK;
    }
    if (tr_json_type(metadata) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_MALFORMED, "'metadata' is no object");
    }
    struct tr_json_iter it = tr_json_iter(metadata);
    while (tr_json_next_member(&it, &name, &value)) {
        struct tr_slice text = TR_SLICE_LIT("");
        if (!is_absent(value) && !take_string(job, value, &text)) {
            return tr_err_set(err, TR_MALFORMED, "'metadata' holds a value that is no string");
        }
        if (tr_json_str_eq(name, TR_SLICE_LIT("ttlInSeconds"))) {
            *out_ttl = text;
        }
    }
    return TR_OK;
}

static enum tr_code read_options(struct api_state_job *job, struct tr_slice object, struct api_state_item *item,
                                 struct tr_err *err)
{
    struct tr_slice options;
    bool found;
    if (!get_member(object, "options", &options)) {
        return TR_OK;
    }
    if (tr_json_type(options) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_MALFORMED, "'options' is no object");
    }
    if (read_string(job, options, "concurrency", &item->concurrency, &found, err) != TR_OK) {
        return err->code;
    }
    return read_string(job, options, "consistency", &item->consistency, &found, err);
}

static void take_value(struct api_state_job *job, struct tr_slice object, struct api_state_item *item)
{
    struct tr_slice raw = TR_SLICE_LIT("null");
    struct tr_buf text = { 0 };
    (void)tr_json_get_nocase(object, "value", &raw);
    tr_buf_reserve(&text, raw.len);
    tr_json_add_compact(&text, raw);
    item->value = api_state_keep(job, &text);
}

/* One item; null is an item without anything. */
static enum tr_code read_item(struct api_state_job *job, struct tr_slice object, struct api_state_item *item,
                              struct tr_err *err)
{
    bool found;
    if (!is_absent(object) && tr_json_type(object) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_MALFORMED, "an item is no object");
    }
    if (read_string(job, object, "key", &item->key, &found, err) != TR_OK ||
        read_string(job, object, "etag", &item->etag, &item->has_etag, err) != TR_OK ||
        read_metadata(job, object, &item->ttl, err) != TR_OK || read_options(job, object, item, err) != TR_OK) {
        return err->code;
    }
    if (!item->is_delete) {
        take_value(job, object, item);
    }
    return TR_OK;
}

static size_t count_elements(struct tr_slice array)
{
    struct tr_json_iter it = tr_json_iter(array);
    struct tr_slice element;
    size_t len = 0;
    while (tr_json_next(&it, &element)) {
        len++;
    }
    return len;
}

static enum tr_code check_body(struct tr_slice body, enum tr_json_type type, struct tr_slice *out_value, struct tr_err *err)
{
    if (tr_slice_trim(body).len == 0) {
        return tr_err_set(err, TR_MALFORMED, "EOF");
    }
    if (tr_json_check(body, out_value, err) != TR_OK) {
        err->code = TR_MALFORMED;
        return err->code;
    }
    if (!is_absent(*out_value) && tr_json_type(*out_value) != type) {
        return tr_err_set(err, TR_MALFORMED, "the body is no %s", type == TR_JSON_ARRAY ? "array" : "object");
    }
    return TR_OK;
}

/* Find the array member `name`, empty if it is absent. */
static enum tr_code find_array(struct tr_slice object, const char *name, struct tr_slice *out_array, struct tr_err *err)
{
    *out_array = TR_SLICE_LIT("[]");
    if (get_member(object, name, out_array) && tr_json_type(*out_array) != TR_JSON_ARRAY) {
        return tr_err_set(err, TR_MALFORMED, "'%s' is no array", name);
    }
    if (is_absent(*out_array)) {
        *out_array = TR_SLICE_LIT("[]");
    }
    return TR_OK;
}

static enum tr_code new_items(struct api_state_job *job, size_t len, const char *what, struct tr_err *err)
{
    if (len > API_STATE_ITEMS_MAX) {
        return tr_err_set(err, TR_MALFORMED, "%zu %s, more than %u", len, what, API_STATE_ITEMS_MAX);
    }
    api_state_items_new(job, len);
    return TR_OK;
}

enum tr_code api_state_read_items(struct api_state_job *job, struct tr_slice body, struct tr_err *err)
{
    struct tr_slice array;
    struct tr_slice element;
    if (check_body(body, TR_JSON_ARRAY, &array, err) != TR_OK || new_items(job, count_elements(array), "items", err) != TR_OK) {
        return err->code;
    }
    struct tr_json_iter it = tr_json_iter(array);
    for (size_t i = 0; tr_json_next(&it, &element); i++) {
        if (read_item(job, element, &job->items[i], err) != TR_OK) {
            return err->code;
        }
    }
    return TR_OK;
}

enum tr_code api_state_read_keys(struct api_state_job *job, struct tr_slice body, struct tr_err *err)
{
    struct tr_slice object;
    struct tr_slice array;
    struct tr_slice element;
    struct tr_slice ttl;
    int64_t parallelism;
    if (check_body(body, TR_JSON_OBJECT, &object, err) != TR_OK || find_array(object, "keys", &array, err) != TR_OK ||
        read_metadata(job, object, &ttl, err) != TR_OK || new_items(job, count_elements(array), "keys", err) != TR_OK) {
        return err->code;
    }
    if (get_member(object, "parallelism", &element) && !tr_json_get_i64(element, &parallelism)) {
        return tr_err_set(err, TR_MALFORMED, "'parallelism' is no integer");
    }
    struct tr_json_iter it = tr_json_iter(array);
    for (size_t i = 0; tr_json_next(&it, &element); i++) {
        if (!is_absent(element) && !take_string(job, element, &job->items[i].key)) {
            return tr_err_set(err, TR_MALFORMED, "'keys' holds a value that is no string");
        }
    }
    return TR_OK;
}

static enum tr_code read_operation(struct api_state_job *job, struct tr_slice object, struct api_state_item *item,
                                   struct tr_err *err)
{
    struct tr_slice operation = TR_SLICE_LIT("");
    struct tr_slice request = TR_SLICE_LIT("null");
    bool found;
    if (!is_absent(object) && tr_json_type(object) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_MALFORMED, "an operation is no object");
    }
    if (read_string(job, object, "operation", &operation, &found, err) != TR_OK) {
        return err->code;
    }
    item->is_delete = tr_slice_eq_str(operation, "delete");
    if (!item->is_delete && !tr_slice_eq_str(operation, "upsert")) {
        return tr_err_set(err, TR_STATE_BAD_OPERATION, "operation type %.*s not supported", TR_SLICE_ARG(operation));
    }
    (void)tr_json_get_nocase(object, "request", &request);
    return read_item(job, request, item, err);
}

enum tr_code api_state_read_operations(struct api_state_job *job, struct tr_slice body, struct tr_err *err)
{
    struct tr_slice object;
    struct tr_slice array;
    struct tr_slice element;
    struct tr_slice ttl;
    if (check_body(body, TR_JSON_OBJECT, &object, err) != TR_OK || find_array(object, "operations", &array, err) != TR_OK ||
        read_metadata(job, object, &ttl, err) != TR_OK) {
        return err->code;
    }
    const size_t len = count_elements(array);
    if (len > API_STATE_ITEMS_MAX) {
        api_state_too_many(job, len);
        return tr_err_set(err, TR_STATE_TOO_MANY, "%zu operations", len);
    }
    api_state_items_new(job, len);
    struct tr_json_iter it = tr_json_iter(array);
    for (size_t i = 0; tr_json_next(&it, &element); i++) {
        if (read_operation(job, element, &job->items[i], err) != TR_OK) {
            return err->code;
        }
    }
    return TR_OK;
}
