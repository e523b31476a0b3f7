/* What an app says about the actors it hosts. */
#include "runtime/app/config.h"

#include <stdlib.h>

#include "runtime/base/duration.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"

void tr_app_config_fini(struct tr_app_config *config)
{
    for (size_t i = 0; i < config->types_len; i++) {
        tr_buf_fini(&config->types[i].name);
    }
    free(config->types);
    *config = (struct tr_app_config){ 0 };
}

static void apply(struct tr_app_type *type, const struct tr_app_entry *entry)
{
    type->idle_ms = entry->has_idle_ms ? entry->idle_ms : TR_APP_IDLE_MS;
    type->has_drain_ms = entry->has_drain_ms;
    type->drain_ms = entry->drain_ms;
    type->is_reentrant = entry->is_reentrant;
    type->depth_max = entry->depth_max > 0 ? entry->depth_max : TR_APP_DEPTH_MAX;
}

static struct tr_app_type *find(struct tr_app_config *config, struct tr_slice name)
{
    for (size_t i = 0; i < config->types_len; i++) {
        if (tr_slice_eq(tr_buf_slice(&config->types[i].name), name)) {
            return &config->types[i];
        }
    }
    return NULL;
}

enum tr_code tr_app_config_add(struct tr_app_config *config, struct tr_slice name, const struct tr_app_entry *entry,
                               struct tr_err *err)
{
    if (find(config, name) != NULL) {
        return TR_OK;
    }
    if (config->types_len == TR_APP_TYPES_MAX) {
        return tr_err_set(err, TR_LIMIT, "app hosts more than %u actor types", TR_APP_TYPES_MAX);
    }
    config->types = tr_xrealloc(config->types, (config->types_len + 1) * sizeof(*config->types));
    struct tr_app_type *type = &config->types[config->types_len++];
    *type = (struct tr_app_type){ 0 };
    tr_buf_add(&type->name, name);
    apply(type, entry);
    return TR_OK;
}

bool tr_app_config_set(struct tr_app_config *config, struct tr_slice name, const struct tr_app_entry *entry)
{
    struct tr_app_type *type = find(config, name);
    if (type != NULL) {
        apply(type, entry);
    }
    return type != NULL;
}

/* --- JSON ----------------------------------------------------------------------------------------------------------- */

static bool is_null(struct tr_slice value)
{
    return tr_json_type(value) == TR_JSON_NULL;
}

/* Member `name` if it is there and not null. */
static bool get_member(struct tr_slice object, const char *name, struct tr_slice *out_value)
{
    return tr_json_get_nocase(object, name, out_value) && !is_null(*out_value);
}

/*
 * A duration in milliseconds; `*out_has` stays false for an absent or empty one. Negative ones count as zero. A text that
 * is no duration is a matter of `reason`, any other type is an error of the document.
 */
static enum tr_code get_duration(struct tr_slice object, const char *name, bool *out_has, uint64_t *out_ms,
                                 struct tr_err *reason, struct tr_err *err)
{
    struct tr_slice raw;
    struct tr_buf text = { 0 };
    int64_t ns = 0;
    *out_has = false;
    reason->code = TR_OK;
    if (!get_member(object, name, &raw)) {
        return TR_OK;
    }
    if (!tr_json_str_get(raw, &text)) {
        return tr_err_set(err, TR_INVALID, "'%s' is no string", name);
    }
    if (text.len > 0 && tr_duration_parse(tr_buf_slice(&text), &ns, reason) == TR_OK) {
        *out_has = true;
        *out_ms = tr_duration_ms_up(ns);
    }
    tr_buf_fini(&text);
    return TR_OK;
}

static enum tr_code get_bool(struct tr_slice object, const char *name, bool *in_out, struct tr_err *err)
{
    struct tr_slice raw;
    if (get_member(object, name, &raw) && !tr_json_get_bool(raw, in_out)) {
        return tr_err_set(err, TR_INVALID, "'%s' is no boolean", name);
    }
    return TR_OK;
}

