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

/* ---- cfrac: a number's continued fraction, each result a new number, and which of its
 * convergents factor over small primes (Morrison and Brillhart, with Pomerance's early
 * aborts). The program of that name has these steps, digits of 16 bits, and remainders
 * by small primes without an allocation. --------------------------------------------- */

#define PRIME_MAX 3087u
struct number {
  unsigned references, digits;
  uint16_t digit[]; /* least significant first */
};

static NOINLINE struct number *number_new(unsigned digits) {
  struct number *n = malloc(sizeof *n + digits * sizeof n->digit[0]);
  CHECK(n);
  n->references = 1;
  n->digits = digits;
  return n;
}

static void drop(struct number *n) {
  if (--n->references == 0) free(n);
}

static void set(struct number **place, struct number *n) {
  drop(*place);
  *place = n;
}

static struct number *another(struct number *n) {
  n->references++;
  return n;
}

static struct number *trim(struct number *n) {
  while (n->digits > 1 && !n->digit[n->digits - 1])
    n->digits--;
  return n;
}

static NOINLINE struct number *number_of(unsigned value) {
  struct number *n = number_new(2);
  n->digit[0] = (uint16_t)value;
  n->digit[1] = (uint16_t)(value >> 16);
  return trim(n);
}

static NOINLINE bool less(const struct number *a, const struct number *b) {
  if (a->digits != b->digits) return a->digits < b->digits;
  for (unsigned i = a->digits; i--;)
    if (a->digit[i] != b->digit[i]) return a->digit[i] < b->digit[i];
  return false;
}

static NOINLINE struct number *plus(const struct number *a, const struct number *b) {
  unsigned digits = (a->digits > b->digits ? a->digits : b->digits) + 1, carry = 0;
  struct number *sum = number_new(digits);
  for (unsigned i = 0; i < digits; i++) {
    carry += (i < a->digits ? a->digit[i] : 0u) + (i < b->digits ? b->digit[i] : 0u);
    sum->digit[i] = (uint16_t)carry;
    carry >>= 16;
  }
  return trim(sum);
}

/* Of the larger one. */
static NOINLINE struct number *minus(const struct number *a, const struct number *b) {
  struct number *rest = number_new(a->digits);
  int borrow = 0;
  for (unsigned i = 0; i < a->digits; i++) {
    borrow += a->digit[i] - (i < b->digits ? b->digit[i] : 0);
    rest->digit[i] = (uint16_t)borrow;
    borrow >>= 16;
  }
  return trim(rest);
}

static NOINLINE struct number *times(const struct number *a, const struct number *b) {
  struct number *product = number_new(a->digits + b->digits);
  memset(product->digit, 0, product->digits * sizeof product->digit[0]);
  for (unsigned i = 0; i < a->digits; i++) {
    uint32_t carry = 0;
    for (unsigned k = 0; k < b->digits; k++) {
      carry += (uint32_t)a->digit[i] * b->digit[k] + product->digit[i + k];
      product->digit[i + k] = (uint16_t)carry;
      carry >>= 16;
    }
    product->digit[i + b->digits] = (uint16_t)carry;
  }
  return trim(product);
}

static NOINLINE unsigned rest_by(const struct number *a, unsigned divisor) {
  uint32_t rest = 0;
  for (unsigned i = a->digits; i--;)
    rest = (rest << 16 | a->digit[i]) % divisor;
  return rest;
}

static NOINLINE struct number *part(const struct number *a, unsigned divisor) {
  struct number *quotient = number_new(a->digits);
  uint32_t rest = 0;
  for (unsigned i = a->digits; i--;) {
    rest = rest << 16 | a->digit[i];
    quotient->digit[i] = (uint16_t)(rest / divisor);
    rest %= divisor;
  }
  return trim(quotient);
}

static inline struct number *shifted(const struct number *a, unsigned left) {
  struct number *n = number_new(a->digits + 1);
  uint32_t carry = 0;
  for (unsigned i = 0; i < a->digits; i++) {
    carry |= (uint32_t)a->digit[i] << left;
    n->digit[i] = (uint16_t)carry;
    carry >>= 16;
  }
  n->digit[a->digits] = (uint16_t)carry;
  return n;
}

static inline struct number *shifted_back(const struct number *a, unsigned right) {
  struct number *n = number_new(a->digits);
  uint32_t carry = 0;
  for (unsigned i = a->digits; i--;) {
    carry = carry << 16 | a->digit[i];
    n->digit[i] = (uint16_t)(carry >> right);
  }
  return trim(n);
}

