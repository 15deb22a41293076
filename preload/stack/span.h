/* span.h - how far a stack can be read.
 *
 * Nobody tells where a thread's stack ends (coroutines, alternate signal
 * stacks, stacks lent by the program), so it is found out: a span is a run of
 * pages around the stack pointer that were readable when last asked. It is
 * extended page by page, one system call each, when a walk gets to its edge. Each
 * thread keeps the spans of some stacks, so that a walk on a stack seen not long
 * ago makes no system call, and never reads over a guard page.
 *
 * Memory can go after it was asked about. What the frames of a stack lie in is there
 * as long as they are, so only walks that leave the stack can fault: past an end
 * that no table tells, or by a guess (frame pointers). Hence a span keeps only what
 * walks have come through; what a walk found beyond the last frame that it knew is
 * asked for each time. And another stack may take the place of one that is gone:
 * when the thread comes to a span from another, its upper end is asked for again,
 * unless the same frame as last time leads out of the page at the stack pointer.
 * What remains would need a system call a walk: a smaller stack in the place of a
 * larger one, on which a walk gets lost, when no other stack was walked (nor a walk
 * lost) in between, or with the upper end mapped again and a hole below it. (Threads
 * start with no spans.) */
#ifndef ULLAGE_SPAN_H
#define ULLAGE_SPAN_H

#include "base/os.h"
#include "heap/types.h"

#include <stdbool.h>
#include <stdint.h>

struct span {
  uint64_t low, high; /* readable */
  uint64_t kept;      /* where `high` was after the last walk */
  uint64_t limit;     /* not readable, or 0: nobody has asked */
  uint64_t way;       /* by which frame a walk came to believe `kept` */
};

/* The calling thread's: of the stacks walked last. A walk works on a copy of the current
 * one and puts it back at its end. */
#define SPANS 8u
struct spans {
  struct span of[SPANS];
  uint32_t current; /* where the last walk began */
  uint32_t oldest;
};
extern _Thread_local struct spans spans __attribute__((tls_model("initial-exec")));

static inline uint64_t span_word(uint64_t address) {
  return *(const uint64_t *)address;
}

/* What is certain of a stack with frames up to `rsp`: the page of the return address
 * below. At the top of a stack, nothing need be mapped at `rsp` itself. */
static inline uint64_t span_last_page(uint64_t rsp) {
  return os_page_of(rsp - 8);
}

static inline bool span_holds(const struct span *s, uint64_t rsp) {
  return rsp - 8 - s->low < s->high - s->low;
}

/* From `s`, the walk's copy of the current span, to that of the stack at `rsp`: of
 * that, only the page at `rsp` is certain. false: it takes the place of another. */
bool span_enter(struct span *s, uint64_t rsp);
/* After a walk that has ended on the stack of `s`: back to where it began. */
static inline void span_leave(const struct span *s, uint32_t began) {
  spans.of[spans.current] = *s;
  spans.current = began;
}

/* May [rsp, top) be read? */
bool span_raise(struct span *s, uint64_t rsp, uint64_t top);
static inline bool span_below(struct span *s, uint64_t rsp, uint64_t top) {
  return LIKELY(top - rsp - 1 < s->high - rsp) || (top > rsp && span_raise(s, rsp, top));
}

/* After a walk that was sure of the stack's frames up to `rsp`, and that they end
 * there. */
static inline void span_settle(struct span *s, uint64_t rsp) {
  s->high = s->kept = span_last_page(rsp) + OS_PAGE;
}

/* After a walk that lost its way above `rsp`: the next one asks again. */
void span_doubt(struct span *s, uint64_t rsp);
#endif
