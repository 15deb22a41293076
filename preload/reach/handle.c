/* handle.c - see handle.h.
 *
 * CPython's objects lie behind a header for its collector, strings of redis behind their
 * length, blocks of many a wrapper behind what it wants to know of them: the program has
 * only pointers to what comes after. One interior pointer proves nothing; that nearly all
 * blocks of a place are held at the same offset does. That offset is a handle of the
 * place. A string's length may take 1, 2 or 4 bytes, so there can be some; the rule is
 * that
 *
 *   - PLACE_LEAST blocks of the place were reached, by whatever pointer,
 *   - EACH_LEAST of them are held at each handle, and
 *   - MOST_OF of MOST_IN are held at one of them, from outside of themselves.
 *
 * A block counts for one of the offsets at which it is held, so none counts twice: for
 * the one that wins a draw. Each block has an order of its own of all offsets, as good as
 * any other, and of what is met the last in it stays. So the rest of what is below does
 * not depend on which pointer is met first, which is a matter of luck where several
 * threads follow them; and it is no rule of the lowest offset, by which a chunk that is
 * cut into pieces would be held at the second.
 *
 * The place is the site. Where it has too few blocks to tell, it is all sites with the
 * same innermost frames, of as many frames as it takes: FRAMES, then fewer. So a place
 * that says no (its blocks are held by their starts) is not overruled by a wider one.
 *
 * Each site has room for OFFSETS offsets, as they come by address of the blocks. Of the
 * strong pointers to a block it is kept at which offsets they were, as bits that some
 * offsets share. */
#include "reach/handle.h"

#include "reach/scratch.h"
#include "recording/table.h"

#include <string.h>

enum { OFFSETS = 4, FRAMES = 4 };
enum { PLACE_LEAST = 16, EACH_LEAST = 8, MOST_OF = 15, MOST_IN = 16 };

struct place {
  uint32_t reached; /* blocks */
  uint32_t handles; /* bit i: met[i] is one */
  struct {
    uint32_t offset, blocks; /* 0: not in use */
  } met[OFFSETS];
};

SCAN_STATE static struct place *places; /* by site */
SCAN_STATE static uint32_t place_count;
SCAN_STATE static bool any_met, chosen;

bool handle_prepare(uint32_t sites) {
  places = scratch(sites * sizeof *places);
  place_count = sites;
  any_met = chosen = false;
  return places != NULL;
}

static struct place *place_of(const struct found *f) {
  uint32_t site = ul_entry_site(found_entry(f));
  return &places[site < place_count ? site : UL_SITE_NO_STACK];
}

/* Which of its offsets that is, or OFFSETS: it has no room for it. */
static unsigned index_of(struct place *p, uint32_t offset) {
  unsigned i = 0;
  while (i < OFFSETS && p->met[i].offset && p->met[i].offset != offset)
    i++;
  if (i < OFFSETS) p->met[i].offset = offset;
  return i;
}

/* ---- pointers ------------------------------------------------------------------ */

static uint32_t strong_bit(uintptr_t offset) {
  enum { BITS = 32 - HANDLE_LOT_BITS };
  return UINT32_C(1) << (HANDLE_LOT_BITS + (offset ^ offset >> 4 ^ offset >> 8) % BITS);
}

