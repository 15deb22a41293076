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

enum { LOG_FIRST = 8, LOG_STEP = 2, LOG_LAST = 18 };
_Static_assert(UL_SITES_MAX == 1 << 24, "as many bits as the hash leaves");

struct recall_memory *_Atomic recall_memory;

uint32_t recall_further(struct recall_memory *m, uint64_t hash) {
  uint32_t site = 0;
  for (unsigned probe = 1; !site && probe < RECALL_LINE; probe++)
    site = recall_at(recall_place(m, hash, probe), hash);
  return site;
}

static size_t bytes_of(uint64_t places) {
  return sizeof(struct recall_memory) + places * sizeof(uint64_t);
}

static struct recall_memory *followed(struct recall_memory *m) {
  struct recall_memory *next = NULL;
  uint64_t places = m ? (m->last + 1) << LOG_STEP : 1 << LOG_FIRST;
  if (places > 1 << LOG_LAST) return m;
  uint64_t signals;
  os_hold_signals(&signals);
  next = meta_alloc(bytes_of(places));
  if (next) next->last = places - 1;
  if (next && !atomic_compare_exchange_strong(&recall_memory, &m, next)) {
    meta_free(next, bytes_of(places));
    next = NULL;
  }
  os_release_signals(signals);
  return next ? next : m;
}

/* No room for a larger one: it is asked for again after as many more. */
static bool is_too_small(struct recall_memory *m) {
  uint32_t n = atomic_fetch_add_explicit(&m->in_vain, 1, memory_order_relaxed);
  return n && (n & m->last) == 0;
}

void remember(uint64_t hash, uint32_t site, bool known) {
  struct recall_memory *m = atomic_load_explicit(&recall_memory, memory_order_acquire);
  if (!m || (known && is_too_small(m))) m = followed(m);
  if (!m) return;
  _Atomic uint64_t *place = recall_place(m, hash, 0);
  for (unsigned probe = 0; probe < RECALL_LINE; probe++) {
    _Atomic uint64_t *p = recall_place(m, hash, probe);
    if (atomic_load_explicit(p, memory_order_relaxed)) continue;
    place = p;
    break;
  }
  atomic_store_explicit(place, (hash & ~(uint64_t)(UL_SITES_MAX - 1)) | site,
                        memory_order_relaxed);
}
