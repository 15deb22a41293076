/* found.c - the live blocks of a frozen copy of the process, and their marks.
 *
 * All private memory is the copy's own, also our descriptors: pool->next and large->next
 * hold the marks here. The recording is shared and goes on changing when the
 * program's threads run again, so the ledger's entries are copied first, unless there
 * is nobody to change them; p->entries and l->record then lead to these copies. */
#include "reach/found.h"

#include "account/mapping.h"
#include "heap/map.h"
#include "reach/scratch.h"

#include <string.h>

static struct found_extent extent;
static bool moves; /* the ledger, while we look */

/* ---- blocks -------------------------------------------------------------------- */

static inline struct found_marks *pool_marks(const struct pool *p) {
  return (struct found_marks *)p->next;
}
static inline struct found_marks *large_marks(const struct large *l) {
  return (struct found_marks *)l->next;
}

static size_t requested_in_pool(const struct pool *p, const uint64_t *entry) {
  if (p->class == UL_SPAN) return entry[1] < p->size ? entry[1] : p->size;
  uint32_t slack = ul_entry_slack(*entry);
  return slack < p->size ? p->size - slack : 0;
}

static bool find_in_pool(const struct pool *p, uint32_t i, struct found *f) {
  f->marks = pool_marks(p) + i;
  if (f->marks->state == FOUND_DEAD) return false;
  f->start = (uintptr_t)p->base + (uintptr_t)i * p->size;
  f->entry = &p->entries[i];
  f->requested = requested_in_pool(p, f->entry);
  f->usable = p->size;
  return true;
}

static bool find_large(const struct large *l, struct found *f) {
  f->marks = large_marks(l);
  if (!f->marks || f->marks->state == FOUND_DEAD) return false;
  f->start = (uintptr_t)l->base;
  f->entry = &l->record->entry;
  f->requested =
      l->record->requested_bytes < l->mapped ? l->record->requested_bytes : l->mapped;
  f->usable = l->mapped;
  return true;
}

bool found_at(uintptr_t address, struct found *f) {
  map_slot s = map_lookup((void *)address);
  if (!s) return false;
  if (map_is_large(s)) return find_large(map_large(s), f);
  const struct arena *a = map_arena(s);
  const struct pool *p =
      &a->pools[a->head[(address & (UL_ARENA_BYTES - 1)) / UL_UNIT_BYTES]];
  if (!pool_marks(p)) return false;
  uint64_t offset = address - (uintptr_t)p->base;
  if (offset >= p->end) return false;
  uint32_t i = (uint32_t)(offset * p->recip >> 32);
  if ((uint64_t)i * p->size > offset) i--;
  return find_in_pool(p, i, f);
}

bool found_free(uintptr_t address) {
  map_slot s = map_lookup((void *)address);
  struct found f;
  if (!s) return false;
  if (map_is_large(s)) return !map_large(s)->in_use;
  const struct arena *a = map_arena(s);
  const struct pool *p =
      &a->pools[a->head[(address & (UL_ARENA_BYTES - 1)) / UL_UNIT_BYTES]];
  return (!p->units || pool_marks(p)) && !found_at(address, &f);
}

static void each_in_arena(const struct arena *a, void (*visit)(const struct found *)) {
  struct found f;
  for (unsigned u = 0; u < UL_UNITS; u++) {
    const struct pool *p = &a->pools[u];
    if (a->head[u] != u || !pool_marks(p)) continue;
    for (uint32_t i = 0, n = p->end / p->size; i < n; i++)
      if (find_in_pool(p, i, &f)) visit(&f);
  }
}

void found_each(void (*visit)(const struct found *)) {
  struct found f;
  uintptr_t at = 0;
  for (map_slot s; (s = map_next_slot(&at)); at += UL_ARENA_BYTES) {
    if (!map_is_large(s))
      each_in_arena(map_arena(s), visit);
    else if ((uintptr_t)map_large(s)->base == at && find_large(map_large(s), &f))
      visit(&f);
  }
}

