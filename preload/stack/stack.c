/* The walk.
 *
 * State of a walk: (ip, RSP, RBP) of one frame. A frame's rule gives the state of
 * its caller: CFA from RSP or RBP, ip from CFA - 8, RSP = CFA, RBP from where
 * it was saved. The CFA only ever rises, but over a signal frame.
 *
 * Bounds. Nobody tells where a thread's stack ends (coroutines, alternate signal
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
#include "stack/stack.h"
#include "base/os.h"
#include "base/thread.h"
#include "format.h"
#include "heap/types.h"
#include "recording/table.h"
#include "stack/module.h"
#include "stack/rule.h"
#include "stack/unwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define PAGE ((uint64_t)UL_PAGE_BYTES)
/* Beyond this, a frame is not believed. */
#define FRAME_MAX ((uint64_t)16 << 20)
#define LOWER_MAX (16 * PAGE)

/* Below RSP, where an interrupted epilogue has just popped RBP from. */
#define RED_ZONE 128u

enum mode { MODE_OFF, MODE_RULES, MODE_LIBUNWIND, MODE_CHECK };
static _Atomic int mode = MODE_OFF;
static _Atomic bool started;

/* ---- hash ---------------------------------------------------------------------- */

#define HASH_SEED 0x2d358dccaa6c78a5u
#define HASH_STEP 0x8bb84b93962eacc9u

static inline uint64_t mix(uint64_t hash, uint64_t word) {
  __uint128_t p = (__uint128_t)(hash ^ word) * HASH_STEP;
  return (uint64_t)(p >> 64) ^ (uint64_t)p;
}

static uint64_t hash_all(const uint64_t *ips, uint32_t depth) {
  uint64_t hash = HASH_SEED;
  for (uint32_t i = 0; i < depth; i++)
    hash = mix(hash, ips[i]);
  return hash;
}

static uint64_t hash_end(uint64_t hash, uint32_t end) {
  hash = mix(hash, end + 1);
  return hash ? hash : 1;
}

static inline uint64_t word_at(uint64_t address) {
  return *(const uint64_t *)address;
}

/* ---- bounds -------------------------------------------------------------------- */

struct span {
  uint64_t low, high; /* readable */
  uint64_t kept;      /* where `high` was after the last walk */
  uint64_t limit;     /* not readable, or 0: nobody has asked */
  uint64_t way;       /* by which frame a walk came to believe `kept` */
};

/* Of the stacks walked last, for a thread that goes from one to another. */
#define SPANS 8u
struct spans {
  struct span of[SPANS];
  uint32_t current; /* where the last walk ended */
  uint32_t oldest;
};
static _Thread_local struct spans spans __attribute__((tls_model("initial-exec")));

/* What is certain of a stack with frames up to `rsp`: the page of the return address
 * below. At the top of a stack, nothing need be mapped at `rsp` itself. */
static inline uint64_t last_page(uint64_t rsp) {
  return (rsp - 8) & ~(PAGE - 1);
}

static inline bool span_holds(const struct span *s, uint64_t rsp) {
  return rsp - 8 - s->low < s->high - s->low;
}

/* A stack that grows down below a span is the same stack, if it is near: looking
 * at each page in between costs a system call. */
static bool span_lower(struct span *s, uint64_t rsp) {
  uint64_t page = last_page(rsp);
  if (page >= s->low || s->low - page > LOWER_MAX) return false;
  for (uint64_t p = s->low - PAGE; p > page; p -= PAGE)
    if (!os_readable(p)) return false;
  s->low = page;
  return true;
}

static uint32_t span_find(uint64_t rsp) {
  for (uint32_t i = 0; i < SPANS; i++)
    if (rsp - 8 - spans.of[i].low < spans.of[i].kept - spans.of[i].low) return i;
  for (uint32_t i = 0; i < SPANS; i++)
    if (span_lower(&spans.of[i], rsp)) return i;
  uint32_t i = spans.oldest++ % SPANS;
  uint64_t page = last_page(rsp);
  spans.of[i] = (struct span){.low = page, .kept = page + PAGE};
  return i;
}

