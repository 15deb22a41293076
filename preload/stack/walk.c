/* The walk.
 *
 * State of a walk: (key, RSP, RBP) of one frame. A frame's rule gives the state of
 * its caller: CFA from RSP or RBP, ip from CFA - 8, RSP = CFA, RBP from where
 * it was saved. The CFA only ever rises, but over a signal frame.
 *
 * New frames are noted innermost first (steps) and, when the walk has ended or joined,
 * appended to the kept ones outermost first. `depth` is the last thing that is changed,
 * so a walk that never ends (a handler that leaves by longjmp) leaves whole frames.
 *
 * What a frame adds to the words, the one to be looked at first last:
 *   any                                        the return address (signal: RIP)
 *   saves RBP, and an outer frame needs it     before that, the saved RBP
 *   realigned                                  after that, the CFA
 *   a signal's                                 after that, RSP
 *   outermost, by a return address of 0        that 0
 * Not kept are walks that libunwind made, that lost their way or were cut, and those that
 * came from one stack to another. */
#include "stack/walk.h"

#include "base/count.h"
#include "base/meta.h"
#include "base/os_thread.h"
#include "format.h"
#include "stack/hash.h"
#include "stack/module.h"
#include "stack/rule.h"
#include "stack/span.h"
#include "stack/unwind.h"

#include <errno.h>
#include <string.h>
#include <ucontext.h>

/* Below RSP, where an interrupted epilogue has just popped RBP from. */
#define RED_ZONE 128u
enum { SIZE_FIRST = 32, WORDS_EACH = 3 };

struct walk_word {
  uint64_t at, is;
};
struct walk_step {
  struct walk_state state;
  rule rule;
};

/* What a walk came to. */
struct way {
  uint32_t steps;
  int32_t joined; /* frame */
  uint64_t sure;  /* RSP of the last frame that had a caller */
  uint64_t rsp;   /* of where it ended */
  bool crossed;   /* to another stack */
  bool zero;      /* it ended by a return address of 0 */
};

/* ---- room ---------------------------------------------------------------------- */

/* One piece of memory, cut in three. */
static size_t bytes_for(uint32_t size) {
  return size * (sizeof(struct walk_frame) + WORDS_EACH * sizeof(struct walk_word) +
                 sizeof(struct walk_step));
}

static void cut(struct walk *w, void *memory, uint32_t size) {
  w->frames = memory;
  w->words = (void *)(w->frames + size);
  w->steps = (void *)(w->words + (size_t)WORDS_EACH * size);
  w->size = size;
}

static uint32_t words_kept(const struct walk *w) {
  return w->depth ? w->frames[w->depth - 1].words : 0;
}

static bool enlarge(struct walk *w) {
  uint32_t size = w->size ? w->size * 2 : SIZE_FIRST;
  if (size > WALK_DEPTH_MAX) return false;
  void *memory = meta_alloc(bytes_for(size));
  if (!memory) return false;
  struct walk old = *w;
  cut(w, memory, size);
  if (!old.size) return true;
  memcpy(w->frames, old.frames, old.depth * sizeof *old.frames);
  memcpy(w->words, old.words, words_kept(&old) * sizeof *old.words);
  memcpy(w->steps, old.steps, old.size * sizeof *old.steps);
  meta_free(old.frames, bytes_for(old.size));
  return true;
}

static bool grow(struct walk *w) {
  uint64_t signals;
  os_hold_signals(&signals);
  bool done = enlarge(w);
  os_release_signals(signals);
  return done;
}

/* ---- joining ------------------------------------------------------------------- */

static inline bool holds(const struct walk_word *w) {
  return span_word(w->at) == w->is;
}

/* Do the words by which p's outer frames were found still say the same? -1, or the
 * innermost frame whose caller is another now. */
static inline int32_t changed_outside(const struct walk *w, int32_t p) {
  const struct walk_word *first = w->words, *end = first + w->frames[p].words;
  while (end - first >= 4 && holds(end - 1) && holds(end - 2) && holds(end - 3) &&
         holds(end - 4))
    end -= 4;
  while (end > first && holds(end - 1))
    end--;
  if (LIKELY(end == first)) return -1;
  while (p > 0 && first + w->frames[p - 1].words >= end)
    p--;
  return p;
}

static inline bool is_at(const struct walk_frame *f, uint64_t key, uint64_t rsp,
                         uint64_t rbp) {
  return f->rsp == rsp && f->key == key && (!f->needs_rbp || f->rbp == rbp);
}

