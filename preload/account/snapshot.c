/* snapshot.c - see snapshot.h.
 *
 * When: at least wishes.interval_ms after the last one, and at least 1/256 of the
 * run so far, and at least COST_SHARE times as long as the last one took: so their
 * number grows with the logarithm of the run and their cost stays below 1 %.
 *
 * Which are kept: UL_SNAPSHOT_SLOTS, of which the newest peak and the final one.
 * When all slots are taken, the timed one goes whose neighbours are closest
 * together for its age: old times become sparse, recent ones stay dense.
 *
 * The peak: live bytes are known exactly only as a sum over the heaps, and a heap's own
 * share says nothing: one thread allocates, another frees. A peak is new if it is higher
 * than the last by PEAK_RISE; that far is the mark. Two phases:
 *
 *   below     All heaps together are below the mark, and what is missing to it has been
 *             dealt out: the shares rise up to their ceilings together before the sum can
 *             reach the mark. Falls do not matter (no floors). Who rises above its
 * ceiling adds up all heaps, and deals out anew what is missing now. climbing  They were
 * above the mark. Each share may fall by two steps before its heap looks, and the steps
 * of all are PEAK_STEP of the sum: so little below its highest is the picture that is
 * taken then, before the free. It is below again after that, for the mark has risen.
 *
 * Together less than 1 %; or 2 KiB a thread (8 KiB in all, if there are few) if that is
 * more: a step has a least size, for it costs a look at each heap. Ceilings and floors
 * are anybody's to write and hints, so there is no lock: who is outrun by another in the
 * same moment looks once too often, or is one step late.
 *
 * Rows: runs of 2^k rows of UL_ROWS, with a free list for each k.
 *
 * The snapshot lock is outermost, and only tried but for the final one, so whoever is
 * refused goes on without waiting. */
#include "account/snapshot.h"

#include "account/residency.h"
#include "base/lock.h"
#include "base/meta.h"
#include "base/os.h"
#include "base/page.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "ledger/ledger.h"
#include "recording/recording.h"
#include "recording/table.h"

#include <stdlib.h>
#include <string.h>

enum {
  COST_SHARE = 100,
  ELAPSED_SHARE = 256,
  STEP_MIN = 4096,
  STEP_LEAST = 1024,
  ROW_BITS = 25
};
enum { PEAK_STEP = 1024, PEAK_RISE = 128 }; /* shares: 0.1 % and 0.8 % */

_Atomic uint64_t snapshot_due_ms = UINT64_MAX;
static struct snapshot_wishes wishes = {.interval_ms = 10};

static struct lock lock;
static int64_t peak_bytes; /* recorded */
static _Atomic bool climbing;
static uint32_t free_rows[ROW_BITS]; /* first row + 1 of a free run of 2^k */

/* A site's live blocks and bytes, summed over the heaps. */
struct sum {
  int64_t blocks, bytes;
};
static struct sum *sums;
static size_t sums_size;

/* ---- rows ---------------------------------------------------------------------- */

static unsigned bits_for(uint32_t n) {
  return n <= 16 ? 4 : 32 - (unsigned)__builtin_clz(n - 1);
}

static struct ul_row *row_at(uint64_t i) {
  return table_at(UL_ROWS, i);
}

static void rows_give(struct ul_snapshot *s) {
  if (!s->row_capacity) return;
  unsigned k = bits_for(s->row_capacity);
  row_at(s->row)->site = free_rows[k];
  free_rows[k] = (uint32_t)s->row + 1;
  s->row_capacity = s->rows = 0;
}

static bool rows_take(struct ul_snapshot *s, uint32_t n) {
  if (s->row_capacity >= n && s->row_capacity / 4 <= n) return true;
  rows_give(s);
  unsigned k = bits_for(n);
  if (k >= ROW_BITS) return false;
  uint32_t first = free_rows[k];
  if (first) {
    first--;
    free_rows[k] = row_at(first)->site;
  } else {
    first = table_append(UL_ROWS, 1u << k);
    if (first == TABLE_NONE) return false;
  }
  s->row = first;
  s->row_capacity = 1u << k;
  return true;
}

/* ---- sums over heaps ----------------------------------------------------------- */

static bool sums_clear(size_t sites) {
  if (sites > sums_size) {
    size_t size = sites + sites / 2 + 1024;
    struct sum *bigger = meta_alloc(size * sizeof *bigger);
    if (!bigger) return false;
    meta_free(sums, sums_size * sizeof *sums);
    sums = bigger;
    sums_size = size;
  }
  memset(sums, 0, sites * sizeof *sums);
  return true;
}

