/* leader.c - main leaves by pthread_exit, holding blocks; then threads come one after the
 * other and allocate, each in the heap that main has left. `leader fork`: in a child. */
#include "common.h"
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { BLOCKS = 1000, THREADS = 10 };

static void use_heap(void) {
  void *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++)
    blocks[i] = keep(malloc(100));
  for (int i = 0; i < BLOCKS; i++)
    free(blocks[i]);
}

static bool leader_has_ended(void) {
  char line[100] = "", path[40];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
  FILE *f = fopen(path, "r");
  CHECK(f && fgets(line, sizeof line, f));
  fclose(f);
  return strstr(line, ") Z ");
}

static void *come_and_go(void *unused) {
  use_heap();
  return unused;
}

static void *go_on(void *unused) {
  use_heap();
  keep(malloc(8 << 20)); /* worth a recording */
  while (!leader_has_ended())
    sleep_ms(1);
  for (int i = 0; i < THREADS; i++) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, come_and_go, NULL) == 0);
    CHECK(pthread_join(t, NULL) == 0);
  }
  exit(3);
  return unused;
}

static void leave(void) {
  pthread_t t;
  use_heap();
  CHECK(pthread_create(&t, NULL, go_on, NULL) == 0);
  pthread_exit(NULL);
}

int main(int argc, char **argv) {
  int status;
  if (argc == 1) leave();
  pid_t pid = fork();
  if (pid == 0) leave();
  CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
  return argv ? 3 : 1;
}
