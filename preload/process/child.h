/* child.h - processes other than the main one: which of them are worth a recording of
 * their own, and the one line that is left of those that have nothing to tell. */
#ifndef ULLAGE_CHILD_H
#define ULLAGE_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/* Enough memory, time or leaks for a report of its own? */
bool child_has_something_to_tell(void);
/* The same before the last words, as things are: nothing that they could add to, so that
 * a process with one thread may do without most of them. */
bool child_has_nothing_to_tell(void);
/* Is there memory enough for the scan to change the answer? */
bool child_might_have_leaks_to_tell(void);
/* May one more child leave a recording? Counts it if so, in the main process's header; a
 * main recording that cannot be found or written forbids nothing. */
bool child_may_keep(void);
/* Add its line to FILE.children (lost bytes: "-" if there was no scan; kind: how it
 * ended, "other" if ULLAGE_PROGRAMS does not name it); false: it could not be written. */
bool child_fold(void);
/* A program of those that are asked for was started without ullage, which it cannot have:
 * a line of the kind "unfit" says so; of one whose LD_PRELOAD was taken away, "bare". */
void child_note_without_us(const char *program, bool unfit);
#endif