void handle_met(const struct found *f, uintptr_t offset, bool strong) {
  if (offset > HANDLE_OFFSET_MAX || chosen) return;
  uint32_t *note = found_note(f), old = __atomic_load_n(note, __ATOMIC_RELAXED);
  uint32_t lot = handle_lot(f->number, offset), now;
  do {
    uint32_t kept = old & HANDLE_LOT_MASK;
    now = (old & ~(uint32_t)HANDLE_LOT_MASK) | (lot > kept ? lot : kept);
    if (strong) now |= strong_bit(offset);
  } while (now != old && !__atomic_compare_exchange_n(
                             note, &old, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  if (!__atomic_load_n(&any_met, __ATOMIC_RELAXED))
    __atomic_store_n(&any_met, true, __ATOMIC_RELAXED);
}

/* 0: at none. */
static uint32_t offset_of(const struct found *f) {
  uint32_t lot = *found_note(f) & HANDLE_LOT_MASK;
  return lot ? ((lot - 1) ^ handle_order(f->number)) + 1 : 0;
}

/* ---- places -------------------------------------------------------------------- */

SCAN_STATE static bool (*was_reached)(const struct found *f);

static void count_reached(const struct found *f) {
  if (!was_reached(f)) return;
  struct place *p = place_of(f);
  uint32_t offset = offset_of(f);
  p->reached++;
  unsigned i = offset ? index_of(p, offset) : OFFSETS;
  if (i < OFFSETS) p->met[i].blocks++;
}

static void choose(struct place *p) {
  uint32_t handles = 0;
  uint64_t held = 0;
  for (unsigned i = 0; i < OFFSETS; i++) {
    if (p->met[i].blocks < EACH_LEAST) continue;
    handles |= 1u << i;
    held += p->met[i].blocks;
  }
  if (held * MOST_IN >= (uint64_t)p->reached * MOST_OF) p->handles = handles;
}

static bool is_handle(const struct place *p, uintptr_t offset) {
  for (unsigned i = 0; i < OFFSETS; i++)
    if (p->handles >> i & 1 && p->met[i].offset == offset) return true;
  return false;
}

/* The handles of a wider place. */
static void adopt(struct place *p, const struct place *wide) {
  for (unsigned i = 0; i < OFFSETS; i++)
    if (is_handle(wide, p->met[i].offset)) p->handles |= 1u << i;
}

static void add(struct place *to, const struct place *p) {
  to->reached += p->reached;
  for (unsigned i = 0; i < OFFSETS && p->met[i].offset; i++) {
    unsigned k = index_of(to, p->met[i].offset);
    if (k < OFFSETS) to->met[k].blocks += p->met[i].blocks;
  }
}

/* A hash of the innermost frames of a site; 0: it has none. */
static uint64_t inner_hash(uint32_t site, unsigned frames) {
  const struct ul_site *s = table_at(UL_SITES, site);
  uint64_t hash = 0, nodes = table_count(UL_NODES);
  uint32_t code = ul_site_code(s), n = s->parent;
  while (frames-- && code) {
    hash = (hash ^ code) * UINT64_C(0x9fb21c651e98df25);
    hash ^= hash >> 32;
    const struct ul_node *node = n < nodes ? table_at(UL_NODES, n) : NULL;
    code = node ? node->code : 0;
    n = node ? node->parent : 0;
  }
  return hash;
}

/* Wider places, by the hash of their frames. */
struct wide {
  uint64_t hash; /* 0: not in use */
  struct place place;
};
SCAN_STATE static struct wide *wides;
SCAN_STATE static uint64_t wide_mask;

static struct wide *wide_of(uint32_t site, unsigned frames) {
  uint64_t hash = inner_hash(site, frames), i = hash >> 20;
  if (!hash) return NULL;
  while (wides[i & wide_mask].hash && wides[i & wide_mask].hash != hash)
    i++;
  wides[i & wide_mask].hash = hash;
  return &wides[i & wide_mask];
}

static bool take_wides(void) {
  uint64_t size = 64;
  while (size < (uint64_t)place_count * 2)
    size *= 2;
  wide_mask = size - 1;
  wides = scratch(size * sizeof *wides);
  return wides != NULL;
}

/* For the sites that are still undecided. */
static bool widen(unsigned frames, bool *undecided) {
  memset(wides, 0, (wide_mask + 1) * sizeof *wides);
  uint32_t sites = place_count;
  if (sites > table_count(UL_SITES)) sites = (uint32_t)table_count(UL_SITES);
  bool left = false;
  for (uint32_t i = UL_SITE_RESERVED; i < sites; i++) {
    struct wide *w = places[i].reached ? wide_of(i, frames) : NULL;
    if (w) add(&w->place, &places[i]);
  }
  for (uint32_t i = UL_SITE_RESERVED; i < sites; i++) {
    if (!undecided[i]) continue;
    struct wide *w = wide_of(i, frames);
    undecided[i] = w && w->place.reached < PLACE_LEAST;
    left = left || undecided[i];
    if (!w || undecided[i]) continue;
    choose(&w->place);
    adopt(&places[i], &w->place);
  }
  return left;
}

/* true: some sites are undecided, for they have too few blocks. */
static bool choose_by_site(bool *undecided) {
  bool left = false;
  for (uint32_t i = UL_SITE_RESERVED; i < place_count; i++) {
    if (!places[i].met[0].offset) continue;
    undecided[i] = places[i].reached < PLACE_LEAST;
    left = left || undecided[i];
    if (!undecided[i]) choose(&places[i]);
  }
  return left;
}

static bool any_handle(void) {
  for (uint32_t i = 0; i < place_count; i++)
    if (places[i].handles) return true;
  return false;
}

bool handle_choose(bool reached(const struct found *f), bool *any) {
  *any = false;
  if (!any_met) return true;
  bool *undecided = scratch(place_count);
  if (!undecided) return false;
  was_reached = reached;
  census_each(count_reached);
  bool left = choose_by_site(undecided);
  if (left && !take_wides()) return false;
  for (unsigned frames = FRAMES; left && frames; frames--)
    left = widen(frames, undecided);
  chosen = *any = any_handle();
  return true;
}

/* ---- afterwards ---------------------------------------------------------------- */

bool handle_is(const struct found *f, uintptr_t offset) {
  return chosen && is_handle(place_of(f), offset);
}

bool handle_holds(const struct found *f) {
  const struct place *p = place_of(f);
  for (unsigned i = 0; i < OFFSETS; i++)
    if (p->handles >> i & 1 && *found_note(f) & strong_bit(p->met[i].offset)) return true;
  return false;
}
