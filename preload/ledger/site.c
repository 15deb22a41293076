/* site.c - from a stack to its site.
 *
 * Three tables of words (intern.h): a return address is a code, a caller is a node {its
 * caller's node, code}, and a site is a leaf {its caller's node, code}. Frames of the
 * walk before know their node and, innermost, their site, so only new frames are looked
 * up. Callers that are new together are a line in their table (intern_path).
 *
 * In front of that stacks are remembered by their hash (recall.h): those that come in
 * turn are one look. A hash knows addresses, not modules, so what is remembered is worth
 * nothing when some were unloaded; the tables know modules and go on.
 *
 * What that costs has to be known where it may become too much (sample.h). The first
 * stack of a thread that is asked for after a tick of the clock is timed, and stands for
 * all since the one before: the fast way sees that somebody is `capturing`, and leaves it
 * to us. */
#include "ledger/site.h"

#include "base/os.h"
#include "base/thread.h"
#include "heap/arena.h"
#include "ledger/guard.h"
#include "ledger/intern.h"
#include "ledger/ledger.h"
#include "ledger/recall.h"
#include "ledger/sample.h"
#include "stack/hash.h"
#include "stack/module.h"
#include "stack/stack.h"

uint32_t site_depth_limit = WALK_DEPTH_MAX, site_stacks_limit = UL_SITES_MAX;

static struct intern codes = {.table = UL_CODES, .bits = 26};
static struct intern nodes = {.table = UL_NODES, .bits = 27, .is_trie = true};
static struct intern sites = {.table = UL_SITES, .bits = 24};
_Static_assert(UL_SITES_MAX == 1 << 24, "as many bits as an entry has");

/* ---- the trie ------------------------------------------------------------------ */

/* The part of a walk that is interned: all of it, or its innermost frames. */
struct part {
  struct walk *walk;
  uint32_t from; /* outermost frame */
  uint32_t end;
  uint64_t hash;
  enum site_kind kind;
};

/* Frames of a whole walk keep their node, so that only new ones are looked for. */
static uint32_t first_without_node(const struct part *p) {
  uint32_t i = p->walk->depth - 1;
  while (i > p->from && !(p->from == 0 && p->walk->frames[i - 1].node))
    i--;
  return i;
}

/* The codes of some addresses, for most stacks are of few: in place of the module, its
 * number and the index. Two words that say the same of their address, for they may be
 * two threads' at once. */
enum { CODES_LOG = 10, CODE_BITS = 26 };
static struct {
  _Atomic uint64_t address; /* 47 bits, and some of the generation of modules */
  _Atomic uint64_t code;    /* CODE_BITS, and some of a hash */
} known_codes[1 << CODES_LOG];

static uint32_t code_of(uint64_t ip, uint64_t generation, bool look) {
  uint64_t address = ip ^ generation << 47, hash = hash_mix(HASH_SEED + generation, ip);
  unsigned place = (unsigned)(ip * HASH_STEP >> (64 - CODES_LOG));
  uint64_t tag = hash >> CODE_BITS << CODE_BITS;
  uint64_t is =
      atomic_load_explicit(&known_codes[place].code, memory_order_relaxed) ^ tag;
  if (LIKELY(!(is >> CODE_BITS) && atomic_load_explicit(&known_codes[place].address,
                                                        memory_order_relaxed) == address))
    return (uint32_t)is;
  uint32_t code = intern(&codes, module_code(ip), look);
  if (!code) return 0;
  atomic_store_explicit(&known_codes[place].address, address, memory_order_relaxed);
  atomic_store_explicit(&known_codes[place].code, tag | code, memory_order_relaxed);
  return code;
}

/* The node of the last of n frames below `parent`; and their own, if they are `kept`. */
static uint32_t node_below(uint32_t parent, struct walk_frame *first, uint32_t n,
                           bool kept, bool look) {
  enum { BATCH = 48 };
  uint32_t path[BATCH];
  uint64_t generation = stack_generation();
  for (uint32_t done = 0; done < n; done += BATCH) {
    struct walk_frame *f = &first[done];
    uint32_t now = n - done < BATCH ? n - done : BATCH;
    for (uint32_t i = 0; i < now; i++)
      path[i] = code_of(walk_ip(&f[i]), generation, look);
    if (intern_path(&nodes, parent, path, now, look) < now) return 0;
    parent = path[now - 1];
    for (uint32_t i = 0; kept && i < now; i++)
      f[i].node = path[i];
  }
  return parent;
}

/* look: only if it is there. 0: there is no room, or it is not. */
static uint32_t site_of(const struct part *p, bool look) {
  struct walk_frame *frames = p->walk->frames, *leaf = &frames[p->walk->depth - 1];
  uint32_t i = first_without_node(p), new = (uint32_t)(leaf - &frames[i]);
  uint32_t node = i > p->from ? frames[i - 1].node : p->end;
  if (new) node = node_below(node, &frames[i], new, p->from == 0, look);
  if (new && !node) return 0;
  uint32_t code = code_of(walk_ip(leaf), stack_generation(), look);
  uint32_t mark = p->kind == SITE_OF_SAMPLES ? UL_SITE_OF_SAMPLES : 0;
  return code ? intern(&sites, intern_below(node, code | mark), look) : 0;
}

