/* common.h - what the test programs share. */
#ifndef TESTS_COMMON_H
#define TESTS_COMMON_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      fprintf(stderr, "%s:%d: %s: failed\n", __FILE__, __LINE__, #condition);            \
      exit(99);                                                                          \
    }                                                                                    \
  } while (0)

/* The compiler must not see that a block is never used. */
static inline void *keep(void *p) {
  __asm__ volatile("" : "+r"(p) : : "memory");
  return p;
}

/* A conservative scan takes what it finds in dead stack frames for pointers:
 * overwrite them, so that the expected verdicts are exact. */
static NOINLINE __attribute__((unused)) void scrub_stack(void) {
  volatile char dead[128 * 1024];
  for (size_t i = 0; i < sizeof dead; i++)
    dead[i] = 0;
  __asm__ volatile("" : : : "rbx", "r12", "r13", "r14", "r15", "memory");
}

static inline void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&t, &t) == -1 && errno == EINTR)
    continue;
}

/* X of 0 to 15: as many functions that differ in nothing but where they are, say. */
#define SIXTEEN(X)                                                                       \
  X(0)                                                                                   \
  X(1)                                                                                   \
  X(2)                                                                                   \
  X(3)                                                                                   \
  X(4)                                                                                   \
  X(5)                                                                                   \
  X(6)                                                                                   \
  X(7)                                                                                   \
  X(8)                                                                                   \
  X(9)                                                                                   \
  X(10)                                                                                  \
  X(11)                                                                                  \
  X(12)                                                                                  \
  X(13)                                                                                  \
  X(14)                                                                                  \
  X(15)

/* xorshift: the same numbers on every machine. */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

/* A pointer kept where a scan cannot recognise it: not inverted, as ullage itself has
 * those in its hands that are not the program's yet (hidden.h). */
#define HIDDEN UINT64_C(0x5a5a5a5a5a5a5a5a)
static inline uintptr_t hide(void *p) {
  return (uintptr_t)p ^ HIDDEN;
}
static inline void *unhide(uintptr_t h) {
  return (void *)(h ^ HIDDEN);
}
#endif
