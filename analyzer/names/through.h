/* through.h - which of some functions the stacks of all call sites go through.
 *
 * No stack is walked: a node's stack is its parent's with one step more, and a parent's
 * number is lower, so that one pass over the trie knows it for all stacks, 64 functions
 * at a time. What a stack is, is what functions_stack() says: it ends with main, and
 * without main it begins where the runtime's own frames end. */
#ifndef ULLAGE_THROUGH_H
#define ULLAGE_THROUGH_H

#include "names/function.h"

/* Some of the calls: those whose functions a stack goes through. */
struct through_set {
  uint64_t bits;
  size_t first;
};
/* Takes one out; false: there is none. */
static inline bool through_next(struct through_set *set, size_t *call) {
  if (!set->bits) return false;
  *call = set->first + (size_t)__builtin_ctzll(set->bits);
  set->bits &= set->bits - 1;
  return true;
}

/* Not always all of a site's at once. */
typedef void through_take(void *to, uint32_t site, struct through_set);

#define THROUGH_ANY UINT32_MAX
/* Of those sites whose stack goes through the function `within`, and whose return
 * addresses have been asked for (functions_stack()). false: no memory. */
bool through_each(const struct functions *, uint32_t within,
                  const struct function_call *calls, size_t n, through_take *, void *to);
#endif
