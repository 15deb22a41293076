/* ledger_inline.h - what every malloc and free runs through; see ledger.h. */
#ifndef ULLAGE_LEDGER_INLINE_H
#define ULLAGE_LEDGER_INLINE_H

/* ---- the clock ------------------------------------------------------------------ */

void ledger_clock_moved(struct heap *h, uint64_t tick);
static inline const struct book_clock *ledger_clock(struct heap *h) {
  const struct book_clock *c = &book_of(h)->clock;
  uint64_t tick = os_tick();
  if (UNLIKELY(tick != c->tick)) ledger_clock_moved(h, tick);
  return c;
}

/* Since the block of that entry was allocated. */
static inline uint64_t ledger_life_ms(struct heap *h, uint64_t entry) {
  const struct book_clock *now = ledger_clock(h);
  if (LIKELY((entry & UL_ENTRY_BIRTH) == now->birth)) return 0;
  uint64_t born = ul_birth_ms(ul_entry_birth(entry));
  return now->ms > born ? now->ms - born : 0;
}

/* ---- counters ------------------------------------------------------------------ */

/* NULL: there is none yet. */
static inline struct ul_counter *ledger_counter_known(struct heap *h, uint32_t site) {
  const struct book *b = book_of(h);
  uint32_t c = site / UL_CHUNK_SITES;
  if (UNLIKELY(c >= b->chunks_size || !b->chunks[c])) return NULL;
  return b->chunks[c] + site % UL_CHUNK_SITES;
}

struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site);
static inline struct ul_counter *ledger_counter(struct heap *h, uint32_t site) {
  struct ul_counter *c = ledger_counter_known(h, site);
  return LIKELY(c) ? c : ledger_counter_slow(h, site);
}

static inline size_t ledger_usable(struct spot s) {
  return LIKELY(s.pool) ? s.pool->size : 0;
}

/* Of the bytes, those that a counter has room for: whoever may have more carries them. */
#define LEDGER_LOW ((1u << UL_CARRY_BITS) - 1)

/* Has one of these numbers reached so much that some of it is to be carried? There is
 * room until then for whatever one event adds. */
static inline bool ledger_is_heavy(uint32_t numbers) {
  return numbers >> UL_CARRY_BITS;
}
static inline bool ledger_is_heavy_in(const struct ul_counter *c) {
  return ledger_is_heavy(c->allocations | c->allocated_bytes);
}
static inline bool ledger_is_heavy_out(const struct ul_counter *c) {
  return ledger_is_heavy(c->frees | c->freed_bytes | c->temporary);
}

/* Carry what has got heavy of the heap's counter for the site. */
void ledger_relieve(struct heap *h, uint32_t site, struct ul_counter *c);

static inline void ledger_count_in(struct heap *h, struct ul_counter *c, size_t requested,
                                   size_t usable) {
  struct book *b = book_of(h);
  c->allocations++;
  c->allocated_bytes += (uint32_t)requested & LEDGER_LOW;
  book_add(&b->live, (int64_t)requested);
  book_add(&b->usable_bytes, (int64_t)usable);
}

/* The same of any block. */
void ledger_count_wide_in(struct heap *h, struct ul_counter *c, uint32_t site,
                          size_t requested, size_t usable);
void ledger_count_wide_out(struct heap *h, struct ul_counter *c,
                           const struct ledger_line *was, bool temporary);

static inline void ledger_remember_recent(struct heap *h, void *block) {
  struct book *b = book_of(h);
  b->recent[b->recent_next++ % RECENT_BLOCKS] = block;
}

static inline bool ledger_forget_recent(struct heap *h, const void *block) {
  void **recent = book_of(h)->recent;
#pragma GCC unroll 4
  for (unsigned i = 0; i < RECENT_BLOCKS; i++) {
    if (recent[i] != block) continue;
    recent[i] = NULL;
    return true;
  }
  return false;
}

static inline void ledger_count_out(struct heap *h, struct ul_counter *c,
                                    const struct ledger_line *was, bool temporary) {
  struct book *b = book_of(h);
  c->frees++;
  c->freed_bytes += (uint32_t)was->requested & LEDGER_LOW;
  c->temporary += temporary;
  book_subtract(&b->live, (int64_t)was->requested);
  book_subtract(&b->usable_bytes, (int64_t)was->usable);
}

/* After ledger_count_out(): the block's lifetime is added, and what has got heavy is
 * carried. The lifetime of temporary blocks is not counted, for it would cost a look at
 * the clock. */
void ledger_carry_life(struct heap *h, struct ul_counter *c, uint64_t entry,
                       uint64_t life);
