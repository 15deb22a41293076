/* The heap by itself: base/ and heap/ and nothing above them, nobody watching. Threads
 * that allocate, free, resize and hand blocks to each other against a model (each block
 * is filled with what only it can hold), under the sanitizers too; and the worst cases of
 * an allocator, judged by what can be counted: page faults, mappings, bytes that stay.
 *
 * ULLAGE_STRESS_S: seconds for the stress (default 2). */
#include "base/os.h"
#include "base/os_thread.h"
#include "base/say.h"
#include "base/text.h"
#include "heap/arena.h"
#include "heap/class.h"
#include "heap/heap.h"
#include "heap/large.h"
#include "heap/retain.h"
#include "heap_checks.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

/* ---- malloc over the heap ------------------------------------------------------ */

static void *take(size_t bytes, size_t align, bool *zeroed) {
  struct spot s = {NULL, NULL};
  *zeroed = false;
  return heap_take_any(heap_mine(), bytes, align, &s, zeroed);
}

static void *get(size_t bytes) {
  bool zeroed;
  void *p = take(bytes, 0, &zeroed);
  assert_non_null(p);
  return p;
}

static struct spot spot_of(void *p) {
  struct spot s = heap_spot(p, map_lookup(p));
  assert_true(s.pool || s.large);
  return s;
}

static void put(void *p) {
  struct spot s = spot_of(p);
  if (s.pool && s.pool->class != UL_SPAN)
    heap_keep(heap_mine(), s.pool, hide(p), NULL);
  else
    heap_put_any(heap_mine(), s, p);
}

static void *resize(void *p, size_t old, size_t bytes) {
  struct spot s = spot_of(p);
  enum heap_resizing how = heap_resizing(s, bytes);
  if (how == HEAP_STAYS) return p;
  void *q = how == HEAP_RESIZES ? heap_resize(&s, bytes) : NULL;
  if (q) return q;
  q = get(bytes);
  memcpy(q, p, old < bytes ? old : bytes);
  put(p);
  return q;
}

/* ---- stress -------------------------------------------------------------------- */

enum { SLOTS = 4096, THREADS = 6 };

struct model {
  size_t bytes;
  uint64_t mark;
};
static struct slot {
  pthread_mutex_t lock;
  struct model *block; /* its head and, if it is long enough, its end say what it is */
} slots[SLOTS];
static _Atomic bool stop;
static _Atomic uint64_t operations;

static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

static size_t random_size(uint64_t *state) {
  uint64_t r = next_random(state), shift = r % 100 < 90 ? 10 : r % 100 < 99 ? 17 : 22;
  return sizeof(struct model) + 8 + (r >> 8) % (UINT64_C(1) << shift);
}

static void mark(struct model *m, size_t bytes, uint64_t value) {
  *m = (struct model){bytes, value};
  memcpy((char *)m + bytes - 8, &value, 8);
}

static void verify(const struct model *m) {
  uint64_t end;
  memcpy(&end, (const char *)m + m->bytes - 8, 8);
  if (end != m->mark)
    say_invariant("a block holds what was put there", __FILE__, __LINE__);
}

static struct model *fresh(uint64_t *state) {
  size_t bytes = random_size(state), align = 0;
  uint64_t r = next_random(state);
  if (r % 8 == 0) align = (size_t)32 << (r >> 8) % 13;
  bool zeroed;
  char *p = take(bytes, align, &zeroed);
  if (!p || (align && (uintptr_t)p % align))
    say_invariant("a block is there and aligned", __FILE__, __LINE__);
  for (size_t i = 0; zeroed && i < bytes; i += 1 + i / 2)
    if (p[i]) say_invariant("a fresh block is zero", __FILE__, __LINE__);
  struct model *m = (struct model *)p;
  mark(m, bytes, r);
  return m;
}

static struct model *grown(struct model *m, uint64_t *state) {
  size_t bytes = random_size(state), old = m->bytes;
  uint64_t was = m->mark;
  m = resize(m, old, bytes);
  if (m->mark != was) say_invariant("content moves along", __FILE__, __LINE__);
  mark(m, bytes, was);
  return m;
}

