/* kind: leak
 * culprit: buffer_of_thread
 * A key of threads without a destructor: each thread that ends leaves its buffer. */
#include "../corpus.h"
#include <pthread.h>

static pthread_key_t key;

static char *buffer_of_thread(void) {
  char *buffer = pthread_getspecific(key);
  if (!buffer) {
    buffer = malloc(2000);
    pthread_setspecific(key, buffer);
  }
  return buffer;
}
static void *serve(void *what) {
  for (int i = 0; i < 20; i++) {
    char *line = corpus_use(malloc(100), 100);
    corpus_use(buffer_of_thread(), 100);
    free(line);
  }
  return what;
}

int main(void) {
  pthread_key_create(&key, NULL);
  EACH_STEP(i) {
    pthread_t thread;
    if (i % 4) continue;
    pthread_create(&thread, NULL, serve, NULL);
    pthread_join(thread, NULL);
  }
}
