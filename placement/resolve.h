/*
 * Addresses of a name, asked anew before every attempt: in Kubernetes the name of the headless service stands for the
 * pods there are now. An operation; the look-up runs on a worker thread.
 *
 * Source: Dapr pkg/actors/internal/placement/connector/dnslookup/dnslookup.go.
 */
#ifndef TR_PLACEMENT_RESOLVE_H
#define TR_PLACEMENT_RESOLVE_H

#include "runtime/base/err.h"
#include "runtime/base/slice.h"
#include "runtime/base/worker.h"

/* Addresses kept of one answer; more are left out. */
#define TR_RESOLVE_ADDRESSES_MAX 64
/* "[v6 with scope]:65535" and its NUL. */
#define TR_RESOLVE_ADDRESS_BYTES 80

struct tr_resolve {
    struct tr_slice name;                   /* in, "host:port", copied by _start */
    void (*cb)(struct tr_resolve *resolve); /* in, called once, on the loop thread */
    struct tr_err err; /* out: TR_INVALID for a name without port, TR_UNAVAILABLE, TR_CANCELED */
    char addresses[TR_RESOLVE_ADDRESSES_MAX]
                  [TR_RESOLVE_ADDRESS_BYTES]; /* out: numeric, with port, no two equal */
    size_t addresses_len;                     /* out, at least 1 on success */
    char host[256];                           /* private, as all below */
    char port[8];
    struct tr_work work;
};
void tr_resolve_start(struct tr_loop *loop, struct tr_resolve *resolve);

/* Split "host:port" at its last colon; without one the port is empty. Pure. */
void tr_address_split(struct tr_slice address, struct tr_slice *out_host,
                      struct tr_slice *out_port);

#endif