/* One digit of a quotient: a, from digit `at` on, loses that many times b, whose highest
 * bit is set (Knuth, algorithm D). */
static unsigned take_out(struct number *a, const struct number *b, unsigned at) {
  unsigned n = b->digits, highest = b->digit[n - 1];
  uint32_t two = (uint32_t)a->digit[at + n] << 16 | a->digit[at + n - 1];
  uint32_t q = two / highest, rest = two % highest;
  while (q >> 16 || (n > 1 && (uint64_t)q * b->digit[n - 2] >
                                  ((uint64_t)rest << 16 | a->digit[at + n - 2]))) {
    q--;
    rest += highest;
    if (rest >> 16) break;
  }
  int64_t borrow = 0;
  for (unsigned i = 0; i < n; i++) {
    borrow += a->digit[at + i] - (int64_t)q * b->digit[i];
    a->digit[at + i] = (uint16_t)borrow;
    borrow >>= 16;
  }
  borrow += a->digit[at + n];
  a->digit[at + n] = (uint16_t)borrow;
  if (borrow >= 0) return q;
  uint32_t carry = 0;
  for (unsigned i = 0; i <= n; i++) {
    carry += a->digit[at + i] + (i < n ? b->digit[i] : 0u);
    a->digit[at + i] = (uint16_t)carry;
    carry >>= 16;
  }
  return q - 1;
}

/* What is left of a; and the quotient. */
static NOINLINE struct number *divide(struct number *a, const struct number *b,
                                      struct number **quotient) {
  if (less(a, b)) {
    *quotient = number_of(0);
    return another(a);
  }
  unsigned left = (unsigned)__builtin_clz(b->digit[b->digits - 1]) - 16;
  struct number *from = shifted(a, left), *by = trim(shifted(b, left));
  *quotient = number_new(a->digits - b->digits + 1);
  for (unsigned i = (*quotient)->digits; i--;)
    (*quotient)->digit[i] = (uint16_t)take_out(from, by, i);
  trim(*quotient);
  struct number *rest = shifted_back(trim(from), left);
  drop(from);
  drop(by);
  return rest;
}

static inline struct number *remainder_of(struct number *a, const struct number *b) {
  struct number *quotient, *rest = divide(a, b, &quotient);
  drop(quotient);
  return rest;
}

static double value_of(const struct number *n) {
  double value = 0;
  for (unsigned i = n->digits; i--;)
    value = value * 65536 + n->digit[i];
  return value;
}

static struct number *number_from(const char *decimal) {
  struct number *n = number_of(0), *ten = number_of(10);
  for (; *decimal; decimal++) {
    struct number *digit = number_of((unsigned)*decimal - '0');
    set(&n, times(n, ten));
    set(&n, plus(n, digit));
    drop(digit);
  }
  drop(ten);
  return n;
}

/* By Newton, from above. */
static struct number *root_of(struct number *n) {
  struct number *root = another(n), *next = part(n, 2);
  while (less(next, root)) {
    set(&root, another(next));
    struct number *quotient;
    drop(divide(n, root, &quotient));
    set(&quotient, plus(quotient, root));
    set(&next, part(quotient, 2));
    drop(quotient);
  }
  drop(next);
  return root;
}

static unsigned power(uint64_t base, unsigned exponent, unsigned modulus) {
  uint64_t result = 1;
  for (; exponent; exponent /= 2, base = base * base % modulus)
    if (exponent % 2) result = result * base % modulus;
  return (unsigned)result;
}

/* The primes by which convergents of n's root may be divided, and where who is left above
 * a bound is given up. */
struct base {
  unsigned prime[256], primes;
  struct early {
    unsigned prime;
    double bound;
  } early[3];
};

static struct base base_of(const struct number *n) {
  struct base b = {.prime = {2}, .primes = 1};
  for (unsigned p = 3; p < PRIME_MAX; p += 2) {
    bool prime = true;
    for (unsigned q = 3; prime && q * q <= p; q += 2)
      prime = p % q;
    if (prime && power(rest_by(n, p), p / 2, p) <= 1) b.prime[b.primes++] = p;
  }
  static const unsigned primes[] = {7, 56, 414};           /* L(n)^(0.098 i), and ... */
  static const double bounds[] = {2.2e19, 6.3e17, 3.0e15}; /* ... n^(c(i)/2) */
  for (int i = 0; i < 3; i++)
    b.early[i] = (struct early){primes[i], bounds[i]};
  return b;
}

