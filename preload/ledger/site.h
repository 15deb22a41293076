/* site.h - call sites: interned stacks. A site's number is in the ledger entry
 * of every block that was allocated there. */
#ifndef ULLAGE_SITE_H
#define ULLAGE_SITE_H

#include "base/page.h"
#include "base/thread.h"
#include "ledger/book.h"
#include "stack/stack.h"

#include <stdint.h>

/* Innermost frames told of a stack, 1..WALK_DEPTH_MAX; and stacks that are told whole. */
extern uint32_t site_depth_limit, site_stacks_limit;

/* The site of the allocation by who entered there; never UL_SITE_NONE. h: the calling
 * thread's heap. No lock of ours held. Keeps errno. Of a sampled block it is another. */
enum site_kind { SITE_EXACT, SITE_OF_SAMPLES };
uint32_t site_capture(struct heap *h, struct entrance e, enum site_kind kind);
/* In a forked child: each stack gets another site than it had. h: the only heap, or NULL.
 */
void site_begin_anew(struct heap *h);

/* The same, if the stack is that of a walk that the heap has kept; else `counter` is
 * NULL. Calls nothing. Only while we record: before, a heap may have no book.
 *
 * A handler that comes in between must leave the walks alone, so it has to find
 * `capturing`. Whoever finds it looks no further here, for that is cleared again. */
struct site_again {
  struct ul_counter *counter; /* the heap's */
  uint32_t site;
};
static inline __attribute__((always_inline)) struct site_again
site_again(struct heap *h, struct entrance e, uint32_t epoch) {
  struct site_again again = {NULL, UL_SITE_NONE};
  if (UNLIKELY(thread_state.capturing)) return again;
  thread_state.capturing = e.rsp;
  atomic_signal_fence(memory_order_seq_cst);
  struct walks *all = &book_of(h)->walks;
  struct walk_kept *kept = walk_from(all, e.rsp, entrance_ip(e));
  if (LIKELY(walk_is_same(all, kept, entrance_state(e), epoch)))
    again = (struct site_again){kept->counter, kept->site};
  atomic_signal_fence(memory_order_seq_cst);
  thread_state.capturing = 0;
  return again;
}

/* Of a stack that site_again has just said not to know; its counter may be NULL all the
 * same. Only when the process has started, and all stacks are looked up. */
struct site_again site_new(struct heap *h, struct entrance e);
#endif