static void *stress(void *argument) {
  uint64_t state = 88172645463325252u * (1 + (uintptr_t)argument);
  while (!stop) {
    struct slot *s = &slots[next_random(&state) % SLOTS];
    pthread_mutex_lock(&s->lock);
    if (s->block) verify(s->block);
    if (s->block && next_random(&state) % 4 == 0) {
      s->block = grown(s->block, &state);
    } else if (s->block) {
      put(s->block);
      s->block = NULL;
    } else {
      s->block = fresh(&state);
    }
    pthread_mutex_unlock(&s->lock);
    uint64_t n = atomic_fetch_add(&operations, 1);
    if (n % 65536 == 0) heap_trim_all(heap_mine());
    if (next_random(&state) % 32768 == 0) break; /* threads end, and others come */
  }
  return NULL;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_stress(void **state) {
  (void)state;
  const char *wish = getenv("ULLAGE_STRESS_S");
  double end = seconds() + (wish ? atof(wish) : 2);
  for (int i = 0; i < SLOTS; i++)
    pthread_mutex_init(&slots[i].lock, NULL);
  pthread_t threads[THREADS];
  uintptr_t made = 0;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, stress, (void *)made++), 0);
  for (int i = 0; seconds() < end; i = (i + 1) % THREADS) {
    pthread_join(threads[i], NULL);
    assert_int_equal(pthread_create(&threads[i], NULL, stress, (void *)made++), 0);
  }
  stop = true;
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  for (int i = 0; i < SLOTS; i++)
    if (slots[i].block) put(slots[i].block);
  heap_check_all();
  heap_trim_all(heap_mine());
  heap_check_all();
  assert_true(operations > 10000);
}

/* ---- what others freed does not wait for a thread that sleeps ------------------- */

static struct sleeper {
  pthread_t thread;
  pthread_barrier_t allocated, freed;
  size_t bytes;
  int blocks;
  void **block;
} sleepers[4];

static void *allocate_and_sleep(void *argument) {
  struct sleeper *s = argument;
  for (int i = 0; i < s->blocks; i++)
    memset(s->block[i] = get(s->bytes), 1, s->bytes);
  pthread_barrier_wait(&s->allocated);
  pthread_barrier_wait(&s->freed);
  return NULL;
}

static uint64_t pool_bytes(void) {
  arena_lock();
  struct arena_totals t = arena_totals();
  arena_unlock();
  return t.pool_bytes;
}

static void free_of_sleepers(size_t bytes) {
  uint64_t before = pool_bytes();
  for (int i = 0; i < 4; i++) {
    struct sleeper *s = &sleepers[i];
    s->bytes = bytes;
    s->blocks = (int)(16 * MIB / bytes);
    s->block = calloc((size_t)s->blocks, sizeof *s->block);
    pthread_barrier_init(&s->allocated, NULL, 2);
    pthread_barrier_init(&s->freed, NULL, 2);
    assert_int_equal(pthread_create(&s->thread, NULL, allocate_and_sleep, s), 0);
  }
  for (int i = 0; i < 4; i++)
    pthread_barrier_wait(&sleepers[i].allocated);
  assert_true(pool_bytes() > before + 60 * MIB);
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < sleepers[i].blocks; k++)
      put(sleepers[i].block[k]);
  assert_true(pool_bytes() <= before + 8 * MIB);
  assert_false(retain_too_much(pool_bytes()));
  for (int i = 0; i < 4; i++) {
    pthread_barrier_wait(&sleepers[i].freed);
    pthread_join(sleepers[i].thread, NULL);
    free(sleepers[i].block);
  }
}

static void test_sleeping_owners(void **state) {
  (void)state;
  for (size_t bytes = 1000; bytes <= 32768; bytes = bytes * 2 + 333)
    free_of_sleepers(bytes);
}

/* ---- a dead thread's heap is seen as it was left --------------------------------- */

/* That it is dead says the kernel: nothing that ThreadSanitizer knows lies between it and
 * who adopts its heap but what the heap itself puts there. */
static _Atomic int relayed;
static void *write_and_leave(void *unused) {
  enum { BLOCKS = 2 * MAGAZINE_AFTER, BYTES = 200 };
  void *block[BLOCKS];
  for (int i = 0; i < BLOCKS; i++)
    memset(block[i] = get(BYTES), i, BYTES);
  for (int i = 0; i < BLOCKS; i++)
    put(block[i]);
  atomic_store_explicit(&relayed, os_tid(), memory_order_relaxed);
  return unused;
}

static int has_run(void) {
  int tid = atomic_load_explicit(&relayed, memory_order_relaxed);
  return tid && !os_thread_alive(tid);
}

