/* stale.c - see stale.h.
 *
 * A block that is handed out again holds what its former life has left, and a program
 * that does not write all of it leaks old pointers with it. They lead to whatever lives
 * at these addresses now: to other lost blocks, which then seem to be dragged along. How
 * many is a matter of chance, and differs from run to run.
 *
 * A single word does not tell when it was written. But many blocks of one site do: what a
 * program stores in a field of its own leads to blocks that live, for in a lost structure
 * nothing was freed; what it found there leads to blocks that were freed since, and only
 * by chance to one that lives again. So the words at one offset in the lost blocks of a
 * site are stale if
 *
 *   - the site has lost SITE_LEAST blocks,
 *   - DEAD_LEAST of these words lead into free memory of the heap, and these are
 *   - 1 of DEAD_SHARE, or more, of those that lead into the heap.
 *
 * This decides only which lost block leads another, not which is lost: a wrong answer
 * makes a leader of a block that was dragged along. */
#include "reach/stale.h"

#include "reach/scratch.h"

enum { SITE_LEAST = 16, DEAD_LEAST = 8, DEAD_SHARE = 16 };
enum { WORDS = 128 };  /* of a block; what lies behind is never stale */
enum { LOOKS = 4096 }; /* blocks of a site are enough to tell */

struct tally {
  uint32_t live, dead;
};
/* Of a site that has lost enough blocks. */
struct lost_site {
  uint32_t looked; /* blocks */
  struct tally words[WORDS];
};

SCAN_STATE static struct lost_site *learned;
SCAN_STATE static uint32_t
    *index_of; /* by site: blocks lost, then its place in `learned`, or 0 */
SCAN_STATE static uint32_t site_count;
SCAN_STATE bool stale_any;

static uint32_t *site_of(const struct found *f) {
  uint32_t site = ul_entry_site(found_entry(f));
  return &index_of[site < site_count ? site : UL_SITE_NO_STACK];
}

static READS_ANYTHING void look(const struct found *f, struct lost_site *s) {
  const uintptr_t *word = (const uintptr_t *)f->start;
  struct found to;
  for (size_t i = 0; i < WORDS && (i + 1) * sizeof *word <= found_requested(f); i++) {
    if (census_at(word[i], &to))
      s->words[i].live++;
    else if (census_free(word[i]))
      s->words[i].dead++;
  }
}

bool stale_begin(uint32_t sites) {
  site_count = sites;
  index_of = scratch(sites * sizeof *index_of);
  return index_of != NULL;
}

void stale_count(const struct found *f) {
  ++*site_of(f);
}

/* Counts become places, from 1 on, where they are enough. */
bool stale_counted(void) {
  uint32_t places = 0;
  for (uint32_t i = 0; i < site_count; i++)
    index_of[i] = index_of[i] < SITE_LEAST ? 0 : ++places;
  learned = places ? scratch((places + 1) * sizeof *learned) : NULL;
  return learned || !places;
}

void stale_look(const struct found *f) {
  uint32_t place = learned ? *site_of(f) : 0;
  if (place && learned[place].looked++ < LOOKS) look(f, &learned[place]);
}

static bool is_stale(const struct tally *t) {
  return t->dead >= DEAD_LEAST && (uint64_t)t->dead * DEAD_SHARE >= t->live + t->dead;
}

void stale_looked(void) {
  uint32_t places = 0;
  for (uint32_t i = 0; i < site_count; i++)
    if (index_of[i] > places) places = index_of[i];
  for (uint32_t i = 1; i <= places && !stale_any; i++)
    for (unsigned k = 0; k < WORDS && !stale_any; k++)
      stale_any = is_stale(&learned[i].words[k]);
}

bool stale_word(const struct found *f, uintptr_t offset) {
  uintptr_t i = offset / sizeof(uintptr_t);
  return i < WORDS && is_stale(&learned[*site_of(f)].words[i]);
}
