/* arena.c - see arena.h and types.h.
 *
 * A pool is taken from the fullest arena that has room, so that the emptiest
 * can drain (CPython's usable_arenas): arenas hang on a list for their number of
 * free units, and a bit mask says which lists are not empty. For pools of
 * several units a run of free units is looked for in the arena's bitmap; after
 * SEARCH_LIMIT arenas without such a run a new arena is mapped, so that a
 * fragmented heap does not make every pool cost a walk over all arenas. */
#include "heap/arena.h"

#include "base/lock.h"
#include "base/meta.h"
#include "base/os.h"
#include "base/say.h"
#include "heap/class.h"
#include "heap/map.h"
#include "ledger/ledger.h"
#include "recording/recording.h"

#include <string.h>

enum { SEARCH_LIMIT = 64 };
#define ALL_FREE (~UINT64_C(0))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct arena *by_free[UL_UNITS + 1]; /* [k]: k units free; [0] not used */
static uint64_t nonempty;                   /* bit k - 1: by_free[k] has arenas */
static struct arena *descriptors, *retired;
static uint64_t arena_count, free_unit_count;

void arena_lock(void) {
  lock_take(&lock);
}
void arena_unlock(void) {
  lock_give(&lock);
}

/* ---- lists --------------------------------------------------------------------- */

static unsigned free_count(const struct arena *a) {
  return (unsigned)__builtin_popcountll(a->free_units);
}

static void list_add(struct arena *a) {
  unsigned k = free_count(a);
  a->prev = a->next = NULL;
  if (k == 0) return;
  a->next = by_free[k];
  if (a->next) a->next->prev = a;
  by_free[k] = a;
  nonempty |= UINT64_C(1) << (k - 1);
}

static void list_remove(struct arena *a) {
  unsigned k = free_count(a);
  if (k == 0) return;
  if (a->next) a->next->prev = a->prev;
  if (a->prev)
    a->prev->next = a->next;
  else
    by_free[k] = a->next;
  if (!by_free[k]) nonempty &= ~(UINT64_C(1) << (k - 1));
}

/* What to keep up to date in the recording; after its stop nothing: it shows the heap of
 * that moment. */
static struct ul_arena *record_of(const struct arena *a) {
  return recording_stopped() ? NULL : a->record;
}

/* ---- arenas from and to the OS ------------------------------------------------- */

static struct arena *descriptor_take(void) {
  struct arena *a = retired;
  if (a) {
    retired = a->next;
    return a;
  }
  a = meta_alloc(sizeof *a);
  if (!a) return NULL;
  a->record = ledger_arena_record();
  a->link = descriptors;
  descriptors = a;
  return a;
}

static void descriptor_retire(struct arena *a) {
  a->base = NULL;
  if (record_of(a)) a->record->base = 0;
  a->next = retired;
  retired = a;
}

static struct arena *arena_map(void) {
  struct arena *a = descriptor_take();
  if (!a) return NULL;
  char *base = os_map(UL_ARENA_BYTES, UL_ARENA_BYTES, OS_ARENA);
  if (base && !map_enter(base, UL_ARENA_BYTES, (map_slot)a)) {
    os_unmap(base, UL_ARENA_BYTES, OS_ARENA);
    base = NULL;
  }
  if (!base) {
    descriptor_retire(a);
    return NULL;
  }
  a->base = base;
  a->free_units = ALL_FREE;
  if (record_of(a)) a->record->base = (uint64_t)(uintptr_t)base;
  arena_count++;
  free_unit_count += UL_UNITS;
  list_add(a);
  return a;
}

static void arena_unmap(struct arena *a) {
  list_remove(a);
  arena_count--;
  free_unit_count -= UL_UNITS;
  map_enter(a->base, UL_ARENA_BYTES, 0);
  char *base = a->base;
  descriptor_retire(a);
  os_unmap(base, UL_ARENA_BYTES, OS_ARENA);
}

/* ---- units --------------------------------------------------------------------- */

/* The lowest unit at which `units` free ones begin, or -1. */
static int find_run(uint64_t free_units, unsigned units) {
  for (unsigned have = 1; have < units;) {
    unsigned step = have < units - have ? have : units - have;
    free_units &= free_units >> step;
    have += step;
  }
  return free_units ? __builtin_ctzll(free_units) : -1;
}

static uint64_t run_mask(unsigned first, unsigned units) {
  return (units == UL_UNITS ? ALL_FREE : (UINT64_C(1) << units) - 1) << first;
}

