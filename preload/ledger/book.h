/* book.h - what the ledger and the account keep for each heap, behind it in memory. Made
 * with the heap (heap_owner of watch.h); a heap that is made when nobody watches has
 * none, and then nothing is recorded any more. */
#ifndef ULLAGE_BOOK_H
#define ULLAGE_BOOK_H

#include "format.h"
#include "heap/types.h"
#include "stack/walk.h"

#define RECENT_BLOCKS 4

/* live_bytes, live_blocks, usable_bytes: what this heap's owners allocated minus what
 * they freed, of anybody's; may be negative; only the sum over all heaps has a meaning.
 * Written by the owner, by one instruction each, and read by whoever takes a snapshot. */
struct book {
  struct heap heap;
  int64_t live_bytes, live_blocks; /* requested bytes */
  int64_t usable_bytes;            /* of the blocks that lie in pools */
  _Atomic int64_t ceiling, floor;  /* of live_bytes: who leaves them reports ... */
  _Atomic int64_t reported;        /* ... so much so far (peak.c) */
  struct ul_counter **chunks;      /* [site / UL_CHUNK_SITES]: its counters here */
  uint32_t chunks_size;
  uint32_t recent_next;
  void *recent[RECENT_BLOCKS]; /* the last blocks allocated: temporary if freed now */
  struct sample {
    uint64_t left;            /* bytes to the next point; 0: none was drawn yet */
    uint64_t random;          /* state */
  } sample;                   /* sample.h */
  struct walks walks;         /* its owner's last ones */
  uint32_t index;             /* in UL_HEAPS */
};

static inline struct book *book_of(struct heap *h) {
  return (struct book *)h;
}

static inline int64_t book_live(const struct book *b) {
  return __atomic_load_n(&b->live_bytes, __ATOMIC_RELAXED);
}

/* Sums over all heaps; exact when no other thread is allocating. */
struct book_totals {
  int64_t live_bytes, live_blocks, usable_bytes;
  uint64_t tail_bytes;
  unsigned heaps;
};
struct book_totals book_totals(void);
#endif
