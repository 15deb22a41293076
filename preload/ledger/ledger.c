#include "ledger/ledger.h"

#include "base/meta.h"
#include "base/say.h"
#include "heap/arena.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <string.h>

/* ---- counters ------------------------------------------------------------------ */

static bool chunks_grow(struct heap *h, uint32_t need) {
  uint32_t size = h->chunks_size ? h->chunks_size : 64;
  while (size <= need)
    size *= 2;
  struct ul_counter **bigger = meta_alloc(size * sizeof *bigger);
  if (!bigger) return false;
  if (h->chunks_size) memcpy(bigger, h->chunks, h->chunks_size * sizeof *bigger);
  meta_free(h->chunks, h->chunks_size * sizeof *bigger);
  h->chunks = bigger;
  h->chunks_size = size;
  return true;
}

static struct ul_counter *chunk_append(struct heap *h, uint32_t c) {
  uint32_t counters = table_append(UL_COUNTERS, UL_CHUNK_SITES);
  uint32_t chunk = counters == TABLE_NONE ? TABLE_NONE : counters / UL_CHUNK_SITES;
  if (chunk == TABLE_NONE || !recording_chunk(chunk, h->index, c * UL_CHUNK_SITES))
    return NULL;
  return table_at(UL_COUNTERS, counters);
}

/* Without room for a counter the block is entered all the same, for a block without an
 * entry counts as freed: only the sums over the sites then lack it, and say so. */
static struct ul_counter *uncounted(void) {
  static struct ul_counter nowhere;
  fallback(UL_FB_UNCOUNTED);
  return &nowhere;
}

struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site) {
  uint32_t c = site / UL_CHUNK_SITES;
  if (c >= h->chunks_size && !chunks_grow(h, c)) return uncounted();
  if (!h->chunks[c]) h->chunks[c] = chunk_append(h, c);
  return h->chunks[c] ? h->chunks[c] + site % UL_CHUNK_SITES : uncounted();
}

/* ---- entries ------------------------------------------------------------------- */

void ledger_write_wide(struct spot s, uint64_t *slot, size_t requested, uint64_t entry) {
  if (s.large)
    s.large->record->requested_bytes = s.large->requested = requested;
  else
    slot[1] = requested;
  __atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

void ledger_renew(struct heap *h, const struct ledger_line *was, hidden old,
                  struct spot s, hidden block, size_t requested, uint32_t site,
                  enum ul_family family, uint64_t ms) {
  bool temporary = ledger_forget_recent(h, reveal(old));
  uint64_t *slot = ledger_begin_life(h, s, reveal(block));
  struct ul_counter *c = ledger_counter(h, site);
  ledger_write(s, slot, requested, site, family, ms);
  ledger_count_out(h, was, temporary, ms);
  ledger_count_in(h, c, requested, s);
}

static uint32_t entries_in(const struct pool *p) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->end / p->size; i++)
    n += p->entries[i] != 0;
  return n;
}

static void check_pool(const struct pool *p) {
  for (const struct block *b = p->free; b; b = b->next)
    invariant(!p->entries[ledger_index(p, b)], "free block has no ledger entry");
  invariant(entries_in(p) <= p->live, "ledger entries <= live blocks");
}

void ledger_check(struct heap *h) {
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    const struct pool *p;
    for (unsigned unit = 0; (p = arena_next_pool(a, &unit));)
      if (p->heap == h && p->entries) check_pool(p);
  }
}
