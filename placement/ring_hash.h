/* The hash of the v1 ring. A file of its own, because it is the one place that needs the crypto library. */
#ifndef TR_PLACEMENT_RING_HASH_H
#define TR_PLACEMENT_RING_HASH_H

#include <stdint.h>

#include "runtime/base/slice.h"

/*
 * BLAKE2b with a 64-byte digest and no key; the first eight bytes as a little-endian number.
 *
 * Thread: loop (the hashing context is kept between calls). Cost: about half a microsecond up to 128 bytes.
 * Source: Dapr pkg/placement/hashing/consistent_hash.go, hash.
 */
uint64_t tr_ring_hash(struct tr_slice bytes);

#endif