/* From `s`, the walk's copy of the current span, to that of the stack at `rsp`: of
 * that, only the page at `rsp` is certain. */
static __attribute__((noinline)) void span_enter(struct span *s, uint64_t rsp) {
  if (s->kept < s->high) s->kept = s->high;
  spans.of[spans.current] = *s;
  spans.current = span_find(rsp);
  *s = spans.of[spans.current];
  s->high = last_page(rsp) + PAGE;
  s->limit = 0;
}

/* Is what was kept still there? It is if the stack is left by the same frame as when
 * it was asked last; else one question, about its end. */
static void span_believe(struct span *s, uint64_t rsp, uint64_t top) {
  uint64_t way = mix(mix(HASH_SEED, rsp), top);
  if (rsp % PAGE) way = mix(way, word_at(rsp - 8));
  if (s->way != way && !os_readable(s->kept - PAGE)) {
    s->kept = s->high;
    return;
  }
  s->way = way;
  s->high = s->kept;
}

static __attribute__((noinline)) bool span_raise(struct span *s, uint64_t rsp,
                                                 uint64_t top) {
  if (top > s->high && s->high < s->kept) span_believe(s, rsp, top);
  if (top <= s->high) return true;
  if ((s->limit && top > s->limit) || top - s->high > FRAME_MAX) return false;
  while (s->high < top) {
    if (!os_readable(s->high)) {
      s->limit = s->high;
      return false;
    }
    s->high += PAGE;
  }
  return true;
}

/* After a walk that was sure of the stack's frames up to `rsp`, and that they end
 * there. */
static inline void span_settle(struct span *s, uint64_t rsp) {
  s->high = s->kept = last_page(rsp) + PAGE;
}

/* After a walk that lost its way above `rsp`: the next one asks again. */
static __attribute__((noinline)) void span_doubt(struct span *s, uint64_t rsp) {
  s->high = last_page(rsp) + PAGE;
  if (s->kept < s->high) s->kept = s->high;
  s->way = 0;
}

/* ---- one frame ----------------------------------------------------------------- */

struct frame {
  uint64_t ip, rsp, rbp;
};

/* May [rsp, top) be read? */
static inline bool below(struct span *s, uint64_t rsp, uint64_t top) {
  return LIKELY(top - rsp - 1 < s->high - rsp) || (top > rsp && span_raise(s, rsp, top));
}

static bool step_pointer(struct span *s, struct frame *f) {
  uint64_t rbp = f->rbp;
  if (rbp < f->rsp || rbp & 7 || !below(s, f->rsp, rbp + 16)) return false;
  f->ip = word_at(rbp + 8);
  f->rbp = word_at(rbp);
  f->rsp = rbp + 16;
  fallback(UL_FB_FRAME_POINTER);
  return true;
}

static bool step_realigned(struct span *s, struct frame *f, rule r) {
  uint64_t at = f->rbp + (uint64_t)rule_cfa(r), saved = f->rbp + (uint64_t)rule_rbp(r);
  if (at < f->rsp || !below(s, f->rsp, at + 8) || saved < f->rsp ||
      !below(s, f->rsp, saved + 8))
    return false;
  uint64_t cfa = word_at(at);
  if (cfa < f->rsp + 8 || !below(s, f->rsp, cfa)) return false;
  *f = (struct frame){word_at(cfa - 8), cfa, word_at(saved)};
  return true;
}

static bool step_signal(struct span *s, struct frame *f) {
  const ucontext_t *u = (const void *)f->rsp;
  if (!below(s, f->rsp, (uint64_t)(&u->uc_mcontext + 1))) return false;
  const greg_t *r = u->uc_mcontext.gregs;
  *f = (struct frame){(uint64_t)r[REG_RIP], (uint64_t)r[REG_RSP], (uint64_t)r[REG_RBP]};
  if (!span_holds(s, f->rsp)) {
    if (!os_readable(f->rsp - 8)) return false;
    span_enter(s, f->rsp);
  }
  return true;
}

/* ---- walks --------------------------------------------------------------------- */

