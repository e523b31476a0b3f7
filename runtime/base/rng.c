/* Randomness: xoshiro256** (public domain algorithm by D. Blackman and S. Vigna), seeded through splitmix64. */
#include "runtime/base/rng.h"

#include <stdio.h>
#include <sys/random.h>

#include "runtime/base/assert.h"

void tr_rng_init_system(struct tr_rng *rng)
{
    if (getrandom(rng->s, sizeof(rng->s), 0) != (ssize_t)sizeof(rng->s)) {
        TR_BUG("the system gives no random bytes");
    }
    rng->s[0] |= 1; /* the state must not be all zero */
}

void tr_rng_init_seed(struct tr_rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(rng->s); i++) {
        seed += UINT64_C(0x9E3779B97F4A7C15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        rng->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64U - bits));
}

uint64_t tr_rng_next(struct tr_rng *rng)
{
    uint64_t *s = rng->s;
    const uint64_t result = rotate(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t tr_rng_below(struct tr_rng *rng, uint64_t bound)
{
    tr_assert(bound > 0);
    /* Values below `rest` would make the first remainders likelier than the last ones. */
    const uint64_t rest = (UINT64_MAX - bound + 1) % bound;
    uint64_t value = tr_rng_next(rng);
    while (value < rest) {
        value = tr_rng_next(rng);
    }
    return value % bound;
}

uint64_t tr_rng_between(struct tr_rng *rng, uint64_t low, uint64_t high)
{
    tr_assert(low <= high);
    if (high - low == UINT64_MAX) {
        return tr_rng_next(rng);
    }
    return low + tr_rng_below(rng, high - low + 1);
}

void tr_rng_uuid(struct tr_rng *rng, char out_text[TR_UUID_LEN + 1])
{
    const uint64_t a = (tr_rng_next(rng) & ~UINT64_C(0xF000)) | UINT64_C(0x4000);
    const uint64_t b = (tr_rng_next(rng) & ~(UINT64_C(3) << 62)) | (UINT64_C(2) << 62);
    (void)snprintf(out_text, TR_UUID_LEN + 1, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(a >> 32),
                   (unsigned)(a >> 16) & 0xFFFFU, (unsigned)a & 0xFFFFU, (unsigned)(b >> 48),
                   (unsigned long long)(b & UINT64_C(0xFFFFFFFFFFFF)));
}
