/*
 * What an app says about the actors it hosts: the answer to GET /dapr/config, or the first message of an actor event
 * stream, in one form.
 * Source: Dapr pkg/config/app_config.go, pkg/actors/api/config.go (1.18); actors 4.3, 5.2.
 */
#ifndef TR_APP_CONFIG_H
#define TR_APP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

struct tr_log;

#define TR_APP_TYPES_MAX    4096U
#define TR_APP_IDLE_MS      UINT64_C(3600000) /* also of a type that entitiesConfig names without an idle timeout */
#define TR_APP_DEPTH_MAX    32U
#define TR_APP_CONFIG_BYTES (1U << 20U) /* of the answer to GET /dapr/config */

struct tr_app_type {
    struct tr_buf name;
    uint64_t idle_ms;
    bool has_drain_ms; /* else the app's */
    uint64_t drain_ms;
    bool is_reentrant;
    uint32_t depth_max;
};

/* All zero is an app that hosts nothing. */
struct tr_app_config {
    struct tr_app_type *types; /* owned */
    size_t types_len;
    bool has_drain_ms;
    uint64_t drain_ms;
    bool is_drain_off; /* drainRebalancedActors: false */
};
void tr_app_config_fini(struct tr_app_config *config);

/* Settings of one entry; a type gets the values of the last entry that names it. */
struct tr_app_entry {
    bool has_idle_ms;
    uint64_t idle_ms;
    bool has_drain_ms;
    uint64_t drain_ms;
    bool is_reentrant;
    uint32_t depth_max; /* 0: the default */
};
/* Host `name` with the settings of `entry`; a type named twice is hosted once. Errors: TR_LIMIT. */
TR_MUST_USE enum tr_code tr_app_config_add(struct tr_app_config *config, struct tr_slice name,
                                           const struct tr_app_entry *entry, struct tr_err *err);
/* Replace the settings of a type; false if it is not hosted. */
bool tr_app_config_set(struct tr_app_config *config, struct tr_slice name, const struct tr_app_entry *entry);

/*
 * Read the answer to GET /dapr/config. Member names match without regard to case, unknown ones are ignored, and so is
 * text after the object. Oddities of single entries are logged and skipped.
 *
 * Errors: TR_INVALID for text that is no JSON object, wrong types, or a global duration that is none: nothing is hosted.
 */
TR_MUST_USE enum tr_code tr_app_config_parse(struct tr_slice json, const struct tr_log *log,
                                             struct tr_app_config *out_config, struct tr_err *err);

#endif
