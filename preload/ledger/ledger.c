#include "ledger/ledger.h"

#include "base/meta.h"
#include "base/os_thread.h"
#include "base/say.h"
#include "base/thread.h"
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
    t.live_bytes += book_live(b);
    t.usable_bytes += __atomic_load_n(&b->usable_bytes, __ATOMIC_RELAXED);
    t.tail_bytes += h->tail_bytes;
    t.timed_ns += __atomic_load_n(&b->timing.ns, __ATOMIC_RELAXED);
    t.heaps++;
  }
  return t;
}

/* ---- the clock ------------------------------------------------------------------ */

/* A handler may do the same in between: then the tick is not that of the rest, but an
 * older one, which does not come again. */
void ledger_clock_moved(struct heap *h, uint64_t tick) {
  struct book_clock *c = &book_of(h)->clock;
  c->ms = os_tick_ms(tick) - recording_start_ms;
  c->birth = ul_entry(0, ul_birth(c->ms), 0, 0);
  atomic_signal_fence(memory_order_seq_cst);
  c->tick = tick;
  if (UNLIKELY(sample_watches) && !thread_state.capturing)
    thread_state.capturing = CAPTURE_TIMED;
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

/* `counters`: taken already, or TABLE_NONE. */
static struct ul_counter *chunk_append(const struct book *b, uint32_t c,
                                       uint32_t counters) {
  if (counters == TABLE_NONE) counters = table_append(UL_COUNTERS, UL_CHUNK_SITES);
  uint32_t chunk = counters == TABLE_NONE ? TABLE_NONE : counters / UL_CHUNK_SITES;
  if (chunk == TABLE_NONE || !table_extend(UL_CHUNKS, (uint64_t)chunk + 1)) return NULL;
  recording_chunk(chunk, b->index, c * UL_CHUNK_SITES);
  return table_at(UL_COUNTERS, counters);
}

/* Without room for a counter the block is entered all the same, for a block without an
 * entry counts as freed: only the sums over the sites then lack it, and say so. */
static struct ul_counter nowhere;
static struct ul_counter *uncounted(void) {
  fallback(UL_FB_UNCOUNTED);
  return &nowhere;
}

static bool counters_make(struct book *b, uint32_t c, uint32_t counters) {
  if (c >= b->chunks_size && !chunks_grow(b, c)) return false;
  if (!b->chunks[c]) b->chunks[c] = chunk_append(b, c, counters);
  return b->chunks[c] != NULL;
}

/* Where there is room already. What a handler makes meanwhile counts all the same: a
 * site's totals are the sums over all chunks. */
static bool counters_make_quickly(struct book *b, uint32_t c, uint32_t *counters) {
  if (c >= b->chunks_size) return false;
  *counters = table_next(UL_COUNTERS, UL_CHUNK_SITES);
  if (*counters == TABLE_NONE) return false;
  uint32_t chunk = *counters / UL_CHUNK_SITES;
  while (table_count(UL_CHUNKS) <= chunk)
    if (table_next(UL_CHUNKS, 1) == TABLE_NONE) return false;
  recording_chunk(chunk, b->index, c * UL_CHUNK_SITES);
  b->chunks[c] = table_at(UL_COUNTERS, *counters);
  return true;
}

/* No handler may leave by longjmp while the locks of tables and memory are held: that
 * takes two system calls. */
struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site) {
  struct book *b = book_of(h);
  uint32_t c = site / UL_CHUNK_SITES, counters = TABLE_NONE;
  bool done = counters_make_quickly(b, c, &counters);
  if (!done && !arena_is_interrupted()) {
    uint64_t signals;
    os_hold_signals(&signals);
    done = counters_make(b, c, counters);
    os_release_signals(signals);
  }
  return done ? b->chunks[c] + site % UL_CHUNK_SITES : uncounted();
}

/* ---- carries ------------------------------------------------------------------- */

