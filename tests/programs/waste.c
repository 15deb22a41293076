/* waste.c - memory that is retained and not used, from known functions.
 *   waste before    120 MB are pinned for a while, then all is freed
 *   waste lost      what pins is lost
 *   waste end       7 MB are pinned as it frees nearly all at its end
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

static void work_for(int all_ms) {
  for (int ms = 0; ms < all_ms; ms += 10) { /* who allocates now and then is measured */
    sleep_ms(10);
    free(keep(malloc(100)));
  }
}

enum { OLD = 120000, LONG_MS = 300 };
static void *olds[OLD];
static NOINLINE void *old_survivor(void) {
  return malloc(1000); /* MARK old_survivor */
}
static NOINLINE void *old_transient(void) {
  return malloc(1000);
}
static NOINLINE void pin_before(void) {
  for (int i = 0; i < OLD; i++) {
    olds[i] = i % 16 ? old_transient() : old_survivor();
    memset(olds[i], 1, 1000);
  }
  for (int i = 0; i < OLD; i++)
    if (i % 16) free(olds[i]);
  work_for(LONG_MS);
  for (int i = 0; i < OLD; i += 16)
    free(olds[i]);
  printf("before old_survivor %d\n", OLD / 16 * 15 * 1000);
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "before")) {
    pin_before();
    return 0;
  }
  if (argc > 1 && !strcmp(argv[1], "end")) {
    static char other[32 << 20]; /* not of the heap */
    memset(other, 1, sizeof other);
    work_for(LONG_MS);
    pin();
    return 0;
  }
  pin();
  if (argc > 1 && !strcmp(argv[1], "lost")) {
    memset(batch, 0, sizeof batch);
    return 0;
  }
  slack();
  untouched();
  return 0;
}
