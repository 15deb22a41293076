/* scale.c - much of one thing, whose cost may not grow faster than its number; for
 * scripts/bench. `scale CASE N`:
 *
 * - crowd: N threads live at once, each with blocks of its own
 * - plugins N FILE: a library is loaded N times, each time at another address, and
 *   allocates (plugin_hold)
 * - addresses: malloc is called from N places, twice from each
 * - variety: N stacks in turn, ten times over; their last blocks stay
 * - graph: N blocks of 64 bytes, each full of pointers to others
 * - forks: N children that end at once */
#include "common.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void *map(size_t bytes, int rights) {
  void *p = mmap(NULL, bytes, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(p != MAP_FAILED);
  return p;
}

/* ---- crowd ------------------------------------------------------------------------ */

enum { KEPT = 100, EACH = 1000 };
static pthread_barrier_t all;

static void *one_of_many(void *number) {
  uint64_t random = (uint64_t)(uintptr_t)number + 1;
  void *kept[KEPT] = {NULL};
  for (int i = 0; i < EACH; i++) {
    free(kept[i % KEPT]);
    kept[i % KEPT] = keep(malloc(16 + next_random(&random) % 200));
  }
  pthread_barrier_wait(&all);
  for (int i = 0; i < KEPT; i++)
    free(kept[i]);
  return NULL;
}

static void crowd(long n) {
  pthread_t *threads = map((size_t)n * sizeof *threads, PROT_READ | PROT_WRITE);
  pthread_attr_t small;
  CHECK(pthread_attr_init(&small) == 0);
  CHECK(pthread_attr_setstacksize(&small, 64 << 10) == 0);
  CHECK(pthread_barrier_init(&all, NULL, (unsigned)n) == 0);
  for (long i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], &small, one_of_many, (void *)i) == 0);
  for (long i = 0; i < n; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- plugins ---------------------------------------------------------------------- */

static void plugins(long n, const char *file) {
  uint64_t random = 3;
  for (long i = 0; i < n; i++) {
    map((1 + next_random(&random) % 50) * 4096, PROT_NONE); /* or it came where it was */
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    CHECK(library);
    void (*hold)(void) = (void (*)(void))dlsym(library, "plugin_hold");
    CHECK(hold);
    hold();
    CHECK(dlclose(library) == 0);
  }
}

/* ---- addresses -------------------------------------------------------------------- */

typedef void *allocate(size_t bytes, void *(*by)(size_t));
enum { CODE = 16 };

/* Code without unwind tables, but with frame pointers, as of a compiler at run time. */
static void addresses(long n) {
  static const unsigned char code[CODE] = {0x55,             /* push %rbp */
                                           0x48, 0x89, 0xe5, /* mov %rsp, %rbp */
                                           0xff, 0xd6,       /* call *%rsi */
                                           0x5d,             /* pop %rbp */
                                           0xc3};            /* ret */
  char *places = map((size_t)n * CODE, PROT_READ | PROT_WRITE);
  for (long i = 0; i < n; i++)
    memcpy(places + i * CODE, code, CODE);
  CHECK(mprotect(places, (size_t)n * CODE, PROT_READ | PROT_EXEC) == 0);
  for (int round = 0; round < 2; round++)
    for (long i = 0; i < n; i++)
      free(((allocate *)(uintptr_t)(places + i * CODE))(40, malloc));
}

/* ---- variety ---------------------------------------------------------------------- */

typedef void *step(unsigned long path, int depth);
static step *const steps[16];
static NOINLINE void *further(unsigned long path, int depth) {
  return depth ? steps[path & 15](path >> 4, depth - 1) : malloc(32);
}
#define STEP(i)                                                                          \
  static NOINLINE void *step##i(unsigned long path, int depth) {                         \
    return keep(further(path, depth));                                                   \
  }
SIXTEEN(STEP)
#define PLACE(i) step##i,
static step *const steps[16] = {SIXTEEN(PLACE)};

static void variety(long n) {
  void **blocks = map((size_t)n * sizeof *blocks, PROT_READ | PROT_WRITE);
  for (int round = 0; round < 10; round++)
    for (long i = 0; i < n; i++) {
      free(blocks[i]);
      blocks[i] = further((unsigned long)i, 6);
    }
}

/* ---- graph ------------------------------------------------------------------------ */

static void ***graph_root;

static void graph(long n) {
  uint64_t random = 5;
  void ***blocks = map((size_t)n * sizeof *blocks, PROT_READ | PROT_WRITE);
  for (long i = 0; i < n; i++) {
    CHECK(blocks[i] = malloc(8 * sizeof **blocks));
    for (int k = 0; k < 8; k++)
      blocks[i][k] = blocks[next_random(&random) % ((uint64_t)i + 1)];
  }
  graph_root = blocks;
}

/* ---- forks ------------------------------------------------------------------------ */

static void forks(long n) {
  for (int i = 0; i < 1000; i++)
    keep(malloc(200));
  for (long i = 0; i < n; i++) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
  }
}

int main(int argc, char **argv) {
  CHECK(argc > 2);
  long n = atol(argv[2]);
  CHECK(n > 0);
  if (strcmp(argv[1], "crowd") == 0) crowd(n);
  if (strcmp(argv[1], "plugins") == 0) plugins(n, argv[3]);
  if (strcmp(argv[1], "addresses") == 0) addresses(n);
  if (strcmp(argv[1], "variety") == 0) variety(n);
  if (strcmp(argv[1], "graph") == 0) graph(n);
  if (strcmp(argv[1], "forks") == 0) forks(n);
  printf("done\n");
  return 0;
}
