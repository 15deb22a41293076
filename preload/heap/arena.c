/* arena.c - see arena.h and types.h.
 *
 * A pool is taken from the fullest arena that has room, so that the emptiest
 * can drain (CPython's usable_arenas): arenas hang on a list for their number of
 * free units, and a bit mask says which lists are not empty. For pools of
 * several units a run of free units is looked for in the arena's bitmap; after
 * SEARCH_LIMIT arenas without such a run the emptiest are looked at, as many of them, and
 * then a new arena is mapped, so that a fragmented heap does not make every pool cost a
 * walk over all arenas, nor a new arena when the last one made has room.
 *
 * Free units are clean, if nobody has written them since they came from the OS, or
 * resident. When more is resident than retain.h allows, the arena that units come back
 * to gives up its own: it is unmapped if all of it is free, else its free units are
 * discarded and so become clean. */
#include "heap/arena.h"

#include "base/lock.h"
#include "base/os.h"
#include "base/say.h"
#include "heap/class.h"
#include "heap/descriptor.h"
#include "heap/map.h"
#include "heap/retain.h"
#include "heap/watch.h"

#include <string.h>

enum { SEARCH_LIMIT = 64 };
#define ALL_FREE (~UINT64_C(0))

const struct heap_watch *_Atomic heap_watch;

static struct lock lock;
static struct arena *by_free[UL_UNITS + 1]; /* [k]: k units free; [0] not used */
static uint64_t nonempty;                   /* bit k - 1: by_free[k] has arenas */
static uint64_t arena_count, free_unit_count;
static uint64_t block_units; /* of pools but spans */
static uint64_t whole_count; /* arenas without any pool */
/* Discarding has failed: the program's memory is locked (mlockall). Only whole arenas go
 * back then; to try again with each free would cost as much as all else by far. */
static bool locked;

void arena_lock(void) {
  thread_state.in_arena++;
  atomic_signal_fence(memory_order_seq_cst);
  lock_take(&lock);
}
void arena_unlock(void) {
  lock_give(&lock);
  atomic_signal_fence(memory_order_seq_cst);
  thread_state.in_arena--;
}

/* ---- lists --------------------------------------------------------------------- */

static unsigned free_count(const struct arena *a) {
  return (unsigned)__builtin_popcountll(a->free_units);
}

static void list_add(struct arena *a) {
  unsigned k = free_count(a);
  a->prev = a->next = NULL;
  whole_count += k == UL_UNITS;
  if (k == 0) return;
  a->next = by_free[k];
  if (a->next) a->next->prev = a;
  by_free[k] = a;
  nonempty |= UINT64_C(1) << (k - 1);
}

static void list_remove(struct arena *a) {
  unsigned k = free_count(a);
  whole_count -= k == UL_UNITS;
  if (k == 0) return;
  if (a->next) a->next->prev = a->prev;
  if (a->prev)
    a->prev->next = a->next;
  else
    by_free[k] = a->next;
  if (!by_free[k]) nonempty &= ~(UINT64_C(1) << (k - 1));
}

/* ---- arenas from and to the OS ------------------------------------------------- */

static struct arena *arena_map(void) {
  struct arena *a = descriptor_take();
  if (!a) return NULL;
  char *base = os_map(UL_ARENA_BYTES, UL_ARENA_BYTES, OS_ARENA);
  if (base && !map_enter(base, UL_ARENA_BYTES, map_slot_of_arena(a))) {
    os_unmap(base, UL_ARENA_BYTES, OS_ARENA);
    base = NULL;
  }
  if (!base) {
    descriptor_give(a);
    return NULL;
  }
  a->base = base;
  a->free_units = a->clean_units = ALL_FREE;
  arena_count++;
  free_unit_count += UL_UNITS;
  list_add(a);
  WATCH(arena_in(a));
  return a;
}

static uint64_t dirty_bytes(const struct arena *a) {
  return (uint64_t)__builtin_popcountll(a->free_units & ~a->clean_units) * UL_UNIT_BYTES;
}

static void arena_unmap(struct arena *a) {
  WATCH(arena_out(a));
  list_remove(a);
  retain_gave(dirty_bytes(a));
  arena_count--;
  free_unit_count -= UL_UNITS;
  map_enter(a->base, UL_ARENA_BYTES, 0);
  char *base = a->base;
  descriptor_give(a);
  os_unmap(base, UL_ARENA_BYTES, OS_ARENA);
}

/* ---- units --------------------------------------------------------------------- */

/* Bit u is set for the units u that are multiples of `align`, a power of two. */
static uint64_t aligned_units(unsigned align) {
  uint64_t mask = 1;
  for (unsigned step = align; step < UL_UNITS; step *= 2)
    mask |= mask << step;
  return mask;
}

