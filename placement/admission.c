/* The checks of a message, in the order of the reference: the first that fails gives the status. */
#include "placement/admission.h"

bool tr_admission_may_host(struct tr_slice type, struct tr_slice app_id, struct tr_slice ns)
{
    struct tr_slice parts[4] = { 0 };
    size_t parts_len = 0;
    while (parts_len < TR_ARRAY_LEN(parts) && tr_slice_split(&type, '.', &parts[parts_len])) {
        parts_len++;
    }
    if (parts_len < 2 || !tr_slice_eq_str(parts[0], "dapr") ||
        !tr_slice_eq_str(parts[1], "internal")) {
        return true;
    }
    return parts_len == 4 && tr_slice_eq(parts[2], ns) && tr_slice_eq(parts[3], app_id);
}

static enum tr_code check_identity(const struct tr_admission_peer *peer,
                                   const struct tr_host *message, struct tr_err *err)
{
    if (!peer->is_tls) {
        return TR_OK;
    }
    if (!tr_slice_eq(message->id, peer->app_id)) {
        return tr_err_set(err, TR_PERMISSION,
                          "provided app ID %.*s doesn't match the one in the SPIFFE ID (%.*s)",
                          TR_SLICE_ARG(message->id), TR_SLICE_ARG(peer->app_id));
    }
    if (!tr_slice_eq(message->ns, peer->ns)) {
        return tr_err_set(
            err, TR_PERMISSION,
            "provided client namespace %.*s doesn't match the one in the SPIFFE ID (%.*s)",
            TR_SLICE_ARG(message->ns), TR_SLICE_ARG(peer->ns));
    }
    return TR_OK;
}

enum tr_code tr_admission_check(const struct tr_admission_peer *peer, const struct tr_host *message,
                                struct tr_err *err)
{
    if (peer->is_tls && !peer->has_identity) {
        return tr_err_set(err, TR_UNAUTHENTICATED, "failed to get client ID from context");
    }
    if (message->op == TR_HOST_UNKNOWN && message->has_version) {
        return tr_err_set(err, TR_INVALID,
                          "both operation and version must be set or both must be unset");
    }
    if (message->id.len == 0 || message->ns.len == 0) {
        return tr_err_set(err, TR_INVALID, "host ID and namespace must be provided");
    }
    enum tr_code rc = check_identity(peer, message, err);
    for (size_t i = 0; rc == TR_OK && i < message->types_len; i++) {
        if (!tr_admission_may_host(message->types[i], message->id, message->ns)) {
            rc = tr_err_set(err, TR_PERMISSION,
                            "entity %.*s is not allowed for app ID %.*s in namespace %.*s",
                            TR_SLICE_ARG(message->types[i]), TR_SLICE_ARG(message->id),
                            TR_SLICE_ARG(message->ns));
        }
    }
    return rc;
}
