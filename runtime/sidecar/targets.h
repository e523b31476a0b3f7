/* What must be ready before the sidecar is. Source: Dapr pkg/healthz (1.18), processes 2.4. */
#ifndef TR_SIDECAR_TARGETS_H
#define TR_SIDECAR_TARGETS_H

#include <stdbool.h>

#include "runtime/base/buf.h"

enum tr_target {
    TR_TARGET_SECURITY,
    TR_TARGET_METRICS,
    TR_TARGET_GRPC_API,
    TR_TARGET_GRPC_INTERNAL,
    TR_TARGET_RUNTIME,
    TR_TARGET_PLACEMENT,
    TR_TARGETS_LEN,
};

struct tr_targets {
    bool is_needed[TR_TARGETS_LEN];
    bool is_ready[TR_TARGETS_LEN];
};

void tr_target_need(struct tr_targets *targets, enum tr_target target);
void tr_target_ready(struct tr_targets *targets, enum tr_target target);
/* All needed ones ready? Else append the names of those that are not, with a blank between them. */
bool tr_targets_are_ready(const struct tr_targets *targets, struct tr_buf *out_unready);

#endif
