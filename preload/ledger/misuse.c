#include "ledger/misuse.h"

#include "base/count.h"
#include "base/say.h"
#include "recording/recording.h"

#include <stddef.h>
#include <string.h>

/* Two sites are one word, so that a place has both or none. */
union pair {
  uint64_t word;
  struct {
    uint32_t site, allocated;
  };
};
_Static_assert(offsetof(struct ul_misuse, site) == 0 &&
                   offsetof(struct ul_misuse, allocated) == sizeof(uint32_t),
               "a pair begins it");

/* Is the place the pair's, now? Who comes first gets it. */
static bool claim(struct ul_misuse *m, union pair sites) {
  uint64_t found = 0;
  return __atomic_compare_exchange_n((uint64_t *)m, &found, sites.word, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
         found == sites.word;
}

/* Of those at one pair of sites, the first tells more. NULL: there are too many pairs. */
static struct ul_misuse *note(struct ul_misuse *places, const struct ul_misuse *what) {
  union pair sites = {.site = what->site, .allocated = what->allocated};
  for (unsigned i = 0; i < UL_MISUSE_PLACES; i++) {
    struct ul_misuse *m = &places[i];
    if (!claim(m, sites)) continue;
    if (__atomic_fetch_add(&m->count, 1, __ATOMIC_RELAXED)) return m;
    m->freed = what->freed;
    m->family[0] = what->family[0];
    m->family[1] = what->family[1];
    m->address = what->address;
    m->bytes = what->bytes;
    m->wanted = what->wanted;
    m->offset = what->offset;
    m->changed = what->changed;
    memcpy(m->found, what->found, sizeof m->found);
    m->ms = recording_ms();
    return m;
  }
  return NULL;
}

const char *const misuse_names[UL_MISUSES] = {
    [UL_FREED_TWICE] = "double-free",
    [UL_FREED_INSIDE] = "invalid-free",
    [UL_RESIZED_AFTER_FREE] = "realloc-after-free",
    [UL_RESIZED_INSIDE] = "invalid-realloc",
    [UL_MISMATCHED] = "mismatched-free",
    [UL_MISSIZED] = "missized-free",
    [UL_OVERRUN] = "overrun",
    [UL_WRITTEN_FREED] = "write-after-free",
};

unsigned misuse_deadly;

bool misuse_is_deadly(enum ul_misuse_kind kind) {
  if (!(misuse_deadly & 1u << kind) || !recording) return false;
  say_last("%s: the program ends by SIGABRT (ULLAGE_ABORT_ON)", misuse_names[kind]);
  return true;
}

bool misuse_any(void) {
  for (unsigned kind = 0; kind < UL_MISUSES; kind++)
    if (recording->fallbacks[ul_misuse_counter(kind)]) return true;
  return false;
}

struct ul_misuse *misuse_note(enum ul_misuse_kind kind, const struct ul_misuse *what) {
  fallback(ul_misuse_counter(kind));
  bool recorded = what->site != UL_SITE_NONE || kind == UL_OVERRUN;
  struct ul_header *h = recorded ? table_header_rest() : NULL;
  return h ? note(h->misuses + kind * UL_MISUSE_PLACES, what) : NULL;
}

/* The place is free again. (What another thread notes there at this very moment is in the
 * sum, and at no place.) */
void misuse_take_back(enum ul_misuse_kind kind, struct ul_misuse *noted) {
  fallback_take_back(ul_misuse_counter(kind));
  if (noted && __atomic_sub_fetch(&noted->count, 1, __ATOMIC_RELAXED) == 0)
    __atomic_store_n((uint64_t *)noted, 0, __ATOMIC_RELAXED);
}
