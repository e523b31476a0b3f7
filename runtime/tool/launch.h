/* The command lines and environments of the processes that `troupe dev` starts. Pure. */
#ifndef TR_TOOL_LAUNCH_H
#define TR_TOOL_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"

/* Texts, ended by NULL: argv or environment. */
struct tr_words {
    char **items; /* owned, as are the texts */
    size_t len;
};

void tr_words_addf(struct tr_words *words, const char *fmt, ...) TR_PRINTF(2, 3);
const char *const *tr_words_list(const struct tr_words *words);
void tr_words_fini(struct tr_words *words);

/* What is known before the start; all borrowed. */
struct tr_launch {
    const char *self; /* a path of this executable */
    const char *app_id;
    const char *app_protocol;
    const char *log_level;
    uint16_t app_port; /* 0: the app does not listen */
    uint16_t http_port;
    uint16_t grpc_port;
    uint16_t metrics_port;
    const char *const *folders; /* of resources */
    size_t folders_len;
};

void tr_launch_placement(const struct tr_launch *launch, uint16_t port, uint16_t health,
                         struct tr_words *argv);
void tr_launch_sidecar(const struct tr_launch *launch, uint16_t placement_port,
                       struct tr_words *argv);

/*
 * Additions to our own environment. `unbuffered` is ours: the value of PYTHONUNBUFFERED, or NULL.
 * Source of the names: Dapr CLI pkg/standalone/run.go, getEnv.
 */
void tr_launch_sidecar_env(struct tr_words *env);
void tr_launch_app_env(const struct tr_launch *launch, const char *unbuffered,
                       struct tr_words *env);

#endif
