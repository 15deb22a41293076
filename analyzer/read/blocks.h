/* blocks.h - the live blocks of a recording, from its ledger, and what they and the
 * space around them add up to. */
#ifndef ULLAGE_BLOCKS_H
#define ULLAGE_BLOCKS_H

#include "read/recording.h"

struct live_block {
  uint64_t address;
  uint64_t usable, requested;   /* bytes */
  uint64_t entry;               /* ul_entry_site() ... */
  uint64_t place;               /* of that in UL_ENTRIES, of what is in a pool */
  const struct ul_arena *arena; /* NULL: large */
  const struct ul_pool *pool;
  const struct ul_large *large; /* NULL: in a pool */
};

/* Every live block, in order of the tables: arenas, then larges. */
typedef void blocks_visit(const struct live_block *block, void *context);
void blocks_each(const struct recording *r, blocks_visit *visit, void *context);
/* Those of one pool. */
void blocks_each_in_pool(const struct recording *r, const struct ul_arena *arena,
                         const struct ul_pool *pool, blocks_visit *visit, void *context);
/* Those in no pool. */
void blocks_each_large(const struct recording *r, blocks_visit *visit, void *context);
/* UL_NO_VERDICT: not known. */
enum ul_verdict blocks_verdict(const struct recording *r, const struct live_block *block);

/* The identity of struct ul_snapshot, but from the ledger; no cached mappings here. */
struct block_sums {
  uint64_t arenas, pools, larges, blocks;
  uint64_t arena_bytes, pool_bytes, empty_bytes, large_bytes;
  uint64_t small_requested, small_slack, free_bytes, tail_bytes;
  uint64_t large_requested, large_slack;
  uint64_t own_requested; /* of both: ullage's own libraries' */
  uint64_t inherited_requested;
};
struct block_sums blocks_sum(const struct recording *r);
#endif
