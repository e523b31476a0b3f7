/*
 * The sidecar's components.
 *
 * Only state stores can be opened. A component of another kind is an error unless it says ignoreErrors: an app that
 * counts on it must not find out at its first call. A component that waits for a secret waits for ever, because there
 * are no secret stores; that is logged, and the start goes on, as the original's does.
 */
#include "runtime/sidecar/components.h"

#include <stdlib.h>

#include "runtime/resource/component.h"
#include "runtime/resource/resource.h"
#include "state/key.h"

void tr_components_init(struct tr_components *components, struct tr_loop *loop, const struct tr_log *log)
{
    *components = (struct tr_components){ .loop = loop, .log = log };
}

/* --- one component -------------------------------------------------------------------------------------------------- */

/* What the original calls a component of this category when it does not know its type. */
static const char *category_noun(struct tr_slice category)
{
    static const char *const nouns[][2] = {
        { "state", "state store" },     { "secretstores", "secret store" },       { "pubsub", "message bus" },
        { "lock", "lock store" },       { "configuration", "configuration store" }, { "crypto", "crypto provider" },
        { "bindings", "input binding" }, { "conversation", "conversation" },       { "nameresolution", "name resolver" },
        { "middleware", "middleware" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(nouns); i++) {
        if (tr_slice_eq_str(category, nouns[i][0])) {
            return nouns[i][1];
        }
    }
    return NULL;
}

/* Open the store of a component whose settings are final. */
static enum tr_code open_store(struct tr_loop *loop, const struct tr_component_spec *spec, struct tr_store **out_store,
                               struct tr_err *err)
{
    struct tr_store_setting *settings = tr_xzalloc(spec->settings_len * sizeof(*settings));
    for (size_t i = 0; i < spec->settings_len; i++) {
        settings[i].name = tr_slice_str(spec->settings[i].name);
        settings[i].value = tr_slice_str(spec->settings[i].value);
    }
    const enum tr_code rc = tr_store_open(loop, tr_slice_str(spec->type), tr_slice_str(spec->version), settings,
                                          spec->settings_len, out_store, err);
    free(settings);
    return rc;
}

/* The prefix must be usable before the first request meets it. */
static enum tr_code check_prefix(const struct tr_component_spec *spec, struct tr_err *err)
{
    struct tr_key_prefix prefix = { 0 };
    const char *strategy = tr_component_value(spec, "keyPrefix");
    const enum tr_code rc = tr_key_prefix_init(&prefix, tr_slice_str(strategy), TR_SLICE_LIT("a"), TR_SLICE_LIT(""),
                                               TR_SLICE_LIT("c"), err);
    tr_key_prefix_fini(&prefix);
    return rc;
}

static enum tr_code check_actor_store(const struct tr_components *components, const struct tr_resource *resource,
                                      struct tr_err *err)
{
    if (!tr_component_is_actor_store(resource->component) || components->actor_store == 0) {
        return TR_OK;
    }
    struct tr_buf *first = &components->items[components->actor_store - 1].name;
    return tr_err_set(err, TR_INVALID, "detected duplicate actor state store: %s and %s", tr_buf_cstr(first),
                      resource->name);
}

static void add(struct tr_components *components, const struct tr_resource *resource, struct tr_store *store)
{
    components->items = tr_xrealloc(components->items, (components->len + 1) * sizeof(*components->items));
    struct tr_component *component = &components->items[components->len++];
    *component = (struct tr_component){ .store = store };
    tr_buf_add_str(&component->name, resource->name);
    tr_buf_add_str(&component->type, resource->component->type);
    tr_buf_add_str(&component->version, resource->component->version);
    tr_buf_add_str(&component->key_prefix, tr_component_value(resource->component, "keyPrefix"));
    if (tr_component_is_actor_store(resource->component)) {
        components->actor_store = components->len;
    }
}

/* Why a component cannot be made; the text is the original's `E` (processes 9.2). */
static enum tr_code make(struct tr_components *components, const struct tr_resource *resource, struct tr_err *err)
{
    const struct tr_component_spec *spec = resource->component;
    const struct tr_slice category = tr_component_category(spec);
    struct tr_store *store = NULL;
    const char *noun = category_noun(category);
    if (noun == NULL) {
        return tr_err_set(err, TR_INVALID, "incorrect type %s", spec->type);
    }
    if (components->len == TR_COMPONENTS_STORES_MAX) {
        return tr_err_set(err, TR_LIMIT, "more than %u state stores", TR_COMPONENTS_STORES_MAX);
    }
    enum tr_code rc;
    if (!tr_slice_eq_str(category, "state")) {
        rc = tr_err_set(err, TR_NOT_FOUND, "couldn't find %s %s/%s", noun, spec->type, spec->version);
    } else {
        rc = check_actor_store(components, resource, err);
        rc = rc == TR_OK ? check_prefix(spec, err) : rc;
        rc = rc == TR_OK ? open_store(components->loop, spec, &store, err) : rc;
    }
    if (rc == TR_OK) {
        add(components, resource, store);
        return TR_OK;
    }
    return tr_err_wrap(err, rc == TR_NOT_FOUND ? "[CREATE_COMPONENT_FAILURE]: creation error occurred for %s"
                                               : "[INIT_COMPONENT_FAILURE]: initialization error occurred for %s",
                       resource->log_name);
}

static const char *environment(const char *name)
{
    return getenv(name);
}

static enum tr_code prepare(struct tr_resource *resource, const struct tr_sidecar_options *options, const struct tr_log *log,
                            struct tr_err *err)
{
    struct tr_rng rng;
    tr_rng_init_system(&rng);
    const struct tr_component_words words = { .app_id = options->flags.app_id,
                                              .name_space = options->name_space,
                                              .pod_name = getenv("POD_NAME"),
                                              .rng = &rng };
    tr_component_resolve_env(resource, environment, log);
    return tr_component_substitute(resource->component, &words, err);
}

/* Make one component; a failure is an error only without ignoreErrors. */
static enum tr_code load_one(struct tr_components *components, struct tr_resource *resource,
                             const struct tr_sidecar_options *options, struct tr_err *err)
{
    struct tr_err cause;
    if (tr_component_needs_secret(resource->component)) {
        tr_log_text(components->log, TR_LOG_WARN, "Component %s references a secret store that isn't loaded: %s",
                    resource->name, resource->component->secret_store);
        return TR_OK;
    }
    enum tr_code rc = prepare(resource, options, components->log, &cause);
    rc = rc == TR_OK ? make(components, resource, &cause) : rc;
    if (rc == TR_OK) {
        tr_log_text(components->log, TR_LOG_INFO, "Component loaded: %s", resource->log_name);
        return TR_OK;
    }
    tr_log_text(components->log, TR_LOG_ERROR, "Failed to init component %s: %s", resource->log_name, cause.msg);
    if (resource->component->ignore_errors) {
        tr_log_text(components->log, TR_LOG_ERROR,
                    "Ignoring error processing component: process component %s error: [INIT_COMPONENT_FAILURE]: "
                    "initialization error occurred for %s: %s",
                    resource->name, resource->log_name, cause.msg);
        return TR_OK;
    }
    tr_log_text(components->log, TR_LOG_WARN,
                "Error processing component, daprd will exit gracefully: process component %s error: %s", resource->name,
                cause.msg);
    return tr_err_set(err, rc, "process component %s error: %s", resource->name, cause.msg);
}

/* --- all ------------------------------------------------------------------------------------------------------------ */

enum tr_code tr_components_load(struct tr_components *components, const struct tr_sidecar_options *options,
                                const struct tr_configuration *configuration, struct tr_err *err)
{
    const struct tr_sidecar_flags *flags = &options->flags;
    const char *alias = flags->components_path;
    const bool has_alias = flags->resources_path.len == 0 && alias[0] != '\0';
    const struct tr_resource_options load = {
        .folders = has_alias ? &alias : (const char *const *)flags->resources_path.items,
        .folders_len = has_alias ? 1 : flags->resources_path.len,
        .app_id = flags->app_id,
        .name_space = options->raw_name_space,
        .log = components->log,
    };
    struct tr_resources resources = { 0 };
    if (tr_resources_load(&load, &resources, err) != TR_OK) {
        return tr_err_wrap(err, "failed to load components");
    }
    enum tr_code rc = TR_OK;
    for (size_t i = 0; i < resources.len && rc == TR_OK; i++) {
        struct tr_resource *resource = &resources.items[i];
        if (resource->kind != TR_RESOURCE_COMPONENT) {
            tr_log_text(components->log, TR_LOG_WARN, "%s %s is not used: its kind is not served yet",
                        tr_resource_kind_name(resource->kind), resource->name);
        } else if (tr_configuration_denies_component(configuration, resource->component->type,
                                                     resource->component->version)) {
            tr_log_text(components->log, TR_LOG_WARN, "Component %s is denied by the configuration", resource->log_name);
        } else {
            rc = load_one(components, resource, options, err);
        }
    }
    tr_resources_fini(&resources);
    return rc;
}

static void on_closed(struct tr_defer *defer)
{
    struct tr_components *components = TR_CONTAINER_OF(defer, struct tr_components, closed);
    components->on_closed(components->closed_ctx);
}

static void on_store_closed(void *ctx)
{
    struct tr_components *components = ctx;
    if (--components->closing_len == 0) {
        tr_defer(components->loop, &components->closed, on_closed);
    }
}

void tr_components_close(struct tr_components *components, void (*cb)(void *ctx), void *ctx)
{
    components->on_closed = cb;
    components->closed_ctx = ctx;
    for (size_t i = 0; i < components->len; i++) {
        struct tr_component *component = &components->items[i];
        tr_log_text(components->log, TR_LOG_INFO, "Shutting down component %s (%s/%s)", tr_buf_cstr(&component->name),
                    tr_buf_cstr(&component->type), tr_buf_cstr(&component->version));
        components->closing_len++;
        tr_store_close(component->store, on_store_closed, components);
        component->store = NULL;
    }
    if (components->closing_len == 0) {
        tr_defer(components->loop, &components->closed, on_closed);
    }
}

void tr_components_fini(struct tr_components *components)
{
    for (size_t i = 0; i < components->len; i++) {
        struct tr_component *component = &components->items[i];
        tr_assert(component->store == NULL);
        tr_buf_fini(&component->name);
        tr_buf_fini(&component->type);
        tr_buf_fini(&component->version);
        tr_buf_fini(&component->key_prefix);
    }
    free(components->items);
    *components = (struct tr_components){ 0 };
}
