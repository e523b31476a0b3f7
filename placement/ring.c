/*
 * The consistent-hash ring: hosts sorted by name, points sorted by hash, and an index from the top bits of a hash to the
 * first point that can match, so that a look-up reads one or two cache lines instead of searching.
 *
 * Building: sort and thin out the hosts, collect the hashes of their virtual nodes (from the cache where it has them),
 * sort the points by (hash, host number), keep the first of equal hashes. As hosts are numbered in the order of their
 * names, the bytewise smaller name wins a collision.
 */
#include "placement/ring.h"

#include <stdio.h>
#include <stdlib.h>

#include "placement/ring_hash.h"
#include "runtime/base/buf.h"

struct point {
    uint64_t hash;
    uint32_t host;
};

struct tr_ring {
    unsigned refs;
    int64_t factor;
    struct tr_ring_host *hosts; /* owned, sorted by name */
    size_t hosts_len;
    uint64_t *hashes; /* owned, sorted, no two equal */
    uint32_t *owners; /* owned, host number of each hash */
    size_t points_len;
    uint32_t *index; /* owned: first point whose top bits are at least the place */
    unsigned index_bits;
    struct tr_buf names; /* owned: what the hosts' slices point into */
};

/* The sorted virtual-node hashes of one host. */
struct cached_points {
    uint64_t generation; /* of the last ring built with it */
    uint64_t hashes[];   /* `factor` of them */
};

static struct cached_points *hash_points(struct tr_slice name, int64_t factor)
{
    struct cached_points *points =
        tr_xalloc(sizeof(*points) + (size_t)factor * sizeof(points->hashes[0]));
    points->generation = 0;
    struct tr_buf text = { 0 };
    for (int64_t i = 0; i < factor; i++) {
        tr_buf_clear(&text);
        tr_buf_add(&text, name);
        tr_buf_addf(&text, "%lld", (long long)i);
        points->hashes[i] = tr_ring_hash(tr_buf_slice(&text));
    }
    tr_buf_fini(&text);
    return points;
}

void tr_ring_cache_fini(struct tr_ring_cache *cache)
{
    struct tr_map_iter iter = { 0 };
    struct tr_slice name;
    void *points;
    while (tr_map_next(&cache->hosts, &iter, &name, &points)) {
        free(points);
    }
    tr_map_fini(&cache->hosts);
    *cache = (struct tr_ring_cache){ 0 };
}

void tr_ring_cache_sweep(struct tr_ring_cache *cache)
{
    struct tr_map_iter iter = { 0 };
    struct tr_slice name;
    void *value;
    while (tr_map_next(&cache->hosts, &iter, &name, &value)) {
        struct cached_points *points = value;
        if (points->generation != cache->generation) {
            (void)tr_map_remove(&cache->hosts, name);
            free(points);
        }
    }
    cache->generation++;
}

void tr_ring_cache_keep(struct tr_ring_cache *cache, const struct tr_ring *ring)
{
    for (size_t i = 0; i < ring->hosts_len; i++) {
        struct cached_points *points = tr_map_get(&cache->hosts, ring->hosts[i].name);
        if (points != NULL) {
            points->generation = cache->generation;
        }
    }
}

/* The hashes of `name`, from the cache or new. With `*out_is_owned` the caller frees them. */
static struct cached_points *points_of(struct tr_ring_cache *cache, struct tr_slice name,
                                       int64_t factor, bool *out_is_owned)
{
    *out_is_owned = cache == NULL;
    if (cache == NULL) {
        return hash_points(name, factor);
    }
    if (cache->factor != factor) {
        uint64_t generation = cache->generation;
        tr_ring_cache_fini(cache);
        cache->factor = factor;
        cache->generation = generation;
    }
    struct cached_points *points = tr_map_get(&cache->hosts, name);
    if (points == NULL) {
        points = hash_points(name, factor);
        (void)tr_map_put(&cache->hosts, name, points);
    }
    points->generation = cache->generation;
    return points;
}