/* Does it factor over these primes? */
static NOINLINE bool smooth(struct number *q, const struct base *b) {
  struct number *left = another(q);
  unsigned early = 0;
  for (unsigned i = 0; i < b->primes; i++) {
    if (early < 3 && b->prime[i] >= b->early[early].prime &&
        value_of(left) > b->early[early++].bound)
      break;
    while (rest_by(left, b->prime[i]) == 0)
      set(&left, part(left, b->prime[i]));
  }
  bool all = left->digits == 1 && left->digit[0] == 1;
  drop(left);
  return all;
}

/* a/b, the convergents' numerators modulo n, and q of the complete quotients. */
struct expansion {
  struct number *n, *twice_root, *a, *a_before, *u, *u_before, *q, *q_before, *quotient;
};

static inline void next_numerator(struct expansion *x) {
  struct number *product = times(x->quotient, x->a), *sum = plus(product, x->a_before);
  set(&x->a_before, x->a);
  x->a = remainder_of(sum, x->n);
  drop(sum);
  drop(product);
}

static inline void next_divisor(struct expansion *x) {
  bool falls = less(x->u_before, x->u);
  struct number *step = falls ? minus(x->u, x->u_before) : minus(x->u_before, x->u);
  struct number *change = times(x->quotient, step);
  struct number *next = falls ? minus(x->q_before, change) : plus(change, x->q_before);
  set(&x->q_before, x->q);
  x->q = next;
  drop(change);
  drop(step);
}

static inline void next_quotient(struct expansion *x) {
  set(&x->u_before, another(x->u));
  set(&x->quotient, number_of(1));
  struct number *rest = minus(x->u, x->q);
  if (!less(rest, x->q)) {
    drop(x->quotient);
    set(&rest, divide(x->u, x->q, &x->quotient));
  }
  set(&x->u, minus(x->twice_root, rest));
  drop(rest);
}

static struct expansion expansion_of(struct number *n) {
  struct number *root = root_of(n), *square = times(root, root);
  struct number *twice = plus(root, root);
  struct expansion x = {.n = n,
                        .twice_root = twice,
                        .a = number_of(1),
                        .a_before = root,
                        .u = another(twice),
                        .u_before = another(twice),
                        .q = number_of(1),
                        .q_before = minus(n, square),
                        .quotient = number_of(0)};
  drop(square);
  return x;
}

static void expansion_drop(struct expansion *x) {
  struct number **all[] = {&x->n,        &x->twice_root, &x->a,
                           &x->a_before, &x->u,          &x->u_before,
                           &x->q,        &x->q_before,   &x->quotient};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    drop(*all[i]);
}

static uint64_t cfrac(long size) {
  struct expansion x =
      expansion_of(number_from("17545186520507317056371138836327483792736"));
  struct base base = base_of(x.n);
  uint64_t hits = 0;
  for (long i = 0; i < size * 600; i++) {
    next_numerator(&x);
    next_divisor(&x);
    next_quotient(&x);
    hits += smooth(x.q, &base);
  }
  expansion_drop(&x);
  return hits;
}

/* ---- espresso: is a cover of cubes a tautology? Split on a variable, chosen by counts
 * of all columns, until that is seen. As in the program of that name a cover is a list of
 * pointers to cubes that stay where they are, and what is allocated for each part is
 * that list, a cube that says what it is part of, and two to split by. ----------------
 */

#define VARIABLES 24
#define COLUMNS (2 * VARIABLES) /* of a variable: may be 0, may be 1 */
#define ALL ((UINT64_C(1) << COLUMNS) - 1)

struct cover {
  unsigned cubes;
  uint64_t *part; /* of which this is the cover: where it is 0 nothing is asked */
  const uint64_t *cube[];
};

static NOINLINE uint64_t *cube_new(uint64_t columns) {
  uint64_t *cube = malloc(sizeof *cube);
  CHECK(cube);
  *cube = columns;
  return cube;
}

static NOINLINE struct cover *cover_new(unsigned most, uint64_t part) {
  struct cover *c = malloc(sizeof *c + most * sizeof c->cube[0]);
  CHECK(c);
  c->cubes = 0;
  c->part = cube_new(part);
  return c;
}

static void cover_drop(struct cover *c) {
  free(c->part);
  free(c);
}

/* In the half of the space in which that column is. */
static NOINLINE struct cover *cofactor(const struct cover *c, const uint64_t *half,
                                       unsigned variable) {
  uint64_t asked = *half & UINT64_C(3) << 2 * variable;
  struct cover *part = cover_new(c->cubes, *c->part & ~(UINT64_C(3) << 2 * variable));
  for (unsigned i = 0; i < c->cubes; i++)
    if (*c->cube[i] & asked) part->cube[part->cubes++] = c->cube[i];
  return part;
}

