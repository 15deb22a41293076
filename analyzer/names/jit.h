/* jit.h - names of code that a language's runtime made while it ran.
 *
 * Such code lies in no file. Runtimes that are asked to (node --perf-basic-prof, python3
 * -X perf, java with perf-map-agent ...) tell in /tmp/perf-PID.map, for perf, where they
 * have put which function: a line each, "START SIZE NAME", numbers in hexadecimal
 * (tools/perf/Documentation/jit-interface.txt of Linux). */
#ifndef ULLAGE_NAMES_JIT_H
#define ULLAGE_NAMES_JIT_H

#include <stdint.h>

struct recording;
struct jit;

struct jit_function {
  uint64_t start, end;
  const char *name;
  const char *file; /* NULL: not told */
  unsigned line;    /* 0: not told */
};

/* NULL: there is no such file, or it is not of this process. */
struct jit *jit_load(const struct recording *);
void jit_free(struct jit *); /* NULL is fine */
/* The function at an address; NULL: not known. Of several that were there in turn it is
 * the last. It belongs to `jit`, which may be NULL. */
const struct jit_function *jit_find(const struct jit *jit, uint64_t address);

#endif