static inline void ledger_count_life(struct heap *h, struct ul_counter *c, uint64_t entry,
                                     bool temporary) {
  uint64_t life = temporary ? 0 : ledger_life_ms(h, entry);
  c->lifetime_ms += (uint32_t)life & LEDGER_LOW;
  if (UNLIKELY(life >> UL_CARRY_BITS || ledger_is_heavy_out(c) ||
               ledger_is_heavy(c->lifetime_ms)))
    ledger_carry_life(h, c, entry, life);
}

/* ---- entries ------------------------------------------------------------------- */

static inline uint64_t *ledger_slot(struct spot s, const void *block) {
  if (UNLIKELY(s.large)) return s.large->record ? &s.large->record->entry : NULL;
  return LIKELY(s.pool->entries) ? &s.pool->entries[pool_index(s.pool, block)] : NULL;
}

/* The block's address is done with before anything is called. NULL: there is no room for
 * an entry. */
static inline uint64_t *ledger_begin_life(struct heap *h, struct spot s, void *block,
                                          uint32_t site) {
  uint64_t *slot = ledger_slot(s, block);
  if (LIKELY(slot)) ledger_remember_recent(h, sample_is_site(site) ? NULL : block);
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

/* Of the entry only the family goes, and the slack: whoever frees the block again is told
 * where it came from. */
static inline void ledger_end_life(uint64_t *slot) {
  ((uint8_t *)slot)[sizeof *slot - 1] = 0;
}

/* ---- the two events ------------------------------------------------------------ */

static inline void ledger_enter(struct heap *h, struct spot s, hidden block,
                                size_t requested, uint32_t site, enum ul_family family,
                                uint64_t ms) {
  uint64_t *slot = ledger_begin_life(h, s, reveal(block), site);
  if (UNLIKELY(!slot)) return;
  struct ul_counter *c = ledger_counter(h, site);
  ledger_write(s, slot, requested, site, family, ms);
  ledger_count_wide_in(h, c, site, requested, ledger_usable(s));
}

/* The same of a block in a pool of several that has entries, at a site whose counter is
 * known. */
static inline void ledger_enter_pool(struct heap *h, uint64_t *entry, uint64_t usable,
                                     void *block, size_t requested, uint32_t site,
                                     struct ul_counter *c, enum ul_family family,
                                     uint64_t birth) {
  /* As wide as the entry: gcc would write half a word and read it again whole. */
  uint64_t slack = usable - requested;
  *entry = ul_entry(site, 0, slack, family) | birth;
  ledger_remember_recent(h, block);
  c->allocations++;
  c->allocated_bytes += (uint32_t)requested;
  book_add(&book_of(h)->live, (int64_t)requested);
  book_add(&book_of(h)->usable_bytes, (int64_t)usable);
}
static inline void ledger_clear_pool(struct heap *h, const struct pool *p,
                                     uint64_t requested, struct ul_counter *c,
                                     bool temporary) {
  c->frees++;
  c->freed_bytes += (uint32_t)requested;
  c->temporary += temporary;
  book_subtract(&book_of(h)->live, (int64_t)requested);
  book_subtract(&book_of(h)->usable_bytes, p->size);
}

/* The same without a stack (sample.h), of what was granted. */
static inline void ledger_enter_quickly(struct sample *s, struct heap *h, uint64_t *entry,
                                        uint32_t usable, size_t requested,
                                        enum ul_family family) {
  uint64_t high = (uint64_t)family << 13 | (usable - (uint32_t)requested);
  book_add(&book_of(h)->usable_bytes, usable);
  s->counter->allocations++;
  s->counter->allocated_bytes += (uint32_t)requested;
  *entry = s->word | high << 48;
}
static inline void ledger_clear_quickly(struct sample *s, struct heap *h,
                                        const struct pool *p, uint64_t *entry,
                                        uint64_t requested) {
  ledger_end_life(entry);
  s->counter->frees++;
  s->counter->freed_bytes += (uint32_t)requested;
  book_subtract(&book_of(h)->usable_bytes, p->size);
}

static inline struct ledger_line ledger_line(struct spot s, const void *block) {
  const uint64_t *slot = ledger_slot(s, block);
  struct ledger_line line = {.usable = ledger_usable(s)};
  if (UNLIKELY(!slot || !ul_entry_is_live(*slot))) return line;
  line.entry = *slot;
  line.requested = ledger_requested(s, line.entry);
  return line;
}

static inline void ledger_clear(struct heap *h, struct spot s, void *block,
                                const struct ledger_line *was) {
  ledger_end_life(ledger_slot(s, block));
  if (UNLIKELY(s.large)) s.large->requested = 0;
  struct ul_counter *c = ledger_counter(h, ul_entry_site(was->entry));
  ledger_count_wide_out(h, c, was, ledger_forget_recent(h, block));
}
#endif
