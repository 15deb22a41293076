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

static struct ul_counter *counter_slow(struct heap *h, uint32_t site) {
  uint32_t c = site / UL_CHUNK_SITES;
  if (c >= h->chunks_size && !chunks_grow(h, c)) return uncounted();
  if (!h->chunks[c]) h->chunks[c] = chunk_append(h, c);
  return h->chunks[c] ? h->chunks[c] + site % UL_CHUNK_SITES : uncounted();
}

static inline struct ul_counter *counter_of(struct heap *h, uint32_t site) {
  uint32_t c = site / UL_CHUNK_SITES;
  if (LIKELY(c < h->chunks_size && h->chunks[c]))
    return h->chunks[c] + site % UL_CHUNK_SITES;
  return counter_slow(h, site);
}

/* ---- entries ------------------------------------------------------------------- */

static inline uint32_t block_index(const struct pool *p, const void *block) {
  uint64_t offset = (uint64_t)((const char *)block - p->base);
  return (uint32_t)(offset * p->recip >> 32);
}

static uint64_t *entry_of(struct spot s, const void *block) {
  if (UNLIKELY(s.large)) return s.large->record ? &s.large->record->entry : NULL;
  return s.pool->entries ? &s.pool->entries[block_index(s.pool, block)] : NULL;
}

static inline __attribute__((always_inline)) void
write_entry(struct spot s, uint64_t *entry, size_t requested, uint32_t site,
            enum ul_family family, uint64_t ms) {
  uint32_t birth = ul_birth(ms);
  if (UNLIKELY(s.large))
    s.large->record->requested_bytes = s.large->requested = requested;
  else if (UNLIKELY(s.pool->class == UL_SPAN))
    entry[1] = requested;
  else {
    uint32_t slack = s.pool->size - (uint32_t)requested;
    *entry = ul_entry(site, birth, slack, family);
    return;
  }
  __atomic_store_n(entry, ul_entry(site, birth, 0, family), __ATOMIC_RELEASE);
}

static void add(_Atomic int64_t *n, int64_t by) {
  int64_t now = atomic_load_explicit(n, memory_order_relaxed);
  atomic_store_explicit(n, now + by, memory_order_relaxed);
}

static size_t usable_in_pool(struct spot s) {
  return s.pool ? s.pool->size : 0;
}

static void remember_recent(struct heap *h, void *block) {
  h->recent[h->recent_next] = block;
  if (++h->recent_next == RECENT_BLOCKS) h->recent_next = 0;
}

static void count_in(struct heap *h, struct ul_counter *c, size_t requested,
                     size_t usable) {
  c->allocations++;
  c->allocated_bytes += requested;
  add(&h->live_bytes, (int64_t)requested);
  add(&h->live_blocks, 1);
  add(&h->usable_bytes, (int64_t)usable);
}

/* Its address is done with before anything is called. */
static uint64_t *begin_life(struct heap *h, struct spot s, void *block) {
  uint64_t *entry = entry_of(s, block);
  if (LIKELY(entry)) remember_recent(h, block);
  return entry;
}

void ledger_enter(struct heap *h, struct spot s, hidden block, size_t requested,
                  uint32_t site, enum ul_family family, uint64_t ms) {
  uint64_t *entry = begin_life(h, s, reveal(block));
  if (UNLIKELY(!entry)) return;
  struct ul_counter *c = counter_of(h, site);
  write_entry(s, entry, requested, site, family, ms);
  count_in(h, c, requested, usable_in_pool(s));
}

static size_t requested_of(struct spot s, uint64_t entry) {
  if (UNLIKELY(s.large)) return s.large->record->requested_bytes;
  if (UNLIKELY(s.pool->class == UL_SPAN)) return s.pool->entries[1];
  return s.pool->size - ul_entry_slack(entry);
}

uint64_t ledger_look(struct spot s, const void *block, size_t *requested) {
  uint64_t *entry = entry_of(s, block);
  if (!entry || !*entry) return 0;
  *requested = requested_of(s, *entry);
  return *entry;
}

struct ledger_line ledger_line(struct spot s, const void *block) {
  struct ledger_line line = {.usable = usable_in_pool(s)};
  line.entry = ledger_look(s, block, &line.requested);
  return line;
}

static bool forget_recent(struct heap *h, const void *block) {
  for (unsigned i = 0; i < RECENT_BLOCKS; i++) {
    if (h->recent[i] != block) continue;
    h->recent[i] = NULL;
    return true;
  }
  return false;
}

static void count_out(struct heap *h, const struct ledger_line *was, bool temporary,
                      uint64_t ms) {
  struct ul_counter *c = counter_of(h, ul_entry_site(was->entry));
  uint64_t born = ul_birth_ms(ul_entry_birth(was->entry));
  c->frees++;
  c->freed_bytes += was->requested;
  c->lifetime_ms += ms > born ? ms - born : 0;
  c->temporary += temporary;
  add(&h->live_bytes, -(int64_t)was->requested);
  add(&h->live_blocks, -1);
  add(&h->usable_bytes, -(int64_t)was->usable);
}

bool ledger_clear(struct heap *h, struct spot s, void *block, uint64_t ms) {
  uint64_t *slot = entry_of(s, block);
  if (UNLIKELY(!slot || !*slot)) return false;
  struct ledger_line was = {*slot, requested_of(s, *slot), usable_in_pool(s)};
  *slot = 0;
  if (UNLIKELY(s.large)) s.large->requested = 0;
  count_out(h, &was, forget_recent(h, block), ms);
  return true;
}

void ledger_renew(struct heap *h, const struct ledger_line *was, hidden old,
                  struct spot s, hidden block, size_t requested, uint32_t site,
                  enum ul_family family, uint64_t ms) {
  bool temporary = forget_recent(h, reveal(old));
  uint64_t *entry = begin_life(h, s, reveal(block));
  struct ul_counter *c = counter_of(h, site);
  write_entry(s, entry, requested, site, family, ms);
  count_out(h, was, temporary, ms);
  count_in(h, c, requested, usable_in_pool(s));
}

static uint32_t entries_in(const struct pool *p) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->end / p->size; i++)
    n += p->entries[i] != 0;
  return n;
}

static void check_pool(const struct pool *p) {
  for (const struct block *b = p->free; b; b = b->next)
    invariant(!p->entries[block_index(p, b)], "free block has no ledger entry");
  invariant(entries_in(p) <= p->live, "ledger entries <= live blocks");
}

void ledger_check(struct heap *h) {
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    const struct pool *p;
    for (unsigned unit = 0; (p = arena_next_pool(a, &unit));)
      if (p->heap == h && p->entries) check_pool(p);
  }
}
