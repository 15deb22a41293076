/* walk.h - the frames of a stack, kept from one walk to the next.
 *
 * A walk goes outwards by rule (rule.h) until it joins the walk before: as soon as its
 * state (where it continues, RSP, and RBP if that matters) is that of a frame kept, and
 * every word of memory from which the frames outside it were derived still says the same,
 * those frames are the same. This is no heuristic: by induction, equal states and equal
 * words give equal callers. The words are the return addresses, and the few saved RBPs
 * and realigned CFAs on which an outer frame depends. They are looked at inside out, each
 * only if all inside it are as they were, so each lies in a frame that is there. A word
 * that changed ends the attempt; the walk goes on by rule and may join further out.
 *
 * Frames lie outermost first, so that what joins stays where it is, and carry what the
 * stack up to them is known by. One walk for each of the stacks (span.h) that the heap's
 * owner has walked on last: coroutines in turn find theirs again, and a handler on its
 * own stack does not disturb the one of whom it has interrupted. */
#ifndef ULLAGE_WALK_H
#define ULLAGE_WALK_H

#include "heap/types.h"
#include "stack/hash.h"
#include "stack/rule.h"
#include "stack/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames, at most. Of a deeper stack only the innermost WALK_CUT_DEPTH are told. */
#define WALK_DEPTH_MAX 1024u
#define WALK_CUT_DEPTH 64u

struct walk_frame {
  uint64_t key; /* where it continues; RULE_EXACT if a signal came in there */
  uint64_t rsp, rbp;
  uint64_t hash;       /* of this frame, all outside it and how the stack ends */
  uint32_t node, site; /* the caller's; 0 when the frame is new */
  uint32_t words;      /* of the walk's words: by which its outer frames were found */
  bool needs_rbp;      /* to find the outer frames */
};

struct walk_word {
  uint64_t at, is;
};

/* All that tells whether a stack is that of a walk, and what its owner knows it by. */
struct walk_kept {
  uint64_t rsp; /* of the innermost frame; 0: the walk is not kept whole */
  uint64_t key, rbp;
  const struct walk_word *first, *end;
  struct ul_counter *counter; /* the owner's, as is the site */
  uint32_t site;
  uint32_t epoch; /* page.h; that in which the walk began */
  bool needs_rbp;
};

/* Of the stack on which it begins. */
struct walk {
  struct walk_frame *frames; /* outermost first */
  uint32_t depth;
  uint32_t end; /* UL_NODE_ROOT, _CUT or _BROKEN */
  /* The rest is walk.c's. */
  uint32_t joinable;  /* frames, from the outermost, of which state and words are known */
  uint32_t beyond;    /* of these, on the stacks that a handler on this one interrupted */
  bool guessed;       /* some were found by frame pointers */
  uint32_t size;      /* room */
  uint64_t low, high; /* a plain walk begins, and loads, in here */
  uint64_t deep; /* from here inwards (RSP) the stack is deeper than WALK_DEPTH_MAX */
  uint64_t generation;     /* of modules */
  struct walk_word *words; /* outermost first */
  struct walk_step *steps;
};

static inline uint64_t walk_ip(const struct walk_frame *f) {
  return rule_address(f->key);
}

/* Programs allocate at some places in turn: the last walk from a place (RSP and key), if
 * it is kept whole, tells at once that the stack is the same again. Places have two
 * entries for each of the hashes that they can have. */
#define WALKS_KEPT_LOG 4
#define WALKS_KEPT (2u << WALKS_KEPT_LOG)

/* A heap's. */
struct walks {
  struct walk_kept kept[WALKS_KEPT];
  struct walk_kept *latest; /* that of `now`, with its words; the others have copies */
  const struct walk_word *changed; /* behind the innermost word of `now` seen to differ */
  struct walk_word *copies;        /* NULL until there are some */
  struct walk *now;                /* the last one; NULL until there is one */
  struct walk *all;                /* one for each of spans.of */
};

struct walk_state {
  uint64_t key, rsp, rbp;
};

/* Where the program entered ullage: RSP and RBP in the frame that called the exported
 * function. By value, for a function that goes on to another one by a jump has no frame
 * any more. */
struct entrance {
  uint64_t rsp, rbp;
};
static inline uint64_t entrance_ip(struct entrance e) {
  return *(const uint64_t *)(e.rsp - 8);
}
static inline struct walk_state entrance_state(struct entrance e) {
  return (struct walk_state){.key = entrance_ip(e), .rsp = e.rsp, .rbp = e.rbp};
}

/* NULL if there is no memory. Errno is kept; meta_alloc is called. */
struct walk *walk_by_rule(struct walks *, struct entrance from);

/* The walk along these return addresses, innermost first. */
struct walk *walk_along(struct walks *, const uint64_t *ips, uint32_t depth,
                        uint32_t end);

