/* Magazines: which blocks are kept, for whom, how many, and that all come back. */
#include "base/os.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/magazine.h"
#include "heap_checks.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = 100, SIZE = 112, MANY = 2000, FULL = MAGAZINE_ROUNDS };

/* As malloc does, and free: the fast ways are these. */
static void *get(size_t bytes) {
  struct spot s;
  bool zeroed;
  void *p = heap_take_any(heap_mine(), bytes, 0, &s, &zeroed);
  assert_non_null(p);
  assert_ptr_equal(s.pool, heap_spot(p, map_lookup(p)).pool);
  memset(p, 1, bytes);
  return p;
}

static void put(void *p) {
  struct spot s = heap_spot(p, map_lookup(p));
  assert_non_null(s.pool);
  heap_keep(heap_mine(), s.pool, hide(p), NULL);
}

static uint64_t pool_bytes(void) {
  arena_lock();
  struct arena_totals t = arena_totals();
  arena_unlock();
  return t.pool_bytes;
}

static void nothing_is_left(void) {
  heap_check_all();
  heap_trim_all(heap_mine());
  heap_check_all();
  assert_int_equal(magazine_bytes(), 0);
  assert_int_equal(pool_bytes(), 0);
}

/* So that the class has pools of its own, and a magazine, which is empty. */
static void warm_up(size_t bytes) {
  enum { N = FEW_BLOCKS + MAGAZINE_AFTER };
  void *p[N];
  for (int i = 0; i < N; i++)
    p[i] = get(bytes);
  for (int i = 0; i < N; i++)
    put(p[i]);
  heap_trim_all(heap_mine());
}

struct running {
  pthread_t thread;
  void *(*body)(void *);
  int tid;
};

static void *run(void *argument) {
  struct running *r = argument;
  r->tid = os_tid();
  return r->body(NULL);
}

static void begin(struct running *r, void *(*body)(void *)) {
  *r = (struct running){.body = body};
  assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
}

/* It is joined a little before the kernel has forgotten it. */
static void wait_for(struct running *r) {
  pthread_join(r->thread, NULL);
  while (os_thread_alive(r->tid))
    sched_yield();
}

static void in_a_thread(void *(*body)(void *)) {
  struct running r;
  begin(&r, body);
  wait_for(&r);
}

/* ---- tests, each in a thread with a heap of its own ------------------------------ */

static void *free_few(void *unused) {
  void *p[MAGAZINE_AFTER - 1];
  for (int i = 0; i < MAGAZINE_AFTER - 1; i++)
    p[i] = get(BYTES);
  for (int i = 0; i < MAGAZINE_AFTER - 1; i++)
    put(p[i]);
  assert_int_equal(magazine_bytes(), 0);
  assert_null(heap_mine()->magazine_memory);
  return unused;
}

static void test_few_frees_make_none(void **state) {
  (void)state;
  in_a_thread(free_few);
  nothing_is_left();
}

static void *free_and_take(void *unused) {
  warm_up(BYTES);
  void *a = get(BYTES), *b = get(BYTES), *live = get(BYTES);
  struct pool *pool = heap_spot(a, map_lookup(a)).pool;
  uint32_t before = pool->live;
  put(a);
  put(b);
  assert_int_equal(magazine_bytes(), 2 * SIZE);
  assert_int_equal(pool->live, before); /* for its pool it is live */
  assert_int_equal(magazine_count(heap_mine(), pool), 2);
  assert_int_equal(*(char *)a, 1); /* and was not written */
  heap_check_all();
  assert_ptr_equal(get(BYTES), b);
  assert_ptr_equal(get(BYTES), a);
  assert_int_equal(magazine_bytes(), 0);
  put(a);
  put(b);
  put(live);
  return unused;
}

static void test_last_in_first_out(void **state) {
  (void)state;
  in_a_thread(free_and_take);
  nothing_is_left();
}

/* A phase ends: its last blocks are no exception. */
static void *free_all(void *unused) {
  static void *p[MANY];
  warm_up(BYTES);
  for (int i = 0; i < MANY; i++)
    p[i] = get(BYTES);
  uint64_t most = pool_bytes();
  for (int i = 0; i < MANY; i++)
    put(p[(i * 7 + 3) % MANY]);
  assert_int_equal(magazine_bytes(), 0);
  assert_true(pool_bytes() < most - MANY * SIZE + 2 * UL_UNIT_BYTES);
  heap_check_all();
  void *again = get(BYTES); /* opens it */
  put(again);
  assert_int_equal(magazine_bytes(), SIZE);
  assert_ptr_equal(get(BYTES), again);
  put(again);
  return unused;
}