bool walk_is_same(const struct walk *w, struct walk_state from) {
  int32_t innermost = (int32_t)w->depth - 1;
  return w->joinable && is_at(&w->frames[innermost], from.key, from.rsp, from.rbp) &&
         w->generation == module_generation() && changed_outside(w, innermost) < 0;
}

/* ---- appending ----------------------------------------------------------------- */

static void add_word(struct walk *w, struct walk_frame *f, uint64_t at, uint64_t is) {
  w->words[f->words++] = (struct walk_word){at, is};
}

static const greg_t *interrupted_registers(uint64_t rsp) {
  return ((const ucontext_t *)rsp)->uc_mcontext.gregs;
}

static __attribute__((noinline)) void add_special(struct walk *w, struct walk_frame *f,
                                                  rule r,
                                                  const struct walk_frame *outer) {
  bool wanted = outer->needs_rbp;
  uint64_t ip = walk_ip(outer);
  switch (rule_kind(r)) {
  case RULE_REALIGNED:
    if (wanted) add_word(w, f, f->rbp + (uint64_t)rule_rbp(r), outer->rbp);
    add_word(w, f, outer->rsp - 8, ip);
    add_word(w, f, f->rbp + (uint64_t)rule_cfa(r), outer->rsp);
    f->needs_rbp = true;
    return;
  case RULE_SIGNAL: {
    const greg_t *registers = interrupted_registers(f->rsp);
    if (wanted) add_word(w, f, (uint64_t)&registers[REG_RBP], outer->rbp);
    add_word(w, f, (uint64_t)&registers[REG_RIP], ip);
    add_word(w, f, (uint64_t)&registers[REG_RSP], outer->rsp);
    f->needs_rbp = false;
    return;
  }
  case RULE_BARE:
    if (wanted) add_word(w, f, f->rbp, outer->rbp);
    add_word(w, f, outer->rsp - 8, ip);
    f->needs_rbp = true;
    return;
  default: /* an end */
    f->needs_rbp = false;
  }
}

/* `outer` was found from f by rule r. */
static inline void add_words(struct walk *w, struct walk_frame *f, rule r,
                             const struct walk_frame *outer) {
  if (UNLIKELY(r & RULE_SPECIAL)) {
    add_special(w, f, r, outer);
    return;
  }
  if (outer->needs_rbp && r & RULE_SAVED)
    add_word(w, f, outer->rsp + (uint64_t)rule_rbp(r), outer->rbp);
  add_word(w, f, outer->rsp - 8, walk_ip(outer));
  f->needs_rbp = r & RULE_RBP || (outer->needs_rbp && !(r & RULE_SAVED));
}

static uint64_t hash_inside(uint64_t hash, uint64_t key) {
  hash = hash_mix(hash, rule_address(key));
  return hash ? hash : 1;
}

static uint64_t hash_of_end(uint32_t end) {
  return hash_mix(HASH_SEED, end + 1);
}

static void append(struct walk *w, const struct walk_step *s,
                   const struct walk_frame *outer) {
  struct walk_frame *f = &w->frames[w->depth];
  *f = (struct walk_frame){
      .key = s->state.key,
      .rsp = s->state.rsp,
      .rbp = s->state.rbp,
      .hash = hash_inside(outer->hash, s->state.key),
      .words = outer->words,
  };
  add_words(w, f, s->rule, outer);
  w->depth++;
}

static void append_inside(struct walk *w, uint32_t steps) {
  while (steps-- > 0)
    append(w, &w->steps[steps], &w->frames[w->depth - 1]);
}

/* The innermost `steps` of them. What is outside the outermost is not a frame. */
static void append_all(struct walk *w, uint32_t steps, uint32_t end, struct way way) {
  walk_forget(w);
  w->end = end;
  if (steps == 0) return;
  struct walk_frame outside = {.hash = hash_of_end(end), .rsp = way.rsp};
  append(w, &w->steps[steps - 1], &outside);
  append_inside(w, steps - 1);
}

/* ---- one frame ----------------------------------------------------------------- */

static bool step_pointer(struct span *s, struct walk_state *f) {
  uint64_t rbp = f->rbp;
  if (rbp < f->rsp || rbp & 7 || !span_below(s, f->rsp, rbp + 16)) return false;
  *f = (struct walk_state){span_word(rbp + 8), rbp + 16, span_word(rbp)};
  return true;
}

