/* site.c - from a stack to its site.
 *
 * Three tables of words (intern.h): a return address is a code, a caller is a node {its
 * caller's node, code}, and a site is a leaf {its caller's node, code}. Frames of the
 * walk before know their node and, innermost, their site, so only new frames are looked
 * up.
 *
 * In front of that each heap remembers some stacks by their hash, all 64 bits of it:
 * those that come in turn are one look. A hash knows addresses, not modules, so it is
 * worth nothing when some were unloaded; the tables know modules and go on. */
#include "ledger/site.h"

#include "base/meta.h"
#include "base/thread.h"
#include "heap/arena.h"
#include "ledger/intern.h"
#include "ledger/ledger.h"
#include "ledger/sample.h"
#include "stack/hash.h"
#include "stack/module.h"
#include "stack/stack.h"

#include <string.h>

uint32_t site_depth_limit = WALK_DEPTH_MAX, site_stacks_limit = UL_SITES_MAX;

static struct intern codes = {.table = UL_CODES, .bits = 26};
static struct intern nodes = {.table = UL_NODES, .bits = 27};
static struct intern sites = {.table = UL_SITES, .bits = 24};
_Static_assert(UL_SITES_MAX == 1 << 24, "as many bits as an entry has");

/* ---- what a heap remembers ----------------------------------------------------- */

enum { MEMORIES = 128 };
struct site_memory {
  uint64_t generation; /* of modules */
  uint64_t hash[MEMORIES];
  uint32_t site[MEMORIES];
};

static uint32_t recall(struct site_memory *m, uint64_t hash) {
  if (UNLIKELY(m->generation != stack_generation())) {
    uint64_t generation = stack_generation();
    memset(m, 0, sizeof *m);
    m->generation = generation;
  }
  return m->hash[hash % MEMORIES] == hash ? m->site[hash % MEMORIES] : 0;
}

static void remember(struct site_memory *m, uint64_t hash, uint32_t site) {
  m->hash[hash % MEMORIES] = 0; /* a handler may leave in between */
  atomic_signal_fence(memory_order_seq_cst);
  m->site[hash % MEMORIES] = site;
  atomic_signal_fence(memory_order_seq_cst);
  m->hash[hash % MEMORIES] = hash;
}

/* ---- the trie ------------------------------------------------------------------ */

/* intern() or intern_find(). 0: there is no room, or it is not there. */
typedef uint32_t get(struct intern *, uint64_t word);

static inline uint32_t below(get *number, struct intern *t, uint32_t parent,
                             const struct walk_frame *f) {
  uint32_t code = number(&codes, module_code(walk_ip(f)));
  return code ? number(t, (uint64_t)code << 32 | parent) : 0;
}

/* The part of a walk that is interned: all of it, or its innermost frames. */
struct part {
  struct walk *walk;
  uint32_t from; /* outermost frame */
  uint32_t end;
  uint64_t hash;
};

/* Frames of a whole walk keep their node, so that only new ones are looked for. */
static uint32_t first_without_node(const struct part *p) {
  uint32_t i = p->walk->depth - 1;
  while (i > p->from && !(p->from == 0 && p->walk->frames[i - 1].node))
    i--;
  return i;
}

static inline uint32_t site_of(get *number, const struct part *p) {
  struct walk_frame *frames = p->walk->frames;
  uint32_t i = first_without_node(p), leaf = p->walk->depth - 1;
  uint32_t node = i > p->from ? frames[i - 1].node : p->end;
  for (; i < leaf; i++) {
    node = below(number, &nodes, node, &frames[i]);
    if (!node) return 0;
    if (p->from == 0) frames[i].node = node;
  }
  return below(number, &sites, node, &frames[leaf]);
}

static uint32_t innermost(const struct part *p, uint32_t frames) {
  uint32_t depth = p->walk->depth;
  if (depth - p->from <= frames) return site_of(intern, p);
  struct part inner = {p->walk, depth - frames, UL_NODE_CUT, 0};
  return site_of(intern, &inner);
}

