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

/* Is the value null, or (an empty slice) not there at all? */
static bool is_absent(struct tr_slice value)
{
    return value.len == 0 || tr_json_type(value) == TR_JSON_NULL;
}

/* One member that is looked for. */
struct member {
    const char *name;
    struct tr_slice value; /* out, empty if it is absent */
};

static bool is_named(struct tr_slice raw, const char *name)
{
    const struct tr_slice inner = tr_slice(raw.ptr + 1, raw.len - 2);
    struct tr_buf text = { 0 };
    if (tr_slice_find(inner, '\\') == inner.len) {
        return tr_slice_eq_nocase(inner, tr_slice_str(name));
    }
    const bool is_equal = tr_json_str_get(raw, &text) && tr_slice_eq_nocase(tr_buf_slice(&text), tr_slice_str(name));
    tr_buf_fini(&text);
    return is_equal;
}

/* Find members in one pass, for the value of one may be large. */
static void find_members(struct tr_slice object, struct member *members, size_t members_len)
{
    struct tr_json_iter it = tr_json_iter(object);
    struct tr_slice name;
    struct tr_slice value;
    while (tr_json_next_member(&it, &name, &value)) {
        for (size_t i = 0; i < members_len; i++) {
            if (is_named(name, members[i].name)) {
                members[i].value = value;
            }
        }
    }
}

/* Take the text of a string member, if it is there. */
static enum tr_code read_string(struct api_state_job *job, const struct member *member, struct tr_slice *out_text,
                                struct tr_err *err)
{
    if (!is_absent(member->value) && !take_string(job, member->value, out_text)) {
        return tr_err_set(err, TR_MALFORMED, "'%s' is no string", member->name);
    }
    return TR_OK;
}

/* Check an object of strings; `out_ttl` gets ttlInSeconds, whose name counts with its case. */
static enum tr_code read_metadata(struct api_state_job *job, struct tr_slice metadata, struct tr_slice *out_ttl,
                                  struct tr_err *err)
{
    struct tr_slice name;
    struct tr_slice value;
    if (is_absent(metadata)) {
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

static enum tr_code read_options(struct api_state_job *job, struct tr_slice options, struct api_state_item *item,
                                 struct tr_err *err)
{
    struct member members[] = { { .name = "concurrency" }, { .name = "consistency" } };
    if (is_absent(options)) {
        return TR_OK;
    }
    if (tr_json_type(options) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_MALFORMED, "'options' is no object");
    }
    find_members(options, members, TR_ARRAY_LEN(members));
    if (read_string(job, &members[0], &item->concurrency, err) != TR_OK) {
        return err->code;
    }
    return read_string(job, &members[1], &item->consistency, err);
}

struct tr_slice api_state_keep_value(struct api_state_job *job, struct tr_slice value)
{
    struct tr_buf text = { 0 };
    struct tr_buf plain = { 0 };
    tr_buf_reserve(&text, value.len);
    if (tr_json_type(value) == TR_JSON_STRING && tr_slice_find(value, '\\') < value.len && tr_json_str_get(value, &plain)) {
        tr_json_add_str(&text, tr_buf_slice(&plain));
    } else {
        tr_json_add_compact(&text, value);
    }
    tr_buf_fini(&plain);
    return api_state_keep(job, &text);
}

/* One item; null is an item without anything. */
static enum tr_code read_item(struct api_state_job *job, struct tr_slice object, struct api_state_item *item,
                              struct tr_err *err)
{
    enum { KEY, VALUE, ETAG, METADATA, OPTIONS, MEMBERS_LEN };
    struct member members[MEMBERS_LEN] = { [KEY] = { .name = "key" },
                                           [VALUE] = { .name = "value" },
                                           [ETAG] = { .name = "etag" },
                                           [METADATA] = { .name = "metadata" },
                                           [OPTIONS] = { .name = "options" } };
    if (!is_absent(object) && tr_json_type(object) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_MALFORMED, "an item is no object");
    }
    find_members(object, members, MEMBERS_LEN);
    item->has_etag = !is_absent(members[ETAG].value);
    if (read_string(job, &members[KEY], &item->key, err) != TR_OK ||
        read_string(job, &members[ETAG], &item->etag, err) != TR_OK ||
        read_metadata(job, members[METADATA].value, &item->ttl, err) != TR_OK ||
        read_options(job, members[OPTIONS].value, item, err) != TR_OK) {
        return err->code;
    }
    if (!item->is_delete) {
        const bool has_value = members[VALUE].value.len > 0;
        item->value = api_state_keep_value(job, has_value ? members[VALUE].value : TR_SLICE_LIT("null"));
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

/* An array, empty if it is absent. */
static enum tr_code read_array(const struct member *member, struct tr_slice *out_array, struct tr_err *err)
{
    *out_array = is_absent(member->value) ? TR_SLICE_LIT("[]") : member->value;
    if (tr_json_type(*out_array) != TR_JSON_ARRAY) {
        return tr_err_set(err, TR_MALFORMED, "'%s' is no array", member->name);
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
    struct member members[] = { { .name = "keys" }, { .name = "parallelism" }, { .name = "metadata" } };
    if (check_body(body, TR_JSON_OBJECT, &object, err) != TR_OK) {
        return err->code;
    }
    find_members(object, members, TR_ARRAY_LEN(members));
    if (read_array(&members[0], &array, err) != TR_OK || read_metadata(job, members[2].value, &ttl, err) != TR_OK ||
        new_items(job, count_elements(array), "keys", err) != TR_OK) {
        return err->code;
    }
    if (!is_absent(members[1].value) && !tr_json_get_i64(members[1].value, &parallelism)) {
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
    struct member members[] = { { .name = "operation" }, { .name = "request" } };
    if (!is_absent(object) && tr_json_type(object) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_MALFORMED, "an operation is no object");
    }
    find_members(object, members, TR_ARRAY_LEN(members));
    if (read_string(job, &members[0], &operation, err) != TR_OK) {
        return err->code;
    }
    item->is_delete = tr_slice_eq_str(operation, "delete");
    if (!item->is_delete && !tr_slice_eq_str(operation, "upsert")) {
        return tr_err_set(err, TR_STATE_BAD_OPERATION, "operation type %.*s not supported", TR_SLICE_ARG(operation));
    }
    return read_item(job, members[1].value, item, err);
}

enum tr_code api_state_read_operations(struct api_state_job *job, struct tr_slice body, struct tr_err *err)
{
    struct tr_slice object;
    struct tr_slice array;
    struct tr_slice element;
    struct tr_slice ttl;
    struct member members[] = { { .name = "operations" }, { .name = "metadata" } };
    if (check_body(body, TR_JSON_OBJECT, &object, err) != TR_OK) {
        return err->code;
    }
    find_members(object, members, TR_ARRAY_LEN(members));
    if (read_array(&members[0], &array, err) != TR_OK || read_metadata(job, members[1].value, &ttl, err) != TR_OK) {
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
