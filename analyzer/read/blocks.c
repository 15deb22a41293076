#include "read/blocks.h"

/* A span's entry is followed by its requested size. All entries of a pool are there. */
void blocks_each_in_pool(const struct recording *r, const struct ul_arena *arena,
                         const struct ul_pool *pool, blocks_visit *visit, void *context) {
  const uint64_t *entries = recording_at(r, UL_ENTRIES, pool->entry);
  uint64_t blocks = recording_pool_blocks(r, pool);
  uint64_t usable = recording_block_bytes(r, pool);
  struct live_block b = {.address = arena->base +
                                    (uint64_t)(pool - arena->pools) * UL_UNIT_BYTES,
                         .usable = usable,
                         .arena = arena,
                         .pool = pool};
  for (uint64_t i = 0; i < blocks; i++, b.address += usable) {
    if (!entries[i]) continue;
    b.entry = entries[i];
    b.place = pool->entry + i;
    b.requested =
        pool->class == UL_SPAN ? entries[1] : usable - ul_entry_slack(entries[i]);
    visit(&b, context);
  }
}

enum ul_verdict blocks_verdict(const struct recording *r, const struct live_block *b) {
  if (!(recording_header(r)->features & UL_FEATURE_VERDICTS)) return UL_NO_VERDICT;
  if (b->large) return (enum ul_verdict)b->large->verdict;
  return recording_verdict(r, b->place);
}

void blocks_each_large(const struct recording *r, blocks_visit *visit, void *context) {
  const struct ul_large *l;
  for (uint64_t i = 0; (l = recording_large(r, i)); i++)
    if (l->base && l->entry)
      visit(&(struct live_block){.address = l->base,
                                 .usable = l->mapped_bytes,
                                 .requested = l->requested_bytes,
                                 .entry = l->entry,
                                 .large = l},
            context);
}

void blocks_each(const struct recording *r, blocks_visit *visit, void *context) {
  const struct ul_arena *a;
  for (uint64_t i = 0; (a = recording_arena(r, i)); i++)
    for (unsigned unit = 0; a->base && unit < UL_UNITS; unit++)
      if (a->pools[unit].units)
        blocks_each_in_pool(r, a, &a->pools[unit], visit, context);
  blocks_each_large(r, visit, context);
}

struct adding {
  const struct recording *r;
  struct block_sums sums;
};

static void add_block(const struct live_block *b, void *context) {
  struct adding *a = context;
  struct block_sums *s = &a->sums;
  uint32_t site = ul_entry_site(b->entry);
  s->blocks++;
  if (recording_site_is_own(site)) s->own_requested += b->requested;
  if (recording_site_is_inherited(a->r, site)) s->inherited_requested += b->requested;
  if (b->large) {
    s->larges++;
    s->large_bytes += b->usable;
    s->large_requested += b->requested;
    s->large_slack += b->usable - b->requested;
  } else {
    s->small_requested += b->requested;
    s->small_slack += b->usable - b->requested;
  }
}

struct block_sums blocks_sum(const struct recording *r) {
  struct adding adding = {.r = r};
  const struct ul_arena *a;
  blocks_each(r, add_block, &adding);
  struct block_sums s = adding.sums;
  for (uint64_t i = 0; (a = recording_arena(r, i)); i++) {
    if (!a->base) continue;
    s.arenas++;
    s.arena_bytes += UL_ARENA_BYTES;
    for (unsigned unit = 0; unit < UL_UNITS; unit++) {
      const struct ul_pool *p = &a->pools[unit];
      uint64_t bytes = (uint64_t)p->units * UL_UNIT_BYTES;
      if (!p->units) continue;
      s.pools++;
      s.pool_bytes += bytes;
      s.tail_bytes += bytes - recording_pool_blocks(r, p) * recording_block_bytes(r, p);
    }
  }
  s.empty_bytes = s.arena_bytes - s.pool_bytes;
  s.free_bytes = s.pool_bytes - s.tail_bytes - s.small_requested - s.small_slack;
  return s;
}