static void count_zeros(const struct cover *c, unsigned *zeros) {
  memset(zeros, 0, COLUMNS * sizeof *zeros);
  for (unsigned i = 0; i < c->cubes; i++)
    for (uint64_t left = *c->part & ~*c->cube[i]; left; left &= left - 1)
      zeros[__builtin_ctzll(left)]++;
}

/* The variable that most cubes ask for, in both forms if any is. */
static unsigned best_of(const unsigned *zeros, bool *both) {
  unsigned best = 0, most = 0;
  *both = false;
  for (unsigned v = 0; v < VARIABLES; v++) {
    const unsigned *z = &zeros[2 * v];
    bool is_both = z[0] && z[1];
    if (is_both < *both || (is_both == *both && z[0] + z[1] <= most)) continue;
    *both = is_both;
    most = z[0] + z[1];
    best = v;
  }
  return best;
}

enum answer { NO, YES, SPLIT };
static NOINLINE enum answer decide(const struct cover *c, unsigned *variable) {
  unsigned zeros[COLUMNS];
  for (unsigned i = 0; i < c->cubes; i++)
    if (!(*c->part & ~*c->cube[i])) return YES;
  count_zeros(c, zeros);
  bool both;
  *variable = best_of(zeros, &both);
  return both ? SPLIT : NO; /* of a variable that is asked for in one form alone, the
                               other half is covered by who asks for nothing */
}

static NOINLINE bool tautology(const struct cover *c) {
  unsigned variable;
  enum answer answer = decide(c, &variable);
  if (answer != SPLIT) return answer == YES;
  uint64_t *zero = cube_new(ALL ^ UINT64_C(2) << 2 * variable);
  uint64_t *one = cube_new(ALL ^ UINT64_C(1) << 2 * variable);
  struct cover *part = cofactor(c, zero, variable);
  bool covers = tautology(part);
  cover_drop(part);
  if (covers) {
    part = cofactor(c, one, variable);
    covers = tautology(part);
    cover_drop(part);
  }
  free(zero);
  free(one);
  return covers;
}

static uint64_t espresso(long size) {
  enum { CUBES = 60, ASKED = 3, OF = 10 };
  uint64_t random = 2, found = 0, *cubes[CUBES];
  for (long round = 0; round < size * 12; round++) {
    struct cover *c = cover_new(CUBES, ALL);
    for (int i = 0; i < CUBES; i++) {
      c->cube[c->cubes++] = cubes[i] = cube_new(ALL);
      for (int k = 0; k < ASKED; k++)
        *cubes[i] &= ~(UINT64_C(1) << next_random(&random) % (2 * OF));
    }
    found += tautology(c);
    for (int i = 0; i < CUBES; i++)
      free(cubes[i]);
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

/* ---- larson: a server's threads replace blocks at random and hand them on. As in the
 * program of that name two numbers are drawn for each block, from a congruential
 * generator that is shuffled, and the sizes are noted. --------------------------------
 */

#define BLOCKS 1000
#define GENERATIONS 5
static long larson_rounds;
static void *larson_blocks[THREADS][BLOCKS];
static unsigned larson_sizes[THREADS][BLOCKS];
static volatile long larson_most = 490, larson_held = BLOCKS; /* as if by arguments */

#define DEALT 97
struct dealer {
  long next, last, cards[DEALT];
};
static long shuffle(struct dealer *d) {
  long old = d->next;
  d->next = (d->next * 1366 + 150889) % 714025;
  return old;
}
static struct dealer dealer_new(long seed) {
  struct dealer d = {.next = seed};
  for (int i = 0; i < DEALT; i++)
    d.cards[i] = shuffle(&d);
  d.last = shuffle(&d);
  return d;
}
static NOINLINE long deal(struct dealer *d) {
  long *card = &d->cards[d->last % DEALT];
  d->last = *card;
  *card = shuffle(d);
  return d->last;
}

static void *larson_thread(void *arg) {
  struct dealer dealer = dealer_new((long)(intptr_t)arg * 77 + 5);
  void **blocks = larson_blocks[(uintptr_t)arg % THREADS];
  unsigned *sizes = larson_sizes[(uintptr_t)arg % THREADS];
  for (long i = 0; i < larson_rounds; i++) {
    long victim = deal(&dealer) % larson_held;
    free(blocks[victim]);
    long size = 10 + deal(&dealer) % larson_most;
    char *block = get((size_t)size);
    blocks[victim] = block;
    sizes[victim] = (unsigned)size;
    block[0] = 'a';
    block[1] = 'b';
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