struct ordered_host {
    const struct tr_ring_host *host;
    size_t place;
};

static int by_name_then_place(const void *a, const void *b)
{
    const struct ordered_host *left = a;
    const struct ordered_host *right = b;
    int order = tr_slice_cmp(left->host->name, right->host->name);
    if (order != 0) {
        return order;
    }
    return left->place < right->place ? -1 : left->place > right->place;
}

static struct tr_slice keep(struct tr_buf *names, struct tr_slice text)
{
    struct tr_slice kept = tr_slice(names->ptr + names->len, text.len);
    tr_buf_add(names, text);
    return kept;
}

/* Copy `hosts` into the ring, sorted by name, the last of equal names. */
static void take_hosts(struct tr_ring *ring, const struct tr_ring_host *hosts, size_t hosts_len)
{
    struct ordered_host *order = tr_xalloc((hosts_len + 1) * sizeof(*order));
    size_t bytes = 0;
    for (size_t i = 0; i < hosts_len; i++) {
        order[i] = (struct ordered_host){ .host = &hosts[i], .place = i };
        bytes += hosts[i].name.len + hosts[i].app_id.len;
    }
    qsort(order, hosts_len, sizeof(*order), by_name_then_place);
    tr_buf_reserve(&ring->names, bytes + 1); /* so that the slices stay where they are */
    ring->hosts = tr_xalloc((hosts_len + 1) * sizeof(*ring->hosts));
    for (size_t i = 0; i < hosts_len; i++) {
        const struct tr_ring_host *host = order[i].host;
        if (i + 1 < hosts_len && tr_slice_eq(host->name, order[i + 1].host->name)) {
            continue;
        }
        ring->hosts[ring->hosts_len++] = (struct tr_ring_host){
            .name = keep(&ring->names, host->name),
            .app_id = keep(&ring->names, host->app_id),
            .port = host->port,
        };
    }
    tr_assert(ring->names.len <= bytes);
    free(order);
}

static int by_hash_then_host(const void *a, const void *b)
{
    const struct point *left = a;
    const struct point *right = b;
    if (left->hash != right->hash) {
        return left->hash < right->hash ? -1 : 1;
    }
    return left->host < right->host ? -1 : left->host > right->host;
}

/* Fill hashes and owners from all virtual nodes. */
static void place_points(struct tr_ring *ring, struct tr_ring_cache *cache)
{
    size_t factor = (size_t)ring->factor;
    size_t all_len = ring->hosts_len * factor;
    struct point *all = tr_xalloc((all_len + 1) * sizeof(*all));
    size_t at = 0;
    for (size_t h = 0; h < ring->hosts_len; h++) {
        bool is_owned;
        struct cached_points *points =
            points_of(cache, ring->hosts[h].name, ring->factor, &is_owned);
        for (size_t i = 0; i < factor; i++) {
            all[at++] = (struct point){ .hash = points->hashes[i], .host = (uint32_t)h };
        }
        if (is_owned) {
            free(points);
        }
    }
    tr_assert(at == all_len);
    qsort(all, all_len, sizeof(*all), by_hash_then_host);
    ring->hashes = tr_xalloc((all_len + 1) * sizeof(*ring->hashes));
    ring->owners = tr_xalloc((all_len + 1) * sizeof(*ring->owners));
    for (size_t i = 0; i < all_len; i++) {
        if (ring->points_len > 0 && ring->hashes[ring->points_len - 1] == all[i].hash) {
            continue;
        }
        ring->hashes[ring->points_len] = all[i].hash;
        ring->owners[ring->points_len++] = all[i].host;
    }
    free(all);
}

