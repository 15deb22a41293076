/* guard.c - writes where nobody has business, one kind each:
 *
 *   behind HOW N K        K bytes behind the end of a block of N bytes, which HOW gives
 * out (below), and which is freed then kept HOW N K          the same, and it is not
 * freed string                strcpy of one character too many resized N M           one
 * byte behind N, then realloc to M freed N AT            one byte of a freed block of N
 *   reused N AT           the same, and so much is freed after it that it is given out
 * again late N AT             written only when it may be given out again thread both, by
 * another thread that frees child                 both, by a forked child often of each,
 * a hundred times usable                malloc_usable_size() tells what may be written
 *   fresh                 blocks of which all, half or nothing is written
 *   healthy               all that is allowed
 */
#include "common.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

static NOINLINE void *make(const char *how, size_t n) {
  void *p = NULL;
  if (!strcmp(how, "malloc")) p = malloc(n);                     /* MARK malloc */
  if (!strcmp(how, "calloc")) p = calloc(1, n);                  /* MARK calloc */
  if (!strcmp(how, "aligned")) p = aligned_alloc(64, n);         /* MARK aligned */
  if (!strcmp(how, "page")) CHECK(!posix_memalign(&p, 4096, n)); /* MARK page */
  if (!strcmp(how, "realloc")) p = realloc(keep(malloc(1)), n);  /* MARK realloc */
  CHECK(p);
  return keep(p);
}

static NOINLINE void let_go(void *p) {
  free(p); /* MARK let_go */
}

static NOINLINE void write_at(char *p, size_t from, size_t n) {
  for (size_t i = 0; i < n; i++)
    ((volatile char *)p)[from + i] = (char)('A' + i % 26);
}

static void string(void) {
  char *volatile text = "eight by";
  char *copy = keep(malloc(8)); /* MARK string */
  strcpy(copy, text);
  let_go(copy);
}

static void resized(size_t n, size_t m) {
  char *p = make("malloc", n);
  memset(p, 'p', n);
  write_at(p, n, 1);
  p = keep(realloc(p, m)); /* MARK resized */
  CHECK(p && p[0] == 'p' && p[(n < m ? n : m) - 1] == 'p');
  write_at(p, 0, m);
  let_go(p);
}

static void churn(size_t n) {
  for (int i = 0; i < 2000; i++)
    free(keep(malloc(n)));
}

static void freed(size_t n, size_t at) {
  char *p = make("malloc", n);
  let_go(p);
  write_at(p, at, 1);
}

enum { CROWD = 2000 };

/* What is freed after it makes its memory the heap's again. */
static void late(size_t n, size_t at) {
  char *crowd[CROWD], *p = make("malloc", n);
  for (int i = 0; i < CROWD; i++)
    CHECK(crowd[i] = malloc(n));
  let_go(p);
  for (int i = 0; i < CROWD - 1; i++)
    free(crowd[i]);
  write_at(p, at, 1);
  for (int i = 0; i < CROWD - 1; i++)
    CHECK(crowd[i] = malloc(n));
  for (int i = 0; i < CROWD; i++)
    free(crowd[i]);
}

static void both(void) {
  char *p = make("malloc", 40);
  write_at(p, 40, 3);
  let_go(p);
  write_at(p, 8, 8);
}

static void *in_thread(void *p) {
  write_at(p, 40, 3);
  let_go(p);
  write_at(p, 8, 8);
  return NULL;
}

static void by_thread(void) {
  pthread_t thread;
  CHECK(!pthread_create(&thread, NULL, in_thread, make("malloc", 40)));
  CHECK(!pthread_join(thread, NULL));
}

static void by_child(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    both();
    exit(0);
  }
  CHECK(waitpid(child, NULL, 0) == child);
}

static void usable(void) {
  for (size_t n = 1; n < 3 << 20; n = n * 5 / 3 + 1) {
    char *p = make("malloc", n);
    CHECK(malloc_usable_size(p) >= n);
    memset(p, 'u', malloc_usable_size(p));
    let_go(p);
  }
}

