/* ours.h - whose code a frame is, as far as the user says: by a pattern of its module, or
 * by the directory that its source or module lies in. */
#ifndef ULLAGE_OURS_H
#define ULLAGE_OURS_H

#include "names/frame.h"

#define OURS_MOST 32

struct ours_list {
  const char *at[OURS_MOST]; /* an absolute path, or a module's name (pattern.h) */
  bool seen[OURS_MOST];      /* by ours_see() */
  size_t count;
};
struct ours {
  struct ours_list mine, others;
  bool only;    /* what is not mine does not count */
  bool sources; /* ours_see() was told of some */
};

/* The frame to tell a stack by: from one outwards the first of mine; `otherwise`: there
 * is none. */
size_t ours_frame(const struct ours *, const struct frame *, size_t count, size_t from,
                  size_t otherwise);
/* Somebody has loaded that module, and allocated in code of that source; either may be
 * NULL. */
void ours_see(struct ours *, const char *file, const char *module);
/* Does what the guilty frame has done count? */
bool ours_counts(const struct ours *, const struct frame *guilty);
#endif
