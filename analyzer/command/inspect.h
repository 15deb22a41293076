/* inspect.h - will recording this program work? Asked before it is started.
 *
 * Looks at the file execvp would run, follows scripts to their interpreters, and says
 * what stands in the way: a preloaded library is only seen by a dynamically linked
 * x86-64 program of glibc that gains no privileges when it starts. */
#ifndef ULLAGE_INSPECT_H
#define ULLAGE_INSPECT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum inspect_status {
  INSPECT_FINE = 0,
  INSPECT_UNUSABLE = 126, /* found, but cannot be run or recorded; as a shell's status */
  INSPECT_NOT_FOUND = 127
};

struct inspection {
  enum inspect_status status;
  char reason[512];       /* one line without newline, unless FINE */
  char path[PATH_MAX];    /* what execvp finds for the name */
  char program[PATH_MAX]; /* the ELF file in the end: differs for scripts */
  bool python;            /* `program` is CPython */
  bool glib;              /* it is linked with glib */
};

/* Fills in everything; the result is its status. */
enum inspect_status inspect_program(const char *name, struct inspection *result);

/* If an ELF file brings an allocator of its own, which would leave us blind: a phrase
 * such as "it defines malloc itself" that completes "PROGRAM ...: ". NULL: no sign of it.
 */
const char *inspect_allocator(const char *path);
/* The same of a library that a program has loaded. (One that defines malloc is replaced.)
 */
const char *inspect_library_allocator(const char *path);
#endif
