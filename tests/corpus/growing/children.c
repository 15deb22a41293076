/* kind: leak
 * culprit: handle_upload
 * A server forks for each client; the children lose, their parent does not. */
#include "../corpus.h"
#include <sys/wait.h>

static void handle_upload(int n) {
  char *part = malloc(700);
  snprintf(part, 700, "part %d", n);
  corpus_use(part, 100);
}
static void handle_ping(void) {
  free(corpus_use(malloc(100), 100));
}
static void client(void) {
  for (int i = 0; i < 300; i++) {
    handle_ping();
    if (i % 3 == 0) handle_upload(i);
  }
  exit(0);
}

int main(void) {
  EACH_STEP(i) {
    if (i % 200) continue;
    if (fork() == 0) client();
    wait(NULL);
  }
}
