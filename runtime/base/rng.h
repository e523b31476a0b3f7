/* The only source of randomness: xoshiro256** seeded from the system, or from a number in tests and simulation. */
#ifndef TR_BASE_RNG_H
#define TR_BASE_RNG_H

#include <stdint.h>

struct tr_rng {
    uint64_t s[4];
};

/* Seed from the operating system; aborts when that fails. */
void tr_rng_init_system(struct tr_rng *rng);
/* Seed from a number: the same number gives the same sequence. */
void tr_rng_init_seed(struct tr_rng *rng, uint64_t seed);
uint64_t tr_rng_next(struct tr_rng *rng);
/* Uniform in [0, bound), bound > 0. */
uint64_t tr_rng_below(struct tr_rng *rng, uint64_t bound);
/* Uniform in [low, high]. */
uint64_t tr_rng_between(struct tr_rng *rng, uint64_t low, uint64_t high);

#define TR_UUID_LEN 36
/* A random UUID (version 4) in lower-case text form with a terminating NUL. */
void tr_rng_uuid(struct tr_rng *rng, char out_text[TR_UUID_LEN + 1]);

#endif
