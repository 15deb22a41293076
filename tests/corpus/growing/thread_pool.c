/* kind: growth
 * culprit: publish
 * Workers of a pool put their results in a list that nobody takes them from. */
#include "../corpus.h"
#include <pthread.h>

struct result {
  struct result *next;
  double values[24];
};
static struct result *results;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void publish(const double *values) {
  struct result *r = malloc(sizeof *r);
  memcpy(r->values, values, sizeof r->values);
  pthread_mutex_lock(&lock);
  r->next = results;
  results = r;
  pthread_mutex_unlock(&lock);
}

static void job(unsigned n) {
  double *values = calloc(256, sizeof *values);
  for (unsigned i = 0; i < 256; i++)
    values[i] = n * i;
  publish(values);
  free(values);
}

static void *worker(void *unused) {
  EACH_STEP(i)
    for (unsigned k = 0; k < 4; k++)
      job(i * k);
  return unused;
}

int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    pthread_create(&threads[i], NULL, worker, NULL);
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i], NULL);
}
