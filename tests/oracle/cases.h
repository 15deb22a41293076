/* cases.h - one executable is many small programs: its argument says which it is to be.
 *
 * Each is a function, and each allocates and frees in functions of its own name or of
 * what they stand for, so that two tools' verdicts can be compared by the innermost frame
 * that is ours. `oracle --list` says which there are. */
#ifndef TESTS_ORACLE_CASES_H
#define TESTS_ORACLE_CASES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NOINLINE __attribute__((noinline))

struct oracle_case {
  const char *name;
  void (*run)(void);
  struct oracle_case *next;
};
void oracle_add(struct oracle_case *);

#define CASE(name)                                                                       \
  NOINLINE static void name(void);                                                       \
  __attribute__((constructor)) static void add_##name(void) {                            \
    static struct oracle_case this_case = {#name, name, NULL};                           \
    oracle_add(&this_case);                                                              \
  }                                                                                      \
  NOINLINE static void name(void)

/* The compiler must neither see what becomes of a pointer nor where it comes from. */
static inline void *keep(void *p) {
  __asm__ volatile("" : "+r"(p) : : "memory");
  return p;
}

/* A root. */
extern void *volatile held[64];

/* main itself is to allocate a block, to hold it, and to call exit. */
extern int main_holds;

/* What dead frames and registers still hold is no part of a case. */
void scrub(void);

/* Ends the process with a word if what must succeed did not. */
#define MUST(condition)                                                                  \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                    \
      _Exit(3);                                                                          \
    }                                                                                    \
  } while (0)

#ifdef __cplusplus
}
#endif
#endif
