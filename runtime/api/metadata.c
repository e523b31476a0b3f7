/* The sidecar's own description, as JSON and as GetMetadataResponse. Source: invocation 10.2, actors 1.4. */
#include "runtime/api/metadata.h"

#include <stdlib.h>

#include "proto/runtime.pb-c.h"
#include "proto/wire.h"
#include "runtime/base/duration.h"
#include "runtime/base/json.h"

#define CAPABILITIES_MAX 6 /* of one component */

enum runtime_status {
    STATUS_INITIALIZING,
    STATUS_DISABLED,
    STATUS_RUNNING,
};

static enum runtime_status runtime_status(const struct tr_api *api)
{
    if (!tr_actor_is_registered(api->conf.engine)) {
        return STATUS_INITIALIZING;
    }
    return api->conf.has_placement ? STATUS_RUNNING : STATUS_DISABLED;
}

static const char *status_text(enum runtime_status status)
{
    static const char *const texts[] = { "INITIALIZING", "DISABLED", "RUNNING" };
    return texts[status];
}

static bool is_connected(const struct tr_api *api)
{
    return runtime_status(api) == STATUS_RUNNING && api->conf.is_placement_connected(api->conf.ctx);
}

/* "" before the app's types are known. */
static struct tr_slice placement_text(const struct tr_api *api)
{
    if (runtime_status(api) == STATUS_INITIALIZING) {
        return TR_SLICE_LIT("");
    }
    return is_connected(api) ? TR_SLICE_LIT("placement: connected") : TR_SLICE_LIT("placement: disconnected");
}

/* Next registered type, from `*i` on; false at the end, and always unless the runtime runs. */
static bool next_type(const struct tr_api *api, size_t *i, struct tr_actor_type_stats *out_stats)
{
    if (runtime_status(api) != STATUS_RUNNING) {
        return false;
    }
    while (tr_actor_type_stats(api->conf.engine, (*i)++, out_stats)) {
        if (out_stats->is_registered) {
            return true;
        }
    }
    return false;
}

/* In the order of the original. Source: Dapr tests/integration/suite/daprd/resources/namespace/set/name.go. */
static size_t capabilities(const struct tr_api_component *component, struct tr_slice out_names[CAPABILITIES_MAX])
{
    static const struct {
        unsigned feature;
        const char *name;
    } rows[] = { { TR_STORE_ETAG, "ETAG" },
                 { TR_STORE_TRANSACTION, "TRANSACTIONAL" },
                 { TR_STORE_TTL, "TTL" },
                 { TR_STORE_DELETE_PREFIX, "DELETE_WITH_PREFIX" },
                 { TR_STORE_KEYS_LIKE, "KEYS_LIKE" } };
    size_t len = 0;
    for (size_t i = 0; component->is_state && i < TR_ARRAY_LEN(rows); i++) {
        if ((component->features & rows[i].feature) != 0) {
            out_names[len++] = tr_slice_str(rows[i].name);
        }
    }
    if (component->is_state && component->can_host_actors) {
        out_names[len++] = TR_SLICE_LIT("ACTOR");
    }
    return len;
}

static void duration_text(struct tr_buf *out, uint64_t ms)
{
    tr_duration_add(out, (int64_t)ms * TR_NS_PER_MS);
}

/* --- JSON ----------------------------------------------------------------------------------------------------------- */

static void add_types(const struct tr_api *api, struct tr_json_out *out, const char *name)
{
    struct tr_actor_type_stats stats;
    size_t i = 0;
    bool has_any = false;
    while (next_type(api, &i, &stats)) {
        if (!has_any) {
            has_any = true;
            tr_json_key(out, name);
            tr_json_begin_array(out);
        }
        tr_json_begin_object(out);
        tr_json_key(out, "type");
        tr_json_str(out, stats.type);
        if (stats.active > 0) {
            tr_json_key(out, "count");
            tr_json_u64(out, stats.active);
        }
        tr_json_end_object(out);
    }
    if (has_any) {
        tr_json_end_array(out);
    }
}

