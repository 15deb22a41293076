/* book.h - what the ledger and the account keep for each heap, behind it in memory. Made
 * with the heap (heap_owner of watch.h); a heap that is made when nobody watches has
 * none, and then nothing is recorded any more. */
#ifndef ULLAGE_BOOK_H
#define ULLAGE_BOOK_H

#include "base/hidden.h"
#include "format.h"
#include "heap/types.h"
#include "stack/walk.h"

#define RECENT_BLOCKS 4

/* What a heap of a sampled recording needs for most of its blocks (sample.h). What was
 * granted is a number of bytes that may be allocated, or freed, without a further look:
 * below SAMPLE_GRANT_MAX. Who is found below 0 was outrun by a signal handler. */
#define SAMPLE_GRANT_MAX (16 << 10)
struct sample {
  int64_t left, left_to_free; /* of what was granted */
  uint64_t word;              /* of a block without a stack: site and birth */
  struct ul_counter *counter; /* of that site */
  uint32_t epoch;             /* in which all this holds (page.h) */
  uint32_t slow;              /* allocations to come that are looked at one by one */
  int64_t beyond;             /* bytes to the next point, behind what is left */
  uint64_t random;            /* state */
};

/* What it costs to know the stacks (sample.h): one is timed now and then, and stands for
 * all since the one before. */
struct book_timing {
  uint64_t ns;    /* so far, by that */
  uint32_t until; /* recent_next, when one was timed last */
};

/* The clock as the owner last saw it: nearly always it is the same still. */
struct book_clock {
  uint64_t tick;  /* os_tick() */
  uint64_t ms;    /* since the start */
  uint64_t birth; /* where an entry has it */
};

/* Blocks that were freed, and are kept from their heaps for a while (guard.h). */
struct quarantine {
  hidden *blocks;      /* a ring; NULL until there is one */
  uint32_t first, end; /* how many have left it, and have come */
  size_t bytes;
  bool at_work; /* a handler that finds this keeps nothing */
};

/* What this heap's owners allocated minus what they freed, of anybody's; may be negative;
 * only the sum over all heaps has a meaning. Written by the owner (book_add), and read by
 * whoever takes a snapshot. */
struct book {
  struct heap heap;
  struct sample sample;
  struct book_clock clock;
  int64_t live;                   /* requested bytes, see book_live() */
  int64_t usable_bytes;           /* of the blocks that lie in pools */
  _Atomic int64_t ceiling, floor; /* of live bytes: who leaves them reports ... */
  _Atomic int64_t reported;       /* ... so much so far (peak.c) */
  struct ul_counter **chunks;     /* [site / UL_CHUNK_SITES]: its counters here */
  uint32_t chunks_size;
  uint32_t recent_next;
  void *recent[RECENT_BLOCKS]; /* the last blocks allocated: temporary if freed now */
  struct walks walks;          /* its owner's last ones */
  struct book_timing timing;
  struct quarantine quarantine;
  uint32_t index; /* in UL_HEAPS */
};

static inline struct book *book_of(struct heap *h) {
  return (struct book *)h;
}

/* By one instruction, which no signal handler divides. */
static inline void book_add(int64_t *sum, int64_t bytes) {
  __asm__("addq %1, %0" : "+m"(*sum) : "er"(bytes));
}
static inline void book_subtract(int64_t *sum, int64_t bytes) {
  __asm__("subq %1, %0" : "+m"(*sum) : "er"(bytes));
}

/* Requested bytes. What was granted is in `live` as if it were used up, so that who uses
 * it has one number to write. */
static inline int64_t book_live(const struct book *b) {
  return __atomic_load_n(&b->live, __ATOMIC_RELAXED) -
         __atomic_load_n(&b->sample.left, __ATOMIC_RELAXED) +
         __atomic_load_n(&b->sample.left_to_free, __ATOMIC_RELAXED);
}

/* Sums over all heaps; exact when no other thread is allocating. */
struct book_totals {
  int64_t live_bytes, usable_bytes;
  uint64_t tail_bytes;
  uint64_t timed_ns; /* what it cost to know the stacks */
  unsigned heaps;
};
struct book_totals book_totals(void);
#endif
