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
 * Not kept are walks by the tables alone, that lost their way or were cut.
 *
 * A walk that comes from the stack of a handler to the one that was interrupted belongs
 * to the former; there RSP may fall, so the search for a frame to join begins anew. Words
 * that lie in a frame are there as long as that is, on whatever stack; but a frame
 * pointer may be none, so walks with such frames are not believed when another stack may
 * have taken the place of theirs. */
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

enum { SIZE_FIRST = 32, WORDS_EACH = 3 };

struct walk_step {
  struct walk_state state;
  rule rule;
};

/* What a walk came to. */
struct way {
  uint32_t steps;
  int32_t joined; /* frame */
  uint64_t rsp;   /* of where it ended */
  uint32_t here;  /* steps before it crossed to another stack, if it has */
  bool crossed;
  bool guessed; /* by frame pointers */
};

/* ---- room ---------------------------------------------------------------------- */

/* One piece of memory, cut in three. Outside the outermost frame lies one that no walk
 * gets beyond. */
static size_t bytes_for(uint32_t size) {
  return sizeof(struct walk_frame) +
         size * (sizeof(struct walk_frame) + WORDS_EACH * sizeof(struct walk_word) +
                 sizeof(struct walk_step));
}

static void cut(struct walk *w, void *memory, uint32_t size) {
  w->frames = memory;
  *w->frames++ = (struct walk_frame){.rsp = UINT64_MAX};
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
  meta_free(old.frames - 1, bytes_for(old.size));
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

/* The innermost frame, not inside f, whose caller is not another now: the word before
 * `end` says another. Outside of all lies a frame without words. */
static inline struct walk_frame *unchanged_by(const struct walk *w, struct walk_frame *f,
                                              const struct walk_word *end) {
  ptrdiff_t words = end - w->words;
  /* Each frame but the outermost has a word at least. */
  struct walk_frame *most = w->frames + words - 1;
  if (most < f) f = most;
  while (f->words >= words)
    f--;
  return f;
}

/* The end of the words by which f's outer frames were found, of those that do not still
 * say the same; the first word: all do. */
static inline const struct walk_word *changed_outside(const struct walk *w,
                                                      const struct walk_frame *f) {
  return walk_words_hold(w->words, w->words + f->words);
}

static inline bool is_at(const struct walk_frame *f, uint64_t key, uint64_t rsp,
                         uint64_t rbp) {
  return f->rsp == rsp && f->key == key && (!f->needs_rbp || f->rbp == rbp);
}

/* ---- keeping ------------------------------------------------------------------- */

/* Words, at most. */
enum { COPY = 64 };

/* What was found by guess, or on several stacks, is believed only as long as nothing else
 * was walked. */
const struct walk_word *walk_copy_for(struct walks *all, const struct walk_kept *k) {
  const struct walk *w = all->now;
  if (w->guessed || w->beyond || words_kept(w) > COPY) return w->words;
  if (!all->copies) {
    uint64_t signals;
    os_hold_signals(&signals);
    all->copies = meta_alloc(WALKS_KEPT * COPY * sizeof *all->copies);
    os_release_signals(signals);
  }
  if (UNLIKELY(!all->copies)) return w->words;
  struct walk_word *copy = &all->copies[(k - all->kept) * COPY];
  return memcpy(copy, w->words, words_kept(w) * sizeof *copy);
}

/* The words of the last walk will be others. */
static void lose_latest(struct walks *all) {
  if (all->latest) all->latest->rsp = 0;
  all->latest = NULL;
  atomic_signal_fence(memory_order_seq_cst);
}

/* ---- appending ----------------------------------------------------------------- */

static const greg_t *interrupted_registers(uint64_t rsp) {
  return ((const ucontext_t *)rsp)->uc_mcontext.gregs;
}

static struct walk_word *add_word(struct walk_word *next, uint64_t at, uint64_t is) {
  *next = (struct walk_word){at, is};
  return next + 1;
}

static struct walk_word *add_words_of_signal(struct walk_word *next, struct walk_frame *f,
                                             const struct walk_frame *outer) {
  const greg_t *r = interrupted_registers(f->rsp);
  f->needs_rbp = false;
  if (outer->needs_rbp) next = add_word(next, (uint64_t)&r[REG_RBP], outer->rbp);
  next = add_word(next, (uint64_t)&r[REG_RIP], walk_ip(outer));
  return add_word(next, (uint64_t)&r[REG_RSP], outer->rsp);
}

/* Of a frame of which `outer` was found by rule r; and whether it needs RBP. */
static struct walk_word *add_words(struct walk_word *next, struct walk_frame *f, rule r,
                                   const struct walk_frame *outer) {
  bool wanted = outer->needs_rbp;
  uint64_t ip_at = outer->rsp - 8, ip = outer->key;
  if (!(r & RULE_SPECIAL)) {
    f->needs_rbp = r & RULE_RBP || (wanted && !(r & RULE_SAVED));
    if (wanted && r & RULE_SAVED)
      next = add_word(next, outer->rsp + (uint64_t)rule_rbp(r), outer->rbp);
    return add_word(next, ip_at, ip);
  }
  f->needs_rbp = true;
  switch (rule_kind(r)) {
  case RULE_REALIGNED:
    if (wanted) next = add_word(next, f->rbp + (uint64_t)rule_rbp(r), outer->rbp);
    next = add_word(next, ip_at, ip);
    return add_word(next, f->rbp + (uint64_t)rule_cfa(r), outer->rsp);
  case RULE_BARE:
    if (wanted) next = add_word(next, f->rbp, outer->rbp);
    return add_word(next, ip_at, ip);
  case RULE_SIGNAL:
    return add_words_of_signal(next, f, outer);
  default: /* an end */
    f->needs_rbp = false;
    return next;
  }
}

static uint64_t hash_of_end(uint32_t end) {
  return hash_mix(HASH_SEED, end + 1);
}

/* The innermost steps, inside `outer`. */
static inline __attribute__((always_inline)) void append(struct walk *w, uint32_t steps,
                                                         const struct walk_frame *outer) {
  struct walk_frame *f = &w->frames[w->depth];
  struct walk_word *next = w->words + outer->words;
  uint64_t hash = outer->hash;
  for (const struct walk_step *s = w->steps + steps; s-- > w->steps; outer = f++) {
    uint64_t rsp = s->state.rsp;
    /* gcc would copy two words as one, which must wait until both stores are done. */
    __asm__("" : "+r"(rsp));
    f->key = s->state.key;
    f->rsp = rsp;
    f->rbp = s->state.rbp;
    f->hash = hash = hash_mix(hash, s->state.key);
    f->node = f->site = 0;
    if (LIKELY(s->rule & RULE_RSP && !outer->needs_rbp)) {
      f->needs_rbp = false;
      next = add_word(next, outer->rsp - 8, outer->key);
    } else {
      next = add_words(next, f, s->rule, outer);
    }
    f->words = (uint32_t)(next - w->words);
  }
  w->depth += steps;
}

/* The innermost `steps` of them. What is outside the outermost is not a frame. */
static __attribute__((noinline)) void append_all(struct walk *w, uint32_t steps,
                                                 uint32_t end, struct way way) {
  walk_forget(w);
  w->end = end;
  append(w, steps, &(struct walk_frame){.hash = hash_of_end(end), .rsp = way.rsp});
}

/* ---- one frame ----------------------------------------------------------------- */

static bool step_pointer(struct span *s, struct walk_state *f) {
  uint64_t rbp = f->rbp;
  if (rbp < f->rsp || rbp & 7 || !span_below(s, f->rsp, rbp + 16)) return false;
  *f = (struct walk_state){span_word(rbp + 8), rbp + 16, span_word(rbp)};
  return true;
}

/* By a rule with CFA = RBP + offset. */
static bool step_framed(struct span *s, struct walk_state *f, rule r) {
  uint64_t cfa = f->rbp + (uint64_t)rule_cfa(r), saved = cfa + (uint64_t)rule_rbp(r);
  if (cfa < f->rsp + 8 || !span_below(s, f->rsp, cfa)) return false;
  bool has_saved = r & RULE_SAVED;
  if (has_saved && saved + RULE_RED_ZONE < f->rsp) return false;
  *f =
      (struct walk_state){span_word(cfa - 8), cfa, has_saved ? span_word(saved) : f->rbp};
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

enum outcome { NEXT, LAST, NOWHERE, BROKEN, SLOW, JOINED, CUT };

/* Any but the plainest. */
static __attribute__((noinline)) enum outcome step_other(struct span *s,
                                                         struct walk_state *f, rule r) {
  if (LIKELY(r & RULE_RBP)) return step_framed(s, f, r) ? NEXT : BROKEN;
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

static struct walk_step *end_of_steps(const struct walk *w, uint32_t limit) {
  return w->steps + (w->size < limit ? w->size : limit);
}

/* The outward chain of loads is what a walk costs, so the state of the frame is
 * in three words here, not in a struct: gcc would keep that in memory or
 * in vector registers. Likewise the table. */
static enum outcome go(struct walk *w, struct span *s, struct entrance from,
                       uint32_t limit, struct way *way) {
  struct rule_table table = *rule_current();
  uint64_t key = entrance_ip(from), rsp = from.rsp, rbp = from.rbp;
  struct walk_frame *known = w->frames + w->joinable - 1, *kept = known;
  struct walk_step *step = w->steps, *end = end_of_steps(w, limit);
  enum outcome outcome;
  for (;;) {
    while (kept->rsp < rsp)
      kept--;
    if (kept->rsp == rsp && is_at(kept, key, rsp, rbp)) {
      const struct walk_word *changed = changed_outside(w, kept);
      if (LIKELY(changed == w->words)) {
        outcome = JOINED;
        break;
      }
      known = kept = unchanged_by(w, kept, changed);
    }
    rule r = rule_find(&table, key);
    if (UNLIKELY(step == end)) {
      ptrdiff_t steps = step - w->steps, p = kept - w->frames, k = known - w->frames;
      if (w->size >= limit || !grow(w)) {
        outcome = CUT;
        break;
      }
      kept = w->frames + p;
      known = w->frames + k;
      step = w->steps + steps;
      end = end_of_steps(w, limit);
    }
    if (UNLIKELY(!(r & RULE_RSP))) {
      if (r == 0 && key == 0) {
        outcome = NOWHERE;
        break;
      }
      if (r == 0) {
        r = rule_learn(key);
        table = *rule_current();
      }
      if (!(r & RULE_RSP)) {
        *step++ = (struct walk_step){{key, rsp, rbp}, r};
        struct walk_state f = {key, rsp, rbp};
        uint32_t span = spans.current;
        outcome = step_other(s, &f, r);
        if (outcome != NEXT) break;
        way->guessed |= r == RULE_BARE;
        if (spans.current != span && !way->crossed) {
          way->crossed = true;
          way->here = (uint32_t)(step - w->steps);
          kept = w->frames + w->beyond - 1;
          if (known < kept) kept = known;
        }
        key = f.key;
        rsp = f.rsp;
        rbp = f.rbp;
        continue;
      }
    }
    *step++ = (struct walk_step){{key, rsp, rbp}, r};
    uint64_t caller = rsp + (uint64_t)rule_cfa(r);
    if (UNLIKELY(caller > s->high) && !span_raise(s, rsp, caller)) {
      outcome = BROKEN;
      break;
    }
    key = span_word(caller - 8);
    if (r & RULE_SAVED) rbp = span_word(caller + (uint64_t)rule_rbp(r));
    rsp = caller;
  }
  way->steps = (uint32_t)(step - w->steps);
  way->joined = (int32_t)(kept - w->frames);
  way->rsp = rsp;
  return outcome;
}

/* Frames without states. */
static bool set(struct walk *w, const uint64_t *ips, uint32_t depth, uint32_t end) {
  walk_forget(w);
  while (w->size < depth)
    if (!grow(w)) return false;
  w->end = end;
  uint64_t hash = hash_of_end(end);
  for (uint32_t i = 0; i < depth; i++) {
    uint64_t ip = ips[depth - 1 - i];
    hash = hash_mix(hash, ip);
    w->frames[i] = (struct walk_frame){.key = ip, .hash = hash};
  }
  w->depth = depth;
  return true;
}

/* All registers a caller may rely on, here and now. The steps' memory serves for the
 * addresses. */
static __attribute__((noinline)) void by_tables(struct walk *w, uint64_t cfa) {
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
  set(w, (uint64_t *)w->steps, end == UL_NODE_CUT ? WALK_CUT_DEPTH : depth, end);
}

static uint32_t at_most_cut(uint32_t frames) {
  return frames < WALK_CUT_DEPTH ? frames : WALK_CUT_DEPTH;
}

/* There is no room for all frames outside the steps, up to `joined`: only the innermost
 * of all are told. */
static __attribute__((noinline)) void cut_joined(struct walk *w, struct way way) {
  uint64_t ips[WALK_CUT_DEPTH];
  uint32_t steps = at_most_cut(way.steps), n = 0;
  for (; n < steps; n++)
    ips[n] = rule_address(w->steps[n].state.key);
  for (int32_t i = way.joined; n < WALK_CUT_DEPTH && i >= 0; i--)
    ips[n++] = walk_ip(&w->frames[i]);
  set(w, ips, n, UL_NODE_CUT);
}

/* For the next walk to join. */
static void keep(struct walk *w, struct way way) {
  w->joinable = w->depth;
  if (way.crossed)
    w->beyond = w->depth - way.here;
  else if (w->beyond > (uint32_t)way.joined + 1)
    w->beyond = 0;
  w->guessed |= way.guessed;
}

static void join(struct walk *w, struct way way) {
  uint32_t outside = (uint32_t)way.joined + 1;
  while (w->size < outside + way.steps)
    if (!grow(w)) {
      cut_joined(w, way);
      return;
    }
  w->depth = outside;
  append(w, way.steps, &w->frames[way.joined]);
  keep(w, way);
}

static void finish_whole(struct walk *w, struct span *s, struct way way) {
  span_settle(s, way.rsp);
  append_all(w, way.steps, UL_NODE_ROOT, way);
  keep(w, way);
}

static void finish_lost(struct walk *w, struct span *s, uint64_t sure, uint32_t end,
                        struct way way) {
  span_doubt(s, sure);
  append_all(w, way.steps, end, way);
}

/* RSP of the last frame that had a caller, if it is on the stack where the walk ended. */
static uint64_t last_sure(const struct walk *w, uint32_t callers, struct way way) {
  if (callers == 0 || w->steps[callers - 1].rule == RULE_SIGNAL) return way.rsp;
  return w->steps[callers - 1].state.rsp;
}

static void finish(struct walk *w, struct span *s, enum outcome outcome, struct way way) {
  uint64_t sure;
  switch (outcome) {
  case JOINED:
    join(w, way);
    return;
  case LAST:
    finish_whole(w, s, way);
    return;
  case NOWHERE: /* as good as an end, if that 0 did not come from beyond the stack's top
                 */
    sure = last_sure(w, way.steps, way);
    if (span_last_page(way.rsp) == span_last_page(sure))
      finish_whole(w, s, way);
    else
      finish_lost(w, s, sure, UL_NODE_ROOT, way);
    return;
  case CUT:
    append_all(w, at_most_cut(way.steps), UL_NODE_CUT, way);
    return;
  default:
    finish_lost(w, s, last_sure(w, way.steps - 1, way), UL_NODE_BROKEN, way);
  }
}

static struct walk *make(struct walks *all) {
  uint64_t signals;
  os_hold_signals(&signals);
  all->now = all->all = meta_alloc(SPANS * sizeof *all->all);
  os_release_signals(signals);
  return all->all;
}

/* That of the stack on which `rsp` lies. */
static struct walk *find(struct walks *all, struct span *s, uint64_t rsp) {
  bool elsewhere = !span_holds(s, rsp);
  bool known = LIKELY(!elsewhere) || span_enter(s, rsp);
  if (UNLIKELY(elsewhere)) walk_forget_kept(all);
  struct walk *w = all->now = &all->all[spans.current];
  if (UNLIKELY(!known || (elsewhere && w->guessed) ||
               w->generation != module_generation()))
    walk_forget(w);
  w->generation = module_generation();
  return w;
}

/* Where the next one may be a plain walk. */
static void expect(struct walk *w, uint32_t began) {
  const struct span *s = &spans.of[began];
  w->low = s->low > w->deep ? s->low : w->deep;
  w->high = w->joinable && w->low < s->high ? s->high : w->low;
}

static __attribute__((noinline)) struct walk *walk_anew(struct walks *all,
                                                        struct entrance from) {
  if (UNLIKELY(!all->all) && !make(all)) return NULL;
  struct span s = spans.of[spans.current];
  struct walk *w = find(all, &s, from.rsp);
  if (UNLIKELY(!w->size) && !grow(w)) return NULL;
  struct way way = {0};
  uint32_t began = spans.current;
  uint64_t deep = w->deep;
  bool is_deep = from.rsp <= deep;
  enum outcome outcome = go(w, &s, from, is_deep ? WALK_CUT_DEPTH : WALK_DEPTH_MAX, &way);
  if (UNLIKELY(outcome == SLOW))
    by_tables(w, from.rsp);
  else
    finish(w, &s, outcome, way);
  if (UNLIKELY(w->end == UL_NODE_CUT)) w->deep = is_deep ? deep : from.rsp;
  span_leave(&s, began);
  expect(w, began);
  return w;
}

/* ---- plain walks -----------------------------------------------------------------
 *
 * Most begin on the stack of the last one, and go by the two plain rules to a frame of
 * it: nothing is to be asked, learned or made. Those need no copy of the span, and no
 * more of its words than two. Any other begins anew, as the rule for all. */

/* As append() does, of frames found from RSP alone, inside one that needs no RBP. */
static inline __attribute__((always_inline)) void
append_plain(struct walk *w, const struct walk_step *s, struct walk_frame *outer) {
  struct walk_frame *f = outer + 1;
  uint64_t hash = outer->hash, rsp = outer->rsp, key = outer->key;
  uint32_t words = outer->words;
  struct walk_word *next = w->words + words;
  const struct walk_step *last = w->steps;
  do {
    s--;
    next->at = rsp - 8;
    next->is = key;
    next++;
    key = s->state.key;
    hash = hash_mix(hash, key);
    rsp = s->state.rsp;
    __asm__("" : "+r"(rsp)); /* (see append) */
    f->key = key;
    f->rsp = rsp;
    f->hash = hash;
    f->node = f->site = 0;
    f->words = ++words;
    f->needs_rbp = false;
    f++;
  } while (s > last);
}

/* NULL: it is none, and nothing that counts has changed. */
static inline __attribute__((always_inline)) struct walk *
walk_plainly(struct walk *w, struct entrance from, const struct walk_word *changed) {
  struct rule_table table = *rule_current();
  uint64_t key = entrance_ip(from), rsp = from.rsp, rbp = from.rbp, high = w->high;
  struct walk_frame *kept = w->frames + w->joinable - 1;
  struct walk_step *step = w->steps, *end = step + w->size;
  rule kinds = RULE_RSP; /* those that all have in common */
  if (changed) kept = unchanged_by(w, kept, changed);
  for (;;) {
    while (kept->rsp < rsp)
      kept--;
    if (kept->rsp == rsp && is_at(kept, key, rsp, rbp)) {
      const struct walk_word *other = changed_outside(w, kept);
      if (LIKELY(other == w->words)) break;
      kept = unchanged_by(w, kept, other);
    }
    rule r = rule_find(&table, key);
    uint64_t caller = rsp + (uint64_t)rule_cfa(r);
    if (UNLIKELY(!(r & RULE_RSP))) {
      caller = rbp + (uint64_t)rule_cfa(r);
      if (!(r & RULE_RBP) || caller < rsp + 8 ||
          (r & RULE_SAVED && caller + (uint64_t)rule_rbp(r) + RULE_RED_ZONE < rsp))
        return NULL;
    }
    if (UNLIKELY(caller > high) || UNLIKELY(step == end)) return NULL;
    kinds &= r;
    *step++ = (struct walk_step){{key, rsp, rbp}, r};
    key = span_word(caller - 8);
    if (r & RULE_SAVED) rbp = span_word(caller + (uint64_t)rule_rbp(r));
    rsp = caller;
  }
  uint32_t outside = (uint32_t)(kept + 1 - w->frames);
  uint32_t steps = (uint32_t)(step - w->steps);
  if (UNLIKELY(w->size < outside + steps)) return NULL;
  w->depth = outside;
  if (LIKELY(kinds && steps && !kept->needs_rbp)) {
    append_plain(w, step, kept);
    w->depth = outside + steps;
  } else {
    append(w, steps, kept);
  }
  w->joinable = w->depth;
  if (w->beyond > outside) w->beyond = 0;
  return w;
}

struct walk *walk_by_rule(struct walks *all, struct entrance from) {
  struct walk *w = all->now;
  const struct walk_word *changed = all->changed;
  lose_latest(all);
  all->changed = NULL;
  if (LIKELY(w && from.rsp - 8 - w->low < w->high - w->low) &&
      LIKELY(w->generation == module_generation()) && walk_plainly(w, from, changed))
    return w;
  return walk_anew(all, from);
}

struct walk *walk_along(struct walks *all, const uint64_t *ips, uint32_t depth,
                        uint32_t end) {
  if (!all->all && !make(all)) return NULL;
  lose_latest(all);
  return set(all->now, ips, depth, end) ? all->now : NULL;
}
