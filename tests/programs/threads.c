/* threads.c - threads against each other; every block carries a pattern that is
 * checked before it is freed.
 *   threads cross ROUNDS    8 threads allocate here and free there
 *   threads storm ROUNDS    threads that come, allocate, hand over and go
 *   threads fork ROUNDS     forks while other threads allocate
 *   threads exit            exit() while other threads allocate */
#include "common.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>

#define THREADS 8
#define SLOTS 512

struct message {
  uint32_t bytes, seed;
  unsigned char data[];
};
static _Atomic(struct message *) slots[SLOTS];
static atomic_bool stopping;
static long rounds;

static struct message *make(uint64_t *random) {
  uint64_t r = next_random(random);
  uint32_t bytes = r % 16 == 0 ? r >> 8 & 0xffff : r >> 8 & 0x1ff;
  if (r % 4096 == 1) bytes = 300000 + (r >> 20 & 0xfffff);
  struct message *m = malloc(sizeof *m + bytes);
  CHECK(m && ((uintptr_t)m & 15) == 0);
  m->bytes = bytes;
  m->seed = (uint32_t)(r >> 32);
  memset(m->data, m->seed & 0xff, bytes);
  return m;
}

static void consume(struct message *m) {
  if (!m) return;
  unsigned char want = m->seed & 0xff;
  for (uint32_t i = 0; i < m->bytes; i += 61)
    CHECK(m->data[i] == want);
  if (m->bytes) CHECK(m->data[m->bytes - 1] == want);
  if (m->seed % 7 == 0) {
    uint32_t kept = m->bytes / 2;
    m = realloc(m, sizeof *m + kept);
    CHECK(m);
    if (kept) CHECK(m->data[kept - 1] == want);
  }
  free(m);
}

static void exchange(uint64_t *random) {
  struct message *m = make(random);
  uint32_t slot = next_random(random) % SLOTS;
  consume(atomic_exchange(&slots[slot], m));
}

static void *cross(void *arg) {
  uint64_t random = (uintptr_t)arg * 0x9e3779b97f4a7c15 + 1;
  for (long i = 0; i < rounds && !stopping; i++)
    exchange(&random);
  return NULL;
}

static void *visit(void *arg) {
  uint64_t random = (uintptr_t)arg * 0x9e3779b97f4a7c15 + 1;
  for (int i = 0; i < 20; i++)
    exchange(&random);
  return make(&random);
}

static void drain(void) {
  for (int i = 0; i < SLOTS; i++)
    consume(atomic_exchange(&slots[i], NULL));
}

static void start(pthread_t *threads, int n, void *(*body)(void *)) {
  for (intptr_t i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], NULL, body, (void *)(i + 1)) == 0);
}

static void run_cross(void) {
  pthread_t threads[THREADS];
  start(threads, THREADS, cross);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  drain();
}

static void run_storm(void) {
  for (long i = 0; i < rounds; i++) {
    pthread_t threads[4];
    start(threads, 4, visit);
    for (int k = 0; k < 4; k++) {
      void *result;
      pthread_join(threads[k], &result);
      consume(result);
    }
  }
  drain();
}

static int child_work(long round) {
  uint64_t random = (uint64_t)round + 99;
  for (int i = 0; i < 200; i++)
    exchange(&random);
  pthread_t t;
  if (pthread_create(&t, NULL, visit, (void *)5)) return 2;
  void *result;
  pthread_join(t, &result);
  consume(result);
  drain();
  return 0;
}

static void run_fork(void) {
  long forks = rounds;
  pthread_t threads[4];
  rounds = 1L << 40;
  start(threads, 4, cross);
  for (long i = 0; i < forks; i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(child_work(i));
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  stopping = true;
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i], NULL);
  drain();
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  rounds = argc > 2 ? atol(argv[2]) : 1000;
  if (!strcmp(mode, "cross")) run_cross();
  else if (!strcmp(mode, "storm")) run_storm();
  else if (!strcmp(mode, "fork")) run_fork();
  else if (!strcmp(mode, "exit")) {
    pthread_t threads[4];
    rounds = 1L << 40;
    start(threads, 4, cross);
    sleep_ms(50);
    exit(7);
  } else return 2;
  puts("done");
  return 0;
}