static void fresh(void) {
  for (int i = 0; i < 10; i++) {
    char *whole = keep(malloc(1000));    /* MARK whole */
    char *half = keep(malloc(1000));     /* MARK half */
    char *none = keep(malloc(1000));     /* MARK none */
    char *zeros = keep(calloc(1000, 1)); /* MARK zeros */
    memset(whole, 'w', 1000);
    memset(half, 'h', 504);
    free(whole);
    free(zeros);
    if (i % 2) free(half), free(none);
  }
}

static void grow(size_t most) {
  char *p = NULL;
  for (size_t n = 1, was = 0; n < most; was = n, n = n * 3 / 2 + 1) {
    CHECK(p = realloc(p, n));
    memset(p + was, (int)n, n - was);
  }
  for (size_t n = most / 2; n; n /= 3) {
    CHECK(p = realloc(p, n));
    CHECK(p[0] == 1);
  }
  free(p);
}

static void creep(size_t most) {
  char *p = NULL;
  for (size_t n = 0; n < most; n++) {
    CHECK(p = realloc(p, n + 1));
    p[n] = (char)n;
  }
  for (size_t n = 0; n < most; n++)
    CHECK(p[n] == (char)n);
  free(p);
}

static void *work(void *to) {
  uint64_t random = (uintptr_t)to | 1;
  char *blocks[64] = {0};
  for (int i = 0; i < 20000; i++) {
    uint64_t r = next_random(&random);
    char **p = &blocks[r % 64];
    size_t n = (r >> 6) % ((r >> 30) % 50 ? 300 : 40000);
    if ((r >> 40) % 3 == 0) {
      CHECK(*p = realloc(*p, n + 1));
      memset(*p, 'r', n + 1);
      continue;
    }
    free(*p);
    CHECK(*p = (r >> 40) % 3 == 1 ? calloc(1, n) : malloc(n));
    if ((r >> 40) % 3 == 1)
      for (size_t k = 0; k < n; k++)
        CHECK(!(*p)[k]);
    memset(*p, 'w', n);
  }
  for (int i = 0; i < 64; i++)
    free(blocks[i]);
  return NULL;
}

static void healthy(void) {
  static int numbers[4];
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    CHECK(!pthread_create(&threads[i], NULL, work, &numbers[i]));
  for (int i = 0; i < 4; i++)
    CHECK(!pthread_join(threads[i], NULL));
  grow(3 << 20);
  creep(200000);
  for (size_t align = 16; align <= 1 << 21; align *= 2)
    for (size_t n = 0; n < 20000; n = n * 2 + 7) {
      void *p;
      CHECK(!posix_memalign(&p, align, n) && (uintptr_t)p % align == 0);
      memset(keep(p), 'a', n);
      free(p);
    }
  work(&work);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "", *how = argc > 2 ? argv[2] : "";
  size_t n = argc > 2 ? (size_t)atol(argv[2]) : 0,
         at = argc > 3 ? (size_t)atol(argv[3]) : 0;
  if (!strcmp(mode, "behind") || !strcmp(mode, "kept")) {
    n = (size_t)atol(argv[3]);
    char *p = make(how, n);
    write_at(p, 0, n + (size_t)atol(argv[4]));
    if (*mode == 'b') let_go(p);
    if (*mode == 'k') keep(realloc(keep(malloc(16)), 17));
  }
  if (!strcmp(mode, "string")) string();
  if (!strcmp(mode, "resized")) resized(n, at);
  if (!strcmp(mode, "freed") || !strcmp(mode, "reused")) freed(n, at);
  if (!strcmp(mode, "reused")) churn(n);
  if (!strcmp(mode, "late")) late(n, at);
  if (!strcmp(mode, "thread")) by_thread();
  if (!strcmp(mode, "child")) by_child();
  if (!strcmp(mode, "often"))
    for (int i = 0; i < 100; i++)
      both();
  if (!strcmp(mode, "usable")) usable();
  if (!strcmp(mode, "fresh")) fresh();
  if (!strcmp(mode, "healthy")) healthy();
  puts("done");
  return 0;
}
