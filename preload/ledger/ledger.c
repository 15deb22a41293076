#include "ledger/ledger.h"

#include "base/meta.h"
#include "base/os_thread.h"
#include "base/say.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <string.h>

/* ---- books --------------------------------------------------------------------- */

struct book_totals book_totals(void) {
  struct book_totals t = {0};
  for (struct heap *h = heap_first(); h; h = h->next) {
    const struct book *b = book_of(h);
    t.live_bytes += __atomic_load_n(&b->live_bytes, __ATOMIC_RELAXED);
    t.live_blocks += __atomic_load_n(&b->live_blocks, __ATOMIC_RELAXED);
    t.usable_bytes += __atomic_load_n(&b->usable_bytes, __ATOMIC_RELAXED);
    t.tail_bytes += h->tail_bytes;
    t.heaps++;
  }
  return t;
}

/* ---- counters ------------------------------------------------------------------ */

static bool chunks_grow(struct book *b, uint32_t need) {
  uint32_t size = b->chunks_size ? b->chunks_size : 64;
  while (size <= need)
    size *= 2;
  struct ul_counter **bigger = meta_alloc(size * sizeof *bigger);
  if (!bigger) return false;
  if (b->chunks_size) memcpy(bigger, b->chunks, b->chunks_size * sizeof *bigger);
  meta_free(b->chunks, b->chunks_size * sizeof *bigger);
  b->chunks = bigger;
  b->chunks_size = size;
  return true;
}

static struct ul_counter *chunk_append(const struct book *b, uint32_t c) {
  uint32_t counters = table_append(UL_COUNTERS, UL_CHUNK_SITES);
  uint32_t chunk = counters == TABLE_NONE ? TABLE_NONE : counters / UL_CHUNK_SITES;
  if (chunk == TABLE_NONE || !recording_chunk(chunk, b->index, c * UL_CHUNK_SITES))
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

static struct ul_counter *counter_make(struct book *b, uint32_t site) {
  uint32_t c = site / UL_CHUNK_SITES;
  if (c >= b->chunks_size && !chunks_grow(b, c)) return NULL;
  if (!b->chunks[c]) b->chunks[c] = chunk_append(b, c);
  return b->chunks[c] ? b->chunks[c] + site % UL_CHUNK_SITES : NULL;
}

/* No handler may leave by longjmp while the locks of tables and memory are held. */
struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site) {
  uint64_t signals;
  os_hold_signals(&signals);
  struct ul_counter *c = counter_make(book_of(h), site);
  os_release_signals(signals);
  return c ? c : uncounted();
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
  struct ul_counter *old_one = ledger_counter(h, ul_entry_site(was->entry));
  ledger_count_out(h, old_one, was, temporary);
  if (!temporary) ledger_count_life(old_one, was->entry, ms);
  ledger_count_in(h, c, requested, ledger_usable(s));
}

static uint32_t entries_in(const struct pool *p) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->end / p->size; i++)
    n += p->entries[i] != 0;
  return n;
}

static void check_pool(const struct pool *p) {
  for (const struct block *b = p->free; b; b = b->next)
    invariant(!p->entries[pool_index(p, b)], "free block has no ledger entry");
  invariant(entries_in(p) <= p->live, "ledger entries <= live blocks");
}

void ledger_check(struct heap *h) {
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    const struct pool *p;
    for (unsigned unit = 0; (p = arena_next_pool(a, &unit));)
      if (p->heap == h && p->entries) check_pool(p);
  }
}
