/* What must be ready before the sidecar is. */
#include "runtime/sidecar/targets.h"

static const char *const names[TR_TARGETS_LEN] = {
    [TR_TARGET_SECURITY] = "security-provider",
    [TR_TARGET_METRICS] = "metrics-exporter",
    [TR_TARGET_GRPC_API] = "grpc-api-server",
    [TR_TARGET_GRPC_INTERNAL] = "grpc-internal-server",
    [TR_TARGET_RUNTIME] = "runtime",
    [TR_TARGET_PLACEMENT] = "internal-placement-service",
};

void tr_target_need(struct tr_targets *targets, enum tr_target target)
{
    targets->is_needed[target] = true;
}

void tr_target_ready(struct tr_targets *targets, enum tr_target target)
{
    targets->is_ready[target] = true;
}

bool tr_targets_are_ready(const struct tr_targets *targets, struct tr_buf *out_unready)
{
    bool all = true;
    for (unsigned i = 0; i < TR_TARGETS_LEN; i++) {
        if (!targets->is_needed[i] || targets->is_ready[i]) {
            continue;
        }
        if (!all) {
            tr_buf_add_char(out_unready, ' ');
        }
        tr_buf_add_str(out_unready, names[i]);
        all = false;
    }
    return all;
}
