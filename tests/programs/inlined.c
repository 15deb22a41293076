/* inlined.c - built with -O2: the guilty line is in an inlined function. */
#include "common.h"

static void *kept[500];

static inline __attribute__((always_inline)) void *make_item(size_t bytes) {
  return malloc(bytes); /* MARK make_item */
}
static inline __attribute__((always_inline)) void *make_pair(size_t bytes) {
  return make_item(2 * bytes); /* MARK make_pair */
}
static NOINLINE void fill(void) {
  for (int i = 0; i < 500; i++)
    kept[i] = make_pair(50); /* MARK fill */
  memset(kept, 0, sizeof kept);
}

int main(void) {
  fill();
  scrub_stack();
  return 0;
}
