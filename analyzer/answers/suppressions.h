/* suppressions.h - findings that are accepted, by the stacks they have: lists in the
 * syntax of LeakSanitizer or in that of Valgrind's memcheck, whichever a file is in.
 *
 * What a list says means here what it means to its own tool. Where that knows more than a
 * recording, the list is taken to mean all that it may: of the innermost frame in a
 * Valgrind list, which is the allocator's, only the family is known (malloc and calloc
 * are one). Kinds of errors that are none of ours (Cond, Value8 ...) are passed over. */
#ifndef ULLAGE_SUPPRESSIONS_H
#define ULLAGE_SUPPRESSIONS_H

#include "format.h"
#include "names/frame.h"

struct suppression {
  const char *name; /* of LSan: the pattern */
  const char *file; /* NULL: one that everybody has (suppressions_known.c) */
  unsigned line;
  uint64_t matched;    /* what came of it: findings, or the same of another process, */
  struct ul_amount of; /* ... and what they had lost */
};

/* NULL: no memory. Has those that are known already. */
struct suppressions *suppressions_new(void);
void suppressions_free(struct suppressions *);
/* false: the file is not understood; `error` has file, line and reason. */
bool suppressions_read(struct suppressions *, const char *path, char *error, size_t size);

size_t suppressions_count(const struct suppressions *);
const struct suppression *suppressions_at(const struct suppressions *, size_t i);

/* What was found: something lost, or a block freed wrongly. */
enum suppress_kind {
  SUPPRESS_LOSS,
  SUPPRESS_FREE, /* of what should not be freed, or not like that */
  SUPPRESS_WRITE /* beyond the end, or after free */
};
struct suppressible {
  enum suppress_kind kind;
  enum ul_verdict verdict; /* of what is lost */
  enum ul_family family;   /* of what is lost; 0: not known */
  struct symbols *symbols; /* of the frames */
  const struct frame *frames;
  size_t count; /* innermost first, hidden ones too */
};
/* The first that matches, which counts what is lost there; NULL: none does. */
const struct suppression *suppressions_match(struct suppressions *,
                                             const struct suppressible *,
                                             struct ul_amount of);

extern const char suppressions_known[]; /* in Valgrind's syntax */
#endif
