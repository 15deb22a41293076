/* tolerant.c - what a careful program does when memory is refused: it tries
 * again. One refusal anywhere must not change its output. */
#include "common.h"
#include <pthread.h>
#include <sys/wait.h>

#define SLOTS 400

static void *insist(size_t bytes) {
  for (int i = 0; i < 5; i++) {
    errno = 0;
    void *p = malloc(bytes);
    if (p) return p;
    CHECK(errno == ENOMEM);
  }
  CHECK(!"memory");
  return NULL;
}

static size_t work(uint64_t seed) {
  unsigned char *held[SLOTS] = {0};
  size_t sizes[SLOTS] = {0}, sum = 0;
  for (int i = 0; i < 5000; i++) {
    uint64_t r = next_random(&seed);
    int slot = r % SLOTS;
    if (held[slot]) {
      CHECK(held[slot][0] == slot % 256 && held[slot][sizes[slot] - 1] == slot % 256);
      free(held[slot]);
    }
    size_t n = (r >> 20) % (i % 500 == 0 ? 2000000 : i % 50 == 0 ? 100000 : 1000) + 1;
    if (i % 7 == 0) {
      held[slot] = insist(n / 2 + 1);
      for (void *q = NULL; !q;)
        if ((q = realloc(held[slot], n))) held[slot] = q;
    } else {
      held[slot] = insist(n);
    }
    memset(held[slot], slot, n);
    sizes[slot] = n;
    sum += n;
  }
  for (int i = 0; i < SLOTS; i++)
    free(held[i]);
  return sum;
}

static void *body(void *arg) {
  return (void *)work((uintptr_t)arg);
}

int main(void) {
  size_t sum = work(1);
  for (uintptr_t i = 0; i < 3; i++) {
    pthread_t a, b;
    void *x, *y;
    while (pthread_create(&a, NULL, body, (void *)(i + 2)))
      continue;
    while (pthread_create(&b, NULL, body, (void *)(i + 9)))
      continue;
    pthread_join(a, &x);
    pthread_join(b, &y);
    sum += (size_t)x + (size_t)y;
  }
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) _exit(work(77) % 100 == 0);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  printf("worked through %zu bytes\n", sum);
  return 0;
}
