/* guard.h - blocks that show what was written behind their ends, and after they were
 * freed (ULLAGE_GUARD). guard.c says how. */
#ifndef ULLAGE_GUARD_H
#define ULLAGE_GUARD_H

#include "base/hidden.h"
#include "base/page.h"
#include "heap/class.h"
#include "ledger/ledger.h"

/* Every block that is in the ledger is guarded, or none is. */
extern bool guard_on __attribute__((visibility("hidden")));
/* More than what is requested, for the canary. */
enum { GUARD_ROOM = CLASS_ROOM };
static inline size_t guard_room(void) {
  return guard_on ? GUARD_ROOM : 0;
}

/* Before anything is recorded. */
void guard_begin(void);
/* In a forked child: what its parent has counted is the parent's. */
void guard_forget_history(void);

/* Those that look for damage return whether they have found any, and have it noted. */

/* A block that a heap has just given out, and that nothing says yet that it lives. */
bool guard_reuse(struct spot s, hidden block);
/* Its canary, before its entry is written. `fresh`: its content is nobody's. */
void guard_arm(struct spot s, hidden block, size_t requested, bool fresh);
/* The same of one that is longer or shorter now, where it is, and had `was` bytes. */
void guard_arm_again(struct spot s, hidden block, size_t was, size_t requested);
/* A block of which the ledger says `was` is freed, or resized, at that site. */
bool guard_look(struct spot s, hidden block, const struct ledger_line *was,
                uint32_t site);
/* Whose content comes to its end: what of it was never written? */
void guard_count(struct spot s, hidden block, const struct ledger_line *was);
/* Its content, when its entry is gone and before where it was freed is noted. */
void guard_spoil(struct spot s, hidden block);
/* Put it, which is spoilt and noted, back to its heap: later. */
bool guard_put(struct heap *h, struct spot s, hidden block);
/* All blocks, at the end. `last`: it comes once only. */
void guard_look_at_all(bool last);

/* What the program may write to. */
static inline size_t guard_usable(struct spot s, const void *block) {
  struct ledger_line line = {0};
  if (UNLIKELY(guard_on) && process_recording()) line = ledger_line(s, block);
  return line.entry ? line.requested : heap_usable(s);
}
#endif