static uint32_t innermost(const struct part *p, uint32_t frames) {
  uint32_t depth = p->walk->depth;
  if (depth - p->from <= frames) return site_of(p, false);
  struct part inner = {p->walk, depth - frames, UL_NODE_CUT, 0, p->kind};
  return site_of(&inner, false);
}

/* Before each of these, sites were others, and each is one of two kinds. */
static uint64_t forks;
#define FORK ((uint64_t)1 << 32) /* more than there are generations of modules */
#define KIND ((uint64_t)1 << 63)

/* There are as many stacks as shall be told whole. Of others the innermost frames are,
 * and when a quarter as many more have come of that, one: then there are as many sites at
 * most as places in the code. */
static __attribute__((noinline)) uint32_t site_in_crowd(const struct part *p) {
  enum { FEW = 8 };
  uint32_t site = site_of(p, true);
  if (site) return site;
  fallback(UL_FB_STACKS_MANY);
  bool crammed = table_count(UL_SITES) >= site_stacks_limit + site_stacks_limit / 4;
  return innermost(p, crammed ? 1 : FEW);
}

static uint32_t find_in_tables(const struct part *p, uint64_t hash) {
  uint64_t known = table_count(UL_SITES);
  uint32_t site =
      LIKELY(known < site_stacks_limit) ? site_of(p, false) : site_in_crowd(p);
  if (UNLIKELY(!site)) {
    fallback(UL_FB_SITES_FULL);
    return UL_SITE_OVERFLOW;
  }
  remember(hash, site, site < known);
  return site;
}

/* The hash of its frames is the last of a chain of multiplications: this one is beside
 * it, not behind. */
static uint64_t hash_of_part(uint64_t hash, enum site_kind kind) {
  return hash ^ (stack_generation() + forks + kind * KIND) * HASH_STEP;
}

/* Of all of the walk. */
static __attribute__((noinline)) uint32_t
find_whole_in_tables(struct walk *w, enum site_kind kind, uint64_t hash) {
  return find_in_tables(&(struct part){w, 0, w->end, hash, kind}, hash);
}
static inline uint32_t find_whole(struct walk *w, enum site_kind kind) {
  uint64_t hash = hash_of_part(w->frames[w->depth - 1].hash, kind);
  uint32_t site = recall(hash);
  return LIKELY(site) ? site : find_whole_in_tables(w, kind, hash);
}

/* A stack deeper than the user wants to know. */
static __attribute__((noinline)) uint32_t find_innermost(struct walk *w,
                                                         enum site_kind kind) {
  struct part p = {w, w->depth - site_depth_limit, UL_NODE_CUT, HASH_SEED, kind};
  for (uint32_t i = p.from; i < w->depth; i++)
    p.hash = hash_mix(p.hash, walk_ip(&w->frames[i]));
  fallback(UL_FB_STACK_CUT);
  uint64_t hash = hash_of_part(p.hash, kind);
  uint32_t site = recall(hash);
  return LIKELY(site) ? site : find_in_tables(&p, hash);
}

/* Where each walk is to be made (ULLAGE_UNWIND), walks are kept in an epoch that never
 * is: believed by nobody, but seen here to be right. */
static uint32_t epoch_of_check(void) {
  return ~process_epoch();
}
static uint32_t expected(struct walks *all, struct entrance e) {
  struct walk_kept *kept = walk_from(all, e.rsp, entrance_ip(e));
  return walk_is_same(all, kept, entrance_state(e), epoch_of_check()) ? kept->site : 0;
}

/* The site of the innermost frame is kept with it if it is exact; samples are of other
 * stacks by the next. */
static inline uint32_t site_of_walk(struct walk *w, enum site_kind kind) {
  struct walk_frame *leaf = &w->frames[w->depth - 1];
  if (kind == SITE_OF_SAMPLES) return find_whole(w, kind);
  if (!leaf->site) leaf->site = find_whole(w, kind);
  return leaf->site;
}

/* NULL: nobody shall go the fast way with it (site_again). */
static struct ul_counter *counter_for_again(struct heap *h, uint32_t site) {
  return UNLIKELY(guard_on) ? NULL : ledger_counter(h, site);
}

/* Of a walk that is none, or not of all frames up to the outermost. */
static __attribute__((noinline)) struct site_again
site_of_odd(struct heap *h, struct walk *w, enum site_kind kind) {
  if (!w || !w->depth) {
    fallback(UL_FB_NO_STACK);
    return (struct site_again){NULL, UL_SITE_NO_STACK};
  }
  if (w->depth > site_depth_limit)
    return (struct site_again){NULL, find_innermost(w, kind)};
  fallback(w->end == UL_NODE_CUT ? UL_FB_STACK_CUT : UL_FB_STACK_BROKEN);
  uint32_t site = site_of_walk(w, kind);
  return (struct site_again){counter_for_again(h, site), site};
}

