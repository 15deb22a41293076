/* ledger.h - the ledger: for each live block one entry (format.h) in the
 * recording; for each site and heap a line of counters.
 *
 * An entry is written by the thread that allocates, after the block is its own,
 * and cleared by the thread that frees, before the block is anybody else's: so
 * an entry has one writer at a time and needs no atomics. No fault in the ledger
 * reaches the allocator: it reads no entry. */
#ifndef ULLAGE_LEDGER_H
#define ULLAGE_LEDGER_H

#include "heap/types.h"

/* A block found or made: in a pool, or large; exactly one is not NULL. */
struct spot {
  struct pool *pool;
  struct large *large;
};

/* `capacity` zeroed entries for a new pool; NULL when nothing is recorded (any more).
 * Under the arena lock, as the next three. */
uint64_t *ledger_strip_take(uint32_t capacity, uint32_t *entry);
void ledger_strip_give(uint64_t *entries, uint32_t entry, uint32_t capacity);
struct ul_arena *ledger_arena_record(void);
struct ul_large *ledger_large_record(void);

/* Record a block just allocated. site is not UL_SITE_NONE. ms: os_ms() - start. */
void ledger_enter(struct heap *h, struct spot s, void *block, size_t requested,
                  uint32_t site, enum ul_family family, uint64_t ms);
/* The block is about to be freed by h's thread. False: it is not in the ledger. */
bool ledger_clear(struct heap *h, struct spot s, void *block, uint64_t ms);
/* Its entry, and its requested size in bytes; 0: not in the ledger. */
uint64_t ledger_look(struct spot s, const void *block, size_t *requested);

/* A heap's counters of the site; NULL: no room. */
struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site);
#endif