static enum tr_code get_reentrancy(struct tr_slice object, struct tr_app_entry *entry, struct tr_err *err)
{
    struct tr_slice raw;
    struct tr_slice depth;
    int64_t number = 0;
    if (!get_member(object, "reentrancy", &raw)) {
        return TR_OK;
    }
    if (tr_json_type(raw) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_INVALID, "'reentrancy' is no object");
    }
    const enum tr_code rc = get_bool(raw, "enabled", &entry->is_reentrant, err);
    if (rc != TR_OK || !get_member(raw, "maxStackDepth", &depth)) {
        return rc;
    }
    if (!tr_json_get_i64(depth, &number)) {
        return tr_err_set(err, TR_INVALID, "'maxStackDepth' is no integer");
    }
    entry->depth_max = number > 0 && number < INT32_MAX ? (uint32_t)number : 0;
    return TR_OK;
}

/* Call `each` for every string of an array of strings. */
static enum tr_code each_string(struct tr_slice object, const char *name, void *ctx,
                                enum tr_code (*each)(void *ctx, struct tr_slice text, struct tr_err *err),
                                struct tr_err *err)
{
    struct tr_slice array;
    struct tr_slice raw;
    if (!get_member(object, name, &array)) {
        return TR_OK;
    }
    if (tr_json_type(array) != TR_JSON_ARRAY) {
        return tr_err_set(err, TR_INVALID, "'%s' is no array", name);
    }
    enum tr_code rc = TR_OK;
    struct tr_json_iter it = tr_json_iter(array);
    while (rc == TR_OK && tr_json_next(&it, &raw)) {
        struct tr_buf text = { 0 };
        if (tr_json_str_get(raw, &text)) {
            rc = each(ctx, tr_buf_slice(&text), err);
        } else if (!is_null(raw)) {
            rc = tr_err_set(err, TR_INVALID, "'%s' holds a value that is no string", name);
        }
        tr_buf_fini(&text);
    }
    return rc;
}

struct reading {
    struct tr_app_config *config;
    const struct tr_log *log;
    struct tr_app_entry entry;
};

static enum tr_code add_entity(void *ctx, struct tr_slice name, struct tr_err *err)
{
    struct reading *reading = ctx;
    return tr_app_config_add(reading->config, name, &reading->entry, err);
}

static enum tr_code set_entity(void *ctx, struct tr_slice name, struct tr_err *err)
{
    struct reading *reading = ctx;
    (void)err;
    if (!tr_app_config_set(reading->config, name, &reading->entry)) {
        tr_log_warn(reading->log, "configuration of an actor type that the app does not host is ignored", "actor_type=%.*s",
                    TR_SLICE_ARG(name));
    }
    return TR_OK;
}

/* A duration of one entry that cannot be read is logged; the default holds. Source: actors 5.2. */
static enum tr_code get_entry_duration(const struct reading *reading, struct tr_slice object, const char *name,
                                       bool *out_has, uint64_t *out_ms, struct tr_err *err)
{
    struct tr_err reason;
    const enum tr_code rc = get_duration(object, name, out_has, out_ms, &reason, err);
    if (rc == TR_OK && reason.code != TR_OK) {
        tr_log_warn(reading->log, "duration in entitiesConfig cannot be read", "name=%s reason=%s", name, reason.msg);
    }
    return rc;
}

/* One for the whole host that cannot be read lets nothing be hosted. */
static enum tr_code get_host_duration(struct tr_slice object, const char *name, bool *out_has, uint64_t *out_ms,
                                      struct tr_err *err)
{
    struct tr_err reason;
    const enum tr_code rc = get_duration(object, name, out_has, out_ms, &reason, err);
    if (rc == TR_OK && reason.code != TR_OK) {
        *err = reason;
        return reason.code;
    }
    return rc;
}

/* Reminders are in the scheduler, which has no partitions. */
static enum tr_code check_partitions(const struct reading *reading, struct tr_slice object, struct tr_err *err)
{
    struct tr_slice raw;
    int64_t number = 0;
    if (!get_member(object, "remindersStoragePartitions", &raw)) {
        return TR_OK;
    }
    if (!tr_json_get_i64(raw, &number)) {
        return tr_err_set(err, TR_INVALID, "'remindersStoragePartitions' is no integer");
    }
    if (number > 0) {
        tr_log_warn(reading->log, "remindersStoragePartitions is deprecated and has no effect", NULL);
    }
    return TR_OK;
}