static inline bool is_odd(const struct walk *w) {
  return !w || w->depth - 1 >= site_depth_limit || w->end != UL_NODE_ROOT;
}

/* Where walks are believed and kept. */
static inline __attribute__((always_inline)) struct site_again
capture_and_keep(struct heap *h, struct entrance e) {
  struct walks *all = &book_of(h)->walks;
  uint32_t epoch = process_epoch();
  struct walk *w = walk_by_rule(all, e);
  if (UNLIKELY(is_odd(w))) return site_of_odd(h, w, SITE_EXACT);
  struct site_again found = {NULL, site_of_walk(w, SITE_EXACT)};
  found.counter = counter_for_again(h, found.site);
  walk_keep(all, w, epoch, found.site, found.counter);
  return found;
}

/* Where they are not, or only to see that they were right. */
static __attribute__((noinline)) struct site_again
capture_otherwise(struct heap *h, struct entrance e, enum site_kind kind) {
  struct walks *all = &book_of(h)->walks;
  bool believed = stack_keeps_walks();
  uint32_t as_kept = believed || kind == SITE_OF_SAMPLES ? 0 : expected(all, e);
  struct walk *w = stack_capture(e, all);
  if (is_odd(w)) return site_of_odd(h, w, kind);
  struct site_again found = {NULL, site_of_walk(w, kind)};
  if (as_kept && as_kept != found.site) fallback(UL_FB_WALK_MISMATCH);
  if (sample_bytes) return found;
  found.counter = counter_for_again(h, found.site);
  if (!believed) walk_keep(all, w, epoch_of_check(), found.site, found.counter);
  return found;
}

static inline __attribute__((always_inline)) struct site_again
capture(struct heap *h, struct entrance e, enum site_kind kind) {
  return LIKELY(stack_keeps_walks() && kind == SITE_EXACT && !sample_bytes)
             ? capture_and_keep(h, e)
             : capture_otherwise(h, e, kind);
}

static inline __attribute__((always_inline)) struct site_again
capture_alone(struct heap *h, struct entrance e, enum site_kind kind) {
  thread_state.capturing = e.rsp;
  atomic_signal_fence(memory_order_seq_cst);
  struct site_again found = capture(h, e, kind);
  atomic_signal_fence(memory_order_seq_cst);
  thread_state.capturing = 0;
  return found;
}

/* Called from within a capture of this thread's, by a handler? Its frame lies further in
 * than the one whose stack was being captured, or on the signals' own stack; else that
 * one is gone, because a handler left by longjmp, and what it did is half done. */
static __attribute__((noinline)) bool is_nested(struct heap *h, struct entrance e) {
  if (thread_state.busy) return true;
  if (e.rsp < thread_state.capturing || os_on_signal_stack()) return true;
  walk_forget_all(&book_of(h)->walks);
  return false;
}

static __attribute__((noinline)) uint32_t capture_timed(struct heap *h, struct entrance e,
                                                        enum site_kind kind) {
  struct book *b = book_of(h);
  uint64_t before = os_monotonic_ns(), begin = os_monotonic_ns();
  uint32_t site = site_capture(h, e, kind), events = b->recent_next - b->timing.until;
  uint64_t took = os_monotonic_ns() - begin, look = begin - before;
  b->timing.ns += (took > look ? took - look : 1) * events;
  b->timing.until += events;
  return site;
}

uint32_t site_capture(struct heap *h, struct entrance e, enum site_kind kind) {
  if (UNLIKELY(thread_state.capturing == CAPTURE_TIMED)) {
    thread_state.capturing = 0;
    return capture_timed(h, e, kind);
  }
  if (UNLIKELY(thread_state.busy || thread_state.capturing) && is_nested(h, e)) {
    fallback(UL_FB_NESTED);
    return UL_SITE_ULLAGE;
  }
  uint32_t epoch = process_epoch();
  struct site_again again = {NULL, UL_SITE_NONE};
  if (LIKELY(epoch >= EPOCH_FIRST && kind == SITE_EXACT)) again = site_again(h, e, epoch);
  if (again.site) return again.site;
  if (UNLIKELY(arena_is_interrupted())) { /* the tables' lock may be this thread's, too */
    fallback(UL_FB_NO_STACK);
    return UL_SITE_NO_STACK;
  }
  return capture_alone(h, e, kind).site;
}

struct site_again site_new(struct heap *h, struct entrance e) {
  if (UNLIKELY(thread_state.capturing || thread_state.busy || arena_is_interrupted()))
    return (struct site_again){NULL, site_capture(h, e, SITE_EXACT)};
  struct site_again found = capture_alone(h, e, SITE_EXACT);
  if (UNLIKELY(!process_recording())) found.counter = NULL;
  return found;
}

/* Codes and nodes are the same as before. The fork may have been in a handler that
 * interrupted a capture, so the walks stay as they are. */
void site_begin_anew(struct heap *h) {
  intern_begin_anew(&sites);
  forks += FORK;
  if (h) walk_forget_sites(&book_of(h)->walks);
}
