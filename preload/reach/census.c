#include "reach/census.h"

#include "base/os.h"
#include "heap/class.h"
#include "heap/map.h"
#include "reach/scratch.h"
#include "recording/table.h"

#include <string.h>

SCAN_STATE struct census census;

/* An arena, or a large block that is in use: by address. */
struct piece {
  uintptr_t start;
  uint32_t slot;
};
SCAN_STATE static struct piece *pieces;
SCAN_STATE static size_t piece_count;
SCAN_STATE static bool moves; /* the ledger, while we look */

/* ---- blocks -------------------------------------------------------------------- */

static uint32_t slot_of(uintptr_t address) {
  uintptr_t offset = address - census.extent.low;
  return offset < census.extent.bytes ? census.slots[offset / UL_ARENA_BYTES]
                                      : CENSUS_NOTHING;
}

bool census_free(uintptr_t address) {
  uint32_t slot = slot_of(address), mark = slot % UL_UNITS;
  struct found f;
  if (mark != CENSUS_ARENA) return mark == CENSUS_FREE;
  size_t unit = slot - mark + address % UL_ARENA_BYTES / UL_UNIT_BYTES;
  return census.units[unit].class != CENSUS_UNRECORDED_POOL && !census_at(address, &f);
}

static void each_in_pool(uint32_t unit, uintptr_t start,
                         void (*visit)(const struct found *)) {
  const struct census_unit *u = &census.units[unit];
  bool single = u->class == UL_SPAN;
  uint32_t count = single ? 1 : u->count;
  size_t size = single ? (size_t)u->count * OS_PAGE : census.shapes[u->class].size;
  struct found f = {start, size, u->first, unit, 0, single};
  for (; f.index < count; f.index++, f.number++, f.start += size)
    if (found_state(&f) != CENSUS_DEAD) visit(&f);
}

static void each_in_arena(uintptr_t start, uint32_t slot,
                          void (*visit)(const struct found *)) {
  uint32_t unit = slot - CENSUS_ARENA;
  for (uint32_t end = unit + UL_UNITS; unit < end; unit++, start += UL_UNIT_BYTES) {
    const struct census_unit *u = &census.units[unit];
    if (u->class < CENSUS_UNRECORDED_POOL && !u->back) each_in_pool(unit, start, visit);
  }
}

void census_each(void (*visit)(const struct found *f)) {
  struct found f;
  for (size_t i = 0; i < piece_count; i++) {
    const struct piece *p = &pieces[i];
    if (p->slot % UL_UNITS == CENSUS_ARENA)
      each_in_arena(p->start, p->slot, visit);
    else if (census_at(p->start, &f))
      visit(&f);
  }
}

static void unrecorded_in_arena(uintptr_t start, uint32_t slot, census_piece *scan) {
  uint32_t unit = slot - CENSUS_ARENA;
  for (uint32_t end = unit + UL_UNITS; unit < end; unit++, start += UL_UNIT_BYTES) {
    const struct census_unit *u = &census.units[unit];
    if (u->class == CENSUS_UNRECORDED_POOL && !u->back) scan(start, start + u->first);
  }
}

void census_unrecorded(census_piece *pool, census_piece *large) {
  for (size_t i = 0; i < piece_count; i++) {
    const struct piece *p = &pieces[i];
    uint32_t mark = p->slot % UL_UNITS;
    if (mark == CENSUS_ARENA) unrecorded_in_arena(p->start, p->slot, pool);
    if (mark == CENSUS_UNRECORDED)
      large(p->start, p->start + census.larges[p->slot / UL_UNITS].mapped);
  }
}

/* ---- taking it ----------------------------------------------------------------- */

/* Memory for copies of entries, in runs that serve many pools. */
static void *carve(size_t bytes) {
  enum { RUN = 4 << 20 };
  SCAN_STATE static char *next, *end;
  if ((size_t)(end - next) < bytes) {
    size_t run = bytes > RUN ? bytes : RUN;
    next = scratch(run);
    end = next ? next + run : NULL;
    if (!next) return NULL;
  }
  next += bytes;
  return next - bytes;
}

/* What to look at from now on in place of a strip. NULL: no memory. */
static const uint64_t *settle(const uint64_t *strip, size_t words) {
  if (!moves) return strip;
  void *copy = carve(words * sizeof *strip);
  return copy ? memcpy(copy, strip, words * sizeof *strip) : NULL;
}

/* The slack of all, or CENSUS_UNEVEN: it differs, or is more. */
static uint8_t note_live(size_t first, const uint64_t *entries, uint32_t n) {
  struct found f = {.number = first};
  uint32_t least = UINT32_MAX, most = 0;
  for (uint32_t i = 0; i < n; i++, f.number++) {
    if (!ul_entry_is_live(entries[i])) continue;
    found_set_state(&f, CENSUS_LIVE);
    census.live++;
    uint32_t slack = ul_entry_slack(entries[i]);
    if (slack < least) least = slack;
    if (slack > most) most = slack;
  }
  return least == most && most < CENSUS_UNEVEN ? (uint8_t)most : CENSUS_UNEVEN;
}

/* Is the pool at the unit u in order? Its owner may have been stopped anywhere. */
static bool pool_in_use(const struct arena *a, unsigned u) {
  const struct pool *p = &a->pools[u];
  if (a->free_units >> u & 1 || (const char *)a + a->pool_at[u] != (const char *)p)
    return false;
  if (p->units == 0 || u + p->units > UL_UNITS || p->size == 0) return false;
  return p->base == a->base + u * UL_UNIT_BYTES &&
         p->capacity * p->size <= p->units * UL_UNIT_BYTES;
}

