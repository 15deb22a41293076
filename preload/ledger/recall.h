/* recall.h - sites that are known by a hash of their stacks: for stacks that come in
 * turn, one look in place of one for each new frame. Of all threads. */
#ifndef ULLAGE_RECALL_H
#define ULLAGE_RECALL_H

#include "format.h"
#include "heap/types.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RECALL_LINE UINT64_C(8)
struct recall_memory {
  uint64_t last; /* place; their number is a power of two */
  _Atomic uint32_t in_vain;
  uint32_t unused[13]; /* so that a line of places is one of the cache's */
  _Atomic uint64_t places[];
};
extern struct recall_memory *_Atomic recall_memory
    __attribute__((visibility("hidden"))); /* NULL until something is remembered */

/* The places of a hash are those of a line; this one, and then `probe` others. */
static inline _Atomic uint64_t *recall_place(struct recall_memory *m, uint64_t hash,
                                             unsigned probe) {
  uint64_t first = hash & m->last & ~(RECALL_LINE - 1);
  return &m->places[first + (hash + probe) % RECALL_LINE];
}

static inline uint32_t recall_at(const _Atomic uint64_t *place, uint64_t hash) {
  uint64_t is = atomic_load_explicit(place, memory_order_relaxed);
  return (is ^ hash) / UL_SITES_MAX == 0 ? is % UL_SITES_MAX : 0;
}

/* 0: it is not remembered. */
uint32_t recall_further(struct recall_memory *, uint64_t hash);
static inline uint32_t recall(uint64_t hash) {
  struct recall_memory *m = atomic_load_explicit(&recall_memory, memory_order_acquire);
  if (UNLIKELY(!m)) return 0;
  uint32_t site = recall_at(&m->places[hash & m->last], hash);
  return LIKELY(site) ? site : recall_further(m, hash);
}
/* `known`: the site had been there before, and it would have been better to remember it.
 * Calls meta_alloc, now and then. */
void remember(uint64_t hash, uint32_t site, bool known);
#endif
