/* ledger_inline.h - what every malloc and free runs through; see ledger.h. */
#ifndef ULLAGE_LEDGER_INLINE_H
#define ULLAGE_LEDGER_INLINE_H

/* ---- counters ------------------------------------------------------------------ */

struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site);
static inline struct ul_counter *ledger_counter(struct heap *h, uint32_t site) {
  const struct book *b = book_of(h);
  uint32_t c = site / UL_CHUNK_SITES;
  if (LIKELY(c < b->chunks_size && b->chunks[c]))
    return b->chunks[c] + site % UL_CHUNK_SITES;
  return ledger_counter_slow(h, site);
}

static inline void ledger_add(_Atomic int64_t *n, int64_t by) {
  int64_t now = atomic_load_explicit(n, memory_order_relaxed);
  atomic_store_explicit(n, now + by, memory_order_relaxed);
}

static inline size_t ledger_usable(struct spot s) {
  return LIKELY(s.pool) ? s.pool->size : 0;
}

static inline void ledger_count_in(struct heap *h, struct ul_counter *c, size_t requested,
                                   struct spot s) {
  c->allocations++;
  c->allocated_bytes += requested;
  ledger_add(&book_of(h)->live_bytes, (int64_t)requested);
  ledger_add(&book_of(h)->live_blocks, 1);
  ledger_add(&book_of(h)->usable_bytes, (int64_t)ledger_usable(s));
}

static inline void ledger_remember_recent(struct heap *h, void *block) {
  struct book *b = book_of(h);
  b->recent[b->recent_next] = block;
  if (++b->recent_next == RECENT_BLOCKS) b->recent_next = 0;
}

static inline bool ledger_forget_recent(struct heap *h, const void *block) {
  void **recent = book_of(h)->recent;
  for (unsigned i = 0; i < RECENT_BLOCKS; i++) {
    if (recent[i] != block) continue;
    recent[i] = NULL;
    return true;
  }
  return false;
}

static inline void ledger_count_out(struct heap *h, const struct ledger_line *was,
                                    bool temporary, uint64_t ms) {
  struct ul_counter *c = ledger_counter(h, ul_entry_site(was->entry));
  uint64_t born = ul_birth_ms(ul_entry_birth(was->entry));
  c->frees++;
  c->freed_bytes += was->requested;
  c->lifetime_ms += ms > born ? ms - born : 0;
  c->temporary += temporary;
  ledger_add(&book_of(h)->live_bytes, -(int64_t)was->requested);
  ledger_add(&book_of(h)->live_blocks, -1);
  ledger_add(&book_of(h)->usable_bytes, -(int64_t)was->usable);
}

/* ---- entries ------------------------------------------------------------------- */

static inline uint32_t ledger_index(const struct pool *p, const void *block) {
  uint64_t offset = (uint64_t)((const char *)block - p->base);
  return (uint32_t)(offset * p->recip >> 32);
}

static inline uint64_t *ledger_slot(struct spot s, const void *block) {
  if (UNLIKELY(s.large)) return s.large->record ? &s.large->record->entry : NULL;
  return LIKELY(s.pool->entries) ? &s.pool->entries[ledger_index(s.pool, block)] : NULL;
}

/* The block's address is done with before anything is called. NULL: there is no room for
 * an entry. */
static inline uint64_t *ledger_begin_life(struct heap *h, struct spot s, void *block) {
  uint64_t *slot = ledger_slot(s, block);
  if (LIKELY(slot)) ledger_remember_recent(h, block);
  return slot;
}

/* The entry of a large block or a span, its requested size first. */
void ledger_write_wide(struct spot s, uint64_t *slot, size_t requested, uint64_t entry);

static inline void ledger_write(struct spot s, uint64_t *slot, size_t requested,
                                uint32_t site, enum ul_family family, uint64_t ms) {
  if (UNLIKELY(s.large || s.pool->class == UL_SPAN))
    ledger_write_wide(s, slot, requested, ul_entry(site, ul_birth(ms), 0, family));
  else
    *slot = ul_entry(site, ul_birth(ms), s.pool->size - (uint32_t)requested, family);
}

static inline size_t ledger_requested(struct spot s, uint64_t entry) {
  if (UNLIKELY(s.large)) return s.large->record->requested_bytes;
  if (UNLIKELY(s.pool->class == UL_SPAN)) return s.pool->entries[1];
  return s.pool->size - ul_entry_slack(entry);
}

/* ---- the two events ------------------------------------------------------------ */

static inline void ledger_enter(struct heap *h, struct spot s, hidden block,
                                size_t requested, uint32_t site, enum ul_family family,
                                uint64_t ms) {
  uint64_t *slot = ledger_begin_life(h, s, reveal(block));
  if (UNLIKELY(!slot)) return;
  struct ul_counter *c = ledger_counter(h, site);
  ledger_write(s, slot, requested, site, family, ms);
  ledger_count_in(h, c, requested, s);
}

static inline struct ledger_line ledger_line(struct spot s, const void *block) {
  const uint64_t *slot = ledger_slot(s, block);
  struct ledger_line line = {.usable = ledger_usable(s)};
  if (UNLIKELY(!slot || !*slot)) return line;
  line.entry = *slot;
  line.requested = ledger_requested(s, line.entry);
  return line;
}

static inline void ledger_clear(struct heap *h, struct spot s, void *block,
                                const struct ledger_line *was, uint64_t ms) {
  *ledger_slot(s, block) = 0;
  if (UNLIKELY(s.large)) s.large->requested = 0;
  ledger_count_out(h, was, ledger_forget_recent(h, block), ms);
}
#endif
