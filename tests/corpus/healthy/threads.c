/* A pool of four threads and a queue that is always drained. */
#include "../corpus.h"
#include <pthread.h>

static struct job {
  struct job *next;
  char data[256];
} *jobs;
static int waiting, done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static void submit(void) {
  struct job *j = corpus_use(malloc(sizeof *j), sizeof *j);
  pthread_mutex_lock(&lock);
  j->next = waiting ? jobs : NULL;
  jobs = j;
  waiting++;
  pthread_cond_signal(&more);
  pthread_mutex_unlock(&lock);
}
static void *worker(void *unused) {
  for (;;) {
    pthread_mutex_lock(&lock);
    while (!waiting && !done)
      pthread_cond_wait(&more, &lock);
    if (!waiting) break;
    struct job *j = jobs;
    jobs = j->next;
    waiting--;
    pthread_mutex_unlock(&lock);
    char *result = corpus_use(malloc(1000), 1000);
    free(result);
    free(j);
  }
  pthread_mutex_unlock(&lock);
  return unused;
}

int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    pthread_create(&threads[i], NULL, worker, NULL);
  EACH_STEP(i)
    for (int k = 0; k < 10; k++)
      submit();
  pthread_mutex_lock(&lock);
  done = 1;
  pthread_cond_broadcast(&more);
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i], NULL);
}
