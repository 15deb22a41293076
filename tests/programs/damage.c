/* damage SEED ROUNDS PER_MILLE - three threads allocate, resize and free each other's
 * blocks, whatever the seed says; of a thousand steps so many write behind a block's end,
 * or into it after it was freed. Tells how often each was done: what a guard must find,
 * each once. Content that is the program's own must stay. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 200, THREADS = 3, SMALL = 600, LARGEST = 700 << 10 };

static struct slot {
  unsigned char *p;
  size_t bytes;
  int damaged;
} slots[SLOTS];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static uint64_t state;
static unsigned per_mille, left, overruns, writes;

static unsigned chance(unsigned of) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 20) % of;
}

static void must(int holds, const char *what) {
  if (holds) return;
  printf("wrong: %s\n", what);
  exit(1);
}

static size_t some_size(void) {
  if (!chance(200)) return 1 + chance(LARGEST);
  return chance(8) ? 1 + chance(SMALL) : 1 + chance(60000);
}

static void mark(struct slot *s) {
  s->p[0] = s->p[s->bytes - 1] = (unsigned char)(s - slots);
}

static void check(const struct slot *s) {
  must(s->p[s->bytes - 1] == (unsigned char)(s - slots), "content");
}

static void take(struct slot *s) {
  size_t n = some_size(), align = (size_t)16 << chance(8);
  void *p = NULL;
  unsigned how = chance(4);
  if (how == 0) p = malloc(n);
  if (how == 1) p = calloc(1, n);
  if (how == 2) p = realloc(NULL, n);
  if (how == 3 && posix_memalign(&p, align, n)) p = NULL;
  must(p != NULL, "memory");
  must(how != 1 || (!((char *)p)[0] && !((char *)p)[n - 1]), "zeros");
  must(how != 3 || (uintptr_t)p % align == 0, "alignment");
  *s = (struct slot){p, n, 0};
  mark(s);
}

static void resize(struct slot *s) {
  size_t n = some_size();
  check(s);
  unsigned char first = s->p[0], *p = realloc(s->p, n);
  must(p && p[0] == first, "what realloc leaves");
  *s = (struct slot){p, n, 0};
  mark(s);
}

/* What is larger, or is freed with it, does not stay (ledger/guard.c). */
static void let_go(struct slot *s, int write) {
  uintptr_t gone = (uintptr_t)s->p; /* compilers know free */
  check(s);
  free(s->p);
  if (write && s->bytes <= 60000) {
    memset((char *)gone + chance((unsigned)s->bytes), 'A', 1);
    writes++;
  }
  s->p = NULL;
}

static void overrun(struct slot *s) {
  memset(s->p + s->bytes, 'A', 1 + chance(8));
  s->damaged = 1;
  overruns++;
}

static void step(void) {
  struct slot *s = &slots[chance(SLOTS)];
  int wrong = chance(1000) < per_mille;
  if (!s->p)
    take(s);
  else if (wrong && !s->damaged && chance(2))
    overrun(s);
  else if (chance(3))
    let_go(s, wrong);
  else
    resize(s);
}

static void *run(void *unused) {
  for (int n = 0; n < 300; n++) {
    pthread_mutex_lock(&turn);
    if (left) {
      left--;
      step();
    }
    pthread_mutex_unlock(&turn);
  }
  return unused;
}

int main(int argc, char **argv) {
  pthread_t threads[THREADS];
  if (argc != 4) return 2;
  state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
  left = (unsigned)atoi(argv[2]);
  per_mille = (unsigned)atoi(argv[3]);
  while (left) { /* threads come and go */
    for (int i = 0; i < THREADS; i++)
      must(pthread_create(&threads[i], NULL, run, NULL) == 0, "thread");
    for (int i = 0; i < THREADS; i++)
      pthread_join(threads[i], NULL);
  }
  for (int i = 0; i < SLOTS; i += 2) /* the others live at the end */
    if (slots[i].p) let_go(&slots[i], 0);
  printf("%u overruns, %u writes after free\n", overruns, writes);
  return 0;
}