static void add_chunk(uint64_t c, size_t sites, struct ul_snapshot *s) {
  const struct ul_chunk *chunk = table_at(UL_CHUNKS, c);
  const struct ul_counter *n = table_at(UL_COUNTERS, c * UL_CHUNK_SITES);
  for (uint32_t i = 0; i < UL_CHUNK_SITES && chunk->first_site + i < sites; i++, n++) {
    if (!n->allocations && !n->frees) continue;
    struct sum *sum = &sums[chunk->first_site + i];
    sum->blocks += (int64_t)(n->allocations - n->frees);
    sum->bytes += (int64_t)(n->allocated_bytes - n->freed_bytes);
    s->allocations += n->allocations;
    s->allocated_bytes += n->allocated_bytes;
    if (chunk->first_site + i != UL_SITE_ULLAGE) continue;
    s->own_allocations += n->allocations;
    s->own_allocated_bytes += n->allocated_bytes;
  }
}

static bool sum_sites(struct ul_snapshot *s, size_t sites) {
  if (!sums_clear(sites)) return false;
  uint64_t chunks = table_count(UL_COUNTERS) / UL_CHUNK_SITES;
  if (chunks > table_count(UL_CHUNKS)) chunks = table_count(UL_CHUNKS);
  for (uint64_t c = 0; c < chunks; c++)
    add_chunk(c, sites, s);
  const struct sum *own = &sums[UL_SITE_ULLAGE];
  s->own_blocks = own->blocks > 0 ? (uint64_t)own->blocks : 0;
  s->own_bytes = own->bytes > 0 ? (uint64_t)own->bytes : 0;
  return true;
}

/* ---- the account --------------------------------------------------------------- */

/* Pool bytes are exact; the live part of them is what the heaps add up to. Other
 * threads go on meanwhile: what they do in between shows in free_bytes. */
static void account(struct ul_snapshot *s) {
  arena_lock();
  struct arena_totals a = arena_totals();
  struct large_totals l = large_totals();
  struct book_totals h = book_totals();
  size_t mapped_arenas = os_mapped(OS_ARENA), mapped_large = os_mapped(OS_LARGE);
  arena_unlock();
  uint64_t live = h.live_bytes > 0 ? (uint64_t)h.live_bytes : 0;
  uint64_t usable = h.usable_bytes > 0 ? (uint64_t)h.usable_bytes : 0;
  s->live_bytes = live;
  s->live_blocks = h.live_blocks > 0 ? (uint64_t)h.live_blocks : 0;
  s->arenas = (uint32_t)a.arenas;
  s->larges = (uint32_t)l.larges;
  s->arena_bytes = a.arena_bytes;
  s->large_bytes = l.mapped_bytes;
  s->cached_bytes = mapped_large > l.mapped_bytes ? mapped_large - l.mapped_bytes : 0;
  s->mapped_bytes = mapped_arenas + mapped_large;
  s->pool_bytes = a.pool_bytes;
  s->empty_bytes = a.empty_bytes;
  s->tail_bytes = h.tail_bytes;
  s->large_requested = l.requested_bytes;
  s->large_slack = l.mapped_bytes - l.requested_bytes;
  s->small_requested = live > l.requested_bytes ? live - l.requested_bytes : 0;
  if (s->small_requested > a.pool_bytes - h.tail_bytes)
    s->small_requested = a.pool_bytes - h.tail_bytes;
  s->live_bytes = s->small_requested + s->large_requested;
  if (usable > a.pool_bytes - h.tail_bytes) usable = a.pool_bytes - h.tail_bytes;
  s->small_slack = usable > s->small_requested ? usable - s->small_requested : 0;
  s->free_bytes = a.pool_bytes - s->tail_bytes - s->small_slack - s->small_requested;
  s->tool_bytes = os_mapped(OS_TOOL);
  s->recording_bytes = recording->file_bytes;
}

static bool kept(const struct sum *sum, int64_t least) {
  return sum->bytes >= least && (sum->bytes > 0 || sum->blocks > 0);
}

static void write_rows(struct ul_snapshot *s, size_t sites) {
  int64_t least = (int64_t)(s->live_bytes / UL_ROW_SHARE);
  uint32_t n = 0;
  for (size_t i = 1; i < sites; i++)
    n += kept(&sums[i], least);
  bool room = rows_take(s, n);
  s->rows = 0;
  for (size_t i = 1; i < sites; i++) {
    const struct sum *sum = &sums[i];
    if (sum->blocks <= 0 && sum->bytes <= 0) continue;
    if (room && kept(sum, least)) {
      uint32_t blocks = sum->blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)sum->blocks;
      *row_at(s->row + s->rows++) =
          (struct ul_row){(uint32_t)i, blocks, (uint64_t)sum->bytes};
      continue;
    }
    s->omitted_sites++;
    s->omitted_blocks += (uint64_t)sum->blocks;
    s->omitted_bytes += (uint64_t)sum->bytes;
  }
  if (s->omitted_sites) fallback(UL_FB_SNAPSHOT_OMITTED);
}