static void add_text(struct tr_json_out *out, const char *name, struct tr_slice text)
{
    if (text.len > 0) {
        tr_json_key(out, name);
        tr_json_str(out, text);
    }
}

static void add_components(const struct tr_api *api, struct tr_json_out *out)
{
    struct tr_api_component component;
    struct tr_slice names[CAPABILITIES_MAX];
    for (size_t i = 0; api->conf.component(api->conf.ctx, i, &component); i++) {
        if (i == 0) {
            tr_json_key(out, "components");
            tr_json_begin_array(out);
        }
        tr_json_begin_object(out);
        add_text(out, "name", component.name);
        add_text(out, "type", component.type);
        add_text(out, "version", component.version);
        const size_t len = capabilities(&component, names);
        if (len > 0) {
            tr_json_key(out, "capabilities");
            tr_json_begin_array(out);
            for (size_t j = 0; j < len; j++) {
                tr_json_str(out, names[j]);
            }
            tr_json_end_array(out);
        }
        tr_json_end_object(out);
    }
    if (api->conf.component(api->conf.ctx, 0, &component)) {
        tr_json_end_array(out);
    }
}

static void add_extended(const struct tr_api *api, struct tr_json_out *out)
{
    tr_json_key(out, "extended");
    tr_json_begin_object(out);
    for (size_t i = 0; i < tr_http_headers_len(&api->extended); i++) {
        const struct tr_http_header entry = tr_http_headers_at(&api->extended, i);
        tr_json_key_slice(out, entry.name);
        tr_json_str(out, entry.value);
    }
    tr_json_key(out, API_VERSION_KEY);
    tr_json_str(out, api->conf.version);
    tr_json_end_object(out);
}

static void add_app(const struct tr_api *api, struct tr_json_out *out)
{
    const struct tr_api_app *app = &api->conf.app;
    if (!app->has_app) {
        return;
    }
    tr_json_key(out, "appConnectionProperties");
    tr_json_begin_object(out);
    tr_json_key(out, "port");
    tr_json_u64(out, app->port);
    add_text(out, "protocol", app->protocol);
    add_text(out, "channelAddress", app->address);
    if (app->concurrency_max > 0) {
        tr_json_key(out, "maxConcurrency");
        tr_json_i64(out, app->concurrency_max);
    }
    if (app->has_health) {
        struct tr_buf text = { 0 };
        tr_json_key(out, "health");
        tr_json_begin_object(out);
        add_text(out, "healthCheckPath", app->health_path);
        duration_text(&text, app->health_interval_ms);
        add_text(out, "healthProbeInterval", tr_buf_slice(&text));
        tr_buf_clear(&text);
        duration_text(&text, app->health_timeout_ms);
        add_text(out, "healthProbeTimeout", tr_buf_slice(&text));
        tr_json_key(out, "healthThreshold");
        tr_json_i64(out, app->health_threshold);
        tr_json_end_object(out);
        tr_buf_fini(&text);
    }
    tr_json_end_object(out);
}

void api_metadata_json(struct tr_api *api, struct tr_buf *buf)
{
    struct tr_json_out out;
    tr_json_out_init(&out, buf);
    tr_json_begin_object(&out);
    tr_json_key(&out, "id");
    tr_json_str(&out, api->conf.app_id);
    tr_json_key(&out, "runtimeVersion");
    tr_json_str(&out, api->conf.version);
    if (api->conf.features_len > 0) {
        tr_json_key(&out, "enabledFeatures");
        tr_json_begin_array(&out);
        for (size_t i = 0; i < api->conf.features_len; i++) {
            tr_json_str(&out, api->conf.features[i]);
        }
        tr_json_end_array(&out);
    }
    add_types(api, &out, "actors");
    add_components(api, &out);
    add_extended(api, &out);
    add_app(api, &out);
    tr_json_key(&out, "actorRuntime");
    tr_json_begin_object(&out);
    tr_json_key(&out, "runtimeStatus");
    tr_json_str(&out, tr_slice_str(status_text(runtime_status(api))));
    add_types(api, &out, "activeActors");
    tr_json_key(&out, "hostReady");
    tr_json_bool(&out, is_connected(api));
    add_text(&out, "placement", placement_text(api));
    tr_json_end_object(&out);
    tr_json_end_object(&out);
}

