/* recall.c - a place is one word, so no thread sees half of what another remembers:
 *
 *     40 bits of the hash    number of the site: 24 bits; 0: free
 *
 * The other bits of the hash say where: in one of the places of a line, from one on. So
 * of 10^11 new stacks that meet a full line one is taken for another.
 *
 * When more known sites have been looked for in vain than there are places, a larger
 * memory follows, which begins empty: what stacks cost that come again is never more than
 * a few looks in the tables for each, and that many places. Smaller memories stay, for
 * somebody may be reading them; all of them together are a third of the last. */
#include "ledger/recall.h"

#include "base/meta.h"
#include "base/os_thread.h"
#include "format.h"
#include "heap/types.h"

#include <stdatomic.h>

enum { LINE = 8, LOG_FIRST = 8, LOG_STEP = 2, LOG_LAST = 18 };
_Static_assert(UL_SITES_MAX == 1 << 24, "as many bits as the hash leaves");

struct memory {
  unsigned log; /* of the number of places */
  _Atomic uint32_t in_vain;
  _Atomic uint64_t places[];
};
static struct memory *_Atomic memory; /* NULL until something is remembered */

static _Atomic uint64_t *place_of(struct memory *m, uint64_t hash, unsigned probe) {
  uint64_t line = hash % (1u << m->log) / LINE;
  return &m->places[line * LINE + (hash + probe) % LINE];
}

uint32_t recall(uint64_t hash) {
  struct memory *m = atomic_load_explicit(&memory, memory_order_acquire);
  for (unsigned probe = 0; LIKELY(m) && probe < LINE; probe++) {
    uint64_t place = atomic_load_explicit(place_of(m, hash, probe), memory_order_relaxed);
    if ((place ^ hash) / UL_SITES_MAX == 0) return place % UL_SITES_MAX;
  }
  return 0;
}

static size_t bytes_of(unsigned log) {
  return sizeof(struct memory) + (sizeof(uint64_t) << log);
}

static struct memory *followed(struct memory *m) {
  struct memory *next = NULL;
  unsigned log = m ? m->log + LOG_STEP : LOG_FIRST;
  if (log > LOG_LAST) return m;
  uint64_t signals;
  os_hold_signals(&signals);
  next = meta_alloc(bytes_of(log));
  if (next) next->log = log;
  if (next && !atomic_compare_exchange_strong(&memory, &m, next)) {
    meta_free(next, bytes_of(log));
    next = NULL;
  }
  os_release_signals(signals);
  return next ? next : m;
}

/* No room for a larger one: it is asked for again after as many more. */
static bool is_too_small(struct memory *m) {
  uint32_t n = atomic_fetch_add_explicit(&m->in_vain, 1, memory_order_relaxed);
  return n && n % (1u << m->log) == 0;
}

void remember(uint64_t hash, uint32_t site, bool known) {
  struct memory *m = atomic_load_explicit(&memory, memory_order_acquire);
  if (!m || (known && is_too_small(m))) m = followed(m);
  if (!m) return;
  _Atomic uint64_t *place = place_of(m, hash, 0);
  for (unsigned probe = 0; probe < LINE; probe++) {
    _Atomic uint64_t *p = place_of(m, hash, probe);
    if (atomic_load_explicit(p, memory_order_relaxed)) continue;
    place = p;
    break;
  }
  atomic_store_explicit(place, (hash & ~(uint64_t)(UL_SITES_MAX - 1)) | site,
                        memory_order_relaxed);
}
