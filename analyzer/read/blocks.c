#include "read/blocks.h"

/* A span's entry is followed by its requested size. */
void blocks_each_in_pool(const struct recording *r, const struct ul_arena *arena,
                         const struct ul_pool *pool, blocks_visit *visit, void *context) {
  uint64_t blocks = recording_pool_blocks(r, pool);
  uint64_t usable = recording_block_bytes(r, pool);
  uint64_t base = arena->base + (uint64_t)(pool - arena->pools) * UL_UNIT_BYTES;
  for (uint64_t i = 0; i < blocks; i++) {
    uint64_t e = recording_entry(r, pool->entry + i);
    if (!e) continue;
    uint64_t requested = pool->class == UL_SPAN ? recording_entry(r, pool->entry + 1)
                                                : usable - ul_entry_slack(e);
    visit(&(struct live_block){.address = base + i * usable,
                               .usable = usable,
                               .requested = requested,
                               .entry = e,
                               .verdict = recording_verdict(r, pool->entry + i),
                               .arena = arena,
                               .pool = pool},
          context);
  }
}

static enum ul_verdict verdict_of_large(const struct recording *r,
                                        const struct ul_large *l) {
  bool known = recording_header(r)->features & UL_FEATURE_VERDICTS;
  return known ? (enum ul_verdict)l->verdict : UL_NO_VERDICT;
}

static void each_large(const struct recording *r, blocks_visit *visit, void *context) {
  const struct ul_large *l;
  for (uint64_t i = 0; (l = recording_large(r, i)); i++)
    if (l->base && l->entry)
      visit(&(struct live_block){.address = l->base,
                                 .usable = l->mapped_bytes,
                                 .requested = l->requested_bytes,
                                 .entry = l->entry,
                                 .verdict = verdict_of_large(r, l),
                                 .large = l},
            context);
}

void blocks_each(const struct recording *r, blocks_visit *visit, void *context) {
  const struct ul_arena *a;
  for (uint64_t i = 0; (a = recording_arena(r, i)); i++)
    for (unsigned unit = 0; a->base && unit < UL_UNITS; unit++)
      if (a->pools[unit].units)
        blocks_each_in_pool(r, a, &a->pools[unit], visit, context);
  each_large(r, visit, context);
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