/* The lowest unit, a multiple of `align`, at which `units` free ones begin, or -1. */
static int find_run(uint64_t free_units, unsigned units, unsigned align) {
  for (unsigned have = 1; have < units;) {
    unsigned step = have < units - have ? have : units - have;
    free_units &= free_units >> step;
    have += step;
  }
  if (align > 1) free_units &= aligned_units(align);
  return free_units ? __builtin_ctzll(free_units) : -1;
}

static uint64_t run_mask(unsigned first, unsigned units) {
  return (units == UL_UNITS ? ALL_FREE : (UINT64_C(1) << units) - 1) << first;
}

/* Of the arenas with k free units. */
static struct arena *find_in_list(unsigned k, unsigned units, unsigned align,
                                  unsigned *first, unsigned *looked) {
  for (struct arena *a = by_free[k]; a && ++*looked <= SEARCH_LIMIT; a = a->next) {
    int run = find_run(a->free_units, units, align);
    *first = (unsigned)run;
    if (run >= 0) return a;
  }
  return NULL;
}

static struct arena *find_arena(unsigned units, unsigned align, unsigned *first) {
  uint64_t large_enough = nonempty >> (units - 1) << (units - 1);
  struct arena *a = NULL;
  unsigned looked = 0;
  for (uint64_t left = large_enough; left && !a && looked < SEARCH_LIMIT;
       left &= left - 1)
    a = find_in_list((unsigned)__builtin_ctzll(left) + 1, units, align, first, &looked);
  if (looked < SEARCH_LIMIT) return a;
  looked = 0;
  for (uint64_t left = large_enough; left && !a && looked < SEARCH_LIMIT;) {
    unsigned k = 64 - (unsigned)__builtin_clzll(left);
    left &= ~(UINT64_C(1) << (k - 1));
    a = find_in_list(k, units, align, first, &looked);
  }
  return a;
}

static void pool_open(struct pool *p, struct heap *h, unsigned class, unsigned units,
                      size_t span_bytes) {
  p->heap = h;
  p->free = NULL;
  p->next = p->prev = NULL;
  p->entries = NULL;
  p->class = (uint8_t) class;
  p->units = units & 63;
  p->size = class == UL_SPAN ? (uint32_t)span_bytes : class_bytes(class);
  p->recip =
      class == UL_SPAN ? 0 : (uint32_t)(((UINT64_C(1) << 32) + p->size - 1) / p->size);
  p->capacity = class == UL_SPAN ? 1 : (uint16_t)(units * UL_UNIT_BYTES / p->size);
  p->carved = 0;
  p->live = class == UL_SPAN;
  p->spare = false;
}

/* These units are the pool's that begins with the first. */
static void units_are_pool(struct arena *a, unsigned first, unsigned units) {
  for (unsigned unit = first; unit < first + units; unit++)
    a->pool_at[unit] = (uint16_t)((char *)&a->pools[first] - (char *)a);
}
_Static_assert(sizeof(struct arena) <= UINT16_MAX, "pool_at");

static void units_out(struct arena *a, unsigned first, unsigned units) {
  uint64_t run = run_mask(first, units);
  unsigned clean = (unsigned)__builtin_popcountll(run & a->clean_units);
  retain_take((uint64_t)(units - clean) * UL_UNIT_BYTES);
  if (clean) retain_fetched((uint64_t)clean * UL_UNIT_BYTES);
  list_remove(a);
  a->free_units &= ~run;
  list_add(a);
  units_are_pool(a, first, units);
  free_unit_count -= units;
}

/* The first `touched` of them may have been written. */
static void units_in(struct arena *a, unsigned first, unsigned units, unsigned touched) {
  uint64_t run = run_mask(first, units);
  list_remove(a);
  a->free_units |= run;
  if (touched) a->clean_units &= ~run_mask(first, touched);
  list_add(a);
  free_unit_count += units;
  retain_add((uint64_t)touched * UL_UNIT_BYTES);
}

static uint64_t pool_tail(const struct pool *p) {
  return p->units * UL_UNIT_BYTES - p->capacity * p->size;
}

static void heap_gets(struct heap *h, const struct pool *p) {
  h->pool_bytes += p->units * UL_UNIT_BYTES;
  h->tail_bytes += pool_tail(p);
}

static void heap_loses(struct heap *h, const struct pool *p) {
  h->pool_bytes -= p->units * UL_UNIT_BYTES;
  h->tail_bytes -= pool_tail(p);
}

