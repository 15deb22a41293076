/* A server forks for each client; each does its work and exits. */
#include "../corpus.h"
#include <sys/wait.h>

static void client(void) {
  for (int i = 0; i < 100; i++)
    free(corpus_use(malloc(500), 500));
  exit(0);
}

int main(void) {
  char *table = corpus_use(malloc(100000), 100000);
  EACH_STEP(i) {
    free(corpus_use(malloc(500), 500));
    if (i % 100) continue;
    if (fork() == 0) client();
    wait(NULL);
  }
  free(table);
}
