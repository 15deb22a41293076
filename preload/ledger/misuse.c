#include "ledger/misuse.h"

#include "base/count.h"
#include "base/say.h"
#include "recording/recording.h"

#include <stddef.h>

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

static void note(struct ul_misuse *places, const void *p, union pair sites) {
  for (unsigned i = 0; i < UL_MISUSE_PLACES; i++) {
    struct ul_misuse *m = &places[i];
    if (!claim(m, sites)) continue;
    if (__atomic_fetch_add(&m->count, 1, __ATOMIC_RELAXED)) return;
    m->address = (uint64_t)(uintptr_t)p;
    m->ms = recording_ms();
    return;
  }
}

static const enum ul_fallback counts[UL_MISUSES] = {
    [UL_FREED_TWICE] = UL_FB_DOUBLE_FREE,
    [UL_FREED_INSIDE] = UL_FB_INVALID_FREE,
    [UL_RESIZED_AFTER_FREE] = UL_FB_REALLOC_OF_FREED,
    [UL_RESIZED_INSIDE] = UL_FB_INVALID_REALLOC,
};

const char *const misuse_names[UL_MISUSES] = {
    [UL_FREED_TWICE] = "double-free",
    [UL_FREED_INSIDE] = "invalid-free",
    [UL_RESIZED_AFTER_FREE] = "realloc-after-free",
    [UL_RESIZED_INSIDE] = "invalid-realloc",
};

unsigned misuse_deadly;

bool misuse_is_deadly(enum ul_misuse_kind kind) {
  if (!(misuse_deadly & 1u << kind) || !recording) return false;
  say_last("%s: the program ends by SIGABRT (ULLAGE_ABORT_ON)", misuse_names[kind]);
  return true;
}

bool misuse_any(void) {
  for (unsigned kind = 0; kind < UL_MISUSES; kind++)
    if (recording->fallbacks[counts[kind]]) return true;
  return false;
}

void misuse_note(enum ul_misuse_kind kind, const void *p, uint32_t site,
                 uint32_t allocated) {
  fallback(counts[kind]);
  struct ul_header *h = site != UL_SITE_NONE ? table_header_rest() : NULL;
  if (h)
    note(h->misuses + kind * UL_MISUSE_PLACES, p,
         (union pair){.site = site, .allocated = allocated});
}
