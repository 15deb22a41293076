/* alive N PAIRS - N threads, all alive at the end, each of which takes and frees PAIRS
 * blocks, keeps every eighth until then, and so rises while others fall. */
#include "common.h"

#include <pthread.h>

static pthread_barrier_t finished;
static long pairs;

static void *work(void *argument) {
  void *kept[8] = {NULL};
  for (long i = 0; i < pairs; i++) {
    void **slot = &kept[i / 8 % 8], *p = keep(malloc(64 + (size_t)(i % 32) * 16));
    if (i % 8 == 0) {
      free(*slot);
      *slot = p;
    } else {
      free(p);
    }
  }
  pthread_barrier_wait(&finished);
  for (int i = 0; i < 8; i++)
    free(kept[i]);
  return argument;
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  unsigned n = (unsigned)atoi(argv[1]);
  pairs = atol(argv[2]);
  pthread_t *threads = calloc(n, sizeof *threads);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  pthread_barrier_init(&finished, NULL, n + 1);
  for (unsigned i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], &small, work, NULL) == 0);
  pthread_barrier_wait(&finished);
  for (unsigned i = 0; i < n; i++)
    pthread_join(threads[i], NULL);
  free(threads);
  return 0;
}
