/* waste.c - see waste.h.
 *
 * The heap may be large, and who needs a pool waits for the arena lock: so it is held for
 * an arena at a time, which the recording's table leads to. Owners go on allocating and
 * freeing in their pools meanwhile; what is counted is of about this moment. Blocks that
 * were never carved are no waste: their pages are not resident. */
#include "account/waste.h"

#include "heap/arena.h"
#include "heap/large.h"
#include "heap/map.h"
#include "recording/table.h"

struct sharing {
  struct waste *by_site;
  size_t sites;
};

static struct waste *waste_of(const struct sharing *s, uint64_t entry) {
  uint32_t site = ul_entry_site(entry);
  return site < s->sites ? &s->by_site[site] : NULL;
}

/* 0: of no live block. */
static uint64_t entry_at(const struct pool *p, uint32_t i) {
  uint64_t entry = __atomic_load_n(&p->entries[i], __ATOMIC_RELAXED);
  return ul_entry_is_live(entry) ? entry : 0;
}

static void add_span(const struct sharing *s, const struct pool *p) {
  uint64_t entry = entry_at(p, 0), requested = p->entries[1];
  struct waste *w = entry ? waste_of(s, entry) : NULL;
  if (w && requested <= p->size) w->slack += (int64_t)(p->size - requested);
}

static void add_pool(const struct sharing *s, const struct pool *p) {
  uint32_t carved = p->carved;
  uint32_t live = 0;
  for (uint32_t i = 0; i < carved; i++)
    live += entry_at(p, i) != 0;
  if (!live) return;
  uint32_t pinned = (carved - live) * p->size;
  uint32_t part = pinned / live, more = pinned % live;
  for (uint32_t i = 0; i < carved; i++) {
    uint64_t entry = entry_at(p, i);
    struct waste *w = entry ? waste_of(s, entry) : NULL;
    if (!w) continue;
    w->pinned += part + (more && more--);
    w->slack += ul_entry_slack(entry);
  }
}

static void add_arena(const struct sharing *s, struct arena *a, int64_t *steps) {
  const struct pool *p;
  for (unsigned unit = 0; (p = arena_next_pool(a, &unit)); --*steps) {
    if (!p->entries) continue;
    if (p->class == UL_SPAN) {
      add_span(s, p);
    } else {
      add_pool(s, p);
      *steps -= p->capacity;
    }
  }
}

static void add_larges(const struct sharing *s) {
  for (const struct large *l = large_first(); l; l = large_next(l)) {
    struct waste *w = l->record && ul_entry_is_live(l->record->entry)
                          ? waste_of(s, l->record->entry)
                          : NULL;
    if (w) w->slack += (int64_t)(l->mapped - l->requested);
  }
}

bool waste_add(struct waste *by_site, size_t sites, uint64_t *next, int64_t *steps) {
  const struct sharing s = {by_site, sites};
  for (; *next < table_count(UL_ARENAS); ++*next) {
    if (*steps <= 0) return true;
    const struct ul_arena *record = table_at(UL_ARENAS, *next);
    const void *base = (const void *)__atomic_load_n(&record->base, __ATOMIC_RELAXED);
    if (!base) continue;
    arena_lock();
    map_slot slot = map_lookup(base);
    if (slot && !map_is_large(slot)) add_arena(&s, map_arena(slot), steps);
    arena_unlock();
  }
  arena_lock();
  add_larges(&s);
  arena_unlock();
  return false;
}
