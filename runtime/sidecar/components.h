/*
 * The sidecar's components: loaded from the resource folders, checked, opened. One state store may be marked as the actor
 * state store.
 * Source: Dapr pkg/runtime/processor (1.18); processes 9, 13, 14; actors 9.1.
 */
#ifndef TR_SIDECAR_COMPONENTS_H
#define TR_SIDECAR_COMPONENTS_H

#include "runtime/api/api.h"
#include "runtime/base/log.h"
#include "runtime/resource/configuration.h"
#include "runtime/sidecar/options.h"
#include "state/store.h"

#define TR_COMPONENTS_STORES_MAX TR_API_STORES_MAX

struct tr_component {
    struct tr_buf name;
    struct tr_buf type;
    struct tr_buf version;
    struct tr_buf key_prefix;
    struct tr_store *store; /* owned until tr_components_close() */
};

struct tr_components {
    struct tr_loop *loop; /* borrowed */
    const struct tr_log *log;
    struct tr_component *items; /* owned */
    size_t len;
    size_t actor_store; /* index + 1; 0: none */
    size_t closing_len;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
    struct tr_defer closed;
};

void tr_components_init(struct tr_components *components, struct tr_loop *loop, const struct tr_log *log);
/*
 * Load and open everything in the resource folders.
 *
 * Errors: what makes the original end: a folder that cannot be read, duplicate names, a component without ignoreErrors
 * that cannot be made or opened. The message is the text behind "Fatal error from runtime: ".
 */
TR_MUST_USE enum tr_code tr_components_load(struct tr_components *components, const struct tr_sidecar_options *options,
                                            const struct tr_configuration *configuration, struct tr_err *err);
/* Close all stores, then call back on a later turn. */
void tr_components_close(struct tr_components *components, void (*cb)(void *ctx), void *ctx);
void tr_components_fini(struct tr_components *components);

#endif
