/*
 * What the sidecar takes from its Configuration files, merged in order over the defaults.
 * Source: Dapr pkg/config/configuration.go (1.18); processes 8.
 */
#ifndef TR_SIDECAR_CONFIG_H
#define TR_SIDECAR_CONFIG_H

#include <stdbool.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"

struct tr_sidecar_options;
struct tr_api;

#define TR_CONFIG_FEATURES_MAX 64U
#define TR_CONFIG_RULES_MAX    256U

struct tr_sidecar_rule {
    bool is_deny;
    struct tr_buf name;
    struct tr_buf version;
    struct tr_buf protocol;
};

struct tr_sidecar_config {
    struct tr_buf features[TR_CONFIG_FEATURES_MAX]; /* enabled, in order */
    size_t features_len;
    struct tr_slice feature_names[TR_CONFIG_FEATURES_MAX];
    struct tr_sidecar_rule *rules; /* owned */
    size_t rules_len;
    bool has_api_log;
    bool api_log_obfuscated;
    bool api_log_skips_health;
    bool metrics_off;
    struct tr_buf *denied_components; /* owned: "type" or "type/version" */
    size_t denied_components_len;
};

/* Errors: TR_INVALID, TR_NOT_FOUND, TR_IO; the text behind "error loading configuration: ". */
TR_MUST_USE enum tr_code tr_sidecar_config_load(struct tr_sidecar_config *config,
                                                const struct tr_sidecar_options *options, const struct tr_log *log,
                                                struct tr_err *err);
void tr_sidecar_config_fini(struct tr_sidecar_config *config);
bool tr_sidecar_config_has(const struct tr_sidecar_config *config, const char *feature);

#endif
