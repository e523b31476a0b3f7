/*
 * Messages of the placement protocol as values of our own, with strict decoding: text must be UTF-8, because one host
 * with a broken name would make every table undecodable for sidecars that check it.
 *
 * Source: Dapr dapr/proto/placement/v1/placement.proto, see proto/WIRE.md.
 */
#ifndef TR_PLACEMENT_WIRE_H
#define TR_PLACEMENT_WIRE_H

#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/* One status report: gRPC's default receive limit in the reference. */
#define TR_HOST_BYTES_MAX (4u * 1024 * 1024)
/* Actor types of one host. */
#define TR_HOST_TYPES_MAX 10000
/* One order; a table of 1,000 hosts with 300 types each stays below it. The reference stops at 4 MiB. */
#define TR_ORDER_BYTES_MAX (64u * 1024 * 1024)
/* What a current sidecar reports. Source: Dapr pkg/actors/api/api_level.go at 1.18. */
#define TR_HOST_API_LEVEL 20

/* What a host reports, or acknowledges. UNKNOWN: an old sidecar, which repeats its report as the acknowledgement. */
enum tr_host_op {
    TR_HOST_UNKNOWN = 0,
    TR_HOST_REPORT = 1,
    TR_HOST_LOCK = 2,
    TR_HOST_UPDATE = 3,
    TR_HOST_UNLOCK = 4,
};

struct tr_host {
    struct tr_slice name; /* "host:port" */
    int64_t port;
    int64_t load;
    struct tr_slice *types; /* actor types; sorted and without repetition after tr_host_decode */
    size_t types_len;
    struct tr_slice id; /* app id */
    struct tr_slice pod;
    uint32_t api_level;
    struct tr_slice ns;
    uint32_t op; /* enum tr_host_op; a number that is none of them is kept */
    bool has_version;
    uint64_t version;
    struct tr_buf memory; /* owned: what the slices point into, after decode or copy */
};

/*
 * Decode a report. `bytes` may go away afterwards.
 * Errors: TR_INTERNAL, as a failing decoder in the reference gives; TR_LIMIT.
 */
enum tr_code tr_host_decode(struct tr_slice bytes, struct tr_host *out_host,
                            struct tr_err *err) TR_MUST_USE;
/* Append the encoded report to `out`. */
void tr_host_encode(const struct tr_host *host, struct tr_buf *out);
void tr_host_fini(struct tr_host *host);
/* Take the content of `from` and leave it empty. */
void tr_host_move(struct tr_host *to, struct tr_host *from);

enum tr_order_op { TR_ORDER_LOCK, TR_ORDER_UPDATE, TR_ORDER_UNLOCK, TR_ORDER_OPS_LEN };
/* "lock", "update", "unlock". */
const char *tr_order_op_name(enum tr_order_op op);

/* An encoded order, counted: one round builds each order once and every stream sends the same bytes. */
struct tr_order {
    unsigned refs;
    enum tr_order_op op;
    uint64_t version;
    struct tr_buf bytes;
};

/*
 * Build an order. For an update the table holds, for each actor type of each of `hosts`, that host; an order without
 * hosts has an empty table but names the factor. `hosts` is sorted by name; of several with one name in one type the last
 * counts.
 */
struct tr_order *tr_order_new(enum tr_order_op op, uint64_t version, int64_t factor,
                              const struct tr_host *const *hosts, size_t hosts_len);
struct tr_order *tr_order_ref(struct tr_order *order);
void tr_order_unref(struct tr_order **order);

#endif