static void test_who_only_frees_keeps_nothing(void **state) {
  (void)state;
  in_a_thread(free_all);
  nothing_is_left();
}

/* Up and down by turns: it stays open, and half of it goes when it is full. */
static void *by_turns(void *unused) {
  static void *p[MANY];
  warm_up(BYTES);
  for (int i = 0; i < MANY; i++)
    p[i] = get(BYTES);
  for (int i = 0; i < FULL; i++)
    put(p[i]);
  assert_int_equal(magazine_bytes(), FULL * SIZE);
  put(p[FULL]);
  assert_int_equal(magazine_bytes(), (FULL / 2 + 1) * SIZE);
  for (int i = FULL; i >= FULL - FULL / 2; i--) /* those that came last */
    assert_ptr_equal(get(BYTES), p[i]);
  assert_int_equal(magazine_bytes(), 0);
  heap_check_all();
  for (int i = FULL - FULL / 2; i < MANY; i++)
    put(p[i]);
  return unused;
}

static void test_half_of_a_full_one_goes(void **state) {
  (void)state;
  in_a_thread(by_turns);
  nothing_is_left();
}

static void fill(size_t bytes) {
  enum { N = 4 * FULL };
  void *few[FEW_BLOCKS], *p[N]; /* those may be of a larger class */
  size_t most = 0;
  for (int i = 0; i < FEW_BLOCKS; i++)
    few[i] = get(bytes);
  for (int i = 0; i < N; i++)
    p[i] = get(bytes);
  for (int i = 0; i < N; i++) {
    put(p[i]);
    uint64_t kept = magazine_bytes();
    if (kept > most) most = kept;
  }
  heap_check_all();
  size_t rounds = bytes > MAGAZINE_BYTES / 2 ? 0 : MAGAZINE_BYTES / bytes;
  assert_int_equal(most, bytes * (rounds < FULL ? rounds : FULL));
  for (int i = 0; i < FEW_BLOCKS; i++)
    put(few[i]);
  heap_trim_all(heap_mine());
}

static void *fill_each(void *unused) {
  for (unsigned class = 1; class < UL_CLASSES; class ++)
    fill(class_bytes(class));
  return unused;
}

static void test_no_class_keeps_much(void **state) {
  (void)state;
  in_a_thread(fill_each);
  nothing_is_left();
}

static void *of_the_dead[4];
static void *leave_some(void *unused) {
  warm_up(BYTES);
  for (int i = 0; i < 4; i++)
    of_the_dead[i] = get(BYTES);
  for (int i = 0; i < 4; i++)
    put(of_the_dead[i]);
  return unused;
}
static void *find_some(void *unused) {
  for (int i = 3; i >= 0; i--)
    assert_ptr_equal(get(BYTES), of_the_dead[i]);
  for (int i = 3; i >= 0; i--)
    put(of_the_dead[i]);
  return unused;
}

static void test_who_adopts_a_heap_has_its_magazines(void **state) {
  (void)state;
  in_a_thread(leave_some);
  assert_int_equal(magazine_bytes(), 4 * SIZE);
  in_a_thread(find_some);
  assert_int_equal(magazine_bytes(), 4 * SIZE);
  nothing_is_left(); /* that of a dead thread is emptied by whoever trims */
}

static pthread_barrier_t barrier;
static void *leave_some_and_sleep(void *unused) {
  leave_some(NULL);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  heap_check_all();
  find_some(NULL);
  return unused;
}

static void test_nobody_takes_of_a_living_threads(void **state) {
  (void)state;
  struct running sleeper;
  pthread_barrier_init(&barrier, NULL, 2);
  begin(&sleeper, leave_some_and_sleep);
  pthread_barrier_wait(&barrier);
  heap_trim_all(heap_mine());
  assert_int_equal(magazine_bytes(), 4 * SIZE);
  pthread_barrier_wait(&barrier);
  wait_for(&sleeper);
  nothing_is_left();
}

