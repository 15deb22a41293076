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
 * stack up to them is known by. One walk for each heap, used by its owner. */
#ifndef ULLAGE_WALK_H
#define ULLAGE_WALK_H

#include "stack/rule.h"

#include <stdbool.h>
#include <stdint.h>

/* Frames, at most. Of a deeper stack only the innermost WALK_CUT_DEPTH are told. */
#define WALK_DEPTH_MAX 1024u
#define WALK_CUT_DEPTH 64u

struct walk_frame {
  uint64_t key; /* where it continues; RULE_EXACT if a signal came in there */
  uint64_t rsp, rbp;
  uint64_t hash;       /* of this frame, all outside it and how the stack ends */
  uint32_t words;      /* of the walk's words: by which its outer frames were found */
  uint32_t node, site; /* the caller's; 0 when the frame is new */
  bool needs_rbp;      /* to find the outer frames */
};

struct walk {
  struct walk_frame *frames; /* outermost first */
  uint32_t depth;
  uint32_t end;  /* UL_NODE_ROOT, _CUT or _BROKEN */
  uint32_t site; /* the caller's, of all of it; 0 after each walk */
  /* The rest is walk.c's. */
  uint32_t joinable;  /* frames, from the outermost, of which state and words are known */
  uint32_t unchanged; /* of these, as far as walk_is_same() has seen */
  uint32_t size;      /* room */
  uint64_t deep; /* from here inwards (RSP) the stack is deeper than WALK_DEPTH_MAX */
  uint64_t generation;     /* of modules */
  struct walk_word *words; /* outermost first */
  struct walk_step *steps;
};

static inline uint64_t walk_ip(const struct walk_frame *f) {
  return rule_address(f->key);
}

/* From the frame that continues at `ip`. w->depth is 0 if there is no memory. Errno is
 * kept; meta_alloc is called. */
struct walk_state {
  uint64_t key, rsp, rbp;
};
void walk_by_rule(struct walk *w, struct walk_state from);

/* Would that be the same walk again? If not, what it has seen helps the next walk. */
bool walk_is_same(struct walk *w, struct walk_state from);

/* Make it the walk along these return addresses, innermost first. */
bool walk_set(struct walk *w, const uint64_t *ips, uint32_t depth, uint32_t end);

/* Nothing is kept any more: another thread, or modules have gone. */
static inline void walk_forget(struct walk *w) {
  w->depth = w->site = w->joinable = 0;
  w->deep = 0;
}
#endif
