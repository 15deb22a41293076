/* hash.h - one word more into a hash. */
#ifndef ULLAGE_HASH_H
#define ULLAGE_HASH_H

#include <stdint.h>

#define HASH_SEED 0x2d358dccaa6c78a5u
#define HASH_STEP 0x8bb84b93962eacc9u

static inline uint64_t hash_mix(uint64_t hash, uint64_t word) {
  __uint128_t p = (__uint128_t)(hash ^ word) * HASH_STEP;
  return (uint64_t)(p >> 64) ^ (uint64_t)p;
}
#endif