/* All registers a caller may rely on, here and now. */
static __attribute__((noinline)) uint32_t
walk_by_libunwind(uint64_t cfa, uint64_t *ips, uint32_t limit, uint32_t *end) {
  struct unwind_registers r;
  __asm__ volatile("leaq 0f(%%rip), %%rax\n\t"
                   "movq %%rax, (%0)\n\t"
                   "movq %%rsp, 8(%0)\n\t"
                   "movq %%rbp, 16(%0)\n\t"
                   "movq %%rbx, 24(%0)\n\t"
                   "movq %%r12, 32(%0)\n\t"
                   "movq %%r13, 40(%0)\n\t"
                   "movq %%r14, 48(%0)\n\t"
                   "movq %%r15, 56(%0)\n"
                   "0:"
                   :
                   : "c"(&r)
                   : "rax", "memory");
  uint64_t signals;
  int saved_errno = errno;
  rule_lock(&signals);
  uint32_t depth = unwind_walk(&r, cfa, ips, limit, end);
  rule_unlock(signals);
  errno = saved_errno;
  for (uint32_t i = 0; i < depth; i++)
    fallback(UL_FB_SLOW_WALK);
  return depth;
}

enum outcome { NEXT, INTERRUPTED, LAST, BROKEN, SLOW };

static __attribute__((noinline)) enum outcome step_special(struct span *s,
                                                           struct frame *f, rule r) {
  switch (rule_kind(r)) {
  case RULE_END:
    return LAST;
  case RULE_REALIGNED:
    return step_realigned(s, f, r) ? NEXT : BROKEN;
  case RULE_SIGNAL:
    return step_signal(s, f) ? INTERRUPTED : BROKEN;
  case RULE_BARE:
    return step_pointer(s, f) ? NEXT : BROKEN;
  default:
    return SLOW;
  }
}

/* The outward chain of loads is what a walk costs, so the state of the frame is
 * in three words here, not in a struct frame: gcc would keep that in memory or
 * in vector registers. `key` is the frame's ip, with RULE_EXACT if it applies. */
static uint32_t walk_by_rule(uint64_t cfa, struct frame from, uint64_t *ips,
                             uint32_t limit, uint32_t *end, uint64_t *hash) {
  const struct rule_table *table = rule_current();
  struct span s = spans.of[spans.current];
  uint64_t key = from.ip, rsp = from.rsp, rbp = from.rbp, h = HASH_SEED;
  uint64_t sure = rsp; /* of the last frame that had a caller */
  enum outcome outcome = BROKEN;
  uint32_t depth = 0;
  if (UNLIKELY(!span_holds(&s, rsp))) span_enter(&s, rsp);
  *end = UL_NODE_BROKEN;
  for (;;) {
    rule r = rule_find(table, key);
    if (UNLIKELY(r == 0)) {
      if (key == 0) { /* nobody to return to: as good as an end */
        *end = UL_NODE_ROOT;
        /* ... if it was read from the stack, not from beyond its top */
        if (last_page(rsp) == last_page(sure)) outcome = LAST;
        break;
      }
      r = rule_learn(key);
      table = rule_current();
    }
    if (UNLIKELY(depth == limit)) {
      outcome = NEXT;
      *end = UL_NODE_CUT;
      break;
    }
    uint64_t ip = key & ~RULE_EXACT;
    ips[depth++] = ip;
    h = mix(h, ip);
    if (LIKELY(!(r & RULE_SPECIAL))) {
      uint64_t caller = (r & RULE_RBP ? rbp : rsp) + (uint64_t)rule_cfa(r);
      if (UNLIKELY(!below(&s, rsp, caller) || caller - rsp < 8)) break;
      key = word_at(caller - 8);
      if (r & RULE_SAVED) {
        uint64_t saved = caller + (uint64_t)rule_rbp(r);
        if (UNLIKELY(saved - rsp + RED_ZONE > caller - rsp + RED_ZONE - 8)) break;
        rbp = word_at(saved);
      }
      sure = rsp;
      rsp = caller;
      continue;
    }
    struct frame f = {ip, rsp, rbp};
    sure = rsp;
    outcome = step_special(&s, &f, r);
    key = outcome == INTERRUPTED ? f.ip | RULE_EXACT : f.ip;
    rsp = f.rsp;
    rbp = f.rbp;
    if (outcome == INTERRUPTED) sure = rsp; /* on another stack, perhaps */
    if (outcome == NEXT || outcome == INTERRUPTED) {
      outcome = BROKEN;
      continue;
    }
    if (outcome == SLOW) {
      depth = walk_by_libunwind(cfa, ips, limit, end);
      h = hash_all(ips, depth);
    } else if (outcome == LAST) {
      *end = UL_NODE_ROOT;
    }
    break;
  }
  if (LIKELY(outcome == LAST))
    span_settle(&s, rsp);
  else if (outcome == BROKEN)
    span_doubt(&s, sure);
  spans.of[spans.current] = s;
  *hash = hash_end(h, *end);
  return depth;
}

