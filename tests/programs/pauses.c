/* pauses CASE - how long a program waits for its single calls of malloc and free: nearest
 * microseconds that 50, 99, 99.9 and 99.99 % of the calls do not exceed, and the
 * processor time of the longest call, for scripts/pauses to compare. */
#include "common.h"

enum {
  CASES_LIVE = 2000000,
  CASES_STACKS = 200000,
  CASES_TURNS = 1000000,
  SLOTS = 10000
};

static uint64_t ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- what was measured ----------------------------------------------------------- */

/* Calls by their time: 32 to each doubling, so within 3 %. */
enum { PARTS = 32, BUCKETS = 40 * PARTS };
static unsigned calls[BUCKETS];
static uint64_t call_count, longest;

static unsigned bucket_of(uint64_t value) {
  if (value < PARTS) return (unsigned)value;
  unsigned shift = 58 - (unsigned)__builtin_clzll(value);
  return (shift + 1) * PARTS + (unsigned)(value >> shift) - PARTS;
}

static uint64_t value_of(unsigned bucket) {
  if (bucket < PARTS) return bucket;
  return (uint64_t)(bucket % PARTS + PARTS) << (bucket / PARTS - 1);
}

static double percentile(double share) {
  double left = share / 100 * (double)call_count;
  unsigned i = 0;
  while (i + 1 < BUCKETS && left > calls[i])
    left -= calls[i++];
  return (double)value_of(i) / 1000;
}

static uint64_t wall, processor;

static void begin(void) {
  processor = ns(CLOCK_THREAD_CPUTIME_ID);
  wall = ns(CLOCK_MONOTONIC);
}

static void end(void) {
  uint64_t took = ns(CLOCK_MONOTONIC) - wall;
  uint64_t worked = ns(CLOCK_THREAD_CPUTIME_ID) - processor;
  calls[bucket_of(took)]++;
  call_count++;
  if (worked > longest) longest = worked;
}

static NOINLINE void *get(size_t bytes) {
  begin();
  void *p = keep(malloc(bytes));
  end();
  CHECK(p);
  memset(p, 1, bytes);
  return p;
}

static void put(void *p) {
  begin();
  free(p);
  end();
}

/* ---- cases ----------------------------------------------------------------------- */

/* Everything is kept: the heap, the ledger and the file grow. */
static void live(void) {
  void **blocks = calloc(CASES_LIVE, sizeof *blocks);
  for (int i = 0; i < CASES_LIVE; i++)
    blocks[i] = get(48);
  keep(blocks);
}

/* A new stack each time. */
static NOINLINE void *left(unsigned bits, int depth);
static NOINLINE void *right(unsigned bits, int depth);

static inline void *go(unsigned bits, int depth) {
  void *p = depth == 0 ? get(64)
            : bits & 1 ? left(bits / 2, depth - 1)
                       : right(bits / 2, depth - 1);
  __asm__ volatile("" : : : "memory"); /* no tail call */
  return p;
}

static NOINLINE void *left(unsigned bits, int depth) {
  return go(bits, depth);
}
static NOINLINE void *right(unsigned bits, int depth) {
  void *p = go(bits, depth);
  __asm__ volatile("nop");
  return p;
}

static void stacks(void) {
  for (unsigned i = 0; i < CASES_STACKS; i++)
    put(go(i, 18));
}

/* Blocks of all sizes live for a while. */
static void turns(void) {
  static void *slots[SLOTS];
  uint64_t random = 88172645463325252;
  for (int i = 0; i < CASES_TURNS; i++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    void **slot = &slots[random % SLOTS];
    if (*slot) put(*slot);
    *slot = get(16 + (random >> 32) % (random >> 20 & 15 ? 256 : 8192));
  }
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } cases[] = {{"live", live}, {"stacks", stacks}, {"turns", turns}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (argc < 2) puts(cases[i].name);
    if (argc < 2 || strcmp(argv[1], cases[i].name) != 0) continue;
    cases[i].run();
    printf("%.3f %.3f %.3f %.3f %.3f\n", percentile(50), percentile(99), percentile(99.9),
           percentile(99.99), (double)longest / 1000);
    fflush(stdout);
    _exit(0);
  }
  return argc < 2 ? 0 : 2;
}