/* About one point a place: the hashes are uniform, so a look-up walks over very few. */
static void build_index(struct tr_ring *ring)
{
    while ((UINT64_C(1) << ring->index_bits) < ring->points_len) {
        ring->index_bits++;
    }
    if (ring->index_bits == 0) {
        ring->index_bits = 1; /* a shift by 64 is undefined */
    }
    size_t places = (size_t)1 << ring->index_bits;
    ring->index = tr_xalloc(places * sizeof(*ring->index));
    uint32_t at = 0;
    for (size_t place = 0; place < places; place++) {
        while (at < ring->points_len && (ring->hashes[at] >> (64 - ring->index_bits)) < place) {
            at++;
        }
        ring->index[place] = at;
    }
}

enum tr_code tr_ring_new(struct tr_ring_cache *cache, const struct tr_ring_host *hosts,
                         size_t hosts_len, int64_t factor, struct tr_ring **out_ring,
                         struct tr_err *err)
{
    if (factor > TR_RING_FACTOR_MAX) {
        return tr_err_set(err, TR_LIMIT, "replication factor %lld is above %d", (long long)factor,
                          TR_RING_FACTOR_MAX);
    }
    if (factor > 0 && hosts_len > TR_RING_POINTS_MAX / (size_t)factor) {
        return tr_err_set(err, TR_LIMIT, "ring of %zu hosts with factor %lld is above %u points",
                          hosts_len, (long long)factor, TR_RING_POINTS_MAX);
    }
    struct tr_ring *ring = tr_xzalloc(sizeof(*ring));
    ring->refs = 1;
    ring->factor = factor < 1 ? 0 : factor;
    take_hosts(ring, hosts, hosts_len);
    place_points(ring, cache);
    build_index(ring);
    *out_ring = ring;
    return TR_OK;
}

struct tr_ring *tr_ring_ref(struct tr_ring *ring)
{
    tr_assert(ring->refs > 0);
    ring->refs++;
    return ring;
}

void tr_ring_unref(struct tr_ring **ring_place)
{
    struct tr_ring *ring = *ring_place;
    *ring_place = NULL;
    if (ring == NULL) {
        return;
    }
    tr_assert(ring->refs > 0);
    if (--ring->refs > 0) {
        return;
    }
    free(ring->hosts);
    free(ring->hashes);
    free(ring->owners);
    free(ring->index);
    tr_buf_fini(&ring->names);
    free(ring);
}

const struct tr_ring_host *tr_ring_lookup(const struct tr_ring *ring, struct tr_slice actor_id)
{
    if (ring->points_len == 0) {
        return NULL;
    }
    uint64_t hash = tr_ring_hash(actor_id);
    size_t at = ring->index[hash >> (64 - ring->index_bits)];
    while (at < ring->points_len && ring->hashes[at] < hash) {
        at++;
    }
    tr_assert(at == 0 || ring->hashes[at - 1] < hash);
    return &ring->hosts[ring->owners[at == ring->points_len ? 0 : at]];
}

bool tr_ring_equal(const struct tr_ring *a, const struct tr_ring *b)
{
    if (a == b) {
        return true;
    }
    if (a->factor != b->factor || a->hosts_len != b->hosts_len) {
        return false;
    }
    for (size_t i = 0; i < a->hosts_len; i++) {
        const struct tr_ring_host *left = &a->hosts[i];
        const struct tr_ring_host *right = &b->hosts[i];
        if (left->port != right->port || !tr_slice_eq(left->name, right->name) ||
            !tr_slice_eq(left->app_id, right->app_id)) {
            return false;
        }
    }
    return true;
}

size_t tr_ring_hosts_len(const struct tr_ring *ring)
{
    return ring->hosts_len;
}

const struct tr_ring_host *tr_ring_host_at(const struct tr_ring *ring, size_t i)
{
    tr_assert(i < ring->hosts_len);
    return &ring->hosts[i];
}

size_t tr_ring_points_len(const struct tr_ring *ring)
{
    return ring->points_len;
}

uint64_t tr_ring_point_at(const struct tr_ring *ring, size_t i,
                          const struct tr_ring_host **out_host)
{
    tr_assert(i < ring->points_len);
    *out_host = &ring->hosts[ring->owners[i]];
    return ring->hashes[i];
}
