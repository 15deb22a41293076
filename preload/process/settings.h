/* settings.h - the ULLAGE_* variables, read once. docs/guide.md describes them. */
#ifndef ULLAGE_SETTINGS_H
#define ULLAGE_SETTINGS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Which children keep their recordings: those that ... */
enum settings_keep {
  KEEP_TELLING, /* ... have something to tell (child.h) */
  KEEP_LOST,    /* ... have lost something, or freed something wrongly */
  KEEP_ALL
};

struct settings {
  char file[PATH_MAX]; /* absolute; patterns expanded */
  char tree[PATH_MAX]; /* "", or where each process has a `file` of its own (%p): another
                          that they have in common */
  int main_pid;        /* whose recording is `file`; 0: nobody said */
  bool record, children, scan, check, writes, frees, guard;
  unsigned depth, stacks;
  unsigned abort_on;   /* bit 1 << enum ul_misuse_kind for each that ends the program */
  unsigned heuristics; /* bit 1 << enum ul_heuristic for each that counts */
  char programs[PATH_MAX]; /* pattern.h: which others than the main one are recorded */
  enum settings_keep keep;
  unsigned children_max; /* recordings that children may leave */
  unsigned mode;         /* permissions of what is written */
  uint64_t disk;         /* bytes that all of a tree may have there; 0: nobody said */
  uint64_t snapshot_ms;
  unsigned scan_limit;          /* seconds; UINT_MAX: none */
  uint64_t sample, sample_seed; /* as sample_begin() has them */
  bool sample_later;            /* not before stacks cost more than ... */
  unsigned sample_share;        /* ... so many percent of the time */
  const char *faults;
};
extern struct settings settings;

/* From the environment. A value that cannot be used is said on standard error, once, and
 * the default taken. */
void settings_read(void);
#endif