/* Those of a heap are its owner's, as its counters are; they are few, and seldom asked
 * for. */
static struct ul_carry *carry_of(uint32_t heap, uint32_t site) {
  for (uint64_t i = 0; i < table_count(UL_CARRIES); i++) {
    struct ul_carry *c = table_at(UL_CARRIES, i);
    if (c->site == site && c->heap == heap) return c;
  }
  uint32_t i = table_append(UL_CARRIES, 1);
  if (i == TABLE_NONE) return NULL;
  struct ul_carry *c = table_at(UL_CARRIES, i);
  c->heap = heap;
  __atomic_store_n(&c->site, site, __ATOMIC_RELEASE);
  return c;
}

static void carry(uint32_t heap, uint32_t site, const struct ul_carry *more) {
  uint64_t signals;
  os_hold_signals(&signals);
  struct ul_carry *c = carry_of(heap, site);
  if (c) {
    c->allocations += more->allocations;
    c->allocated_bytes += more->allocated_bytes;
    c->frees += more->frees;
    c->freed_bytes += more->freed_bytes;
    c->temporary += more->temporary;
    c->lifetime_ms += more->lifetime_ms;
  } else {
    fallback(UL_FB_UNCOUNTED);
  }
  os_release_signals(signals);
}

static int32_t take_high(uint32_t *number) {
  int32_t high = (int32_t)(*number >> UL_CARRY_BITS);
  *number &= LEDGER_LOW;
  return high;
}

void ledger_relieve(struct heap *h, uint32_t site, struct ul_counter *c) {
  struct ul_carry more = {
      .allocations = take_high(&c->allocations),
      .allocated_bytes = take_high(&c->allocated_bytes),
      .frees = take_high(&c->frees),
      .freed_bytes = take_high(&c->freed_bytes),
      .temporary = take_high(&c->temporary),
      .lifetime_ms = take_high(&c->lifetime_ms),
  };
  if (c != &nowhere) carry(book_of(h)->index, site, &more);
}

static int32_t high_of(uint64_t amount) {
  return (int32_t)(amount >> UL_CARRY_BITS);
}

void ledger_count_wide_in(struct heap *h, struct ul_counter *c, uint32_t site,
                          size_t requested, size_t usable) {
  ledger_count_in(h, c, requested, usable);
  struct ul_carry more = {.allocated_bytes = high_of(requested)};
  if (UNLIKELY(more.allocated_bytes)) carry(book_of(h)->index, site, &more);
  if (UNLIKELY(ledger_is_heavy_in(c))) ledger_relieve(h, site, c);
}

void ledger_count_wide_out(struct heap *h, struct ul_counter *c,
                           const struct ledger_line *was, bool temporary) {
  uint32_t site = ul_entry_site(was->entry);
  ledger_count_out(h, c, was, temporary);
  struct ul_carry more = {.freed_bytes = high_of(was->requested)};
  if (UNLIKELY(more.freed_bytes)) carry(book_of(h)->index, site, &more);
  if (!sample_is_site(site))
    ledger_count_life(h, c, was->entry, temporary);
  else if (UNLIKELY(ledger_is_heavy_out(c)))
    ledger_relieve(h, site, c);
}

void ledger_carry_life(struct heap *h, struct ul_counter *c, uint64_t entry,
                       uint64_t life) {
  uint32_t site = ul_entry_site(entry);
  struct ul_carry more = {.lifetime_ms = high_of(life)};
  if (more.lifetime_ms) carry(book_of(h)->index, site, &more);
  ledger_relieve(h, site, c);
}

/* One heap's share may be negative. */
static int32_t reduce(uint32_t *allocated, uint32_t freed) {
  int32_t borrowed = *allocated < freed ? -1 : 0;
  *allocated = (*allocated - freed) & LEDGER_LOW;
  return borrowed;
}

