/* watch.h - who wants to know what the heap does. The heap calls, on its slow paths, and
 * reads nothing back: whatever a watcher does or fails to do, the heap is right.
 *
 * heap_watch is NULL when nobody watches; becoming unwatched is a store of NULL. All
 * functions but the last two are called under the arena lock, after the heap's own state
 * is complete (opened, in) or before it is taken apart (closed, out). */
#ifndef ULLAGE_WATCH_H
#define ULLAGE_WATCH_H

#include "heap/types.h"

struct heap_watch {
  size_t heap_bytes; /* of a struct heap and what the watcher keeps behind it, zeroed */
  void (*arena_in)(struct arena *a);
  void (*arena_out)(struct arena *a);
  void (*pool_opened)(struct arena *a, struct pool *p);
  void (*pool_closed)(struct arena *a, struct pool *p);
  void (*span_resized)(struct arena *a, struct pool *p);
  void (*large_in)(struct large *l);
  void (*large_out)(struct large *l);
  void (*large_resized)(struct large *l); /* and moved, perhaps */
  /* Under the lock of heaps. `h` is new (its index is for the watcher to set), or has got
   * another owner, or is quarantined. */
  void (*heap_owner)(struct heap *h, int tid, bool made);
  void (*heap_quarantined)(struct heap *h);
};

extern const struct heap_watch *_Atomic heap_watch;

#define WATCH(call)                                                                      \
  do {                                                                                   \
    const struct heap_watch *watch_ = atomic_load(&heap_watch);                          \
    if (watch_) watch_->call;                                                            \
  } while (0)
#endif
