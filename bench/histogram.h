/* Latencies in microseconds, counted in buckets no wider than 1.6 % of their value: 64 to each power of two. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6U
#define HISTOGRAM_SUBS     (1U << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_LEN      (HISTOGRAM_SUBS * 32U)
#define HISTOGRAM_MAX_US   ((uint64_t)1 << 36U) /* larger ones count as this: 19 hours */

struct histogram {
    uint64_t counts[HISTOGRAM_LEN];
    uint64_t len;
    uint64_t max_us;
};

/* Values below HISTOGRAM_SUBS have a bucket each; above, the leading bit chooses the row and the next six the bucket. */
static inline unsigned histogram_index(uint64_t us)
{
    if (us < HISTOGRAM_SUBS) {
        return (unsigned)us;
    }
    const unsigned shift = 63U - (unsigned)__builtin_clzll(us) - HISTOGRAM_SUB_BITS;
    return (shift + 1) * HISTOGRAM_SUBS + ((unsigned)(us >> shift) & (HISTOGRAM_SUBS - 1));
}

/* Largest value of a bucket. */
static inline uint64_t histogram_value(unsigned index)
{
    if (index < HISTOGRAM_SUBS) {
        return index;
    }
    const unsigned shift = index / HISTOGRAM_SUBS - 1;
    return ((uint64_t)(HISTOGRAM_SUBS + index % HISTOGRAM_SUBS + 1) << shift) - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t us)
{
    const uint64_t value = us < HISTOGRAM_MAX_US ? us : HISTOGRAM_MAX_US - 1;
    h->counts[histogram_index(value)]++;
    h->len++;
    h->max_us = value > h->max_us ? value : h->max_us;
}

/* Value that `share` (0 to 1) of the values do not exceed; 0 when there are none. */
static inline uint64_t histogram_at(const struct histogram *h, double share)
{
    const uint64_t want = (uint64_t)(share * (double)h->len + 0.5);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_LEN; i++) {
        seen += h->counts[i];
        if (seen > 0 && seen >= want) {
            return histogram_value(i) < h->max_us ? histogram_value(i) : h->max_us;
        }
    }
    return h->max_us;
}

#endif