static struct pool *take(struct heap *h, unsigned class, unsigned units, unsigned align,
                         size_t span_bytes) {
  unsigned first;
  struct arena *a = find_arena(units, align, &first);
  if (!a) {
    a = arena_map();
    first = 0;
  }
  if (!a) return NULL;
  struct pool *p = &a->pools[first];
  p->base = a->base + (size_t)first * UL_UNIT_BYTES;
  p->zeroed = !(run_mask(first, units) & ~a->clean_units);
  pool_open(p, h, class, units, span_bytes);
  units_out(a, first, units);
  if (class != UL_SPAN) block_units += units;
  heap_gets(h, p);
  WATCH(pool_opened(a, p));
  return p;
}

struct pool *arena_take(struct heap *h, unsigned class) {
  if (UNLIKELY(arena_is_interrupted())) return NULL;
  arena_lock();
  struct pool *p = take(h, class, class_units(class), 1, 0);
  arena_unlock();
  return p;
}

static unsigned units_for(size_t bytes) {
  return (unsigned)((bytes + UL_UNIT_BYTES - 1) / UL_UNIT_BYTES);
}

struct pool *arena_take_span(struct heap *h, size_t bytes, size_t align) {
  unsigned units = align > UL_UNIT_BYTES ? (unsigned)(align / UL_UNIT_BYTES) : 1;
  if (UNLIKELY(arena_is_interrupted())) return NULL;
  arena_lock();
  struct pool *p = take(h, UL_SPAN, units_for(bytes), units, os_whole_pages(bytes));
  arena_unlock();
  return p;
}

struct arena *arena_of(const struct pool *p) {
  return map_arena(map_lookup(p->base));
}

/* Which of its units somebody may have written. */
static unsigned touched_units(const struct pool *p) {
  bool some = p->zeroed && p->class != UL_SPAN;
  return some ? units_for(p->carved * p->size) : p->units;
}

static void pool_close(struct arena *a, struct pool *p) {
  WATCH(pool_closed(a, p));
  unsigned units = p->units, touched = touched_units(p);
  heap_loses(p->heap, p);
  if (p->class != UL_SPAN) block_units -= units;
  p->entries = NULL;
  p->heap = NULL;
  p->carved = 0; /* so that nothing in it starts a block (heap_spot) */
  p->live = 0;   /* a span's block is freed here, by whoever frees it */
  units_in(a, (unsigned)(p - a->pools), units, touched);
}

struct pool *arena_next_pool(struct arena *a, unsigned *unit) {
  while (*unit < UL_UNITS) {
    if (a->free_units >> *unit & 1) {
      ++*unit;
      continue;
    }
    struct pool *p = arena_pool_of_unit(a, *unit);
    *unit += p->units;
    return p;
  }
  return NULL;
}

/* Free units that are resident go back to the OS; bytes given back. */
static size_t discard_free_units(struct arena *a) {
  size_t given = 0;
  uint64_t dirty = a->free_units & ~a->clean_units;
  for (unsigned unit = 0; unit < UL_UNITS && !locked;) {
    unsigned run = 0;
    while (unit + run < UL_UNITS && dirty >> (unit + run) & 1)
      run++;
    size_t bytes = (size_t)run * UL_UNIT_BYTES;
    locked = run && os_discard(a->base + (size_t)unit * UL_UNIT_BYTES, bytes) != 0;
    if (run && !locked) {
      given += bytes;
      a->clean_units |= run_mask(unit, run);
    }
    unit += run + 1;
  }
  retain_gave(given);
  return given;
}

static void give_up(struct arena *a) {
  if (a->free_units == ALL_FREE)
    arena_unmap(a);
  else
    discard_free_units(a);
}

/* After units of a became free: its own go first, then whole arenas, then whatever the
 * emptiest have (only if memory has come free that nothing of a's could make up for).
 * false: all has gone, and still too much is retained. */
static bool give_back(struct arena *a) {
  uint64_t used = block_units * UL_UNIT_BYTES;
  bool hoard =
      a->free_units == ALL_FREE && retain_too_many(whole_count * UL_ARENA_BYTES, used);
  if (!retain_too_much(used) && !hoard) return true;
  give_up(a);
  while (by_free[UL_UNITS] && retain_too_much(used))
    arena_unmap(by_free[UL_UNITS]);
  for (unsigned k = UL_UNITS - 1; k > 0 && !locked && retain_too_much(used); k--)
    for (a = by_free[k]; a && !locked && retain_too_much(used); a = a->next)
      discard_free_units(a);
  return !retain_too_much(used);
}