static void test_the_dead_are_seen_as_they_left(void **state) {
  (void)state;
  enum { THREADS_IN_TURN = 32 };
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  for (int i = 0; i < THREADS_IN_TURN; i++) {
    pthread_t thread;
    atomic_store_explicit(&relayed, 0, memory_order_relaxed);
    assert_int_equal(pthread_create(&thread, &detached, write_and_leave, NULL), 0);
    while (!has_run())
      sched_yield();
  }
  pthread_attr_destroy(&detached);
  heap_trim_all(heap_mine());
  heap_check_all();
}

/* ---- worst cases, by what can be counted ---------------------------------------- */

/* A sanitizer's shadow has faults of its own. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SHADOWED true
#endif
#endif
#ifndef SHADOWED
#define SHADOWED false
#endif

static long faults(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_minflt;
}

static long resident_kib(void) {
  long all, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  assert_non_null(f);
  assert_int_equal(fscanf(f, "%ld %ld", &all, &resident), 2);
  fclose(f);
  return resident * (OS_PAGE / 1024);
}

static void touch(char *p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += OS_PAGE)
    p[i] = 1;
}

/* Made, touched, freed, again: pages are fetched twice, and then no more. */
static void batches(int n, void **blocks) {
  enum { BYTES = 24000, ROUNDS = 60, LEARNED = 20 };
  void *wall = NULL;
  long before = faults(), learned = 0;
  for (int round = 0; round < ROUNDS; round++) {
    if (round == LEARNED) learned = faults();
    for (int i = 0; i < n; i++)
      touch(blocks[i] = get(BYTES), BYTES);
    if (!wall) wall = get(100);
    for (int i = 0; i < n; i++)
      put(blocks[i]);
  }
  put(wall);
  assert_in_range(faults() - learned, 0, ROUNDS);
  assert_in_range(faults() - before, 0, 9 * (long)n * (BYTES / OS_PAGE + 1) / 4);
}

static void test_batches(void **state) {
  (void)state;
  if (SHADOWED) skip();
  enum { MOST = 800 };
  static void *blocks[MOST];
  for (int n = 400; n <= MOST; n += 50)
    batches(n, blocks);
}

/* What is free goes up and down by chance: that is a rhythm, too. */
static void test_sizes_by_chance(void **state) {
  (void)state;
  if (SHADOWED) skip();
  enum { BLOCKS = 512, ROUNDS = 1500000 };
  static void *blocks[BLOCKS];
  uint64_t random = 1;
  size_t pages = 0;
  long before = faults();
  for (int i = 0; i < ROUNDS; i++) {
    uint64_t r = next_random(&random);
    size_t bytes = r % 4096 == 1 ? 300000 + (r >> 20 & 0xfffff)
                   : r % 16 == 0 ? (r >> 8 & 0xffff) + 1
                                 : (r >> 8 & 0x1ff) + 1;
    void **slot = &blocks[(r >> 40) % BLOCKS];
    if (*slot) put(*slot);
    *slot = get(bytes);
    touch(*slot, bytes);
    if (bytes > UL_MEDIUM_MAX) pages += (bytes + OS_PAGE - 1) / OS_PAGE;
  }
  for (int i = 0; i < BLOCKS; i++)
    put(blocks[i]);
  assert_in_range(faults() - before, 0, pages / 50);
}

/* A thread that holds a block of each size up to 1 KiB fills pages, not a page a class.
 */
static void *hold_each_size(void *argument) {
  enum { SIZES = 64, POOLS = 5 };
  void *blocks[SIZES];
  for (int i = 0; i < SIZES; i++)
    blocks[i] = get(16 * ((size_t)i + 1));
  struct heap *h = heap_mine();
  *(bool *)argument = h->pool_bytes == POOLS * UL_UNIT_BYTES;
  for (int i = 0; i < SIZES; i++)
    put(blocks[i]);
  return NULL;
}

static void test_few_blocks_share_pools(void **state) {
  (void)state;
  pthread_t thread;
  bool shared = false;
  assert_int_equal(pthread_create(&thread, NULL, hold_each_size, &shared), 0);
  pthread_join(thread, NULL);
  assert_true(shared);
}