static enum tr_code read_entry(struct reading *reading, struct tr_slice object, struct tr_err *err)
{
    struct tr_app_entry *entry = &reading->entry;
    bool drains = true; /* only the host's counts */
    *entry = (struct tr_app_entry){ 0 };
    enum tr_code rc = get_entry_duration(reading, object, "actorIdleTimeout", &entry->has_idle_ms, &entry->idle_ms, err);
    if (rc == TR_OK) {
        rc = get_entry_duration(reading, object, "drainOngoingCallTimeout", &entry->has_drain_ms, &entry->drain_ms, err);
    }
    rc = rc == TR_OK ? get_bool(object, "drainRebalancedActors", &drains, err) : rc;
    rc = rc == TR_OK ? get_reentrancy(object, entry, err) : rc;
    rc = rc == TR_OK ? check_partitions(reading, object, err) : rc;
    return rc == TR_OK ? each_string(object, "entities", reading, set_entity, err) : rc;
}

static enum tr_code read_entries(struct reading *reading, struct tr_slice object, struct tr_err *err)
{
    struct tr_slice array;
    struct tr_slice item;
    if (!get_member(object, "entitiesConfig", &array)) {
        return TR_OK;
    }
    if (tr_json_type(array) != TR_JSON_ARRAY) {
        return tr_err_set(err, TR_INVALID, "'entitiesConfig' is no array");
    }
    enum tr_code rc = TR_OK;
    struct tr_json_iter it = tr_json_iter(array);
    while (rc == TR_OK && tr_json_next(&it, &item)) {
        if (tr_json_type(item) == TR_JSON_OBJECT) {
            rc = read_entry(reading, item, err);
        } else if (!is_null(item)) {
            rc = tr_err_set(err, TR_INVALID, "'entitiesConfig' holds a value that is no object");
        }
    }
    return rc;
}

static enum tr_code read_all(struct reading *reading, struct tr_slice object, struct tr_err *err)
{
    struct tr_app_config *config = reading->config;
    struct tr_app_entry *entry = &reading->entry;
    bool drains = true;
    enum tr_code rc = get_host_duration(object, "actorIdleTimeout", &entry->has_idle_ms, &entry->idle_ms, err);
    if (rc == TR_OK) {
        rc = get_host_duration(object, "drainOngoingCallTimeout", &config->has_drain_ms, &config->drain_ms, err);
    }
    rc = rc == TR_OK ? get_bool(object, "drainRebalancedActors", &drains, err) : rc;
    rc = rc == TR_OK ? get_reentrancy(object, entry, err) : rc;
    rc = rc == TR_OK ? check_partitions(reading, object, err) : rc;
    rc = rc == TR_OK ? each_string(object, "entities", reading, add_entity, err) : rc;
    config->is_drain_off = !drains;
    return rc == TR_OK ? read_entries(reading, object, err) : rc;
}

/* The first JSON value of a text: Go's decoder stops there, and so do we. */
static struct tr_slice first_value(struct tr_slice json)
{
    size_t depth = 0;
    bool is_string = false;
    for (size_t i = 0; i < json.len; i++) {
        const char c = json.ptr[i];
        if (is_string) {
            i += c == '\\' ? 1 : 0;
            is_string = c != '"';
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && (depth == 0 || --depth == 0)) {
            return tr_slice(json.ptr, i + 1);
        }
    }
    return json;
}

enum tr_code tr_app_config_parse(struct tr_slice json, const struct tr_log *log, struct tr_app_config *out_config,
                                 struct tr_err *err)
{
    struct tr_app_config config = { 0 };
    struct reading reading = { .config = &config, .log = log };
    struct tr_slice object;
    enum tr_code rc = tr_json_check(first_value(tr_slice_trim(json)), &object, err);
    if (rc == TR_OK && tr_json_type(object) != TR_JSON_OBJECT) {
        rc = tr_err_set(err, TR_INVALID, "not a JSON object");
    }
    if (rc == TR_OK) {
        rc = read_all(&reading, object, err);
    }
    if (rc != TR_OK) {
        tr_app_config_fini(&config);
        return rc;
    }
    *out_config = config;
    return TR_OK;
}
