/* snapshot.h - points in time: per-site live bytes, RSS, the heap's account.
 *
 * Taken by whichever thread allocates or frees when it is time; there is no
 * thread of ours. A bounded number is kept (UL_SNAPSHOT_SLOTS). */
#ifndef ULLAGE_SNAPSHOT_H
#define ULLAGE_SNAPSHOT_H

#include "account/peak.h"
#include "format.h"
#include "ledger/book.h"

/* When to look whether a timed one is due, or a slice, or somebody asks for a mark. */
extern _Atomic uint64_t snapshot_look_ms __attribute__((visibility("hidden")));

struct snapshot_wishes {
  uint64_t interval_ms; /* between timed ones, at least */
  bool check;           /* walk the invariants of the heap at each */
  bool writes;          /* watch which pages are written */
};
/* Before the first one is taken. */
void snapshot_begin(const struct snapshot_wishes *wanted);

/* Take one now. When another thread is taking one, a timed one is skipped; the final one
 * and a peak wait, and the peak is let be if the other's is as good. No lock of ours
 * held. */
void snapshot_take(struct heap *h, enum ul_snapshot_kind kind);

/* The same by name, in place of an earlier one of that name. It is of now; not `at_once`
 * it may not be there before snapshot_go_on() has made it. false: it cannot be. */
bool snapshot_mark(struct heap *h, const char *name, bool at_once);
bool snapshot_marks_now(void); /* one is in work */
bool snapshot_is_marked(const char *name, uint64_t since_ms);
unsigned snapshot_marks(void); /* how many there are */

/* Go on with the one that is in work; false: there is none. */
bool snapshot_go_on(void);

/* Is it time, at `ms`, to look? */
static inline bool snapshot_looks(uint64_t ms) {
  return ms >= atomic_load_explicit(&snapshot_look_ms, memory_order_relaxed);
}
/* Is it time for a timed one, or to go on? If not, when to look again is settled. */
bool snapshot_is_due(void);
void snapshot_set_due(uint64_t ms);

/* The peak (peak.h): h's thread has allocated, or is about to free `bytes`. */
static inline int64_t snapshot_word(const _Atomic int64_t *word) {
  return atomic_load_explicit(word, memory_order_relaxed);
}
static inline bool snapshot_rises(struct heap *h) {
  return book_live(book_of(h)) > snapshot_word(&book_of(h)->ceiling);
}
static inline void snapshot_after_allocation(struct heap *h) {
  if (UNLIKELY(snapshot_rises(h))) peak_rising(h);
}
static inline bool snapshot_falls(struct heap *h, size_t bytes) {
  return book_live(book_of(h)) - (int64_t)bytes < snapshot_word(&book_of(h)->floor);
}
/* The same, perhaps a little too early or too late, by what was granted (sample.h). */
static inline bool snapshot_may_rise(struct heap *h) {
  return book_of(h)->live > snapshot_word(&book_of(h)->ceiling);
}
static inline bool snapshot_may_fall(struct heap *h, size_t bytes) {
  return book_of(h)->live - (int64_t)bytes < snapshot_word(&book_of(h)->floor);
}
static inline void snapshot_before_free(struct heap *h, size_t bytes) {
  if (UNLIKELY(snapshot_falls(h, bytes))) peak_falling(h, bytes);
}

/* Forget all snapshots (in a forked child). */
void snapshot_reset(void);
/* Nobody takes one meanwhile, nor forks. */
void snapshot_hold(void);
bool snapshot_try_hold(void); /* the same, if it can be had at once */
void snapshot_release(void);
void snapshot_fork_child(void); /* of who held them */
#endif