static void test_large_in_turn(void **state) {
  (void)state;
  if (SHADOWED) skip();
  long before = faults();
  for (int round = 0; round < 40; round++)
    for (size_t bytes = 5 * MIB; bytes <= 25 * MIB; bytes += 5 * MIB) {
      char *p = get(bytes);
      touch(p, bytes);
      put(p);
    }
  assert_in_range(faults() - before, 0, 8 * 75 * MIB / OS_PAGE);
}

static void test_untouched_stays_untouched(void **state) {
  (void)state;
  if (SHADOWED) skip();
  enum { N = 500, BYTES = 200000 };
  static void *blocks[N];
  heap_trim_all(heap_mine());
  arena_trim();
  long before = faults();
  for (int i = 0; i < N; i++) {
    bool zeroed;
    assert_non_null(blocks[i] = take(BYTES, 0, &zeroed));
    assert_true(zeroed);
  }
  assert_in_range(faults() - before, 0, N); /* descriptors, no blocks */
  for (int i = 0; i < N; i++)
    put(blocks[i]);
}

static int mappings(void) {
  int n = 0;
  FILE *f = fopen("/proc/self/maps", "r");
  for (int c; (c = getc(f)) != EOF;)
    n += c == '\n';
  fclose(f);
  return n;
}

static void test_growing_stays_one_mapping(void **state) {
  (void)state;
  size_t bytes = 600 * 1024;
  char *p = get(bytes), *wall = get(bytes);
  int before = mappings();
  for (; bytes < 32 * MIB; bytes += 64 * 1024) {
    p = resize(p, bytes, bytes + 64 * 1024);
    p[bytes] = 1;
  }
  assert_in_range(mappings(), 0, before + 6);
  put(p);
  put(wall);
}

static void test_many_blocks_few_mappings(void **state) {
  (void)state;
  enum { N = 20000 };
  void **blocks = calloc(N, sizeof *blocks);
  int before = mappings();
  for (int i = 0; i < N; i++)
    blocks[i] = get(300000);
  assert_in_range(mappings(), 0, before + N / 100);
  for (int i = 0; i < N; i++)
    put(blocks[i]);
  for (int i = 0; i < N; i++) {
    bool zeroed;
    blocks[i] = take(100, 32768, &zeroed);
    assert_int_equal((uintptr_t)blocks[i] % 32768, 0);
  }
  assert_in_range(mappings(), 0, before + N / 100);
  for (int i = 0; i < N; i++)
    put(blocks[i]);
  free(blocks);
}

/* Spans that leave holes no other such span fits in: arenas are filled, not passed by. */
static void test_aligned_spans_fill_arenas(void **state) {
  (void)state;
  enum { N = 8000, ALIGN = 32 << 10, IN_ARENA = UL_ARENA_BYTES / ALIGN };
  static void *blocks[N];
  bool zeroed;
  size_t before = os_mapped(OS_ARENA);
  for (int i = 0; i < N; i++)
    assert_non_null(blocks[i] = take(100, ALIGN, &zeroed));
  assert_in_range(os_mapped(OS_ARENA) - before, 0,
                  (N / IN_ARENA + 2) * (size_t)UL_ARENA_BYTES);
  for (int i = 0; i < N; i++)
    put(blocks[i]);
}

/* Where memory is locked, giving it back fails: once is enough to know. */
static void test_locked_memory_stays(void **state) {
  (void)state;
  enum { N = 4000, BYTES = 16000, EACH = 50 };
  static void *blocks[N];
  for (int i = 0; i < N; i++)
    blocks[i] = get(BYTES);
  os_inject_faults("madvise:1");
  for (int i = 0; i < N; i++)
    if (i % EACH) put(blocks[i]);
  os_inject_faults("madvise:0");
  assert_in_range(retain_bytes(), N / 2 * BYTES, SIZE_MAX);
  assert_in_range(arena_trim(), N / 2 * BYTES, SIZE_MAX); /* tries again */
  assert_in_range(retain_bytes(), 0, 4 * MIB);
  for (int i = 0; i < N; i += EACH)
    put(blocks[i]);
}

/* What describes arenas goes with them. */
static void test_descriptors_go_too(void **state) {
  (void)state;
  if (SHADOWED) skip();
  enum { N = 20000, BYTES = 300000 };
  static void *blocks[N];
  long before = resident_kib();
  for (int i = 0; i < N; i++)
    blocks[i] = get(BYTES);
  for (int i = 0; i < N; i++)
    put(blocks[i]);
  /* of 34 MiB, what may describe the few arenas that stay */
  assert_in_range(resident_kib(), 0, before + 8 * 1024);
}

