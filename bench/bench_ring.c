/* The ring: what one look-up costs, and how long a ring of 1,000 hosts takes to build, fresh and from the cache. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "placement/ring.h"
#include "runtime/base/buf.h"

#define HOSTS   1000
#define FACTOR  100
#define LOOKUPS 1000000

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double build_ms(struct tr_ring_cache *cache, const struct tr_ring_host *hosts,
                       struct tr_ring **ring)
{
    struct tr_err err;
    tr_ring_unref(ring);
    double start = now_ns();
    if (tr_ring_new(cache, hosts, HOSTS, FACTOR, ring, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return (now_ns() - start) / 1e6;
}

int main(void)
{
    static char names[HOSTS][32];
    static struct tr_ring_host hosts[HOSTS];
    for (int i = 0; i < HOSTS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "10.0.%d.%d:50002", i / 250, i % 250);
        hosts[i] =
            (struct tr_ring_host){ .name = tr_slice_str(names[i]), .app_id = TR_SLICE_LIT("app") };
    }
    struct tr_ring_cache cache = { 0 };
    struct tr_ring *ring = NULL;
    double fresh_ms = build_ms(&cache, hosts, &ring);
    double cached_ms = build_ms(&cache, hosts, &ring);

    size_t used = 0;
    double start = now_ns();
    for (int i = 0; i < LOOKUPS; i++) {
        char id[24];
        int len = snprintf(id, sizeof(id), "actor-%d", i);
        used += tr_ring_lookup(ring, tr_slice(id, (size_t)len))->name.len;
    }
    double lookup_ns = (now_ns() - start) / LOOKUPS;
    (void)printf(
        "{\"bench\":\"ring\",\"hosts\":%d,\"factor\":%d,\"lookup_ns\":%.0f,\"build_ms\":%.1f,"
        "\"build_cached_ms\":%.1f,\"check\":%zu}\n",
        HOSTS, FACTOR, lookup_ns, fresh_ms, cached_ms, used);
    tr_ring_unref(&ring);
    tr_ring_cache_fini(&cache);
    return 0;
}
