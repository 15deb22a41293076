/* worst CASE: what is hard on an allocator, each case by itself. Prints the processor
 * time of the work and the resident size after it, for scripts/worst to compare. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static double processor_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident_kib(void) {
  long all, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f || fscanf(f, "%ld %ld", &all, &resident) != 2) resident = 0;
  if (f) fclose(f);
  return resident * (PAGE / 1024);
}

static void touch(char *p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += PAGE)
    p[i] = 1;
}

static void *get(size_t bytes) {
  char *p = malloc(bytes);
  if (!p) exit(3);
  touch(p, bytes);
  return p;
}

static void *keep[64];

static void batch(size_t n, size_t bytes, int rounds) {
  void **blocks = malloc(n * sizeof *blocks);
  for (int r = 0; r < rounds; r++) {
    for (size_t i = 0; i < n; i++)
      blocks[i] = get(bytes);
    for (int i = 0; r == 0 && i < 64; i++)
      keep[i] = malloc(100);
    for (size_t i = 0; i < n; i++)
      free(blocks[i]);
  }
  free(blocks);
}

static void turn(size_t low, size_t high, size_t step, int rounds) {
  for (int r = 0; r < rounds; r++)
    for (size_t bytes = low; bytes <= high; bytes += step)
      free(get(bytes));
}

static void batches(void) {
  batch(600, 24000, 300);
}
static void small_batches(void) {
  batch(20000, 200, 100);
}
static void large_in_turn(void) {
  turn(5000000, 25000000, 5000000, 40);
}
static void classes_in_turn(void) {
  turn(100, 30000, 3000, 100000);
}
static void spans_in_turn(void) {
  turn(40000, 400000, 30000, 5000);
}

static void grow(void) {
  size_t bytes = 600 << 10;
  char *p = get(bytes);
  keep[0] = get(bytes);
  for (; bytes < 64 << 20; bytes += 64 << 10) {
    p = realloc(p, bytes + (64 << 10));
    touch(p + bytes, 64 << 10);
  }
  keep[1] = p;
}

static void untouched(void) {
  static void *blocks[2000];
  for (int i = 0; i < 2000; i++)
    blocks[i] = calloc(1, 200000);
  keep[0] = blocks[0];
}

static void many_300k(void) {
  enum { N = 100000 };
  void **blocks = malloc(N * sizeof *blocks);
  for (int i = 0; i < N; i++)
    if (!(blocks[i] = malloc(300000))) exit(3);
  for (int i = 0; i < N; i++)
    free(blocks[i]);
  free(blocks);
}

static void aligned_32k(void) {
  for (int i = 0; i < 20000; i++) {
    void *p;
    if (posix_memalign(&p, 32768, 100)) exit(3);
    *(char *)p = 1;
  }
}

static struct {
  pthread_barrier_t allocated, done;
  size_t n, bytes;
  int hold;
  void **blocks[4];
} work;

static void *sleeper(void *argument) {
  uintptr_t k = (uintptr_t)argument;
  for (size_t i = 0; i < work.n; i++)
    memset(work.blocks[k][i] = malloc(work.bytes), 1, work.bytes);
  pthread_barrier_wait(&work.allocated);
  pthread_barrier_wait(&work.done);
  return NULL;
}

static void freed_by_main(size_t bytes) {
  pthread_t thread;
  work.bytes = bytes;
  work.n = (100 << 20) / bytes;
  pthread_barrier_init(&work.allocated, NULL, 5);
  pthread_barrier_init(&work.done, NULL, 5);
  for (uintptr_t k = 0; k < 4; k++) {
    work.blocks[k] = malloc(work.n * sizeof(void *));
    if (pthread_create(&thread, NULL, sleeper, (void *)k)) exit(3);
  }
  pthread_barrier_wait(&work.allocated);
  for (int k = 0; k < 4; k++) {
    for (size_t i = 0; i < work.n; i++)
      free(work.blocks[k][i]);
    free(work.blocks[k]);
  }
}

static void freed_8000(void) {
  freed_by_main(8000);
}
static void freed_32768(void) {
  freed_by_main(32768);
}

static void *little(void *argument) {
  void *blocks[64];
  for (int i = 0; i < 64; i++)
    memset(blocks[i] = malloc(16 * ((size_t)i + 1)), 1, 16 * ((size_t)i + 1));
  for (int i = 0; i < 64 && !work.hold; i++)
    free(blocks[i]);
  pthread_barrier_wait(&work.allocated);
  pthread_barrier_wait(&work.done);
  return argument;
}

static void live_threads(unsigned n, int hold) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  work.hold = hold;
  pthread_barrier_init(&work.allocated, NULL, n + 1);
  pthread_barrier_init(&work.done, NULL, n + 1);
  for (unsigned i = 0; i < n; i++)
    if (pthread_create(&thread, &attributes, little, NULL)) exit(3);
  pthread_barrier_wait(&work.allocated);
}

static void threads_freed(void) {
  live_threads(1000, 0);
}
static void threads_holding(void) {
  live_threads(1000, 1);
}
static void threads_5000(void) {
  live_threads(5000, 0);
}

static const struct {
  const char *name;
  void (*run)(void);
} cases[] = {
    {"batches", batches},
    {"small-batches", small_batches},
    {"large-in-turn", large_in_turn},
    {"classes-in-turn", classes_in_turn},
    {"spans-in-turn", spans_in_turn},
    {"grow", grow},
    {"untouched", untouched},
    {"many-300k", many_300k},
    {"aligned-32k", aligned_32k},
    {"freed-8000", freed_8000},
    {"freed-32768", freed_32768},
    {"threads-freed", threads_freed},
    {"threads-holding", threads_holding},
    {"threads-5000", threads_5000},
};

int main(int argc, char **argv) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (argc < 2) puts(cases[i].name);
    if (argc < 2 || strcmp(argv[1], cases[i].name) != 0) continue;
    double begin = processor_s();
    cases[i].run();
    printf("%.6f %ld\n", processor_s() - begin, resident_kib());
    fflush(stdout);
    _exit(0);
  }
  return argc < 2 ? 0 : 2;
}