static inline void walk_forget(struct walk *w) {
  w->depth = w->joinable = w->beyond = 0;
  w->low = w->high = 0;
  w->guessed = false;
  w->deep = 0;
}
static inline void walk_forget_kept(struct walks *all) {
  for (unsigned i = 0; i < WALKS_KEPT; i++)
    all->kept[i].rsp = all->kept[i].site = 0;
  all->latest = NULL;
  all->changed = NULL;
}
/* The caller's sites, and nothing else of them. */
static inline void walk_forget_sites(struct walks *all) {
  walk_forget_kept(all);
  for (unsigned i = 0; all->all && i < SPANS; i++)
    for (uint32_t k = 0; k < all->all[i].depth; k++)
      all->all[i].frames[k].site = 0;
}
/* All: another thread, or one of them was left half done. */
static inline void walk_forget_all(struct walks *all) {
  walk_forget_kept(all);
  for (unsigned i = 0; all->all && i < SPANS; i++)
    walk_forget(&all->all[i]);
}

static inline bool walk_word_holds(const struct walk_word *w) {
  return *(const uint64_t *)w->at == w->is;
}

/* The end of those that do not still say the same; `first`: all do. */
static inline const struct walk_word *walk_words_hold(const struct walk_word *first,
                                                      const struct walk_word *end) {
  const struct walk_word *four = first + 4;
  while (end >= four && walk_word_holds(end - 1) && walk_word_holds(end - 2) &&
         walk_word_holds(end - 3) && walk_word_holds(end - 4))
    end -= 4;
  for (; end > first; end--)
    if (!walk_word_holds(end - 1)) return end;
  return first;
}

/* The two where a walk from that place may be kept. */
static inline struct walk_kept *walk_two(struct walks *all, uint64_t rsp, uint64_t key) {
  return &all->kept[(rsp ^ key) * HASH_STEP >> (64 - WALKS_KEPT_LOG) << 1];
}
static inline bool walk_is_from(const struct walk_kept *k, uint64_t rsp, uint64_t key) {
  return k->rsp == rsp && k->key == key;
}
/* The one that is from there, if any is. */
static inline struct walk_kept *walk_from(struct walks *all, uint64_t rsp, uint64_t key) {
  struct walk_kept *two = walk_two(all, rsp, key);
  return walk_is_from(two, rsp, key) ? two : two + 1;
}

/* The one that is to be it. */
static inline struct walk_kept *walk_place_for(struct walks *all, uint64_t rsp,
                                               uint64_t key, uint32_t site) {
  struct walk_kept *one = walk_two(all, rsp, key), *other = one + 1;
  if (one->site == site || walk_is_from(one, rsp, key)) return one;
  if (other->site == site || walk_is_from(other, rsp, key)) return other;
  if (!one->rsp) return one;
  return !other->rsp || site % 2 ? other : one;
}

/* The last walk's words, for `k`; or where they are. */
const struct walk_word *walk_copy_for(struct walks *all, const struct walk_kept *k);

/* Keep the last one whole, if it can be, as the owner's `site` and `counter`: until the
 * next walk begins, and for longer if it was the last one from its place before. `epoch`
 * was that of the process before this one began. */
static inline void walk_keep(struct walks *all, const struct walk *w, uint32_t epoch,
                             uint32_t site, struct ul_counter *counter) {
  if (UNLIKELY(!epoch || w->joinable < w->depth)) return;
  const struct walk_frame *f = &w->frames[w->depth - 1];
  struct walk_kept *k = walk_place_for(all, f->rsp, f->key, site);
  bool again = k->site == site;
  k->rsp = 0;
  atomic_signal_fence(memory_order_seq_cst);
  k->first = UNLIKELY(again) ? walk_copy_for(all, k) : w->words;
  all->latest = LIKELY(k->first == w->words) ? k : NULL;
  k->key = f->key;
  k->rbp = f->rbp;
  k->end = k->first + f->words;
  k->counter = counter;
  k->site = site;
  k->epoch = epoch;
  k->needs_rbp = f->needs_rbp;
  atomic_signal_fence(memory_order_release);
  k->rsp = f->rsp;
}

/* Would that be the same walk again, which was kept? If not, it is asked no more, for the
 * next walk from there is kept in its place; and what it has seen helps that. */
static inline bool walk_is_same(struct walks *all, struct walk_kept *k,
                                struct walk_state from, uint32_t epoch) {
  if (!walk_is_from(k, from.rsp, from.key) || k->epoch != epoch ||
      (k->needs_rbp && k->rbp != from.rbp))
    return false;
  const struct walk_word *end = walk_words_hold(k->first, k->end);
  if (LIKELY(end == k->first)) return true;
  k->epoch = 0;
  if (k == all->latest) all->changed = end;
  return false;
}
#endif