static void forget_history_of(uint64_t n) {
  const struct ul_chunk *chunk = table_at(UL_CHUNKS, n);
  struct ul_counter *c = table_at(UL_COUNTERS, n * UL_CHUNK_SITES);
  for (uint32_t i = 0; i < UL_CHUNK_SITES; i++, c++) {
    struct ul_carry more = {.allocations = reduce(&c->allocations, c->frees),
                            .allocated_bytes =
                                reduce(&c->allocated_bytes, c->freed_bytes)};
    c->frees = c->freed_bytes = c->temporary = c->lifetime_ms = 0;
    if (more.allocations || more.allocated_bytes)
      carry(chunk->heap, chunk->first_site + i, &more);
  }
}

void ledger_forget_history(void) {
  for (uint64_t i = 0; i < table_count(UL_CARRIES); i++) {
    struct ul_carry *c = table_at(UL_CARRIES, i);
    c->allocations -= c->frees;
    c->allocated_bytes -= c->freed_bytes;
    c->frees = c->freed_bytes = c->temporary = c->lifetime_ms = 0;
  }
  for (uint64_t n = 0; n < table_count(UL_COUNTERS) / UL_CHUNK_SITES; n++)
    forget_history_of(n);
}

struct flow {
  struct ul_amount in, out;
};

static void add_chunk(uint64_t n, bool (*at)(uint32_t site), struct flow *sum) {
  const struct ul_chunk *chunk = table_at(UL_CHUNKS, n);
  const struct ul_counter *c = table_at(UL_COUNTERS, n * UL_CHUNK_SITES);
  for (uint32_t i = 0; i < UL_CHUNK_SITES; i++, c++) {
    if (!at(chunk->first_site + i)) continue;
    sum->in.blocks += c->allocations;
    sum->in.bytes += c->allocated_bytes;
    sum->out.blocks += c->frees;
    sum->out.bytes += c->freed_bytes;
  }
}

static void add_carry(const struct ul_carry *c, struct flow *sum) {
  sum->in.blocks += (uint64_t)c->allocations << UL_CARRY_BITS;
  sum->in.bytes += (uint64_t)c->allocated_bytes << UL_CARRY_BITS;
  sum->out.blocks += (uint64_t)c->frees << UL_CARRY_BITS;
  sum->out.bytes += (uint64_t)c->freed_bytes << UL_CARRY_BITS;
}

static struct flow flow_at(bool (*at)(uint32_t site)) {
  struct flow sum = {0};
  uint64_t chunks = table_count(UL_COUNTERS) / UL_CHUNK_SITES;
  for (uint64_t n = 0; n < chunks; n++)
    add_chunk(n, at, &sum);
  for (uint64_t i = 0; i < table_count(UL_CARRIES); i++) {
    const struct ul_carry *c = table_at(UL_CARRIES, i);
    if (at(c->site)) add_carry(c, &sum);
  }
  return sum;
}

struct ul_amount ledger_allocated(bool (*at)(uint32_t site)) {
  return flow_at(at).in;
}

uint64_t ledger_work(bool (*at)(uint32_t site)) {
  struct flow sum = flow_at(at);
  return sum.in.blocks + sum.out.blocks;
}

struct ul_amount ledger_live(bool (*at)(uint32_t site)) {
  struct flow sum = flow_at(at);
  return (struct ul_amount){sum.in.blocks - sum.out.blocks, sum.in.bytes - sum.out.bytes};
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
  uint64_t *slot = ledger_begin_life(h, s, reveal(block), site);
  struct ul_counter *c = ledger_counter(h, site);
  ledger_write(s, slot, requested, site, family, ms);
  ledger_count_wide_out(h, ledger_counter(h, ul_entry_site(was->entry)), was, temporary);
  ledger_count_wide_in(h, c, site, requested, ledger_usable(s));
}