static void unrecorded_in_arena(const struct arena *a, found_piece *piece) {
  for (unsigned u = 0; u < UL_UNITS; u++) {
    const struct pool *p = &a->pools[u];
    if (a->head[u] == u && p->units && !p->entries)
      piece((uintptr_t)p->base, (uintptr_t)p->base + p->virgin);
  }
}

void found_unrecorded(found_piece *pool, found_piece *large) {
  uintptr_t at = 0;
  for (map_slot s; (s = map_next_slot(&at)); at += UL_ARENA_BYTES) {
    if (!map_is_large(s)) {
      unrecorded_in_arena(map_arena(s), pool);
      continue;
    }
    const struct large *l = map_large(s);
    if ((uintptr_t)l->base == at && l->in_use && !l->record) large(at, at + l->mapped);
  }
}

/* ---- the ledger's copy, and the marks ------------------------------------------ */

/* Is the pool at the head unit u in order? Its owner may have been stopped anywhere. */
static bool pool_in_use(const struct arena *a, unsigned u) {
  const struct pool *p = &a->pools[u];
  if (a->free_units >> u & 1 || a->head[u] != u) return false;
  if (p->units == 0 || u + p->units > UL_UNITS || p->size == 0) return false;
  return p->base == a->base + u * UL_UNIT_BYTES && p->end <= p->units * UL_UNIT_BYTES;
}

static void note_live(struct found_marks *marks, const uint64_t *entries, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (entries[i]) marks[i].state = FOUND_LIVE;
}

/* Memory for marks and copies of entries, in pieces that serve many pools. */
static void *carve(size_t bytes) {
  enum { PIECE = 4 << 20 };
  static char *next, *end;
  bytes = (bytes + 15) & ~(size_t)15;
  if ((size_t)(end - next) < bytes) {
    size_t piece = bytes > PIECE ? bytes : PIECE;
    next = scratch(piece);
    end = next ? next + piece : NULL;
    if (!next) return NULL;
  }
  next += bytes;
  return next - bytes;
}

/* What to look at from now on in place of a piece of the ledger. NULL: no memory. */
static void *settle(void *ledger, size_t bytes) {
  if (!moves) return ledger;
  void *copy = carve(bytes);
  return copy ? memcpy(copy, ledger, bytes) : NULL;
}

static bool prepare_pool(struct pool *p) {
  uint32_t n = p->end / p->size;
  size_t bytes = (p->class == UL_SPAN ? n + 1 : n) * sizeof *p->entries;
  p->entries = settle(p->entries, bytes);
  struct found_marks *marks = carve(n * sizeof *marks);
  if (!p->entries || !marks) return false;
  note_live(marks, p->entries, n);
  p->next = (struct pool *)marks;
  return true;
}

static bool prepare_arena(struct arena *a) {
  for (unsigned u = 0; u < UL_UNITS;) {
    struct pool *p = &a->pools[u];
    if (!pool_in_use(a, u)) {
      a->head[u] = (uint8_t)u;
      p->next = NULL;
      p->entries = NULL;
      p->units = 0;
      u++;
      continue;
    }
    p->next = NULL;
    if (p->entries && !prepare_pool(p)) return false;
    u += p->units;
  }
  return true;
}

static bool prepare_large(struct large *l) {
  l->next = NULL;
  if (!l->in_use || !l->record) return true;
  l->record = settle(l->record, sizeof *l->record);
  struct found_marks *marks = carve(sizeof *marks);
  if (!l->record || !marks) return false;
  note_live(marks, &l->record->entry, 1);
  l->next = (struct large *)marks;
  return true;
}

static bool prepare_slot(map_slot s, uintptr_t at) {
  if (!map_is_large(s)) return prepare_arena(map_arena(s));
  return (uintptr_t)map_large(s)->base != at || prepare_large(map_large(s));
}

bool found_prepare(bool ledger_moves) {
  uintptr_t at = 0, high = 0;
  moves = ledger_moves;
  for (map_slot s; (s = map_next_slot(&at)); at += UL_ARENA_BYTES) {
    if (!extent.low) extent.low = at;
    high = at + UL_ARENA_BYTES;
    if (!prepare_slot(s, at)) return false;
  }
  extent.bytes = high - extent.low;
  return true;
}

struct found_extent found_extent(void) {
  return extent;
}
