/* micro.c - work whose cost is its allocations, in the manner of well-known benchmarks
 * of allocators, for scripts/bench.
 *   micro CASE SIZE     the same work, and the same output, each time; its time is
 *                       linear in SIZE (100: some 20 ms)
 *   micro               the names of the cases */
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <ucontext.h>

#define THREADS 2

static NOINLINE void *get(size_t bytes) {
  void *p = malloc(bytes);
  CHECK(p);
  return p;
}

static void together(void *(*body)(void *), int n) {
  pthread_t threads[n];
  for (intptr_t i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
  for (int i = 0; i < n; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- cfrac: numbers of a few limbs, a new one for each result -------------------- */

struct number {
  unsigned references, limbs;
  uint32_t limb[]; /* least significant first */
};

static NOINLINE struct number *number_new(unsigned limbs) {
  struct number *n = get(sizeof *n + limbs * sizeof n->limb[0]);
  n->references = 1;
  n->limbs = limbs;
  return n;
}

static NOINLINE struct number *number_of(uint32_t value) {
  struct number *n = number_new(1);
  n->limb[0] = value;
  return n;
}

static NOINLINE void drop(struct number *n) {
  if (--n->references == 0) free(n);
}

static struct number *trim(struct number *n) {
  while (n->limbs > 1 && !n->limb[n->limbs - 1])
    n->limbs--;
  return n;
}

static NOINLINE struct number *add(const struct number *a, const struct number *b) {
  unsigned limbs = (a->limbs > b->limbs ? a->limbs : b->limbs) + 1;
  struct number *sum = number_new(limbs);
  uint64_t carry = 0;
  for (unsigned i = 0; i < limbs; i++) {
    carry += (i < a->limbs ? a->limb[i] : 0ull) + (i < b->limbs ? b->limb[i] : 0ull);
    sum->limb[i] = (uint32_t)carry;
    carry >>= 32;
  }
  return trim(sum);
}

static NOINLINE struct number *times(const struct number *a, uint32_t factor) {
  struct number *product = number_new(a->limbs + 1);
  uint64_t carry = 0;
  for (unsigned i = 0; i < a->limbs; i++) {
    carry += (uint64_t)a->limb[i] * factor;
    product->limb[i] = (uint32_t)carry;
    carry >>= 32;
  }
  product->limb[a->limbs] = (uint32_t)carry;
  return trim(product);
}

static NOINLINE uint32_t rest(const struct number *a, uint32_t divisor) {
  uint64_t r = 0;
  for (unsigned i = a->limbs; i--;)
    r = (r << 32 | a->limb[i]) % divisor;
  return (uint32_t)r;
}

/* p(k) = q(k) p(k-1) + p(k-2), as of the convergents of a continued fraction */
static NOINLINE struct number *convergent(struct number *newer, struct number *older,
                                          uint32_t quotient) {
  struct number *product = times(newer, quotient), *sum = add(product, older);
  drop(product);
  drop(older);
  return sum;
}

static NOINLINE uint64_t smooth(const struct number *n) {
  static const uint32_t primes[] = {2, 3, 5, 7, 11, 13, 17, 19};
  uint64_t hits = 0;
  for (size_t i = 0; i < sizeof primes / sizeof *primes; i++) {
    struct number *part = number_of(rest(n, primes[i]));
    hits += part->limb[0] == 0;
    drop(part);
  }
  return hits;
}

static uint64_t cfrac(long size) {
  uint64_t random = 1, hits = 0;
  for (long round = 0; round < size * 20; round++) {
    struct number *older = number_of(1), *newer = number_of(2);
    for (int k = 0; k < 80; k++) {
      struct number *next =
          convergent(newer, older, (uint32_t)next_random(&random) % 20 + 1);
      older = newer;
      newer = next;
      hits += smooth(newer);
    }
    drop(older);
    drop(newer);
  }
  return hits;
}

/* ---- espresso: covers of cubes, split on a variable until a leaf decides ---------- */

#define VARIABLES 24
struct cover {
  unsigned cubes;
  uint64_t *cube[]; /* two bits a variable: may be 0, may be 1 */
};

static NOINLINE struct cover *cover_new(unsigned most) {
  struct cover *c = get(sizeof *c + most * sizeof c->cube[0]);
  c->cubes = 0;
  return c;
}

static NOINLINE void cover_add(struct cover *c, uint64_t cube) {
  uint64_t *copy = get(sizeof cube);
  *copy = cube;
  c->cube[c->cubes++] = copy;
}

static NOINLINE void cover_drop(struct cover *c) {
  for (unsigned i = 0; i < c->cubes; i++)
    free(c->cube[i]);
  free(c);
}

static NOINLINE struct cover *cofactor(const struct cover *c, unsigned shift) {
  struct cover *part = cover_new(c->cubes + 1);
  for (unsigned i = 0; i < c->cubes; i++)
    if (*c->cube[i] >> shift & 1)
      cover_add(part, *c->cube[i] | UINT64_C(3) << (shift & ~1u));
  return part;
}

static bool decided(const struct cover *c, bool *covers) {
  const uint64_t all = (UINT64_C(1) << 2 * VARIABLES) - 1;
  *covers = false;
  for (unsigned i = 0; i < c->cubes; i++)
    if (*c->cube[i] == all) return *covers = true;
  return c->cubes == 0;
}

static NOINLINE bool tautology(const struct cover *c, unsigned variable) {
  bool covers;
  if (decided(c, &covers) || variable == VARIABLES) return covers;
  covers = true;
  for (unsigned value = 0; value < 2 && covers; value++) {
    struct cover *part = cofactor(c, 2 * variable + value);
    covers = tautology(part, variable + 1);
    cover_drop(part);
  }
  return covers;
}

static uint64_t espresso(long size) {
  uint64_t random = 2, found = 0;
  for (long round = 0; round < size * 6; round++) {
    struct cover *c = cover_new(61);
    for (int i = 0; i < 60; i++) {
      uint64_t cube = (UINT64_C(1) << 2 * VARIABLES) - 1;
      for (int fixed = 0; fixed < 3; fixed++)
        cube &= ~(UINT64_C(1) << next_random(&random) % (2 * 10));
      cover_add(c, cube);
    }
    found += tautology(c, 0);
    cover_drop(c);
  }
  return found;
}

/* ---- barnes: bodies in an octree that is built and torn down for each step -------- */

struct cell {
  double mass, at[3];
  struct cell *child[8];
};

static NOINLINE struct cell *cell_new(const double *at, double mass) {
  struct cell *c = get(sizeof *c);
  *c = (struct cell){.mass = mass, .at = {at[0], at[1], at[2]}};
  return c;
}

static NOINLINE void insert(struct cell **place, const double *at, double *middle,
                            double half) {
  if (!*place || half < 1e-6) {
    struct cell *c = cell_new(at, 1);
    c->child[0] = *place;
    *place = c;
    return;
  }
  unsigned octant = 0;
  for (int i = 0; i < 3; i++) {
    bool upper = at[i] > middle[i];
    octant |= (unsigned)upper << i;
    middle[i] += upper ? half / 2 : -half / 2;
    (*place)->at[i] = ((*place)->at[i] * (*place)->mass + at[i]) / ((*place)->mass + 1);
  }
  (*place)->mass += 1;
  insert(&(*place)->child[octant], at, middle, half / 2);
}

static NOINLINE uint64_t tear_down(struct cell *c) {
  if (!c) return 0;
  uint64_t cells = 1;
  for (int i = 0; i < 8; i++)
    cells += tear_down(c->child[i]);
  free(c);
  return cells;
}

static uint64_t barnes(long size) {
  uint64_t random = 3, cells = 0;
  for (int step = 0; step < 4; step++) {
    struct cell *root = NULL;
    for (long i = 0; i < size * 500; i++) {
      double at[3], middle[3] = {0};
      for (int k = 0; k < 3; k++)
        at[k] = (double)(next_random(&random) >> 11) / (double)(1ull << 52) - 1;
      insert(&root, at, middle, 1);
    }
    cells += tear_down(root);
  }
  return cells;
}

/* ---- larson: a server's threads replace blocks at random and hand them on --------- */

#define BLOCKS 1000
#define GENERATIONS 5
static long larson_rounds;
static void *larson_blocks[THREADS][BLOCKS];

static void *larson_thread(void *arg) {
  uint64_t random = (uint64_t)(uintptr_t)arg * 77 + 5;
  void **blocks = larson_blocks[(uintptr_t)arg % THREADS];
  for (long i = 0; i < larson_rounds; i++) {
    uint64_t r = next_random(&random);
    void **b = &blocks[r % BLOCKS];
    free(*b);
    *b = get(10 + (r >> 32) % 490);
    *(char *)*b = 1;
  }
  return NULL;
}

/* Each generation is of new threads, which have the blocks of the other's before. */
static uint64_t larson(long size) {
  larson_rounds = size * 2000;
  for (int g = 0; g < GENERATIONS; g++) {
    together(larson_thread, THREADS);
    for (int i = 0; i < BLOCKS; i++) {
      void *b = larson_blocks[0][i];
      larson_blocks[0][i] = larson_blocks[1][i];
      larson_blocks[1][i] = b;
    }
  }
  for (int t = 0; t < THREADS; t++)
    for (int i = 0; i < BLOCKS; i++)
      free(larson_blocks[t][i]);
  return (uint64_t)larson_rounds;
}

/* ---- a bounded queue: some threads allocate what others free ---------------------- */

#define QUEUE 64
struct queue {
  pthread_mutex_t mutex;
  pthread_cond_t filled, emptied;
  void *items[QUEUE];
  unsigned head, tail;
};
static struct queue queue = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                             .filled = PTHREAD_COND_INITIALIZER,
                             .emptied = PTHREAD_COND_INITIALIZER};

static void queue_put(void *item) {
  pthread_mutex_lock(&queue.mutex);
  while (queue.head - queue.tail == QUEUE)
    pthread_cond_wait(&queue.emptied, &queue.mutex);
  queue.items[queue.head++ % QUEUE] = item;
  pthread_cond_signal(&queue.filled);
  pthread_mutex_unlock(&queue.mutex);
}

static void *queue_take(void) {
  pthread_mutex_lock(&queue.mutex);
  while (queue.head == queue.tail)
    pthread_cond_wait(&queue.filled, &queue.mutex);
  void *item = queue.items[queue.tail++ % QUEUE];
  pthread_cond_signal(&queue.emptied);
  pthread_mutex_unlock(&queue.mutex);
  return item;
}

/* ---- xmalloc: whole batches cross over -------------------------------------------- */

#define BATCH 120
static long batches;
static _Atomic uint64_t consumed;

static void *xmalloc_producer(void *arg) {
  uint64_t random = (uint64_t)(uintptr_t)arg * 13 + 9;
  for (long i = 0; i < batches; i++) {
    void **batch = get(BATCH * sizeof *batch);
    for (int k = 0; k < BATCH; k++)
      batch[k] = get(16 + next_random(&random) % 200);
    queue_put(batch);
  }
  return NULL;
}

static void *xmalloc_consumer(void *arg) {
  (void)arg;
  for (long i = 0; i < batches; i++) {
    void **batch = queue_take();
    for (int k = 0; k < BATCH; k++)
      free(batch[k]);
    free(batch);
    consumed += BATCH;
  }
  return NULL;
}

static void *xmalloc_thread(void *arg) {
  return (uintptr_t)arg % 2 ? xmalloc_consumer(arg) : xmalloc_producer(arg);
}

static uint64_t xmalloc_case(long size) {
  batches = size * 40;
  together(xmalloc_thread, 2 * THREADS);
  return consumed;
}

/* ---- producer, consumer: one block at a time, with what hangs on it ---------------- */

struct message {
  char *name;
  uint64_t *values;
};

static void *producer(void *arg) {
  (void)arg;
  for (long i = 0; i < batches; i++) {
    struct message *m = get(sizeof *m);
    m->name = get(24);
    m->values = get(64 + (size_t)i % 64 * 8);
    m->values[0] = (uint64_t)i % 7;
    queue_put(m);
  }
  return NULL;
}

static void *consumer(void *arg) {
  (void)arg;
  for (long i = 0; i < batches; i++) {
    struct message *m = queue_take();
    consumed += m->values[0];
    free(m->values);
    free(m->name);
    free(m);
  }
  return NULL;
}

static void *either(void *arg) {
  return arg ? consumer(arg) : producer(arg);
}

static uint64_t producer_consumer(long size) {
  batches = size * 1500;
  together(either, 2);
  return consumed;
}

/* ---- mstress: objects of all sizes, kept, dropped and exchanged -------------------- */

#define SHARED 256
static _Atomic(void *) shared[SHARED];
static long stress_rounds;

static size_t any_size(uint64_t r) {
  if (r % 512 == 0) return 1 + (r >> 16) % 200000;
  if (r % 16 == 0) return 1 + (r >> 16) % 4000;
  return 1 + (r >> 16) % 128;
}

static void *stress_thread(void *arg) {
  uint64_t random = (uint64_t)(uintptr_t)arg * 31 + 3;
  void *kept[400] = {0};
  for (long i = 0; i < stress_rounds; i++) {
    uint64_t r = next_random(&random);
    char *p = calloc(1, any_size(r));
    CHECK(p);
    *p = 1;
    void **place = &kept[(r >> 40) % 400];
    if (r >> 32 & 1)
      free(atomic_exchange(&shared[(r >> 40) % SHARED], p));
    else {
      free(*place);
      *place = p;
    }
  }
  for (int i = 0; i < 400; i++)
    free(kept[i]);
  return NULL;
}

static uint64_t mstress(long size) {
  stress_rounds = size * 400;
  for (int round = 0; round < 10; round++)
    together(stress_thread, THREADS);
  for (int i = 0; i < SHARED; i++)
    free(atomic_exchange(&shared[i], NULL));
  return (uint64_t)stress_rounds;
}

/* ---- coroutines: each allocates a little and gives way ----------------------------- */

#define COROUTINES 16
static ucontext_t scheduler, routines[COROUTINES];
static long turns;
static uint64_t resumed;

static NOINLINE void give_way(int self, int depth) {
  void *p = get(32 + (size_t)depth * 16);
  if (depth > 0)
    give_way(self, depth - 1);
  else {
    resumed++;
    swapcontext(&routines[self], &scheduler);
  }
  free(keep(p));
}

static void routine(int self) {
  for (long i = 0; i < turns; i++)
    give_way(self, 6);
}

static uint64_t coroutines(long size) {
  enum { STACK = 64 * 1024 };
  static char *stacks[COROUTINES];
  turns = size * 60;
  for (int i = 0; i < COROUTINES; i++) {
    CHECK(getcontext(&routines[i]) == 0);
    stacks[i] = get(STACK);
    routines[i].uc_stack = (stack_t){.ss_sp = stacks[i], .ss_size = STACK};
    routines[i].uc_link = &scheduler;
    makecontext(&routines[i], (void (*)(void))routine, 1, i);
  }
  for (long t = 0; t <= turns; t++)
    for (int i = 0; i < COROUTINES; i++)
      swapcontext(&scheduler, &routines[i]);
  for (int i = 0; i < COROUTINES; i++)
    free(stacks[i]);
  return resumed;
}

/* ---- what stays: blocks from many stacks, or many blocks, live at the end ---------- */

static void *kept; /* each block leads to the one before */

static NOINLINE void keep_blocks(long blocks) {
  for (long i = 0; i < blocks; i++) {
    void **p = get(24 + (size_t)i % 8 * 16);
    *p = kept;
    kept = p;
  }
}

/* Neither drawn before the switch nor merged nor a tail call. */
#define APART(n) __asm__ volatile("" : : "i"(n) : "memory")
#define CALL(n)                                                                          \
  case n:                                                                                \
    APART(n);                                                                            \
    choose(path / 4, depth - 1, blocks);                                                 \
    APART(n);                                                                            \
    break

/* Four calls, of which `path` chooses one for each of `depth` levels. */
static NOINLINE void choose(uint64_t path, int depth, long blocks) {
  if (depth == 0) {
    keep_blocks(blocks);
    return;
  }
  switch (path % 4) {
    CALL(0);
    CALL(1);
    CALL(2);
    CALL(3);
  }
}

static uint64_t from_stacks(long stacks, long blocks) {
  for (long i = 0; i < stacks; i++)
    choose((uint64_t)i, 13, blocks);
  return (uint64_t)(stacks * blocks);
}

static uint64_t stacks(long size) {
  return from_stacks(size * 1000, 8);
}

static uint64_t single(long size) {
  return from_stacks(size * 1000, 1);
}

static uint64_t blocks(long size) {
  return from_stacks(16, size * 1000);
}

/* ---- which ------------------------------------------------------------------------ */

static const struct {
  const char *name;
  uint64_t (*run)(long size);
} cases[] = {{"cfrac", cfrac},           {"espresso", espresso},
             {"barnes", barnes},         {"larson", larson},
             {"xmalloc", xmalloc_case},  {"mstress", mstress},
             {"coroutines", coroutines}, {"producer", producer_consumer},
             {"stacks", stacks},         {"single", single},
             {"blocks", blocks}};

int main(int argc, char **argv) {
  bool found = argc == 1;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (argc == 1)
      puts(cases[i].name);
    else if (!strcmp(argv[1], cases[i].name)) {
      long size = argc > 2 ? atol(argv[2]) : 10;
      printf("%s %llu\n", argv[1], (unsigned long long)cases[i].run(size > 0 ? size : 1));
      found = true;
    }
  }
  return found ? 0 : 2;
}
