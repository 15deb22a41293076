/* moment.h - what a process held at a moment of its run, as far as its recording says:
 * by call site, and by return address over all stacks that lead through it. A moment
 * knows of no leaks and of no unused memory.
 *
 * Moments have names: a time ("12s", "1.5m"), "peak", or that of a mark. A time is of the
 * nearest snapshot that still is there. */
#ifndef ULLAGE_MOMENT_H
#define ULLAGE_MOMENT_H

#include "read/recording.h"

struct moment {
  char name[72]; /* as it was asked for */
  bool is_peak;  /* or as near to it as a snapshot is */
  uint64_t ms;   /* since the process began */
  uint64_t live_bytes, live_blocks, allocations;
  uint64_t rss_bytes;      /* 0: not known */
  struct ul_amount *sites; /* by site; 0: less than least_site */
  struct ul_amount *codes; /* by index in UL_CODES; 0: less than least_code */
  uint64_t least_site, least_code;
};

/* NULL: `error` holds one line that says why, and what to do. */
struct moment *moment_find(const struct recording *r, const char *name, char *error,
                           size_t error_bytes);
void moment_free(struct moment *);

/* When it was, by the recording's clock; a time need not be that of a snapshot. false: as
 * above. */
bool moment_when(const struct recording *r, const char *name, uint64_t *ms, char *error,
                 size_t error_bytes);

/* Is there a mark of that name in the recording? */
bool moment_marked(const struct recording *r, const char *name);
/* The copy FILE@NAME of the recording, unless a mark of that name came later; NULL. */
struct recording *moment_copy(const struct recording *r, const char *name);
/* The names N of the copies FILE@N beside the recording FILE (`ullage mark`); *count of
 * them, to be freed with the list. */
char **moment_copies(const char *path, size_t *count);

/* Does the text say a time? "12s", "500ms", "2m", "1.5h", "12" (seconds). */
bool moment_time(const char *text, uint64_t *ms);
#endif
