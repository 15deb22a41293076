/* corpus.h - what the programs of the corpus share: a run of 1,000 steps, and chance.
 *
 * A machine that is busy makes a run longer, never different: its steps are counted, and
 * chance is a sequence that CORPUS_SEED chooses. CORPUS_MS is how long all steps wait
 * together. */
#ifndef CORPUS_H
#define CORPUS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS 1000u
#define EACH_STEP(i) for (unsigned i = 0; i < STEPS; i++, corpus_rest())

static inline unsigned corpus_number(const char *name, unsigned otherwise) {
  const char *text = getenv(name);
  return text ? (unsigned)atoi(text) : otherwise;
}

static inline void corpus_rest(void) {
  static unsigned each = UINT32_MAX;
  if (each == UINT32_MAX) each = corpus_number("CORPUS_MS", 1000) * 1000 / STEPS;
  if (each) usleep(each);
}

static inline unsigned corpus_chance(unsigned below) {
  static uint64_t state;
  if (!state) state = 88172645463325252u + corpus_number("CORPUS_SEED", 1);
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 20) % below;
}

/* Writes what was allocated, as programs do, and hides it from the optimizer. */
static inline void *corpus_use(void *p, size_t bytes) {
  if (p) memset(p, 1, bytes);
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}
#endif