/* --- protobuf ------------------------------------------------------------------------------------------------------- */

/* Arrays of messages and of pointers to them, grown one by one; the pointers are set at the end. */
static void **pointers_to(void *items, size_t len, size_t bytes)
{
    void **pointers = tr_xzalloc(len * sizeof(*pointers));
    for (size_t i = 0; i < len; i++) {
        pointers[i] = (char *)items + i * bytes;
    }
    return pointers;
}

static Tr__Rt__ActiveActorsCount *collect_types(const struct tr_api *api, size_t *out_len)
{
    Tr__Rt__ActiveActorsCount *items = NULL;
    struct tr_actor_type_stats stats;
    size_t i = 0;
    *out_len = 0;
    while (next_type(api, &i, &stats)) {
        items = tr_xrealloc(items, (*out_len + 1) * sizeof(*items));
        Tr__Rt__ActiveActorsCount *item = &items[(*out_len)++];
        tr__rt__active_actors_count__init(item);
        TR_WIRE_SET(item, type, stats.type);
        item->has_count = stats.active > 0;
        item->count = stats.active > INT32_MAX ? INT32_MAX : (int32_t)stats.active;
    }
    return items;
}

struct component_row {
    Tr__Rt__RegisteredComponents message; /* first: the row is found by its message */
    ProtobufCBinaryData capabilities[CAPABILITIES_MAX];
};

static struct component_row *collect_components(const struct tr_api *api, size_t *out_len)
{
    struct component_row *rows = NULL;
    struct tr_api_component component;
    struct tr_slice names[CAPABILITIES_MAX];
    *out_len = 0;
    while (api->conf.component(api->conf.ctx, *out_len, &component)) {
        rows = tr_xrealloc(rows, (*out_len + 1) * sizeof(*rows));
        struct component_row *row = &rows[(*out_len)++];
        tr__rt__registered_components__init(&row->message);
        TR_WIRE_SET(&row->message, name, component.name);
        TR_WIRE_SET(&row->message, type, component.type);
        TR_WIRE_SET(&row->message, version, component.version);
        row->message.n_capabilities = capabilities(&component, names);
        for (size_t i = 0; i < row->message.n_capabilities; i++) {
            row->capabilities[i] = tr_wire_data(names[i]);
        }
    }
    for (size_t i = 0; i < *out_len; i++) {
        rows[i].message.capabilities = rows[i].capabilities;
    }
    return rows;
}

static Tr__Common__StringEntry *collect_extended(const struct tr_api *api, size_t *out_len)
{
    const size_t len = tr_http_headers_len(&api->extended);
    Tr__Common__StringEntry *items = tr_xzalloc((len + 1) * sizeof(*items));
    for (size_t i = 0; i < len; i++) {
        const struct tr_http_header entry = tr_http_headers_at(&api->extended, i);
        tr__common__string_entry__init(&items[i]);
        TR_WIRE_SET(&items[i], key, entry.name);
        TR_WIRE_SET(&items[i], value, entry.value);
    }
    tr__common__string_entry__init(&items[len]);
    TR_WIRE_SET(&items[len], key, TR_SLICE_LIT(API_VERSION_KEY));
    TR_WIRE_SET(&items[len], value, api->conf.version);
    *out_len = len + 1;
    return items;
}

struct app_message {
    Tr__Rt__AppConnectionProperties app;
    Tr__Rt__AppConnectionHealthProperties health;
    struct tr_buf interval;
    struct tr_buf timeout;
};