/* ---- slots --------------------------------------------------------------------- */

static struct ul_snapshot *slot_at(uint32_t i) {
  return table_at(UL_SNAPSHOTS, i);
}

/* So far: their number grows to UL_SNAPSHOT_SLOTS. */
static uint32_t slots(void) {
  return (uint32_t)table_count(UL_SNAPSHOTS);
}

static bool older(uint32_t a, uint32_t b) {
  return slot_at(a)->ms < slot_at(b)->ms;
}

/* Timed snapshots by time; how many. */
static unsigned timed_in_order(uint32_t *order) {
  unsigned n = 0;
  for (uint32_t i = 0; i < slots(); i++) {
    if (slot_at(i)->kind != UL_SNAPSHOT_TIMED) continue;
    unsigned at = n++;
    for (; at > 0 && older(i, order[at - 1]); at--)
      order[at] = order[at - 1];
    order[at] = i;
  }
  return n;
}

static uint32_t least_missed(uint64_t now) {
  uint32_t order[UL_SNAPSHOT_SLOTS], best = 0;
  unsigned n = timed_in_order(order);
  double least = 1e300;
  for (unsigned i = 1; i + 1 < n; i++) {
    double gap = (double)(slot_at(order[i + 1])->ms - slot_at(order[i - 1])->ms);
    double age = (double)(now - slot_at(order[i])->ms) + (double)now / 8 + 1;
    if (gap / age >= least) continue;
    least = gap / age;
    best = order[i];
  }
  return best;
}

/* TABLE_NONE: the recording has no room for one. */
static uint32_t slot_for(enum ul_snapshot_kind kind, uint64_t now) {
  uint32_t free_slot = TABLE_NONE;
  for (uint32_t i = 0; i < slots(); i++) {
    const struct ul_snapshot *s = slot_at(i);
    if (s->kind == UL_SNAPSHOT_FINAL && kind == UL_SNAPSHOT_FINAL) return i;
    bool old_peak = s->kind == UL_SNAPSHOT_PEAK && i != recording->peak_slot;
    if (s->kind == UL_SNAPSHOT_FREE || old_peak) free_slot = i;
  }
  if (free_slot != TABLE_NONE) return free_slot;
  return slots() < UL_SNAPSHOT_SLOTS ? table_append(UL_SNAPSHOTS, 1) : least_missed(now);
}

static void sequence(struct ul_snapshot *s) {
  __atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_SEQ_CST);
}

static void fill(struct ul_snapshot *slot, enum ul_snapshot_kind kind, uint64_t now) {
  size_t sites = table_count(UL_SITES);
  struct ul_snapshot s = {
      .ms = now, .row = slot->row, .row_capacity = slot->row_capacity};
  account(&s);
  s.rss_bytes = residency_rss();
  if (sum_sites(&s, sites)) write_rows(&s, sites);
  s.kind = kind;
  s.sequence = slot->sequence;
  *slot = s;
}

/* ---- taking one ---------------------------------------------------------------- */

static void schedule(uint64_t now, uint64_t cost_ns) {
  uint64_t wait = wishes.interval_ms;
  uint64_t share = now / ELAPSED_SHARE, cost = cost_ns * COST_SHARE / 1000000;
  if (share > wait) wait = share;
  if (cost > wait) wait = cost;
  atomic_store_explicit(&snapshot_due_ms, now + wait, memory_order_relaxed);
}

/* Which pages are written is watched from 1 s on, and anew each time the run has become
 * twice as long: what was not written since then was idle for at least half the run. */
static void watch_writes(uint64_t now) {
  static uint64_t next = 1000;
  if (now < next) return;
  next = now * 2;
  if (!residency_mark_writes()) next = UINT64_MAX;
}

/* Inside, so that nobody takes the heap over meanwhile; before the arena lock, which who
 * has taken it over may want. At the end of the process a thread that could not be
 * stopped may come here late: what others freed of its heap since is still in the ledger.
 */
static void check(struct heap *h) {
  uint32_t was = heap_enter(h);
  arena_lock();
  arena_check();
  if (!was) { /* else a handler, in the middle of the thread's work on its pools */
    heap_check(h);
    if (process_recording()) ledger_check(h);
  }
  arena_unlock();
  heap_leave(h, was);
}

