/* info.c - statistics and tuning: the malloc_* functions that tell of the heap. */
#include "entry.h"
#include "heap/arena.h"
#include "heap/large.h"
#include "reach/reach.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

EXPORT size_t malloc_usable_size(void *p) {
  if (!p) return 0;
  if (UNLIKELY(!reach_scan_slack)) reach_scan_slack = true;
  map_slot slot = map_lookup(p);
  if (slot) {
    struct spot s = heap_spot(p, slot);
    /* Who asks will free it: its entry is asked for in time. */
    if (LIKELY(s.pool)) __builtin_prefetch(s.pool->entries + pool_index(s.pool, p));
    return s.pool || s.large ? guard_usable(s, p) : 0;
  }
  static size_t (*real)(void *);
  if (!real) *(void **)&real = next_symbol("malloc_usable_size");
  return real ? real(p) : 0;
}

EXPORT int malloc_trim(size_t pad) {
  (void)pad;
  int saved = errno;
  struct heap *h = entry_heap();
  if (h) heap_trim_all(h);
  size_t given = arena_trim() + large_trim();
  errno = saved;
  return given > 0;
}

struct usage {
  uint64_t mapped, arenas, larges, large_bytes, in_use, free_bytes;
};

static struct usage usage_now(void) {
  arena_lock();
  struct arena_totals a = arena_totals();
  struct large_totals l = large_totals();
  uint64_t free_in_pools = arena_free_bytes() + magazine_bytes();
  if (free_in_pools > a.pool_bytes) free_in_pools = a.pool_bytes; /* others go on */
  arena_unlock();
  return (struct usage){a.arena_bytes + l.mapped_bytes,
                        a.arena_bytes,
                        l.larges,
                        l.mapped_bytes,
                        a.pool_bytes - free_in_pools,
                        a.empty_bytes + free_in_pools};
}

EXPORT struct mallinfo2 mallinfo2(void) {
  struct usage u = usage_now();
  return (struct mallinfo2){.arena = u.arenas,
                            .hblks = u.larges,
                            .hblkhd = u.large_bytes,
                            .uordblks = u.in_use,
                            .fordblks = u.free_bytes};
}

EXPORT struct mallinfo mallinfo(void) {
  struct usage u = usage_now();
  return (struct mallinfo){.arena = (int)u.arenas,
                           .hblks = (int)u.larges,
                           .hblkhd = (int)u.large_bytes,
                           .uordblks = (int)u.in_use,
                           .fordblks = (int)u.free_bytes};
}

/* The lines of glibc's, for who looks for one, and no place to be cancelled, as there.
 * There are no maxima here: what is now. */
EXPORT void malloc_stats(void) {
  struct usage u = usage_now();
  int cancel;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
  fprintf(stderr,
          "Arena 0:\nsystem bytes     = %10lu\nin use bytes     = %10lu\n"
          "Total (incl. mmap):\nsystem bytes     = %10lu\nin use bytes     = %10lu\n"
          "max mmap regions = %10lu\nmax mmap bytes   = %10lu\n",
          u.arenas, u.in_use, u.mapped, u.in_use + u.large_bytes, u.larges,
          u.large_bytes);
  pthread_setcancelstate(cancel, NULL);
}

EXPORT int malloc_info(int options, FILE *stream) {
  if (options != 0) return EINVAL;
  struct usage u = usage_now();
  fprintf(stream,
          "<malloc version=\"1\">\n<total type=\"rest\" count=\"0\" size=\"%lu\"/>\n"
          "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n"
          "<system type=\"current\" size=\"%lu\"/>\n</malloc>\n",
          u.free_bytes, u.larges, u.large_bytes, u.mapped);
  return 0;
}

/* Every parameter is accepted, as a hint may be, and none has a meaning here. */
EXPORT int mallopt(int parameter, int value) {
  (void)parameter;
  (void)value;
  return 1;
}