static bool step_realigned(struct span *s, struct walk_state *f, rule r) {
  uint64_t at = f->rbp + (uint64_t)rule_cfa(r), saved = f->rbp + (uint64_t)rule_rbp(r);
  if (at < f->rsp || !span_below(s, f->rsp, at + 8) || saved < f->rsp ||
      !span_below(s, f->rsp, saved + 8))
    return false;
  uint64_t cfa = span_word(at);
  if (cfa < f->rsp + 8 || !span_below(s, f->rsp, cfa)) return false;
  *f = (struct walk_state){span_word(cfa - 8), cfa, span_word(saved)};
  return true;
}

static bool step_signal(struct span *s, struct walk_state *f) {
  const greg_t *r = interrupted_registers(f->rsp);
  if (!span_below(s, f->rsp, (uint64_t)(r + NGREG))) return false;
  *f = (struct walk_state){(uint64_t)r[REG_RIP] | RULE_EXACT, (uint64_t)r[REG_RSP],
                           (uint64_t)r[REG_RBP]};
  if (span_holds(s, f->rsp)) return true;
  if (!os_readable(f->rsp - 8)) return false;
  span_enter(s, f->rsp);
  return true;
}

/* ---- a walk -------------------------------------------------------------------- */

enum outcome { NEXT, LAST, BROKEN, SLOW, JOINED, CUT };

static __attribute__((noinline)) enum outcome step_special(struct span *s,
                                                           struct walk_state *f, rule r) {
  switch (rule_kind(r)) {
  case RULE_END:
    return LAST;
  case RULE_REALIGNED:
    return step_realigned(s, f, r) ? NEXT : BROKEN;
  case RULE_SIGNAL:
    return step_signal(s, f) ? NEXT : BROKEN;
  case RULE_BARE:
    if (!step_pointer(s, f)) return BROKEN;
    fallback(UL_FB_FRAME_POINTER);
    return NEXT;
  default:
    return SLOW;
  }
}

/* The outward chain of loads is what a walk costs, so the state of the frame is
 * in three words here, not in a struct: gcc would keep that in memory or
 * in vector registers. */
static enum outcome go(struct walk *w, struct span *s, struct walk_state from,
                       uint32_t limit, struct way *way) {
  const struct rule_table *table = rule_current();
  uint64_t key = from.key, rsp = from.rsp, rbp = from.rbp, sure = rsp;
  int32_t p = w->joinable ? (int32_t)w->depth - 1 : -1;
  enum outcome outcome = BROKEN;
  uint32_t n = 0;
  for (;;) {
    while (p >= 0 && w->frames[p].rsp < rsp)
      p--;
    if (p >= 0 && is_at(&w->frames[p], key, rsp, rbp)) {
      int32_t changed = changed_outside(w, p);
      if (LIKELY(changed < 0)) {
        outcome = JOINED;
        break;
      }
      p = changed - 1;
    }
    rule r = rule_find(table, key);
    if (UNLIKELY(r == 0)) {
      if (key == 0) { /* nobody to return to: as good as an end */
        way->zero = true;
        /* ... if it was read from the stack, not from beyond its top */
        if (span_last_page(rsp) == span_last_page(sure)) outcome = LAST;
        break;
      }
      r = rule_learn(key);
      table = rule_current();
    }
    if (UNLIKELY(n == limit || (n == w->size && !grow(w)))) {
      outcome = CUT;
      break;
    }
    w->steps[n++] = (struct walk_step){{key, rsp, rbp}, r};
    if (LIKELY(!(r & RULE_SPECIAL))) {
      uint64_t caller = (r & RULE_RBP ? rbp : rsp) + (uint64_t)rule_cfa(r);
      if (UNLIKELY(!span_below(s, rsp, caller) || caller - rsp < 8)) break;
      key = span_word(caller - 8);
      if (r & RULE_SAVED) {
        uint64_t saved = caller + (uint64_t)rule_rbp(r);
        if (UNLIKELY(saved - rsp + RED_ZONE > caller - rsp + RED_ZONE - 8)) break;
        rbp = span_word(saved);
      }
      sure = rsp;
      rsp = caller;
      continue;
    }
    struct walk_state f = {key, rsp, rbp};
    uint32_t span = spans.current;
    sure = rsp;
    outcome = step_special(s, &f, r);
    key = f.key;
    rsp = f.rsp;
    rbp = f.rbp;
    if (r == RULE_SIGNAL) sure = rsp; /* on another stack, perhaps */
    way->crossed |= spans.current != span;
    if (outcome != NEXT) break;
    outcome = BROKEN;
  }
  way->steps = n;
  way->joined = p;
  way->sure = sure;
  way->rsp = rsp;
  return outcome;
}

