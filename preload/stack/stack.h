/* stack.h - the call stack of an allocation.
 *
 * A walk starts at the frame of the exported entry point (built with a frame
 * pointer) and goes outwards by rule (rule.h); the unwind tables (unwind.h) teach
 * the rules and step what no rule can describe.
 *
 * Everything here keeps errno and the signal mask, leaves no descriptor open
 * and never calls malloc; the libraries it loads may, and thread_state.busy says so then.
 * No lock of ours may be held by the caller; none is taken while a stack is walked by
 * rules already known. */
#ifndef ULLAGE_STACK_H
#define ULLAGE_STACK_H

#include "stack/module.h"
#include "stack/walk.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Read ULLAGE_UNWIND, and load libunwind if it is to be asked. Once, from the constructor
 * (or by the first capture made outside the loader). */
void stack_start(void);

/* How they are walked. */
enum stack_mode { STACK_OFF, STACK_RULES, STACK_LIBUNWIND, STACK_CHECK };
extern _Atomic enum stack_mode stack_mode __attribute__((visibility("hidden")));

/* Can a stack be walked? */
static inline bool stack_walks(void) {
  return atomic_load(&stack_mode) != STACK_OFF;
}
/* May a walk be kept? Not if each one is to be made, or checked, by libunwind. */
static inline bool stack_keeps_walks(void) {
  return atomic_load_explicit(&stack_mode, memory_order_acquire) == STACK_RULES;
}

/* The walk of the call stack above an entry point. NULL, or no frames: no stack could be
 * had. Counts the fallbacks SLOW_WALK, FRAME_POINTER and WALK_MISMATCH; NO_STACK,
 * STACK_CUT and STACK_BROKEN are the caller's to count. _otherwise: who has asked, and
 * none may be kept. */
struct walk *stack_capture_otherwise(struct entrance e, struct walks *);
static inline struct walk *stack_capture(struct entrance e, struct walks *all) {
  return LIKELY(stack_keeps_walks()) ? walk_by_rule(all, e)
                                     : stack_capture_otherwise(e, all);
}

/* Changes whenever modules were unloaded: what was remembered about addresses
 * in them (interned sites) must be forgotten. */
static inline uint64_t stack_generation(void) {
  return module_generation();
}

/* Look whether modules have gone: after dlclose (which is exported here and does
 * it), and now and then, since glibc unloads some by itself. */
void stack_forget_unloaded(void);

/* Around fork, in this order relative to the caller's other locks: prepare takes
 * the locks of modules and rules, after those that may be held when
 * table_append() is called and before the table lock. */
void stack_fork_prepare(void);
void stack_fork_parent(void);
void stack_fork_child(void);
#endif