static void take_locked(struct heap *h, enum ul_snapshot_kind kind) {
  uint64_t begin = os_monotonic_ns(), now = recording_ms();
  uint32_t i = slot_for(kind, now);
  if (i == TABLE_NONE) return;
  struct ul_snapshot *slot = slot_at(i);
  sequence(slot);
  fill(slot, kind, now);
  sequence(slot);
  if (kind == UL_SNAPSHOT_PEAK) {
    peak_bytes = (int64_t)slot->live_bytes;
    recording->peak_slot = i;
  }
  if (wishes.check) check(h);
  if (kind == UL_SNAPSHOT_TIMED && wishes.writes) watch_writes(now);
  if (kind == UL_SNAPSHOT_TIMED) schedule(now, os_monotonic_ns() - begin);
}

void snapshot_begin(const struct snapshot_wishes *wanted) {
  wishes = *wanted;
}

/* There is no later moment for the final one. */
static bool take_turn(enum ul_snapshot_kind kind) {
  if (kind == UL_SNAPSHOT_FINAL) lock_take(&lock);
  if (kind == UL_SNAPSHOT_FINAL || lock_try(&lock)) return true;
  if (kind == UL_SNAPSHOT_PEAK) fallback(UL_FB_SNAPSHOT_SKIPPED);
  return false;
}

void snapshot_take(struct heap *h, enum ul_snapshot_kind kind) {
  if (thread_state.busy || recording_stopped()) return;
  struct busy_before before = busy_enter(BUSY_SNAPSHOT);
  if (take_turn(kind)) {
    take_locked(h, kind);
    lock_give(&lock);
  }
  busy_leave(before);
}

/* ---- peaks --------------------------------------------------------------------- */

static int64_t at_least(int64_t value, int64_t least) {
  return value > least ? value : least;
}

static void set(_Atomic int64_t *word, int64_t value) {
  atomic_store_explicit(word, value, memory_order_relaxed);
}

static int64_t mark(void) {
  return peak_bytes + at_least(peak_bytes / PEAK_RISE, STEP_MIN);
}

static int64_t step_of(const struct book_totals *t) {
  int64_t heaps = t->heaps, least = at_least(STEP_MIN / heaps, STEP_LEAST);
  return at_least(at_least(t->live_bytes, peak_bytes) / PEAK_STEP / heaps, least);
}

static void watch_share(struct heap *h, int64_t step) {
  int64_t live = snapshot_word(&book_of(h)->live_bytes);
  set(&book_of(h)->ceiling, live + step);
  set(&book_of(h)->floor, live - step);
}

static void climb(const struct book_totals *t) {
  int64_t step = step_of(t);
  climbing = true;
  for (struct heap *h = heap_first(); h && climbing; h = h->next)
    watch_share(h, step);
}

static void deal_out(const struct book_totals *t) {
  int64_t share = at_least((mark() - t->live_bytes) / t->heaps, step_of(t));
  climbing = false;
  for (struct heap *h = heap_first(); h && !climbing; h = h->next) {
    set(&book_of(h)->floor, INT64_MIN);
    set(&book_of(h)->ceiling, snapshot_word(&book_of(h)->live_bytes) + share);
  }
}

void snapshot_rising(struct heap *h) {
  struct book_totals t = book_totals();
  if (climbing)
    watch_share(h, step_of(&t));
  else if (t.live_bytes > mark())
    climb(&t);
  else
    deal_out(&t);
}

void snapshot_falling(struct heap *h) {
  struct book_totals t = book_totals();
  if (t.live_bytes > mark()) snapshot_take(h, UL_SNAPSHOT_PEAK);
  deal_out(&t);
}

static void look_anew(void) {
  climbing = false;
  for (struct heap *h = heap_first(); h; h = h->next) {
    set(&book_of(h)->floor, INT64_MIN);
    set(&book_of(h)->ceiling, INT64_MIN);
  }
}

void snapshot_reset(void) {
  for (uint32_t i = 0; i < slots(); i++)
    memset(slot_at(i), 0, sizeof(struct ul_snapshot));
  memset(free_rows, 0, sizeof free_rows);
  recording->table[UL_ROWS].count = 0;
  recording->peak_slot = UINT32_MAX;
  peak_bytes = 0;
  look_anew();
}

bool snapshot_fork_try(void) {
  return lock_try(&lock) == 0;
}
void snapshot_fork_prepare(void) {
  lock_take(&lock);
}
void snapshot_fork_parent(void) {
  lock_give(&lock);
}
void snapshot_fork_child(void) {
  lock_renew(&lock);
}