bool arena_give(struct pool *p) {
  arena_lock();
  struct arena *a = arena_of(p);
  pool_close(a, p);
  bool enough = give_back(a);
  arena_unlock();
  return enough;
}

static bool grow_span(struct arena *a, unsigned first, unsigned old, unsigned units) {
  uint64_t more = run_mask(first, units) & ~run_mask(first, old);
  if (first + units > UL_UNITS || more & ~a->free_units) return false;
  units_out(a, first + old, units - old);
  units_are_pool(a, first, units);
  return true;
}

bool arena_resize_span(struct pool *p, size_t bytes) {
  if (UNLIKELY(arena_is_interrupted())) return false;
  arena_lock();
  struct arena *a = arena_of(p);
  unsigned first = (unsigned)(p - a->pools), old = p->units, units = units_for(bytes);
  bool done = units <= old || grow_span(a, first, old, units);
  if (done) {
    heap_loses(p->heap, p);
    if (units < old) units_in(a, first + units, old - units, old - units);
    p->zeroed = false;
    p->units = units & 63;
    p->size = (uint32_t)os_whole_pages(bytes);
    heap_gets(p->heap, p);
    WATCH(span_resized(a, p));
    if (units < old) give_back(a);
  }
  arena_unlock();
  return done;
}

/* ---- trim, totals, invariants -------------------------------------------------- */

size_t arena_trim(void) {
  size_t given = 0;
  arena_lock();
  locked = false; /* perhaps it is no more */
  while (by_free[UL_UNITS]) {
    arena_unmap(by_free[UL_UNITS]);
    given += UL_ARENA_BYTES;
  }
  for (struct arena *a = arena_first(); a; a = arena_next(a))
    given += discard_free_units(a);
  arena_unlock();
  return given;
}

struct arena *arena_first(void) {
  return descriptor_first();
}
struct arena *arena_next(struct arena *a) {
  return descriptor_next(a);
}

struct arena_totals arena_totals(void) {
  uint64_t bytes = arena_count * UL_ARENA_BYTES, empty = free_unit_count * UL_UNIT_BYTES;
  return (struct arena_totals){arena_count, bytes, empty, bytes - empty};
}

uint64_t arena_free_bytes(void) {
  uint64_t bytes = 0;
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    struct pool *p;
    for (unsigned unit = 0; (p = arena_next_pool(a, &unit));)
      bytes += p->units * UL_UNIT_BYTES - (uint64_t)p->live * p->size;
  }
  return bytes;
}

static void check_arena(struct arena *a, uint64_t *free_units, uint64_t *dirty) {
  unsigned used = 0;
  struct pool *p;
  for (unsigned unit = 0; (p = arena_next_pool(a, &unit));) {
    used += p->units;
    invariant(p->base == a->base + (p - a->pools) * UL_UNIT_BYTES, "pool base");
    invariant(p->carved <= p->capacity &&
                  p->capacity * p->size <= p->units * UL_UNIT_BYTES,
              "pool extent");
    invariant(p->live <= p->capacity, "live blocks fit their pool");
  }
  invariant(used + free_count(a) == UL_UNITS, "units of pools + free units");
  invariant(map_lookup(a->base) == map_slot_of_arena(a), "arena is in the map");
  *free_units += free_count(a);
  *dirty += dirty_bytes(a);
}

static void check_lists(void) {
  for (unsigned k = 1; k <= UL_UNITS; k++) {
    invariant((by_free[k] != NULL) == (nonempty >> (k - 1) & 1), "mask of arena lists");
    for (struct arena *a = by_free[k]; a; a = a->next)
      invariant(a->base && free_count(a) == k, "arena is on the list of its free units");
  }
}

void arena_check(void) {
  uint64_t count = 0, free_units = 0, dirty = 0;
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    count++;
    check_arena(a, &free_units, &dirty);
  }
  check_lists();
  invariant(count == arena_count, "number of arenas");
  invariant(free_units == free_unit_count, "number of free units");
  invariant(dirty <= retain_bytes(), "resident free units are retained memory");
  invariant(os_mapped(OS_ARENA) == count * UL_ARENA_BYTES, "mapped == arenas");
}

/* ---- fork ---------------------------------------------------------------------- */

void arena_fork_prepare(void) {
  arena_lock();
}
void arena_fork_parent(void) {
  arena_unlock();
}
void arena_fork_child(void) {
  lock_renew(&lock);
}

bool arena_raw_fork_child(void) {
  bool held = lock_was_left(&lock);
  lock_renew(&lock);
  if (!held) return false;
  memset(by_free, 0, sizeof by_free);
  nonempty = whole_count = 0;
  descriptor_raw_fork_child();
  retain_reset();
  return true;
}