/* There are as many stacks as shall be told whole. Of others the innermost frames are,
 * and when a quarter as many more have come of that, one: then there are as many sites at
 * most as places in the code. */
static __attribute__((noinline)) uint32_t site_in_crowd(const struct part *p) {
  enum { FEW = 8 };
  uint32_t site = site_of(intern_find, p);
  if (site) return site;
  fallback(UL_FB_STACKS_MANY);
  bool crammed = table_count(UL_SITES) >= site_stacks_limit + site_stacks_limit / 4;
  return innermost(p, crammed ? 1 : FEW);
}

static uint32_t find(struct site_memory *m, const struct part *p) {
  uint32_t site = recall(m, p->hash);
  if (LIKELY(site)) return site;
  site = LIKELY(table_count(UL_SITES) < site_stacks_limit) ? site_of(intern, p)
                                                           : site_in_crowd(p);
  if (UNLIKELY(!site)) {
    fallback(UL_FB_SITES_FULL);
    return UL_SITE_OVERFLOW;
  }
  remember(m, p->hash, site);
  return site;
}

/* A stack deeper than the user wants to know. */
static __attribute__((noinline)) uint32_t find_innermost(struct site_memory *m,
                                                         struct walk *w) {
  struct part p = {w, w->depth - site_depth_limit, UL_NODE_CUT, HASH_SEED};
  for (uint32_t i = p.from; i < w->depth; i++)
    p.hash = hash_mix(p.hash, walk_ip(&w->frames[i]));
  fallback(UL_FB_STACK_CUT);
  return find(m, &p);
}

static struct site_memory *memory_of(struct book *b) {
  if (LIKELY(b->memory)) return b->memory;
  uint64_t signals;
  os_hold_signals(&signals);
  b->memory = meta_alloc(sizeof *b->memory);
  os_release_signals(signals);
  return b->memory;
}

static uint32_t capture(struct heap *h, struct entrance e) {
  struct site_memory *memory = memory_of(book_of(h));
  struct walks *all = &book_of(h)->walks;
  uint32_t epoch = process_epoch();
  struct walk *w = LIKELY(memory) ? stack_capture(e, all) : NULL;
  if (UNLIKELY(!w)) {
    fallback(UL_FB_NO_STACK);
    return UL_SITE_NO_STACK;
  }
  if (UNLIKELY(w->depth > site_depth_limit)) return find_innermost(memory, w);
  if (UNLIKELY(w->end != UL_NODE_ROOT))
    fallback(w->end == UL_NODE_CUT ? UL_FB_STACK_CUT : UL_FB_STACK_BROKEN);
  struct walk_frame *leaf = &w->frames[w->depth - 1];
  if (!leaf->site) leaf->site = find(memory, &(struct part){w, 0, w->end, leaf->hash});
  if (stack_keeps_walks() && !sample_bytes)
    walk_keep(all, epoch, leaf->site, ledger_counter(h, leaf->site));
  return leaf->site;
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

uint32_t site_capture(struct heap *h, struct entrance e) {
  if (UNLIKELY(thread_state.busy || thread_state.capturing) && is_nested(h, e)) {
    fallback(UL_FB_NESTED);
    return UL_SITE_ULLAGE;
  }
  struct site_again again = site_again(h, e);
  if (again.counter) return again.site;
  if (UNLIKELY(arena_is_interrupted())) { /* the tables' lock may be this thread's, too */
    fallback(UL_FB_NO_STACK);
    return UL_SITE_NO_STACK;
  }
  thread_state.capturing = e.rsp;
  atomic_signal_fence(memory_order_seq_cst);
  uint32_t site = capture(h, e);
  atomic_signal_fence(memory_order_seq_cst);
  thread_state.capturing = 0;
  return site;
}

/* Codes and nodes are the same as before. The fork may have been in a handler that
 * interrupted a capture, so the walks stay as they are. */
void site_begin_anew(struct heap *h) {
  intern_begin_anew(&sites);
  if (!h) return;
  struct book *b = book_of(h);
  if (b->memory) memset(b->memory, 0, sizeof *b->memory);
  walk_forget_sites(&b->walks);
}