/* Under the lock, because it has one of its own that a fork could catch. */
static uint32_t walk_by_oracle(uint64_t caller, uint64_t *ips, uint32_t limit,
                               uint32_t *end, uint64_t *hash) {
  int saved_errno = errno;
  uint64_t signals;
  rule_lock(&signals);
  uint32_t depth = unwind_oracle(caller, ips, limit, end);
  rule_unlock(signals);
  errno = saved_errno;
  *hash = hash_end(hash_all(ips, depth), *end);
  return depth;
}

static void check(const uint64_t *ips, uint32_t depth, uint32_t limit) {
  uint64_t other[limit];
  uint32_t end;
  uint64_t hash;
  uint32_t n = walk_by_oracle(ips[0], other, limit, &end, &hash);
  if (n != depth || memcmp(ips, other, n * sizeof *ips) != 0)
    fallback(UL_FB_WALK_MISMATCH);
}

/* ---- start --------------------------------------------------------------------- */

void stack_start(void) {
  if (atomic_exchange(&started, true)) return;
  int saved = errno;
  const char *wish = getenv("ULLAGE_UNWIND");
  int chosen = wish && strcmp(wish, "libunwind") == 0 ? MODE_LIBUNWIND
               : wish && strcmp(wish, "check") == 0   ? MODE_CHECK
                                                      : MODE_RULES;
  unsigned before = busy_enter(BUSY_LOADING);
  if (unwind_start(chosen != MODE_RULES)) atomic_store(&mode, chosen);
  busy_leave(before);
  errno = saved;
}

/* libunwind can be loaded from a constructor, but not in the middle of what the
 * loader does. */
static bool may_start(uint64_t caller) {
  struct dl_find_object o;
  if (_dl_find_object((void *)caller, &o) != 0 ||
      (uint64_t)o.dlfo_map_start == module_loader())
    return false;
  stack_start();
  return atomic_load(&mode) != MODE_OFF;
}

uint32_t stack_capture(const void *frame_address, uint64_t *ips, uint32_t limit,
                       uint32_t *end, uint64_t *hash) {
  const uint64_t *fp = frame_address;
  struct frame caller = {.ip = fp[1], .rsp = (uint64_t)(fp + 2), .rbp = fp[0]};
  int how = atomic_load_explicit(&mode, memory_order_acquire);
  if (UNLIKELY(how == MODE_OFF)) {
    if (started || !may_start(caller.ip)) return 0;
    how = atomic_load(&mode);
  }
  if (UNLIKELY(how == MODE_LIBUNWIND) && !os_confined())
    return walk_by_oracle(caller.ip, ips, limit, end, hash);
  uint32_t depth = walk_by_rule(caller.rsp, caller, ips, limit, end, hash);
  if (UNLIKELY(how == MODE_CHECK) && !os_confined()) check(ips, depth, limit);
  return depth;
}

/* ---- modules that go ----------------------------------------------------------- */

uint64_t stack_generation(void) {
  return module_generation();
}

void stack_forget_unloaded(void) {
  int saved = errno;
  unsigned before = busy_enter(BUSY_LOADING);
  module_poll(rule_forget);
  busy_leave(before);
  errno = saved;
}

__attribute__((visibility("default"))) int dlclose(void *handle) {
  static int (*_Atomic next)(void *);
  if (!next) next = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
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
