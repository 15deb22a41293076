/* children.h - the other processes of a run: those with recordings of their own
 * (FILE.PID, earlier programs of a process as FILE.PID.N), and those with nothing to
 * tell, or too many to keep, one line each in FILE.children. */
#ifndef ULLAGE_CHILDREN_H
#define ULLAGE_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct children {
  char **files; /* recordings, in order of number */
  size_t count;
  uint64_t folded; /* lines in FILE.children */
  uint64_t folded_allocations, folded_lost;
  uint64_t folded_peak; /* the largest */
  struct children_program {
    char *name;
    uint64_t count, allocations, lost;
    uint64_t peak;      /* the largest */
    uint64_t losers;    /* that have lost something */
    uint64_t unscanned; /* of which it is not known */
    uint64_t small;     /* of these: exited, with too little to be scanned */
    uint64_t misuses;   /* blocks freed or resized wrongly, at the places that are told */
    UT_hash_handle hh;
  } * programs; /* of the folded ones, by name; in order: most frequent first */
};

/* Looks beside the recording `path`; NULL: beside none. NULL: no memory. */
struct children *children_find(const char *path);
void children_free(struct children *);

/* Each line of FILE.children of the recording `path`, in its fields; what is no such line
 * is left out. */
enum children_field {
  CHILDREN_PID,
  CHILDREN_PPID,
  CHILDREN_KIND, /* how it ended; preload/process/child.h has the others */
  CHILDREN_STATUS,
  CHILDREN_MS,
  CHILDREN_ALLOCATIONS, /* of a place: blocks */
  CHILDREN_PEAK,
  CHILDREN_LOST,    /* bytes; "-": not known */
  CHILDREN_COMMAND, /* of a place: a tab and its call stack behind it (told.h) */
  CHILDREN_FIELDS
};
typedef void children_take(void *to, char *const fields[]);
void children_each_line(const char *path, children_take *, void *to);
/* Is the line about a place where a process lost something or freed wrongly (folded.h),
 * not about the process itself? */
bool children_is_place(char *const fields[]);
/* Of a program that was started without ullage. */
bool children_is_without_us(char *const fields[]);
/* The program of a command line, its first word without directories, to be freed. NULL:
 * no memory. */
char *children_program_of(const char *command);

/* Whether `name` is `base`, a dot and a number, perhaps followed by another dot and
 * number: what the files of children and of earlier programs are called. */
bool children_is_name(const char *name, const char *base);

/* Of the folded ones, how many are only because the limit was reached. `worth` is what
 * the main recording counts: header.children_kept. */
uint64_t children_beyond(const struct children *, uint64_t worth);
#endif
