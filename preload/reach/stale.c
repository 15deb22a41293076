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
enum { WORDS = 128 }; /* of a block; what lies behind is never stale */

struct tally {
  uint32_t live, dead;
};
/* Of a site that has lost enough blocks. */
struct lost_site {
  struct tally words[WORDS];
};

static struct lost_site *learned;
static uint32_t *index_of; /* by site: blocks lost, then its place in `learned`, or 0 */
static uint32_t site_count;

static uint32_t *site_of(const struct found *f) {
  uint32_t site = ul_entry_site(*f->entry);
  return &index_of[site < site_count ? site : UL_SITE_NO_STACK];
}

static READS_ANYTHING void look(const struct found *f, struct lost_site *s) {
  const uintptr_t *word = (const uintptr_t *)f->start;
  struct found to;
  for (size_t i = 0; i < WORDS && (i + 1) * sizeof *word <= f->requested; i++) {
    if (found_at(word[i], &to))
      s->words[i].live++;
    else if (found_free(word[i]))
      s->words[i].dead++;
  }
}

/* Blocks become places, from 1 on, where they are enough; how many places. */
static uint32_t place_sites(void) {
  uint32_t places = 0;
  for (uint32_t i = 0; i < site_count; i++)
    index_of[i] = index_of[i] < SITE_LEAST ? 0 : ++places;
  return places;
}

bool stale_learn(const uintptr_t *lost, uint64_t count, uint32_t sites) {
  struct found f;
  site_count = sites;
  index_of = scratch(sites * sizeof *index_of);
  if (!index_of) return false;
  for (uint64_t i = 0; i < count; i++)
    if (found_at(lost[i], &f)) ++*site_of(&f);
  uint32_t places = place_sites();
  struct lost_site *all = scratch((places + 1) * sizeof *all);
  if (!all) return false;
  for (uint64_t i = 0; places && i < count; i++)
    if (found_at(lost[i], &f) && *site_of(&f)) look(&f, &all[*site_of(&f)]);
  learned = all;
  return true;
}

bool stale_word(const struct found *f, uintptr_t offset) {
  uintptr_t i = offset / sizeof(uintptr_t);
  if (!learned || i >= WORDS) return false;
  const struct tally *t = &learned[*site_of(f)].words[i];
  return t->dead >= DEAD_LEAST && (uint64_t)t->dead * DEAD_SHARE >= t->live + t->dead;
}
