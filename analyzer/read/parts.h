/* parts.h - a recording from inside, for the files that read it: load.c brings it into
 * memory, check.c lets through only what is possible, life.c tells of its process, and
 * recording.c gives access. */
#ifndef ULLAGE_PARTS_H
#define ULLAGE_PARTS_H

#include "read/recording.h"

#define POOL_UNITS_MAX 32u

struct table {
  char *data;
  uint64_t count;
};

struct recording {
  struct ul_header header;
  struct table tables[UL_TABLES];
  char *path;
  int fd;             /* -1: everything is in `memory` */
  const char *memory; /* the whole file, when it could not be read at offsets */
  uint64_t file_bytes;
  uint64_t unsettled;
  uint64_t duration_ms; /* of a running process: to the opening */
  bool alive;           /* the process still runs */
  bool settled;         /* written to its end: an inconsistency is damage */
  char *error;
  size_t error_bytes;
  /* By estimate.c; NULL: all are as they are. */
  uint32_t *stacks;                 /* [site]: that by which its stack is known */
  struct ul_amount *leak_estimates; /* [leak]: the part of it that is one */
};

extern const struct part_layout {
  const char *name;
  uint32_t element_bytes;
} part_layout[UL_TABLES];

/* Element i, which is there. */
static inline void *part_at(const struct recording *r, enum ul_table t, uint64_t i) {
  return r->tables[t].data + i * part_layout[t].element_bytes;
}

/* Sets the error; false. */
__attribute__((format(printf, 2, 3))) bool part_fail(struct recording *r,
                                                     const char *format, ...);
/* An element that breaks the rules. If a writer may have been in the middle of it: count
 * it, true, and the caller blanks the element. Else it is damage: false, and the error
 * is set. */
__attribute__((format(printf, 2, 3))) bool part_damaged(struct recording *r,
                                                        const char *format, ...);
/* All tables are in memory: false, and the error is set, if one holds the impossible. */
bool part_check(struct recording *r);
/* Does the process still run: same pid and same start time? */
bool part_process_runs(const struct ul_header *h);
/* From what the recording says and, if its process runs, from the clock. */
void part_find_duration(struct recording *r);
#endif