static struct arena *find_arena(unsigned units, unsigned *first) {
  unsigned looked = 0;
  for (uint64_t left = nonempty >> (units - 1) << (units - 1); left; left &= left - 1) {
    for (struct arena *a = by_free[__builtin_ctzll(left) + 1]; a; a = a->next) {
      int run = find_run(a->free_units, units);
      *first = (unsigned)run;
      if (run >= 0) return a;
      if (++looked == SEARCH_LIMIT) return NULL;
    }
  }
  return NULL;
}

static uint32_t capacity_of(unsigned class, unsigned units) {
  return class == UL_SPAN ? 1 : units * UL_UNIT_BYTES / class_bytes(class);
}

static void pool_open(struct pool *p, struct heap *h, unsigned class, unsigned units) {
  uint32_t capacity = capacity_of(class, units);
  p->heap = h;
  p->free = NULL;
  p->next = p->prev = NULL;
  p->class = (uint8_t) class;
  p->units = (uint8_t)units;
  p->size = class == UL_SPAN ? units * UL_UNIT_BYTES : class_bytes(class);
  p->recip =
      class == UL_SPAN ? 0 : (uint32_t)(((UINT64_C(1) << 32) + p->size - 1) / p->size);
  p->virgin = 0;
  p->end = capacity * p->size;
  p->live = 0;
  p->entries = ledger_strip_take(capacity, &p->entry);
}

struct pool *arena_take(struct heap *h, unsigned class, unsigned units) {
  arena_lock();
  unsigned first;
  struct arena *a = find_arena(units, &first);
  if (!a) {
    a = arena_map();
    first = 0;
  }
  if (!a) {
    arena_unlock();
    return NULL;
  }
  struct pool *p = &a->pools[first];
  p->base = a->base + (size_t)first * UL_UNIT_BYTES;
  pool_open(p, h, class, units);
  if (record_of(a) && p->entries)
    a->record->pools[first] =
        (struct ul_pool){p->entry, (uint8_t) class, (uint8_t)units, 0};
  list_remove(a);
  a->free_units &= ~run_mask(first, units);
  list_add(a);
  memset(&a->head[first], (int)first, units);
  free_unit_count -= units;
  h->pool_bytes += units * UL_UNIT_BYTES;
  h->tail_bytes += units * UL_UNIT_BYTES - p->end;
  arena_unlock();
  return p;
}

struct arena *arena_of(const struct pool *p) {
  return map_arena(map_lookup(p->base));
}

static void pool_close(struct arena *a, struct pool *p) {
  unsigned first = (unsigned)(p - a->pools), units = p->units;
  struct heap *h = p->heap;
  h->pool_bytes -= units * UL_UNIT_BYTES;
  h->tail_bytes -= units * UL_UNIT_BYTES - p->end;
  if (record_of(a)) a->record->pools[first].units = 0;
  ledger_strip_give(p->entries, p->entry, p->end / p->size);
  p->entries = NULL;
  p->heap = NULL;
  p->live = 0; /* a span's block is freed here, by whoever frees it */
  list_remove(a);
  a->free_units |= run_mask(first, units);
  list_add(a);
  free_unit_count += units;
}

/* Calls visit for each pool in use; stops when it returns true. */
static struct pool *next_pool(struct arena *a, unsigned *unit) {
  while (*unit < UL_UNITS) {
    if (a->free_units >> *unit & 1) {
      ++*unit;
      continue;
    }
    struct pool *p = &a->pools[a->head[*unit]];
    *unit += p->units;
    return p;
  }
  return NULL;
}

static bool only_spares_of(struct arena *a, const struct heap *h) {
  struct pool *p;
  for (unsigned unit = 0; (p = next_pool(a, &unit));)
    if (p->heap != h || p->live) return false;
  return true;
}

bool arena_busy(const struct heap *h, const struct pool *p) {
  struct arena *a = arena_of(p);
  const struct pool *q;
  for (unsigned unit = 0; (q = next_pool(a, &unit));) {
    if (q->units == 0) return true; /* being opened by another thread just now */
    if (q != p && (q->heap != h || q->live)) return true;
  }
  return false;
}

void arena_give(struct heap *h, struct pool *p,
                void (*unlink)(struct heap *, struct pool *)) {
  arena_lock();
  struct arena *a = arena_of(p);
  pool_close(a, p);
  if (only_spares_of(a, h)) {
    struct pool *q;
    for (unsigned unit = 0; (q = next_pool(a, &unit));) {
      unlink(h, q);
      pool_close(a, q);
    }
  }
  /* One empty arena stays in reserve: by_free[UL_UNITS] holds it. */
  if (a->free_units == ALL_FREE && (a->next || a->prev)) arena_unmap(a);
  arena_unlock();
}

