/* trace.h - from block to block, along the pointers that are in them.
 *
 * Only in the scan's own process, while it marks (mark.h), after census_take (census.h)
 * and roots_load (roots.h): module state. What has a tracer among its arguments may be
 * called by several threads at once, each with its own, in steps that are shared; all
 * else only by the one that marks. */
#ifndef ULLAGE_TRACE_H
#define ULLAGE_TRACE_H

#include "reach/census.h"
#include "reach/roots.h"

struct trace_from {
  struct pagemaps pagemaps;
  bool slack;          /* pointers may lie behind what was requested of a block, too */
  unsigned processors; /* to use; 0: all that there are */
  _Atomic uint32_t *enough; /* set by others: read no more */
  _Atomic uint64_t *looked; /* into so many blocks, so far */
};

/* Who follows pointers, and has blocks in hand. */
struct tracer;
/* That of the thread that marks. */
struct tracer *trace_mine(void);

/* What a step of the marker does about a pointer that lies at `at` and leads to a block,
 * `offset` bytes from its start; about those that change nothing it need not be asked. */
struct trace_step {
  void (*meet)(struct tracer *by, const struct found *f, uintptr_t offset, uintptr_t at);
  bool (*visited)(uint8_t state); /* the step has pushed a block in this state */
  /* A bit for each state in which nothing is due, whatever leads to the block. Of these,
   * in which there is what would tell of a handle (handle.h). No block that has come to
   * one leaves it in the step. */
  uint16_t settled, handled;
  bool shared; /* it does not matter who meets what first */
};
#define TRACE_IN(state) (1u << (state))
#define TRACE_ALL_BUT(states) (0xffffu & ~(unsigned)(states))

/* false: no memory. */
bool trace_begin(const struct trace_from *from);
/* Nothing is left to be read; from now on it is this step. */
void trace_enter(const struct trace_step *step);
/* What these words lead to will have been met when all is. */
void trace_words(uintptr_t start, uintptr_t end);
/* Let the block go from one state to another; false: it is in neither, or somebody has
 * just done it. */
bool trace_change(const struct found *f, uint8_t from, uint8_t to);
/* A block whose words are to be read. */
void trace_push(struct tracer *by, const struct found *f);
/* Read on until only what lies behind the beginnings of long blocks is left; or all. */
void trace_beginnings(void);
void trace_all(void);
/* When so many things have been settled nothing more can be learned, and all that is left
 * is left; and one of them has been. */
void trace_open(uint64_t things);
void trace_settle(struct tracer *by);
/* Have they all? */
bool trace_settled(void);
/* Whatever is still pushed will not be read. */
bool trace_ends(void);
/* It was enough for somebody else, and something is left. */
bool trace_cut(void);
#endif
