/* magazine.h - blocks that a thread has freed, at hand for its next allocations: for
 * each class of a heap a small stack of rounds (Bonwick's words); a round is a block and
 * the place of its ledger entry. While a round is there malloc touches neither pool nor
 * block; while there is room free needs of the pool only what nobody writes, and not the
 * block. Nor does each block move its pool between full and used.
 *
 * What must hold of it:
 *
 *   free     A block in a magazine is free for everybody but its pool. It has no live
 *            ledger entry, so it is free in the account, the census and the recording,
 *            survivors pin it, and to free it again is noticed. For its pool it is live:
 *            so the pool stays, and with it the place of the entry.
 *   own      All are of the heap's own pools. What other heaps' pools get back goes home
 *            (outbox.h), or two threads would write the same lines of blocks and entries
 *            from then on.
 *   alone    It is its owner's. Who takes the heap over has no business with it, so
 *            `inside` is not stored around what is done here, and at most MAGAZINE_BYTES
 *            a class lie there while the owner sleeps. It goes with its heap: to who
 *            adopts it; in a forked child those of threads that are not there stay.
 *   adopted  Each store of a magazine's top releases, so that who adopts it has only to
 *            acquire (magazine_adopt): on x86-64 that is what a store does anyway.
 *   signals  A handler may come at any moment, and take and free. While blocks go back
 *            to their pools the magazine is shut, which is: full and empty.
 *   full     The older half goes back. Who only frees needs no magazine, and would leave
 *            the last blocks of a phase in it, each in another pool that could be given
 *            back. So if it is full again without having been below what it was left
 *            with, all goes back and it stays shut, until the class is allocated from.
 *   growth   Blocks that were never carved come from their pool, past it.
 *   many     It is made when its class has freed MAGAZINE_AFTER blocks, if its heap has
 *            fewer than heap_magazines_most(): thousands of threads would have them all,
 *            each with pages. */
#ifndef ULLAGE_MAGAZINE_H
#define ULLAGE_MAGAZINE_H

#include "heap/class.h"
#include "heap/types.h"

enum { MAGAZINE_ROUNDS = 15, MAGAZINE_BYTES = 8 << 10, MAGAZINE_AFTER = 16 };

/* The lowest round stands for "none": its block is NULL. Smaller magazines begin further
 * up, so that the end is at a multiple of the size. */
struct magazine {
  _Alignas(256) struct round rounds[MAGAZINE_ROUNDS + 1];
};

/* A new heap's. */
void magazine_begin(struct heap *h);

/* The round that came last; if there is none, its block is NULL. */
static inline struct round *magazine_top(const struct heap *h, unsigned class) {
  return atomic_load_explicit(&h->magazines[class], memory_order_relaxed);
}
static inline void magazine_set(struct heap *h, unsigned class, struct round *top) {
  atomic_store_explicit(&h->magazines[class], top, memory_order_release);
}
static inline void magazine_pop(struct heap *h, unsigned class, struct round *top) {
  magazine_set(h, class, top - 1);
}
static inline bool magazine_is_full(const struct round *top) {
  return ((uintptr_t)top + sizeof *top) % sizeof(struct magazine) == 0;
}
static inline bool magazine_push(struct heap *h, unsigned class, void *block,
                                 uint64_t *entry) {
  struct round *top = magazine_top(h, class), *next = top + 1;
  if (UNLIKELY(magazine_is_full(top))) return false;
  *next = (struct round){block, entry};
  magazine_set(h, class, next); /* its owner may die before */
  return true;
}

/* Is there room now? Else the block goes to its pool. */
bool magazine_make_room(struct heap *h, unsigned class);
static inline bool magazine_is_shut(struct heap *h, unsigned class) {
  return atomic_load_explicit(&h->shut, memory_order_relaxed) >> class & 1;
}
/* Do freed blocks go past it for now? */
static inline bool magazine_is_passed(struct heap *h, unsigned class) {
  uint64_t passed = atomic_load_explicit(&h->shut, memory_order_relaxed) | h->without;
  return passed >> class & 1;
}
/* The class is allocated from again. */
void magazine_open(struct heap *h, unsigned class);
/* The last block that came goes back to its pool, if there is one. Inside. */
void magazine_give_one(struct heap *h, unsigned class);
/* By who has it from a dead owner: it is seen as that one left it. */
void magazine_adopt(const struct heap *h);
/* All blocks go back to their pools. By the owner, inside; or when it is dead, by who has
 * taken the heap over. */
void magazine_empty(struct heap *h);

/* Bytes in the magazines of all heaps; not exact while other threads allocate. */
uint64_t magazine_bytes(void);
/* By the owner: all rounds; how many are the pool's. */
void magazine_each(const struct heap *h, void (*visit)(const struct round *r));
uint32_t magazine_count(const struct heap *h, const struct pool *p);
/* Aborts with a line if an invariant does not hold. As heap_check(). */
void magazine_check(const struct heap *h);
#endif
