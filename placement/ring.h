/*
 * The consistent-hash ring of one actor type (pure). Every sidecar computes it from the host names and the factor in
 * its table, so that all agree on the owner of an actor without asking anybody.
 *
 * A ring is immutable and counted: types with the same hosts share one, and an applied table keeps its rings alive.
 * Source: Dapr pkg/placement/hashing/consistent_hash.go.
 */
#ifndef TR_PLACEMENT_RING_H
#define TR_PLACEMENT_RING_H

#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/map.h"
#include "runtime/base/slice.h"

/* Virtual nodes of one host; a table with more is refused. Dapr's default is 100. */
#define TR_RING_FACTOR_MAX 10000
/* Virtual nodes of one ring: 12 bytes each. */
#define TR_RING_POINTS_MAX (16u * 1024 * 1024)

struct tr_ring_host {
    struct tr_slice name; /* the address, "host:port"; what is hashed */
    struct tr_slice app_id;
    int64_t port; /* old sidecars only; part of the comparison, otherwise without use */
};

struct tr_ring; /* opaque */

/*
 * Virtual-node hashes by host name, so that a new table computes only those of hosts it has not seen. All zero is an
 * empty cache. One cache serves one factor at a time: another factor empties it.
 */
struct tr_ring_cache {
    struct tr_map hosts; /* owned: name -> struct cached_points */
    int64_t factor;
    uint64_t generation;
};
void tr_ring_cache_fini(struct tr_ring_cache *cache);
/* Forget every host that is in no ring that was built with the cache, or kept, since the last sweep. */
void tr_ring_cache_sweep(struct tr_ring_cache *cache);

/*
 * Build the ring of `hosts` with `factor` virtual nodes each. Of several hosts with one name the last counts. Where two
 * virtual nodes fall on one point the bytewise smaller name wins, whatever the order of `hosts`.
 *
 * A factor below 1, or no hosts, gives a ring without points.
 * Owns:   the result has one reference, the caller's. Names are copied.
 * Errors: TR_LIMIT for a factor or a product above the limits.
 * Cost:   hash of each virtual node that is not in `cache` (may be NULL), then a sort.
 */
enum tr_code tr_ring_new(struct tr_ring_cache *cache, const struct tr_ring_host *hosts,
                         size_t hosts_len, int64_t factor, struct tr_ring **out_ring,
                         struct tr_err *err) TR_MUST_USE;
/* A ring that was built before stays in use: its hosts survive the next sweep. */
void tr_ring_cache_keep(struct tr_ring_cache *cache, const struct tr_ring *ring);

struct tr_ring *tr_ring_ref(struct tr_ring *ring);
/* Drop one reference and leave NULL behind; NULL is accepted. */
void tr_ring_unref(struct tr_ring **ring);

/*
 * The host that owns `actor_id`, or NULL if the ring has no points. Only the id is hashed.
 *
 * Owns: borrowed from the ring. Cost: one hash, O(1) over virtual nodes, no allocation.
 */
const struct tr_ring_host *tr_ring_lookup(const struct tr_ring *ring, struct tr_slice actor_id);

/* Same factor, same hosts with the same name, port and app id: the type did not change. */
bool tr_ring_equal(const struct tr_ring *a, const struct tr_ring *b);

/* Hosts, sorted by name. */
size_t tr_ring_hosts_len(const struct tr_ring *ring);
const struct tr_ring_host *tr_ring_host_at(const struct tr_ring *ring, size_t i);
/* Points, sorted; two virtual nodes on one point count once. */
size_t tr_ring_points_len(const struct tr_ring *ring);
uint64_t tr_ring_point_at(const struct tr_ring *ring, size_t i,
                          const struct tr_ring_host **out_host);

#endif
