/* misuse.h - what the program hands to free and realloc and is no live block, and what it
 * writes where it should not (guard.h): how many of each kind, and at which places. */
#ifndef ULLAGE_MISUSE_H
#define ULLAGE_MISUSE_H

#include "format.h"

#include <stdbool.h>

/* Count one, of which all but count and ms is told. `site` is where it was called
 * (site.h), or UL_SITE_NONE: not recorded, or of an overrun that nobody has freed. Any
 * thread, no lock. Its place, or NULL. */
struct ul_misuse *misuse_note(enum ul_misuse_kind kind, const struct ul_misuse *);
/* It was none after all. */
void misuse_take_back(enum ul_misuse_kind kind, struct ul_misuse *noted);
/* Is the process to end by SIGABRT for one of these, as glibc's malloc would end it
 * (ULLAGE_ABORT_ON)? Says so. */
extern unsigned misuse_deadly; /* bit 1 << enum ul_misuse_kind */
bool misuse_is_deadly(enum ul_misuse_kind kind);
/* As ULLAGE_ABORT_ON has them. */
extern const char *const misuse_names[UL_MISUSES];
/* Has there been any, in this process? */
bool misuse_any(void);
#endif