static void fill_app(const struct tr_api_app *app, struct app_message *out)
{
    tr__rt__app_connection_properties__init(&out->app);
    tr__rt__app_connection_health_properties__init(&out->health);
    out->app.has_port = true;
    out->app.port = app->port;
    TR_WIRE_SET(&out->app, protocol, app->protocol);
    TR_WIRE_SET(&out->app, channel_address, app->address);
    out->app.has_max_concurrency = app->concurrency_max > 0;
    out->app.max_concurrency = app->concurrency_max;
    if (!app->has_health) {
        return;
    }
    duration_text(&out->interval, app->health_interval_ms);
    duration_text(&out->timeout, app->health_timeout_ms);
    TR_WIRE_SET(&out->health, health_check_path, app->health_path);
    TR_WIRE_SET(&out->health, health_probe_interval, tr_buf_slice(&out->interval));
    TR_WIRE_SET(&out->health, health_probe_timeout, tr_buf_slice(&out->timeout));
    out->health.has_health_threshold = true;
    out->health.health_threshold = app->health_threshold;
    out->app.health = &out->health;
}

static void fill_runtime(const struct tr_api *api, Tr__Rt__ActorRuntime *out)
{
    tr__rt__actor_runtime__init(out);
    out->has_runtime_status = true;
    out->runtime_status = (int32_t)runtime_status(api);
    out->has_host_ready = true;
    out->host_ready = is_connected(api);
    TR_WIRE_SET(out, placement, placement_text(api));
}

void api_metadata_pack(struct tr_api *api, struct tr_buf *out)
{
    size_t types_len = 0;
    size_t rows_len = 0;
    size_t extended_len = 0;
    Tr__Rt__ActiveActorsCount *types = collect_types(api, &types_len);
    struct component_row *rows = collect_components(api, &rows_len);
    Tr__Common__StringEntry *extended = collect_extended(api, &extended_len);
    void **type_pointers = pointers_to(types, types_len, sizeof(*types));
    void **row_pointers = pointers_to(rows, rows_len, sizeof(*rows));
    void **extended_pointers = pointers_to(extended, extended_len, sizeof(*extended));
    ProtobufCBinaryData *features = tr_xzalloc(api->conf.features_len * sizeof(*features));
    struct app_message app = { 0 };
    Tr__Rt__ActorRuntime runtime;
    Tr__Rt__GetMetadataResponse response = TR__RT__GET_METADATA_RESPONSE__INIT;
    for (size_t i = 0; i < api->conf.features_len; i++) {
        features[i] = tr_wire_data(api->conf.features[i]);
    }
    fill_runtime(api, &runtime);
    runtime.n_active_actors = types_len;
    runtime.active_actors = (Tr__Rt__ActiveActorsCount **)type_pointers;
    TR_WIRE_SET(&response, id, api->conf.app_id);
    TR_WIRE_SET(&response, runtime_version, api->conf.version);
    response.n_active_actors_count = types_len;
    response.active_actors_count = (Tr__Rt__ActiveActorsCount **)type_pointers;
    response.n_registered_components = rows_len;
    response.registered_components = (Tr__Rt__RegisteredComponents **)row_pointers;
    response.n_extended_metadata = extended_len;
    response.extended_metadata = (Tr__Common__StringEntry **)extended_pointers;
    response.n_enabled_features = api->conf.features_len;
    response.enabled_features = features;
    response.actor_runtime = &runtime;
    if (api->conf.app.has_app) {
        fill_app(&api->conf.app, &app);
        response.app_connection_properties = &app.app;
    }
    tr_wire_pack(&response, out);
    tr_buf_fini(&app.interval);
    tr_buf_fini(&app.timeout);
    free(features);
    free(extended_pointers);
    free(row_pointers);
    free(type_pointers);
    free(extended);
    free(rows);
    free(types);
}
