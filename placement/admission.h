/*
 * Who may say what on a placement stream (pure): the checks that every message passes.
 *
 * Source: Dapr pkg/placement/internal/authorizer/authorizer.go; codes and texts are seen by clients.
 */
#ifndef TR_PLACEMENT_ADMISSION_H
#define TR_PLACEMENT_ADMISSION_H

#include "placement/wire.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/* Who the peer is according to its certificate. All zero: no TLS, anybody may claim to be anybody. */
struct tr_admission_peer {
    bool is_tls;
    bool has_identity;      /* the certificate names a SPIFFE identity */
    struct tr_slice app_id; /* of that identity */
    struct tr_slice ns;
};

/*
 * Check one message of a peer.
 * Errors: TR_UNAUTHENTICATED, TR_INVALID, TR_PERMISSION; the stream ends with that status and text.
 */
enum tr_code tr_admission_check(const struct tr_admission_peer *peer, const struct tr_host *message,
                                struct tr_err *err) TR_MUST_USE;

/* May an app (its id and namespace) host this actor type? Types under "dapr.internal" belong to the app they name. */
bool tr_admission_may_host(struct tr_slice type, struct tr_slice app_id, struct tr_slice ns);

#endif
