/* snapshot.h - points in time: per-site live bytes, RSS, the heap's account.
 *
 * Taken by whichever thread allocates or frees when it is time; there is no
 * thread of ours. A bounded number is kept (UL_SNAPSHOT_SLOTS). */
#ifndef ULLAGE_SNAPSHOT_H
#define ULLAGE_SNAPSHOT_H

#include "heap/types.h"

extern _Atomic uint64_t snapshot_due_ms; /* when the next timed one is */

struct snapshot_wishes {
  uint64_t interval_ms; /* between timed ones, at least */
  bool check;           /* walk the invariants of the heap at each */
  bool writes;          /* watch which pages are written */
};
/* Before the first one is taken. */
void snapshot_begin(const struct snapshot_wishes *wanted);

/* Take one now; skipped, and counted, when another thread is taking one. No lock of ours
 * held. */
void snapshot_take(struct heap *h, enum ul_snapshot_kind kind);

/* Is it time, at `ms`, for a timed one? */
static inline bool snapshot_due(uint64_t ms) {
  return ms >= atomic_load_explicit(&snapshot_due_ms, memory_order_relaxed);
}

/* Before h's thread frees `bytes`: live bytes are about to fall. A peak is over when they
 * have fallen by a step from their highest; then, before this free, is the moment to
 * take its picture: at most the steps of all heaps below the true maximum. */
void snapshot_peak_over(struct heap *h);
static inline void snapshot_before_free(struct heap *h, size_t bytes) {
  int64_t live = atomic_load_explicit(&h->live_bytes, memory_order_relaxed);
  if (live > h->high || UNLIKELY(live - (int64_t)bytes < h->floor)) {
    if (live > h->high) {
      h->floor = live - h->step;
      h->high = live;
    }
    if (live - (int64_t)bytes < h->floor) snapshot_peak_over(h);
  }
}

/* Forget all snapshots (in a forked child). */
void snapshot_reset(void);
void snapshot_fork_prepare(void);
bool snapshot_fork_try(void); /* the same, if it can be had at once */
void snapshot_fork_parent(void);
void snapshot_fork_child(void);
#endif