static const uint64_t *entry_around(const void *p) {
  map_slot slot = map_lookup(p);
  if (!slot) return NULL;
  if (map_is_large(slot)) {
    const struct large *l = map_large(slot);
    return l->record ? &l->record->entry : NULL;
  }
  const struct pool *pool = arena_pool(map_arena(slot), p);
  uint32_t index = pool->heap && pool->entries ? pool_index(pool, p) : UINT32_MAX;
  return index < pool->capacity ? pool->entries + index : NULL;
}

/* Blocks whose pool or mapping may go when they are freed, and their entry with it: of
 * the last of each slot. The block is written last and first unwritten, so who finds it
 * finds what is said of it, or, at worst, what is said of one freed at the same moment.
 */
enum { FREED_SLOTS = 4096 };
static struct freed {
  uintptr_t block;
  struct ledger_past past;
} last_freed[FREED_SLOTS];

static struct freed *freed_slot(const void *p) {
  uint64_t mixed = ((uint64_t)(uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15);
  return &last_freed[mixed >> 52];
}
_Static_assert(FREED_SLOTS == 1 << (64 - 52), "the highest bits");

static void remember_freed(const void *p, struct ledger_past past) {
  struct freed *f = freed_slot(p);
  __atomic_store_n(&f->block, 0, __ATOMIC_RELEASE);
  f->past = past;
  __atomic_store_n(&f->block, (uintptr_t)p, __ATOMIC_RELEASE);
}

static struct ledger_past recall_freed(const void *p) {
  const struct freed *f = freed_slot(p);
  uintptr_t block = __atomic_load_n(&f->block, __ATOMIC_ACQUIRE);
  return block == (uintptr_t)p ? f->past
                               : (struct ledger_past){UL_SITE_NONE, UL_SITE_NONE};
}

/* Under the lock no pool is opened or closed. */
struct ledger_past ledger_past(const void *p) {
  struct ledger_past past = {UL_SITE_NONE, UL_SITE_NONE};
  uint64_t signals;
  os_hold_signals(&signals);
  arena_lock();
  const uint64_t *at = entry_around(p);
  uint64_t entry = at ? *at : 0;
  arena_unlock();
  os_release_signals(signals);
  past.allocated = ul_entry_site(entry);
  if (!past.allocated) return recall_freed(p);
  if (!ul_entry_is_live(entry) && entry & UL_ENTRY_FREED_AT)
    past.freed = ul_entry_birth(entry);
  return past;
}

void ledger_note_freed(struct spot s, const void *block, const struct ledger_line *was,
                       uint32_t site) {
  uint64_t *slot = ledger_slot(s, block);
  if (!slot) return;
  uint32_t allocated = ul_entry_site(was->entry);
  uint64_t entry =
      ul_entry(allocated, site, ul_entry_slack(was->entry), (enum ul_family)0);
  __atomic_store_n(slot, entry | UL_ENTRY_FREED_AT, __ATOMIC_RELEASE);
  remember_freed(block, (struct ledger_past){allocated, site});
}

static uint32_t entries_in(const struct pool *p) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->capacity; i++)
    n += ul_entry_is_live(p->entries[i]);
  return n;
}

static void check_pool(const struct heap *h, const struct pool *p) {
  for (const struct block *b = p->free; b; b = b->next)
    invariant(!ul_entry_is_live(p->entries[pool_index(p, b)]),
              "free block has no ledger entry");
  invariant(entries_in(p) + magazine_count(h, p) <= p->live,
            "ledger entries + blocks in magazines <= live blocks");
}

static void check_round(const struct round *r) {
  invariant(!r->entry || !ul_entry_is_live(*r->entry),
            "block in a magazine has no ledger entry");
}

void ledger_check(struct heap *h) {
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    const struct pool *p;
    for (unsigned unit = 0; (p = arena_next_pool(a, &unit));)
      if (p->heap == h && p->entries) check_pool(h, p);
  }
  magazine_each(h, check_round);
}
