/* child.h - recordings of processes other than the main one: what their files are
 * called, and the one line that is left of those that have nothing to tell. */
#ifndef ULLAGE_CHILD_H
#define ULLAGE_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/* Open the recording's file for this process: settings.file for the main process,
 * settings.file.PID for others. A file of this very process, from before an exec, is
 * renamed FILE.1, FILE.2, ... 0, or -errno. */
int child_open_file(void);
/* Is this process the one that `settings.file` belongs to? */
bool child_is_main(void);

/* Enough memory, time or leaks for a report of its own? */
bool child_has_something_to_tell(void);
/* Is there memory enough for the scan to change the answer? */
bool child_might_have_leaks_to_tell(void);
/* May one more child leave a recording? Counts it if so, in the main process's header; a
 * main recording that cannot be found or written forbids nothing. */
bool child_may_keep(void);
/* Add its line to FILE.children (lost bytes: "-" if there was no scan); false: it could
 * not be written. */
bool child_fold(void);
#endif
