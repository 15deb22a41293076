/* late.c - main returns while a second thread works. At no moment is a block lost but the
 * one in the thread's hand.
 *   late free      it frees, one by one, what it has allocated, and nothing else
 *   late allocate  it puts blocks into a tree of its own, and nothing else
 *   late resize    it makes a table of blocks longer and shorter
 * Each may block all signals ("late free masked"), so that it cannot be stopped. */
#include "common.h"
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

enum { BLOCKS = 400000, HELD = 1000 };
static void *table[BLOCKS];
static void **growing;
static volatile bool at_work;

/* Every 7919th, so that pools stay in use. */
static void free_all(void) {
  for (int i = 0; i < BLOCKS; i++)
    table[i] = malloc(48);
  for (long k = 0; k < BLOCKS; k++) {
    void *p = table[k * 7919 % BLOCKS];
    table[k * 7919 % BLOCKS] = NULL;
    free(p);
    if (k == BLOCKS / 10) at_work = true;
  }
}

struct tree {
  struct tree *child[4];
};
static struct tree *root;

static void allocate(void) {
  uint64_t random = 1;
  for (long i = 0;; i++) {
    struct tree **at = &root;
    for (uint64_t r = next_random(&random); *at; r = r >> 2 | r << 62)
      at = &(*at)->child[r & 3];
    *at = calloc(1, sizeof **at);
    if (i == BLOCKS / 10) at_work = true;
  }
}

static void resize(void) {
  size_t n = BLOCKS / 4;
  for (int i = 0;; i++) {
    n = n > 10 * BLOCKS ? BLOCKS / 40 : n + n / 8;
    growing = realloc(growing, n * sizeof *growing);
    if (i == 1000) at_work = true;
  }
}

static bool masked;
static void *work(void *mode) {
  sigset_t all;
  sigfillset(&all);
  if (masked) pthread_sigmask(SIG_BLOCK, &all, NULL);
  if (!strcmp(mode, "free")) free_all();
  if (!strcmp(mode, "allocate")) allocate();
  if (!strcmp(mode, "resize")) resize();
  pause();
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t t;
  masked = argc > 2;
  growing = calloc(BLOCKS / 4, sizeof *growing);
  for (int i = 0; i < HELD; i++)
    growing[i] = malloc(100);
  CHECK(argc > 1 && pthread_create(&t, NULL, work, argv[1]) == 0);
  while (!at_work)
    sleep_ms(1);
  return 0;
}
