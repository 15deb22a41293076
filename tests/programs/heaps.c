/* heaps.c - one thread or eight, each of which keeps little of what it had:
 *   heaps alone | heaps eight */
#include "common.h"

#include <pthread.h>

enum { BLOCKS = 4000, EACH = 200, THREADS = 8 };
static pthread_barrier_t all;
static char *kept[THREADS][BLOCKS / EACH];

static void *work(void *number) {
  static __thread char *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++)
    memset(blocks[i] = malloc(500), 1, 500);
  for (int i = 0; i < BLOCKS; i++) {
    if (i % EACH)
      free(blocks[i]);
    else
      kept[(size_t)number][i / EACH] = blocks[i];
  }
  pthread_barrier_wait(&all); /* nobody takes over the heap of one that has ended */
  return NULL;
}

int main(int argc, char **argv) {
  size_t n = argc > 1 && !strcmp(argv[1], "eight") ? THREADS : 1;
  pthread_t threads[THREADS];
  CHECK(pthread_barrier_init(&all, NULL, (unsigned)n) == 0);
  for (size_t i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  for (size_t i = 0; i < n; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  return 0;
}
