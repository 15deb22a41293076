/* match.h - the call stacks of two recordings, told which are the same.
 *
 * A stack is the chain of its functions (fingerprint.h: the program's own, each once, out
 * to main). Another build may have inlined or called last what stood in between, so only
 * functions count that both recordings have somewhere; stacks that agree in them are a
 * group. Its amounts are compared, and a function that only one of them has matters where
 * its group differs. A function that is there in general may still be missing in one
 * stack: of different builds, a group that has grown and one that has shrunk are one if
 * they differ by missing links alone and the difference cancels, or begins at the
 * same innermost function. */
#ifndef ULLAGE_MATCH_H
#define ULLAGE_MATCH_H

#include "answers/context.h"

#include <uthash.h>

enum { MATCH_SIDES = 2 };

struct match_function {
  uint64_t key; /* fingerprint_function() */
  bool in[MATCH_SIDES];
  uint32_t number[MATCH_SIDES]; /* in the functions of that side, if it is there */
  size_t index;                 /* of all of them */
  uint64_t stamp;               /* of the last stack in which it was */
  UT_hash_handle hh;
};
static inline bool match_common(const struct match_function *f) {
  return f->in[0] && f->in[1];
}

/* What a call site of one side holds. */
struct match_part {
  unsigned side;
  uint32_t site;
  struct ul_amount amount;
  struct match_whole *whole;
  struct match_part *next; /* of the group */
};

/* Parts with the same stack, functions that only one side has included. */
struct match_whole {
  uint64_t hash;
  struct ul_amount at[MATCH_SIDES];
  UT_hash_handle hh;
};

struct match_group {
  uint64_t hash;
  struct match_function **chain; /* that both have, innermost first */
  size_t length;
  struct ul_amount at[MATCH_SIDES];
  struct match_part *parts;
  size_t change; /* for who uses it */
  UT_hash_handle hh;
};
/* 1: there is more of it after than before, -1: less, 0: neither. */
int match_sign(const struct ul_amount at[MATCH_SIDES]);

struct match {
  struct process *of[MATCH_SIDES];
  struct match_function *functions;
  struct match_function **by_number[MATCH_SIDES]; /* of `count` functions */
  uint32_t count[MATCH_SIDES];
  struct match_function **chain; /* of one stack */
  size_t chain_room;
  uint64_t stamps;
  struct match_group *groups;
  struct match_whole *wholes;
};

/* Of a function of that side; NULL: it is not the program's own. */
static inline struct match_function *match_function(const struct match *m, unsigned side,
                                                    uint32_t number) {
  return number < m->count[side] ? m->by_number[side][number] : NULL;
}

/* NULL: no memory. */
struct match *match_new(struct process *const of[MATCH_SIDES]);
void match_free(struct match *);
/* Forgets what was added. */
void match_clear(struct match *);
/* false: no memory. */
bool match_add(struct match *, unsigned side, uint32_t site, struct ul_amount amount);
/* Of different builds: the groups that are one (above). */
void match_reconcile(struct match *);

/* The functions of a site's stack, each once, innermost first, those of the other side
 * not looked for. *out is good until the next call. */
size_t match_stack(struct match *, unsigned side, uint32_t site,
                   struct match_function *const **out);
#endif
