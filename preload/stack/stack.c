#include "stack/stack.h"

#include "base/count.h"
#include "base/next.h"
#include "base/os.h"
#include "base/thread.h"
#include "format.h"
#include "heap/types.h"
#include "stack/caller.h"
#include "stack/module.h"
#include "stack/rule.h"
#include "stack/unwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

_Atomic enum stack_mode stack_mode = STACK_OFF;
static _Atomic bool started;

/* ---- the oracle ---------------------------------------------------------------- */

/* Under the lock, because it has one of its own that a fork could catch. */
static uint32_t ask_oracle(uint64_t caller, uint64_t *ips, uint32_t *end) {
  int saved_errno = errno;
  uint64_t signals;
  rule_lock(&signals);
  uint32_t depth = unwind_oracle(caller, ips, WALK_DEPTH_MAX, end);
  rule_unlock(signals);
  errno = saved_errno;
  return depth;
}

static struct walk *walk_by_oracle(struct walks *all, uint64_t caller) {
  uint64_t ips[WALK_DEPTH_MAX];
  uint32_t end, depth = ask_oracle(caller, ips, &end);
  return walk_along(all, ips, end == UL_NODE_CUT ? WALK_CUT_DEPTH : depth, end);
}

static void check(const struct walk *w, uint64_t caller) {
  uint64_t ips[WALK_DEPTH_MAX];
  uint32_t end, depth = ask_oracle(caller, ips, &end);
  if (w->end == UL_NODE_CUT && depth > w->depth) depth = w->depth;
  bool same = depth == w->depth;
  for (uint32_t i = 0; same && i < depth; i++)
    same = ips[i] == walk_ip(&w->frames[depth - 1 - i]);
  if (!same) fallback(UL_FB_WALK_MISMATCH);
}

/* ---- start --------------------------------------------------------------------- */

void stack_start(void) {
  if (atomic_exchange(&started, true)) return;
  int saved = errno;
  const char *wish = getenv("ULLAGE_UNWIND");
  enum stack_mode chosen = wish && strcmp(wish, "libunwind") == 0 ? STACK_LIBUNWIND
                           : wish && strcmp(wish, "check") == 0   ? STACK_CHECK
                                                                  : STACK_RULES;
  struct busy_before before = busy_enter(BUSY_UNWIND);
  if (unwind_start(chosen != STACK_RULES)) atomic_store(&stack_mode, chosen);
  caller_start();
  busy_leave(before);
  errno = saved;
}

/* The loader can be asked from a constructor, but not in the middle of what it does. */
static bool may_start(uint64_t caller) {
  struct dl_find_object o;
  if (_dl_find_object((void *)caller, &o) != 0 ||
      (uint64_t)o.dlfo_map_start == module_loader())
    return false;
  stack_start();
  return stack_walks();
}

struct walk *stack_capture_otherwise(struct entrance e, struct walks *all) {
  uint64_t caller = entrance_ip(e);
  enum stack_mode how = atomic_load_explicit(&stack_mode, memory_order_acquire);
  if (UNLIKELY(how == STACK_OFF))
    return started || !may_start(caller) ? NULL : stack_capture(e, all);
  if (how == STACK_LIBUNWIND && !os_confined()) return walk_by_oracle(all, caller);
  struct walk *w = walk_by_rule(all, e);
  if (how == STACK_CHECK && !os_confined() && w && w->depth) check(w, caller);
  return w;
}

/* ---- modules that go ----------------------------------------------------------- */

void stack_forget_unloaded(void) {
  int saved = errno;
  struct busy_before before = busy_enter(BUSY_LOADING);
  module_poll(rule_forget);
  busy_leave(before);
  errno = saved;
}

__attribute__((visibility("default"))) int dlclose(void *handle) {
  static int (*_Atomic next)(void *);
  if (!next) next = (int (*)(void *))symbol_of(RTLD_NEXT, "dlclose");
  int r = next(handle);
  stack_forget_unloaded();
  return r;
}

/* Lock order: rules, modules, tables. */
void stack_fork_prepare(void) {
  rule_fork_prepare();
  module_fork_prepare();
}

void stack_fork_parent(void) {
  module_fork_parent();
  rule_fork_parent();
}

void stack_fork_child(void) {
  module_fork_child();
  rule_fork_child();
}