bool arena_resize_span(struct pool *p, unsigned units) {
  arena_lock();
  struct arena *a = arena_of(p);
  unsigned first = (unsigned)(p - a->pools), old = p->units;
  uint64_t was = run_mask(first, old), is = run_mask(first, units);
  bool done = first + units <= UL_UNITS && !(is & ~was & ~a->free_units);
  if (done) {
    list_remove(a);
    a->free_units = (a->free_units | was) & ~is;
    list_add(a);
    memset(&a->head[first], (int)first, units);
    free_unit_count += (uint64_t)old - units; /* modulo 2^64 */
    p->heap->pool_bytes +=
        (uint64_t)units * UL_UNIT_BYTES - (uint64_t)old * UL_UNIT_BYTES;
    p->units = (uint8_t)units;
    p->size = p->virgin = p->end = units * UL_UNIT_BYTES;
    if (record_of(a)) a->record->pools[first].units = (uint8_t)units;
  }
  arena_unlock();
  return done;
}

/* ---- trim, totals, invariants -------------------------------------------------- */

static size_t discard_free_units(struct arena *a) {
  size_t given = 0;
  for (unsigned unit = 0; unit < UL_UNITS;) {
    unsigned run = 0;
    while (unit + run < UL_UNITS && a->free_units >> (unit + run) & 1)
      run++;
    if (run &&
        os_discard(a->base + (size_t)unit * UL_UNIT_BYTES, (size_t)run * UL_UNIT_BYTES))
      given += (size_t)run * UL_UNIT_BYTES;
    unit += run + 1;
  }
  return given;
}

size_t arena_trim(void) {
  size_t given = 0;
  arena_lock();
  while (by_free[UL_UNITS]) {
    arena_unmap(by_free[UL_UNITS]);
    given += UL_ARENA_BYTES;
  }
  for (struct arena *a = arena_first(); a; a = arena_next(a))
    given += discard_free_units(a);
  arena_unlock();
  return given;
}

static struct arena *skip_retired(struct arena *a) {
  while (a && !a->base)
    a = a->link;
  return a;
}
struct arena *arena_first(void) {
  return skip_retired(descriptors);
}
struct arena *arena_next(struct arena *a) {
  return skip_retired(a->link);
}

struct arena_totals arena_totals(void) {
  uint64_t bytes = arena_count * UL_ARENA_BYTES, empty = free_unit_count * UL_UNIT_BYTES;
  return (struct arena_totals){arena_count, bytes, empty, bytes - empty};
}

uint64_t arena_free_bytes(void) {
  uint64_t bytes = 0;
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    struct pool *p;
    for (unsigned unit = 0; (p = next_pool(a, &unit));)
      bytes += p->units * UL_UNIT_BYTES - (uint64_t)p->live * p->size;
  }
  return bytes;
}

static void check_arena(struct arena *a, uint64_t *free_units) {
  unsigned used = 0;
  struct pool *p;
  for (unsigned unit = 0; (p = next_pool(a, &unit));) {
    used += p->units;
    invariant(p->base == a->base + (p - a->pools) * UL_UNIT_BYTES, "pool base");
    invariant(p->virgin <= p->end && p->end <= p->units * UL_UNIT_BYTES, "pool extent");
    invariant(p->live <= p->end / p->size, "live blocks fit their pool");
  }
  invariant(used + free_count(a) == UL_UNITS, "units of pools + free units");
  invariant(map_lookup(a->base) == (map_slot)a, "arena is in the map");
  invariant(!record_of(a) || a->record->base == (uintptr_t)a->base,
            "arena is in the recording");
  *free_units += free_count(a);
}

static void check_lists(void) {
  for (unsigned k = 1; k <= UL_UNITS; k++) {
    invariant((by_free[k] != NULL) == (nonempty >> (k - 1) & 1), "mask of arena lists");
    for (struct arena *a = by_free[k]; a; a = a->next)
      invariant(a->base && free_count(a) == k, "arena is on the list of its free units");
  }
}

void arena_check(void) {
  uint64_t count = 0, free_units = 0;
  for (struct arena *a = arena_first(); a; a = arena_next(a)) {
    count++;
    check_arena(a, &free_units);
  }
  check_lists();
  invariant(count == arena_count, "number of arenas");
  invariant(free_units == free_unit_count, "number of free units");
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
  bool held = pthread_mutex_trylock(&lock) != 0;
  lock_renew(&lock);
  if (!held) return false;
  memset(by_free, 0, sizeof by_free);
  nonempty = 0;
  retired = NULL;
  return true;
}