/* Blocks of others go home, whoever frees them. */
static void *given[MANY];
static void *free_given(void *unused) {
  warm_up(BYTES);
  for (int i = 0; i < MANY; i++)
    put(given[i]);
  assert_int_equal(magazine_bytes(), 0);
  heap_check_all();
  return unused;
}

static void test_blocks_of_others_are_not_kept(void **state) {
  (void)state;
  for (int i = 0; i < MANY; i++)
    given[i] = get(BYTES);
  in_a_thread(free_given);
  nothing_is_left();
}

/* The first few blocks of a class come from pools that others share, and so do those that
 * are in a magazine. */
static void *share(void *unused) {
  enum { SHARED = 16, OF_ITS_OWN = 9 };
  warm_up(class_bytes(SHARED));
  void *p = get(class_bytes(SHARED));
  put(p);
  assert_int_equal(heap_mine()->few[OF_ITS_OWN], 0);
  assert_ptr_equal(get(class_bytes(OF_ITS_OWN)), p);
  heap_check_all();
  put(p);
  return unused;
}

static void test_shared_pools_have_their_blocks_back(void **state) {
  (void)state;
  in_a_thread(share);
  nothing_is_left();
}

static void *sleep_on(void *unused) {
  put(get(BYTES));
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return unused;
}

/* Each of many threads has few. */
static void test_many_heaps_have_few(void **state) {
  (void)state;
  enum { THREADS = 200, MOST = 1024 / THREADS };
  static struct running sleepers[THREADS];
  assert_true(heap_magazines_most() > MOST);
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++)
    begin(&sleepers[i], sleep_on);
  pthread_barrier_wait(&barrier);
  assert_in_range(heap_magazines_most(), 1, MOST);
  unsigned before = heap_mine()->magazines_made;
  for (unsigned class = 1; class < UL_CLASSES; class ++)
    warm_up(class_bytes(class));
  assert_in_range(heap_mine()->magazines_made, 1, before > MOST ? before : MOST);
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < THREADS; i++)
    wait_for(&sleepers[i]);
  nothing_is_left();
}

static void *without_memory(void *unused) {
  void *p[4 * MAGAZINE_AFTER];
  for (int i = 0; i < 4 * MAGAZINE_AFTER; i++)
    p[i] = get(BYTES);
  os_inject_faults("mmap:1");
  heap_mine()->magazine_memory = heap_mine()->magazine_memory_end = NULL;
  for (int i = 0; i < 4 * MAGAZINE_AFTER; i++)
    put(p[i]);
  os_inject_faults("mmap:0");
  heap_check_all();
  return unused;
}

static void test_without_memory(void **state) {
  (void)state;
  in_a_thread(without_memory);
  nothing_is_left();
}

/* In a child the magazine of the thread that forks is its own; those of others stay as
 * they are, and count as free. */
static void test_in_a_forked_child(void **state) {
  (void)state;
  struct running sleeper;
  pthread_barrier_init(&barrier, NULL, 2);
  begin(&sleeper, leave_some_and_sleep);
  pthread_barrier_wait(&barrier);
  warm_up(BYTES);
  void *p = get(BYTES);
  put(p);
  heap_fork_prepare();
  pid_t child = fork();
  if (!child) heap_fork_child();
  heap_fork_parent();
  if (!child) {
    bool good = magazine_bytes() == 5 * SIZE && get(BYTES) == p;
    put(p);
    heap_trim_all(heap_mine());
    _exit(good && magazine_bytes() == 4 * SIZE ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  pthread_barrier_wait(&barrier);
  wait_for(&sleeper);
  nothing_is_left();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_few_frees_make_none),
      cmocka_unit_test(test_last_in_first_out),
      cmocka_unit_test(test_who_only_frees_keeps_nothing),
      cmocka_unit_test(test_half_of_a_full_one_goes),
      cmocka_unit_test(test_no_class_keeps_much),
      cmocka_unit_test(test_who_adopts_a_heap_has_its_magazines),
      cmocka_unit_test(test_nobody_takes_of_a_living_threads),
      cmocka_unit_test(test_blocks_of_others_are_not_kept),
      cmocka_unit_test(test_shared_pools_have_their_blocks_back),
      cmocka_unit_test(test_without_memory),
      cmocka_unit_test(test_in_a_forked_child),
      cmocka_unit_test(test_many_heaps_have_few), /* last: they stay */
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