static bool take_pool(const struct pool *p, uint32_t entry, uint32_t unit) {
  bool single = p->class == UL_SPAN;
  uint32_t count = p->capacity;
  const uint64_t *strip = NULL;
  uint8_t slack = CENSUS_UNEVEN;
  struct census_unit u = {(single ? 1 : p->carved) * p->size, CENSUS_UNRECORDED_POOL, 0,
                          0};
  if (p->entries) {
    strip = settle(p->entries, single ? 2 : count);
    if (!strip) return false;
    slack = note_live(entry, strip, count);
    if (single || slack > p->size) slack = CENSUS_UNEVEN;
    u = (struct census_unit){entry, p->class, 0,
                             (uint16_t)(single ? p->size / OS_PAGE : count)};
  }
  for (; u.back < p->units; u.back++, unit++) {
    census.units[unit] = u;
    census.strips[unit] = strip;
    census.slacks[unit] = slack;
  }
  return true;
}

static void take_units_of_none(void) {
  for (unsigned u = 0; u < UL_UNITS; u++)
    census.units[u].class = CENSUS_NO_ARENA;
}

static bool take_arena(const struct arena *a, uint32_t first) {
  for (unsigned u = 0; u < UL_UNITS;) {
    bool used = pool_in_use(a, u);
    if (used && !take_pool(&a->pools[u], a->entry_at[u], first + u)) return false;
    if (!used) census.units[first + u].class = CENSUS_NO_POOL;
    u += used ? a->pools[u].units : 1;
  }
  return true;
}

static enum census_mark take_large(const struct large *l, struct census_large *to) {
  *to = (struct census_large){.start = (uintptr_t)l->base, .mapped = l->mapped};
  if (!l->in_use) return CENSUS_FREE;
  if (!l->record) return CENSUS_UNRECORDED;
  to->number = census.entries + l->record_index;
  to->entry[0] = l->record->entry;
  to->entry[1] = l->record->requested_bytes;
  note_live(to->number, to->entry, 1);
  return CENSUS_BLOCK;
}

/* What starts in the megabyte; its length. A large block with its reserve is longer than
 * it says, and what is behind it is nothing. */
static size_t piece_bytes(map_slot s, uintptr_t at) {
  if (!map_is_large(s)) return UL_ARENA_BYTES;
  const struct large *l = map_large(s);
  if ((uintptr_t)l->base != at || !l->mapped) return 0;
  return (l->mapped + UL_ARENA_BYTES - 1) / UL_ARENA_BYTES * UL_ARENA_BYTES;
}

static void count_pieces(size_t *arenas, size_t *larges) {
  uintptr_t at = 0, high = 0;
  for (map_slot s; (s = map_next_slot(&at));) {
    size_t bytes = piece_bytes(s, at);
    if (!census.extent.low) census.extent.low = at;
    *arenas += bytes && !map_is_large(s);
    *larges += bytes && map_is_large(s);
    at += bytes ? bytes : UL_ARENA_BYTES;
    high = at;
  }
  census.extent.bytes = high - census.extent.low;
}

static bool make_room(size_t arenas, size_t larges) {
  census.entries = table_count(UL_ENTRIES);
  size_t numbers = census.numbers = census.entries + table_count(UL_LARGES);
  size_t slots = census.extent.bytes / UL_ARENA_BYTES, units = (arenas + 1) * UL_UNITS;
  census.slots = scratch(slots * sizeof *census.slots);
  census.firsts = scratch(slots * sizeof *census.firsts);
  census.units = scratch(units * sizeof *census.units);
  census.strips = scratch(units * sizeof *census.strips);
  census.slacks = scratch(units);
  census.larges = scratch(larges * sizeof *census.larges);
  census.states = scratch(numbers / 2 + CENSUS_STATES_MORE);
  census.notes = scratch(numbers * sizeof *census.notes);
  pieces = scratch((arenas + larges) * sizeof *pieces);
  return census.slots && census.firsts && census.units && census.strips &&
         census.slacks && census.larges && census.states && census.notes && pieces;
}

static bool take_all(void) {
  uintptr_t at = 0;
  uint32_t arenas = 0, larges = 0, slot, first;
  take_units_of_none();
  for (map_slot s; (s = map_next_slot(&at));) {
    size_t bytes = piece_bytes(s, at);
    if (!bytes) {
      at += UL_ARENA_BYTES;
      continue;
    }
    if (map_is_large(s)) {
      slot = larges * UL_UNITS + take_large(map_large(s), &census.larges[larges]);
      first = 0;
      larges++;
    } else {
      first = ++arenas * UL_UNITS;
      if (!take_arena(map_arena(s), first)) return false;
      slot = first + CENSUS_ARENA;
    }
    pieces[piece_count++] = (struct piece){at, slot};
    for (uintptr_t end = at + bytes; at < end; at += UL_ARENA_BYTES) {
      census.slots[(at - census.extent.low) / UL_ARENA_BYTES] = slot;
      census.firsts[(at - census.extent.low) / UL_ARENA_BYTES] = first;
    }
  }
  return true;
}

bool census_take(bool ledger_moves) {
  const size_t most = UINT32_MAX / UL_UNITS;
  size_t arenas = 0, larges = 0;
  moves = ledger_moves;
  for (unsigned class = 1; class < UL_CLASSES; class ++) {
    uint32_t size = census.shapes[class].size = class_bytes(class);
    census.shapes[class].recip =
        size ? (uint32_t)(((UINT64_C(1) << 32) + size - 1) / size) : 0;
  }
  count_pieces(&arenas, &larges);
  return arenas + 1 < most && larges < most && make_room(arenas, larges) && take_all();
}
