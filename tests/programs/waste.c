/* waste.c - memory that is retained and not used, from known functions.
 * Prints "what function bytes". */
#include "common.h"
#include <malloc.h>

#define ITEMS 64000
#define EACH 64
static void *batch[ITEMS];

static NOINLINE void *transient(void) {
  return malloc(104); /* MARK transient */
}
static NOINLINE void *survivor(void) {
  return malloc(104); /* MARK survivor */
}
static NOINLINE void pin(void) {
  size_t usable = 0;
  for (int i = 0; i < ITEMS; i++) {
    batch[i] = i % EACH == 0 ? survivor() : transient();
    memset(batch[i], 1, 104);
  }
  for (int i = 0; i < ITEMS; i++)
    if (i % EACH) {
      usable += malloc_usable_size(batch[i]);
      free(batch[i]);
      batch[i] = NULL;
    }
  printf("pinned survivor %zu\n", usable);
}

static void *slacks[2000];
static NOINLINE void slack(void) {
  size_t sum = 0;
  for (int i = 0; i < 2000; i++) {
    slacks[i] = malloc(4097); /* MARK slack */
    memset(slacks[i], 1, 4097);
    sum += malloc_usable_size(slacks[i]) - 4097;
  }
  printf("slack slack %zu\n", sum);
}

static char *large;
static NOINLINE void untouched(void) {
  large = malloc(10 << 20); /* MARK untouched */
  memset(large, 1, 1 << 20);
  printf("untouched untouched %d\n", 9 << 20);
}

int main(void) {
  pin();
  slack();
  untouched();
  return 0;
}
