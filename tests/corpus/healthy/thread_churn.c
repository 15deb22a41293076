/* Threads come and go, each with what it needs. */
#include "../corpus.h"
#include <pthread.h>

static void *serve(void *what) {
  char *parts[50];
  for (int i = 0; i < 50; i++)
    parts[i] = corpus_use(malloc(300), 300);
  for (int i = 0; i < 50; i++)
    free(parts[i]);
  return what;
}

int main(void) {
  EACH_STEP(i) {
    pthread_t thread;
    pthread_create(&thread, NULL, serve, NULL);
    pthread_join(thread, NULL);
  }
}