/* All registers a caller may rely on, here and now. The steps' memory serves for the
 * addresses. */
static __attribute__((noinline)) void by_libunwind(struct walk *w, uint64_t cfa) {
  struct unwind_registers r;
  unwind_registers_here(&r);
  walk_forget(w);
  while (w->size < WALK_DEPTH_MAX)
    if (!grow(w)) break;
  uint32_t end;
  uint64_t signals;
  int saved_errno = errno;
  rule_lock(&signals);
  uint32_t depth = unwind_walk(&r, cfa, (uint64_t *)w->steps, w->size, &end);
  rule_unlock(signals);
  errno = saved_errno;
  for (uint32_t i = 0; i < depth; i++)
    fallback(UL_FB_SLOW_WALK);
  walk_set(w, (uint64_t *)w->steps, end == UL_NODE_CUT ? WALK_CUT_DEPTH : depth, end);
}

bool walk_set(struct walk *w, const uint64_t *ips, uint32_t depth, uint32_t end) {
  walk_forget(w);
  while (w->size < depth)
    if (!grow(w)) return false;
  w->end = end;
  uint64_t hash = hash_of_end(end);
  for (uint32_t i = 0; i < depth; i++) {
    uint64_t ip = ips[depth - 1 - i];
    hash = hash_inside(hash, ip);
    w->frames[i] = (struct walk_frame){.key = ip, .hash = hash};
  }
  w->depth = depth;
  return true;
}

static uint32_t at_most_cut(uint32_t frames) {
  return frames < WALK_CUT_DEPTH ? frames : WALK_CUT_DEPTH;
}

/* There is no room for all frames outside the steps, up to `joined`: only the innermost
 * of all are told. */
static void cut_joined(struct walk *w, struct way way) {
  uint64_t ips[WALK_CUT_DEPTH];
  uint32_t steps = at_most_cut(way.steps), n = 0;
  for (; n < steps; n++)
    ips[n] = rule_address(w->steps[n].state.key);
  for (int32_t i = way.joined; n < WALK_CUT_DEPTH && i >= 0; i--)
    ips[n++] = walk_ip(&w->frames[i]);
  walk_set(w, ips, n, UL_NODE_CUT);
}

static void join(struct walk *w, struct way way) {
  uint32_t outside = (uint32_t)way.joined + 1;
  while (w->size < outside + way.steps)
    if (!grow(w)) {
      cut_joined(w, way);
      return;
    }
  w->depth = outside;
  append_inside(w, way.steps);
  w->joinable = !way.crossed;
}

static void finish(struct walk *w, struct span *s, enum outcome outcome, struct way way) {
  switch (outcome) {
  case JOINED:
    join(w, way);
    return;
  case LAST:
    span_settle(s, way.rsp);
    append_all(w, way.steps, UL_NODE_ROOT, way);
    w->joinable = !way.crossed;
    return;
  case CUT:
    append_all(w, at_most_cut(way.steps), UL_NODE_CUT, way);
    return;
  default:
    span_doubt(s, way.sure);
    append_all(w, way.steps, way.zero ? UL_NODE_ROOT : UL_NODE_BROKEN, way);
  }
}

void walk_by_rule(struct walk *w, struct walk_state from) {
  struct span s = spans.of[spans.current];
  struct way way = {0};
  bool elsewhere = !span_holds(&s, from.rsp);
  if (UNLIKELY(elsewhere)) span_enter(&s, from.rsp);
  if (UNLIKELY(elsewhere || w->generation != module_generation())) walk_forget(w);
  w->generation = module_generation();
  w->site = 0;
  uint64_t deep = w->deep;
  bool is_deep = from.rsp <= deep;
  enum outcome outcome = go(w, &s, from, is_deep ? WALK_CUT_DEPTH : WALK_DEPTH_MAX, &way);
  if (UNLIKELY(outcome == SLOW))
    by_libunwind(w, from.rsp);
  else
    finish(w, &s, outcome, way);
  if (UNLIKELY(w->end == UL_NODE_CUT)) w->deep = is_deep ? deep : from.rsp;
  spans.of[spans.current] = s;
}
