#include "stack/caller.h"

#include "base/next.h"
#include "stack/cfi.h"
#include "stack/module.h"
#include "stack/rule.h"
#include "stack/stack.h"
#include "stack/unwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

struct code {
  uint64_t start, end;
};
static uint64_t exit_of_libc, quick_exit_of_libc;
/* Found when they are needed, without the loader's lock. */
static struct code ours, libc, exits[2];

static bool in(const struct code *c, uint64_t ip) {
  return ip - c->start < c->end - c->start;
}

static struct code module(uint64_t address) {
  struct module_unwind m;
  if (!address || !module_find(address, &m)) return (struct code){0};
  return (struct code){m.start, m.end};
}

static struct code function(uint64_t address) {
  struct code c = {0};
  if (address) (void)cfi_function(address, &c.start, &c.end);
  return c;
}

static void find_code(void) {
  ours = module((uint64_t)(uintptr_t)caller_start);
  libc = module(exit_of_libc);
  exits[0] = function(exit_of_libc);
  exits[1] = function(quick_exit_of_libc);
}

/* The functions of libc, whoever stands in front of them. */
void caller_start(void) {
  NEXT(dlopen);
  void *handle = real("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (!handle) return;
  exit_of_libc = (uint64_t)symbol_of(handle, "exit");
  quick_exit_of_libc = (uint64_t)symbol_of(handle, "quick_exit");
  dlclose(handle);
}

/* ---- the walk ------------------------------------------------------------------ */

/* Between a handler and exit(), at most. Beyond FRAMES_MAX nobody looks for interrupted
 * stacks. */
enum { EXIT_FRAMES = 4, FRAMES_MAX = 4096 };

struct search {
  struct caller *caller;
  bool found;
  unsigned may_be_of_exit; /* so many frames from here on */
  bool interrupted;        /* the last frame was a signal's */
  unsigned frames;
  /* Is it main? Then libc calls it, and what is not libc's, _start, calls that, and is
   * the last. */
  struct unwind_registers first, next; /* its frame and its caller's */
  unsigned since;                      /* frames after it */
  bool by_libc, started;
};

static bool is_exit(uint64_t ip) { /* it does not return: a call may be its last word */
  return in(&exits[0], ip - 1) || in(&exits[1], ip - 1);
}

static void begin_at(struct search *s, const struct unwind_registers *r) {
  *s->caller =
      (struct caller){.sp = {r->rsp},
                      .stacks = 1,
                      .registers = {r->rbx, r->rbp, r->r12, r->r13, r->r14, r->r15}};
  s->found = true;
  s->first = *r;
  s->since = 0;
  s->may_be_of_exit = in(&libc, r->rip) ? EXIT_FRAMES : 0;
}

static void look_for_start(struct search *s, const struct unwind_registers *frame) {
  bool in_libc = in(&libc, frame->rip);
  if (++s->since == 1) s->next = *frame;
  if (s->since == 1) s->by_libc = in_libc && !in(&libc, s->first.rip);
  if (s->started || is_exit(frame->rip)) s->by_libc = false;
  s->started = !in_libc;
}

static bool visit(const struct unwind_registers *frame, bool signal, void *arg) {
  struct search *s = arg;
  if (++s->frames > FRAMES_MAX) return false;
  if (!s->found && in(&ours, frame->rip)) return true;
  if (s->found)
    look_for_start(s, frame);
  else
    begin_at(s, frame);
  if (s->may_be_of_exit && is_exit(frame->rip)) {
    s->found = false;
    return true;
  }
  if (s->may_be_of_exit) s->may_be_of_exit--;
  if (s->interrupted && s->caller->stacks < CALLER_STACKS)
    s->caller->sp[s->caller->stacks++] = frame->rsp;
  s->interrupted = signal;
  return true;
}

/* true: the outermost frame was seen. */
static bool walk(const struct unwind_registers *from, struct search *s,
                 struct caller *caller) {
  *s = (struct search){.caller = caller};
  begin_at(s, from);
  s->found = false;
  if (!stack_walks()) return false;
  int saved = errno;
  find_code();
  uint64_t signals;
  rule_lock(&signals);
  bool all = unwind_outwards(from, visit, s);
  rule_unlock(signals);
  errno = saved;
  return all;
}

bool caller_find(const struct unwind_registers *from, struct caller *caller) {
  struct search s;
  walk(from, &s, caller);
  return s.found;
}

bool caller_find_beyond_main(const struct unwind_registers *from, struct caller *caller,
                             struct main_frame *own) {
  struct search s;
  bool all = walk(from, &s, caller);
  *own = (struct main_frame){0};
  if (!all || !s.found || !s.by_libc || !s.started) return s.found;
  own->low = s.first.rsp;
  own->high = s.next.rsp;
  memcpy(own->registers, caller->registers, sizeof own->registers);
  begin_at(&s, &s.next);
  return true;
}
