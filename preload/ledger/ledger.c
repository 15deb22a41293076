#include "ledger/ledger.h"

#include "base/meta.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <string.h>

/* ---- strips: the entries of a pool --------------------------------------------- */

/* A strip is a power of two of words, at least a cache line so that owners do
 * not share one. A free strip is all zero but for its first word, which links
 * to the next (index + 1); the reader sees it in no pool. */
enum { STRIP_MIN_BITS = 3, STRIP_MAX_BITS = 10 };
static uint32_t free_strips[STRIP_MAX_BITS + 1]; /* index + 1 in UL_ENTRIES */

static unsigned strip_bits(uint32_t capacity) {
  uint32_t words = capacity + 1; /* a span has its requested size beside its entry */
  unsigned bits = 32 - (unsigned)__builtin_clz(words - 1);
  if (capacity > 1) bits = 32 - (unsigned)__builtin_clz(capacity - 1);
  return bits < STRIP_MIN_BITS ? STRIP_MIN_BITS : bits;
}

uint64_t *ledger_strip_take(uint32_t capacity, uint32_t *entry) {
  if (!recording || recording_stopped()) return NULL;
  unsigned bits = strip_bits(capacity);
  uint32_t index = free_strips[bits];
  if (index) {
    uint64_t *words = table_at(UL_ENTRIES, --index);
    free_strips[bits] = (uint32_t)words[0];
    words[0] = 0;
  } else {
    index = table_append(UL_ENTRIES, 1u << bits);
    if (index == TABLE_NONE) return NULL;
  }
  *entry = index;
  return table_at(UL_ENTRIES, index);
}

void ledger_strip_give(uint64_t *entries, uint32_t entry, uint32_t capacity) {
  if (!entries || !recording || recording_stopped()) return;
  unsigned bits = strip_bits(capacity);
  memset(entries, 0, sizeof *entries << bits);
  entries[0] = free_strips[bits];
  free_strips[bits] = entry + 1;
}

struct ul_arena *ledger_arena_record(void) {
  uint32_t i = recording ? table_append(UL_ARENAS, 1) : TABLE_NONE;
  return i == TABLE_NONE ? NULL : table_at(UL_ARENAS, i);
}

struct ul_large *ledger_large_record(void) {
  uint32_t i = recording ? table_append(UL_LARGES, 1) : TABLE_NONE;
  return i == TABLE_NONE ? NULL : table_at(UL_LARGES, i);
}

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

struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site) {
  uint32_t c = site / UL_CHUNK_SITES;
  if (c >= h->chunks_size && !chunks_grow(h, c)) return NULL;
  if (!h->chunks[c]) h->chunks[c] = chunk_append(h, c);
  return h->chunks[c] ? h->chunks[c] + site % UL_CHUNK_SITES : NULL;
}

static inline struct ul_counter *counter_of(struct heap *h, uint32_t site) {
  uint32_t c = site / UL_CHUNK_SITES;
  if (LIKELY(c < h->chunks_size && h->chunks[c]))
    return h->chunks[c] + site % UL_CHUNK_SITES;
  return ledger_counter_slow(h, site);
}

/* ---- entries ------------------------------------------------------------------- */

static inline uint32_t block_index(const struct pool *p, const void *block) {
  uint64_t offset = (uint64_t)((const char *)block - p->base);
  return (uint32_t)(offset * p->recip >> 32);
}

static bool write_entry(struct spot s, void *block, size_t requested, uint32_t site,
                        enum ul_family family, uint64_t ms) {
  uint32_t birth = ul_birth(ms);
  if (UNLIKELY(s.large)) {
    struct ul_large *record = s.large->record;
    if (!record) return false;
    record->requested_bytes = requested;
    __atomic_store_n(&record->entry, ul_entry(site, birth, 0, family), __ATOMIC_RELEASE);
    return true;
  }
  struct pool *p = s.pool;
  if (UNLIKELY(!p->entries)) return false;
  if (UNLIKELY(p->class == UL_SPAN)) {
    p->entries[1] = requested;
    __atomic_store_n(&p->entries[0], ul_entry(site, birth, 0, family), __ATOMIC_RELEASE);
    return true;
  }
  uint32_t slack = p->size - (uint32_t)requested;
  p->entries[block_index(p, block)] = ul_entry(site, birth, slack, family);
  return true;
}

static void add(_Atomic int64_t *n, int64_t by) {
  int64_t now = atomic_load_explicit(n, memory_order_relaxed);
  atomic_store_explicit(n, now + by, memory_order_relaxed);
}

static size_t usable_in_pool(struct spot s) {
  return s.pool ? s.pool->size : 0;
}

void ledger_enter(struct heap *h, struct spot s, void *block, size_t requested,
                  uint32_t site, enum ul_family family, uint64_t ms) {
  struct ul_counter *c = counter_of(h, site);
  if (UNLIKELY(!c)) return;
  if (UNLIKELY(!write_entry(s, block, requested, site, family, ms))) return;
  c->allocations++;
  c->allocated_bytes += requested;
  add(&h->live_bytes, (int64_t)requested);
  add(&h->live_blocks, 1);
  add(&h->usable_bytes, (int64_t)usable_in_pool(s));
  h->recent[h->recent_next] = block;
  if (++h->recent_next == RECENT_BLOCKS) h->recent_next = 0;
}

static uint64_t *entry_of(struct spot s, const void *block) {
  if (UNLIKELY(s.large)) return s.large->record ? &s.large->record->entry : NULL;
  return s.pool->entries ? &s.pool->entries[block_index(s.pool, block)] : NULL;
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

static bool forget_recent(struct heap *h, const void *block) {
  for (unsigned i = 0; i < RECENT_BLOCKS; i++) {
    if (h->recent[i] != block) continue;
    h->recent[i] = NULL;
    return true;
  }
  return false;
}

bool ledger_clear(struct heap *h, struct spot s, void *block, uint64_t ms) {
  uint64_t *slot = entry_of(s, block);
  if (UNLIKELY(!slot || !*slot)) return false;
  uint64_t entry = *slot;
  size_t requested = requested_of(s, entry);
  struct ul_counter *c = counter_of(h, ul_entry_site(entry));
  if (UNLIKELY(!c)) return false;
  uint64_t born = ul_birth_ms(ul_entry_birth(entry));
  *slot = 0;
  c->frees++;
  c->freed_bytes += requested;
  c->lifetime_ms += ms > born ? ms - born : 0;
  c->temporary += forget_recent(h, block);
  add(&h->live_bytes, -(int64_t)requested);
  add(&h->live_blocks, -1);
  add(&h->usable_bytes, -(int64_t)usable_in_pool(s));
  return true;
}