/* 16 TiB, as a program may ask for where the kernel grants everything: the map says it in
 * a few leaves, also when a part of it goes. */
static void test_map_of_a_huge_block(void **state) {
  (void)state;
  const size_t gib = (size_t)1 << 30, bytes = 16384 * gib + 5 * (size_t)MIB;
  char *base = (char *)(32768 * gib + 3 * (size_t)MIB), *end = base + bytes;
  const map_slot value = 0x1001;
  size_t before = os_mapped(OS_TOOL);
  assert_true(map_enter(base, bytes, value));
  assert_in_range(os_mapped(OS_TOOL) - before, 0, 2 * MIB);
  for (char *p = base; p < end; p += gib)
    assert_int_equal(map_lookup(p), value);
  assert_int_equal(map_lookup(end - 1), value);
  assert_int_equal(map_lookup(end), 0);
  assert_int_equal(map_lookup(base - 1), 0);

  char *cut = base + 1000 * gib + MIB;
  assert_true(map_enter(cut, (size_t)(end - cut), 0));
  assert_int_equal(map_lookup(cut - 1), value);
  assert_int_equal(map_lookup(base + 999 * gib), value);
  for (char *p = cut; p < end; p += gib)
    assert_int_equal(map_lookup(p), 0);
  assert_true(map_enter(cut + 20 * gib, MIB, value + 2));
  assert_int_equal(map_lookup(cut + 20 * gib), value + 2);
  assert_int_equal(map_lookup(cut + 20 * gib + MIB), 0);
  assert_true(map_enter(cut + 20 * gib, MIB, 0));

  assert_true(map_enter(base, (size_t)(cut - base), value + 4)); /* as when it moves */
  assert_int_equal(map_lookup(base + 500 * gib), value + 4);
  assert_true(map_enter(base, (size_t)(cut - base), 0));
  uintptr_t at = (uintptr_t)base;
  assert_true(!map_next_slot(&at) || at >= (uintptr_t)end);
  assert_in_range(os_mapped(OS_TOOL) - before, 0, 2 * MIB);
}

static void test_no_more_than_an_eighth(void **state) {
  (void)state;
  for (size_t bytes = 1024; bytes <= 2 * MIB; bytes += bytes / 50) {
    void *p = get(bytes);
    assert_in_range(heap_usable(spot_of(p)) - bytes, 0, bytes / 8);
    put(p);
  }
}

static void test_says_no(void **state) {
  (void)state;
  bool zeroed;
  assert_null(take((size_t)1 << 46, 0, &zeroed));
  heap_check_all();
}

/* What ullage says and writes is put together by itself, too. */
static void test_text_fits_its_room(void **state) {
  (void)state;
  char room[13];
  struct text t = TEXT_IN(room);
  text_put(&t, "a\t");
  text_put_shown(&t, "b\n");
  text_put_number(&t, 1234);
  assert_string_equal(room, "a\tb\\x0a1234");
  assert_false(t.cut);
  text_put_shown(&t, "\n"); /* all of it or nothing */
  assert_string_equal(room, "a\tb\\x0a1234");
  assert_true(t.cut);
  text_put(&t, "cd");
  assert_string_equal(room, "a\tb\\x0a1234c");
  assert_int_equal(t.n, sizeof room - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text_fits_its_room),
      cmocka_unit_test(test_untouched_stays_untouched),
      cmocka_unit_test(test_few_blocks_share_pools),
      cmocka_unit_test(test_batches),
      cmocka_unit_test(test_sizes_by_chance),
      cmocka_unit_test(test_large_in_turn),
      cmocka_unit_test(test_sleeping_owners),
      cmocka_unit_test(test_the_dead_are_seen_as_they_left),
      cmocka_unit_test(test_growing_stays_one_mapping),
      cmocka_unit_test(test_many_blocks_few_mappings),
      cmocka_unit_test(test_map_of_a_huge_block),
      cmocka_unit_test(test_aligned_spans_fill_arenas),
      cmocka_unit_test(test_locked_memory_stays),
      cmocka_unit_test(test_descriptors_go_too),
      cmocka_unit_test(test_no_more_than_an_eighth),
      cmocka_unit_test(test_says_no),
      cmocka_unit_test(test_stress),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
