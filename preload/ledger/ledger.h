/* ledger.h - the ledger: for each live block one entry (format.h) in the
 * recording; for each site and heap a line of counters.
 *
 * An entry is written by the thread that allocates, after the block is its own,
 * and cleared by the thread that frees, before the block is anybody else's: so
 * an entry has one writer at a time and needs no atomics. No fault in the ledger
 * reaches the allocator: it reads no entry. */
#ifndef ULLAGE_LEDGER_H
#define ULLAGE_LEDGER_H

#include "base/hidden.h"
#include "format.h"
#include "heap/heap.h"
#include "ledger/book.h"
#include "ledger/sample.h"
#include "recording/recording.h"

/* Record a block just allocated. site is not UL_SITE_NONE. ms: since the start. */
static inline void ledger_enter(struct heap *h, struct spot s, hidden block,
                                size_t requested, uint32_t site, enum ul_family family,
                                uint64_t ms);

/* All that the ledger says of a block, in bytes. */
struct ledger_line {
  uint64_t entry; /* 0: it is not in the ledger */
  size_t requested, usable;
};
static inline struct ledger_line ledger_line(struct spot s, const void *block);
/* The block, of which the ledger says `was`, is about to be freed by h's thread. */
static inline void ledger_clear(struct heap *h, struct spot s, void *block,
                                const struct ledger_line *was);
/* The block that lay at `old`, of which the ledger said `was`, is another now: it lies at
 * `block`, with its entry (heap_resize), or has stayed. For the ledger that is freed and
 * allocated anew; but at no moment is it without an entry, for the process may end at any
 * moment. */
void ledger_renew(struct heap *h, const struct ledger_line *was, hidden old,
                  struct spot s, hidden block, size_t requested, uint32_t site,
                  enum ul_family family, uint64_t ms);

/* Where the block at or around an address was allocated, or the one that was there last,
 * and if it was freed, where, as far as that was noted; UL_SITE_NONE: not known. Takes
 * the arena lock. */
struct ledger_past {
  uint32_t allocated, freed;
};
struct ledger_past ledger_past(const void *p);
/* Of a block of which the ledger said `was`, that was cleared, and is not given back yet.
 */
void ledger_note_freed(struct spot s, const void *block, const struct ledger_line *was,
                       uint32_t site);
/* Could the block have an entry? */
static inline bool ledger_covers(struct spot s) {
  return s.large ? s.large->record != NULL : s.pool->entries != NULL;
}
/* In a forked child: counters begin with what is live. */
void ledger_forget_history(void);
/* What all heaps have allocated at the sites for which `at` is true, and what of it is
 * live. */
struct ul_amount ledger_allocated(bool (*at)(uint32_t site));
struct ul_amount ledger_live(bool (*at)(uint32_t site));
/* Allocations and frees. */
uint64_t ledger_work(bool (*at)(uint32_t site));
/* Aborts with a line if the ledger of h's pools says more than the heap. Under the arena
 * lock, by h's thread. */
void ledger_check(struct heap *h);

#include "ledger/ledger_inline.h"
#endif
