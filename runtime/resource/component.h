/*
 * A Component: a building block's type and settings.
 *
 * Setting values are texts; one that is no string in YAML is its JSON text (`value: true` is "true", `value: 1.0` is
 * "1"). A value may be given by reference instead, to the environment or to a secret store.
 *
 * Source: Dapr pkg/apis/components/v1alpha1/types.go, pkg/apis/common, pkg/runtime/meta (1.18).
 */
#ifndef TR_RESOURCE_COMPONENT_H
#define TR_RESOURCE_COMPONENT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/rng.h"
#include "runtime/resource/resource.h"

#define TR_COMPONENT_INIT_MS 5000U /* default of initTimeout */

struct tr_component_setting {
    char *name;
    char *value;       /* "" if it is given by reference and not resolved yet */
    bool has_value;
    char *env_ref;     /* "": none */
    char *secret_name; /* "": none */
    char *secret_key;  /* "": the same as the name */
};

struct tr_component_spec {
    char *type;    /* "state.in-memory" */
    char *version; /* "v1", or "" */
    bool ignore_errors;
    uint64_t init_timeout_ms;
    char *secret_store; /* auth.secretStore, or "" */
    struct tr_component_setting *settings;
    size_t settings_len;
}; /* all owned */

/* The setting `name`, without regard to case (the first of several), or NULL. */
const struct tr_component_setting *tr_component_setting(const struct tr_component_spec *spec, const char *name);
/* Its value, or NULL if there is none. */
const char *tr_component_value(const struct tr_component_spec *spec, const char *name);

/* Is it marked as the actor state store? Source: Dapr pkg/runtime/processor/state, actorStateStore, utils.IsTruthy. */
bool tr_component_is_actor_store(const struct tr_component_spec *spec);

/* Part of the type before the first dot: "state". */
struct tr_slice tr_component_category(const struct tr_component_spec *spec);

/*
 * Fill settings that refer to the environment: the variable's value, "" if it is unset. A variable that may not be read
 * (APP_API_TOKEN, DAPR_..., blanks, or not listed in DAPR_ENV_KEYS) is logged and its setting stays without a value.
 *
 * Source: Dapr pkg/runtime/processor/secret, isEnvVarAllowed.
 */
void tr_component_resolve_env(struct tr_resource *component, tr_env_fn env, const struct tr_log *log);

/* Is there a setting that waits for a secret of `secret_store`? */
bool tr_component_needs_secret(const struct tr_component_spec *spec);
/* Give every setting that refers to `secret_name` and `key` (the name if it has none) its value. */
void tr_component_set_secret(struct tr_component_spec *spec, struct tr_slice secret_name, struct tr_slice key,
                             struct tr_slice value);

/* What stands in for the words in braces. */
struct tr_component_words {
    const char *app_id;
    const char *name_space;
    const char *pod_name; /* NULL if POD_NAME is not set */
    struct tr_rng *rng;
};

/*
 * Replace {uuid}, {podName}, {namespace} (which gives `<namespace>.<app id>`) and {appID} in all values.
 *
 * Errors: TR_INVALID: "failed to parse metadata: property X refers to {podName} but podName is not set".
 */
enum tr_code tr_component_substitute(struct tr_component_spec *spec, const struct tr_component_words *words,
                                     struct tr_err *err) TR_MUST_USE;

#endif
