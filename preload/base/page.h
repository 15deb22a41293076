/* page.h - the page that the kernel wipes in every forked child (MADV_WIPEONFORK), so
 * that even the child of a raw clone, for which no handler runs, cannot go on writing
 * into its parent's recording. */
#ifndef ULLAGE_PAGE_H
#define ULLAGE_PAGE_H

#include "base/os.h"

#include <stdbool.h>
#include <stdint.h>

struct process_guard {
  _Alignas(OS_PAGE) uint32_t epoch; /* with nothing else on its page */
};
enum {
  EPOCH_UNKNOWN, /* this is a child that nobody has told us of, or nothing has begun yet
                  */
  EPOCH_IDLE,    /* nothing is recorded */
  EPOCH_FIRST    /* this and all above: allocations go to the ledger */
};
/* ... and from here on each free is looked at, none goes the fast way, which takes them
 * for negative numbers. */
#define EPOCH_WATCHED (1u << 31)
/* Hidden, as all that the fast way reads: or else its address is loaded first, for it
 * might be another object's. */
extern struct process_guard process_guard __attribute__((visibility("hidden")));

/* No two epochs have the same number. What is remembered of stacks from one to the next
 * event holds as long as this stays: so one comparison tells that we record, as before,
 * in the same process, and that no code has gone. */
static inline uint32_t process_epoch(void) {
  return __atomic_load_n(&process_guard.epoch, __ATOMIC_RELAXED);
}
static inline bool process_recording(void) {
  return process_epoch() >= EPOCH_FIRST;
}

static inline bool process_watches_frees(void) {
  return (int32_t)process_epoch() < 0;
}

/* Nothing is recorded yet. */
void page_begin(void);
bool page_begun(void);
/* Has it been wiped, that is: are we in a child and have not been told? */
bool page_wiped(void);
/* Now we know of the child. */
void page_renew(void);
/* Before the page was begun, nothing happens. */
void page_set_recording(bool on);
/* From the next epoch on. */
void page_watch_frees(void);
/* Code has gone: if we record, another epoch begins. */
void page_next_epoch(void);
#endif
