/* later.c - a program under --sample=auto, which looks into its own recording to see when
 * it is sampled, so that what it does before and after is known, however fast it runs.
 *
 *     later across N             keeps N blocks at each of 8 sites before, and N after
 *     later lose N               the same, lost, at one site
 *     later rise N               N rounds before and N after, in each of which 8 KiB stay
 *     later threads N            as `across`, by four threads that free each other's
 * blocks later child N              keeps N blocks, then a child keeps N; it was forked
 * after later child-before N       the same, but it becomes sampled by itself later exec
 * PROGRAM...      becomes another program after later seldom               computes, and
 * allocates now and then: it never is
 *
 * Says "sampled" when it was. */
#include "common.h"
#include "format.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>

enum { SITES = 8, MOST_MS = 60000 };

/* Volatile: no call becomes a jump. */
static volatile unsigned sink;

static NOINLINE void *get(unsigned site, size_t bytes) {
  void *p = NULL;
  switch (site) {
  case 0:
    p = malloc(bytes);
    break;
  case 1:
    p = malloc(bytes);
    break;
  case 2:
    p = malloc(bytes);
    break;
  case 3:
    p = malloc(bytes);
    break;
  case 4:
    p = malloc(bytes);
    break;
  case 5:
    p = malloc(bytes);
    break;
  case 6:
    p = malloc(bytes);
    break;
  case 7:
    p = malloc(bytes);
    break;
  }
  sink++;
  return keep(p);
}

static size_t bytes_of(unsigned site) {
  return 24 + 40 * site;
}

/* ---- when ------------------------------------------------------------------------ */

static const char *recording(void) {
  return getenv("LATER_FILE") ? getenv("LATER_FILE") : getenv("ULLAGE_FILE");
}

static bool is_sampled(const char *file) {
  uint64_t features = 0;
  int fd = file ? open(file, O_RDONLY) : -1;
  if (fd < 0) return false;
  ssize_t n = pread(fd, &features, sizeof features, offsetof(struct ul_header, features));
  close(fd);
  return n == sizeof features && features & UL_FEATURE_SAMPLED;
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static NOINLINE void *below(unsigned depth, size_t bytes) {
  void *p = depth ? below(depth - 1, bytes) : malloc(bytes);
  sink++;
  return keep(p);
}

static void churn(unsigned pairs) {
  for (unsigned i = 0; i < pairs; i++)
    free(below(i % 61, 100));
}

/* Does nothing else than what is dear to record, until it is sampled. */
static void until_sampled(const char *file) {
  uint64_t end = now_ms() + MOST_MS;
  while (!is_sampled(file) && now_ms() < end)
    churn(1000);
  puts(is_sampled(file) ? "sampled" : "never");
  fflush(stdout);
}

/* ---- what ------------------------------------------------------------------------ */

static void **kept;
static atomic_size_t count;

static void hold(unsigned blocks) {
  for (unsigned i = 0; i < blocks; i++)
    for (unsigned site = 0; site < SITES; site++)
      kept[count++] = get(site, bytes_of(site));
}

/* One stack: from the same line before and after. */
static void twice(void (*work)(unsigned), unsigned n) {
  for (int part = 0; part < 2; part++) {
    if (part) until_sampled(recording());
    work(n);
  }
}

static NOINLINE void forget(unsigned n) {
  for (unsigned i = 0; i < n; i++)
    get(7, bytes_of(7));
}

/* Rounds of 5 ms, so that there are moments between them. */
static void rise_by(unsigned rounds) {
  for (unsigned i = 0; i < rounds; i++) {
    for (int k = 0; k < 64; k++)
      kept[count++] = get(2, 128);
    churn(2000);
    sleep_ms(5);
  }
}

static void child(unsigned n, bool before) {
  if (!before) until_sampled(recording());
  hold(n);
  pid_t pid = fork();
  if (pid == 0) {
    char file[4096];
    count = 0;
    snprintf(file, sizeof file, "%s.%d", recording(), getpid());
    sleep_ms(50);
    churn(1000); /* now it has a file */
    if (before) until_sampled(file);
    count = 0;
    hold(n);
    exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* ---- threads --------------------------------------------------------------------- */

enum { THREADS = 4 };
static pthread_barrier_t barrier;
static void *_Atomic handed[THREADS];

static void *run(void *argument) {
  unsigned me = (unsigned)(uintptr_t)argument, n = (unsigned)count;
  for (int part = 0; part < 2; part++) {
    for (unsigned i = 0; i < n; i++)
      for (unsigned site = 0; site < SITES; site++) {
        size_t at = ((size_t)(part * THREADS + (int)me) * n + i) * SITES + site;
        kept[at] = get(site, bytes_of(site));
        free(atomic_exchange(&handed[(me + 1) % THREADS], below(i % 31, 80)));
      }
    pthread_barrier_wait(&barrier);
    if (part == 0 && me == 0) until_sampled(recording());
    if (part == 0) churn(20000);
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

static void threads(unsigned n) {
  pthread_t t[THREADS];
  count = n;
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&t[i], NULL, run, (void *)i) == 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(t[i], NULL);
  for (int i = 0; i < THREADS; i++)
    free(handed[i]);
}

/* ---- never ----------------------------------------------------------------------- */

static void seldom(void) {
  for (unsigned i = 0; i < 2000; i++) {
    free(below(i % 61, 100));
    for (unsigned k = 0; k < 100000; k++)
      sink++;
  }
  puts(is_sampled(recording()) ? "sampled" : "never");
}

int main(int argc, char *argv[]) {
  const char *mode = argc > 1 ? argv[1] : "";
  unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
  kept = calloc((size_t)n * SITES * THREADS * 64 + 64, sizeof *kept);
  CHECK(kept);
  if (!strcmp(mode, "across")) twice(hold, n);
  if (!strcmp(mode, "lose")) twice(forget, n);
  if (!strcmp(mode, "rise")) twice(rise_by, n);
  if (!strcmp(mode, "threads")) threads(n);
  if (!strcmp(mode, "child")) child(n, false);
  if (!strcmp(mode, "child-before")) child(n, true);
  if (!strcmp(mode, "seldom")) seldom();
  if (!strcmp(mode, "exec") && argc > 2) {
    until_sampled(recording());
    execv(argv[2], argv + 2);
    return 1;
  }
  scrub_stack();
  return 0;
}
