/* Blocks of other heaps go home in chains, and none is forgotten. */
#include "base/os.h"
#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/outbox.h"
#include "heap_checks.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 100, MANY = 10 * OUTBOX_BLOCKS };

static void *given[MANY];

static void *get(size_t bytes) {
  struct spot s;
  bool zeroed;
  void *p = heap_take_any(heap_mine(), bytes, 0, &s, &zeroed);
  assert_non_null(p);
  return p;
}

static void put(void *p) {
  heap_put_any(heap_mine(), heap_spot(p, map_lookup(p)), p);
}

static uint32_t waiting(void) {
  return heap_mine()->outbox.blocks;
}

/* Pushes on the remote stack of a heap are seen by its change. */
static bool has_come(struct heap *h, uint64_t *before) {
  uint64_t now = atomic_load(&h->remote);
  bool come = now != *before;
  *before = now;
  return come;
}

static void nothing_is_left(void) {
  heap_trim_all(heap_mine());
  heap_check_all();
  arena_lock();
  assert_int_equal(arena_totals().pool_bytes, 0);
  arena_unlock();
}

static struct heap *givers;
static void give(size_t bytes) {
  givers = heap_mine();
  for (int i = 0; i < MANY; i++)
    given[i] = get(bytes);
}

static void in_a_thread(void *(*body)(void *), int *tid) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, body, tid), 0);
  pthread_join(thread, NULL);
  while (os_thread_alive(*tid)) /* a little longer than it is joined */
    sched_yield();
}

static void in_chains(void *(*body)(void *), size_t bytes) {
  int tid = 0;
  give(bytes);
  in_a_thread(body, &tid);
  nothing_is_left();
}

/* ---- tests --------------------------------------------------------------------- */

static void *free_many(void *tid) {
  uint64_t before = atomic_load(&givers->remote);
  *(int *)tid = os_tid();
  for (int i = 0; i < MANY; i++) {
    put(given[i]);
    assert_int_equal(has_come(givers, &before), i % OUTBOX_BLOCKS == OUTBOX_BLOCKS - 1);
    assert_int_equal(waiting(), (i + 1) % OUTBOX_BLOCKS);
    heap_check_all();
  }
  return NULL;
}

static void test_as_one_chain(void **state) {
  (void)state;
  in_chains(free_many, BYTES);
}

static void *free_large(void *tid) {
  uint64_t before = atomic_load(&givers->remote);
  *(int *)tid = os_tid();
  for (int i = 0; i < MANY; i++) {
    put(given[i]);
    assert_in_range(heap_mine()->outbox.bytes, 0, OUTBOX_BYTES - 1);
    if (i < 4) assert_int_equal(has_come(givers, &before), i % 2 == 1);
  }
  return NULL;
}

static void test_bytes_count_too(void **state) {
  (void)state;
  in_chains(free_large, OUTBOX_BYTES / 2);
}

static void *free_some(void *tid) {
  *(int *)tid = os_tid();
  for (int i = 0; i < 5; i++)
    put(given[i]);
  assert_int_equal(waiting(), 5);
  return NULL;
}

/* Whoever adopts the heap has it, or trims. */
static void test_of_a_thread_that_has_ended(void **state) {
  (void)state;
  int tid = 0;
  give(BYTES);
  in_a_thread(free_some, &tid);
  for (int i = 5; i < MANY; i++)
    put(given[i]);
  nothing_is_left();
}

static void *free_and_refill(void *tid) {
  free_some(tid);
  void *p = get(30000); /* of a class without a pool */
  assert_int_equal(waiting(), 0);
  put(p);
  return NULL;
}

static void test_who_needs_a_pool_sends_first(void **state) {
  (void)state;
  int tid = 0;
  give(BYTES);
  in_a_thread(free_and_refill, &tid);
  for (int i = 5; i < MANY; i++)
    put(given[i]);
  nothing_is_left();
}

/* A handler has interrupted the thread in there. */
static void *free_at_work(void *tid) {
  free_some(tid);
  uint64_t before = atomic_load(&givers->remote);
  heap_mine()->outbox.at_work = true;
  put(given[5]);
  assert_true(has_come(givers, &before));
  outbox_empty(heap_mine());
  assert_false(has_come(givers, &before));
  heap_mine()->outbox.at_work = false;
  assert_int_equal(waiting(), 5);
  return NULL;
}

static void test_at_work(void **state) {
  (void)state;
  int tid = 0;
  give(BYTES);
  in_a_thread(free_at_work, &tid);
  for (int i = 6; i < MANY; i++)
    put(given[i]);
  nothing_is_left();
}

static void *of_another;
static pthread_barrier_t barrier;
static void *give_one(void *tid) {
  *(int *)tid = os_tid();
  of_another = get(BYTES);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return NULL;
}
static void *free_of_two(void *tid) {
  free_some(tid);
  uint64_t before = atomic_load(&givers->remote);
  put(of_another);
  assert_true(has_come(givers, &before));
  assert_int_equal(waiting(), 1);
  heap_check_all();
  return NULL;
}

static void test_a_chain_is_of_one_heap(void **state) {
  (void)state;
  pthread_t thread;
  int tid = 0, other = 0;
  pthread_barrier_init(&barrier, NULL, 2);
  give(BYTES);
  assert_int_equal(pthread_create(&thread, NULL, give_one, &other), 0);
  pthread_barrier_wait(&barrier);
  in_a_thread(free_of_two, &tid);
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  for (int i = 5; i < MANY; i++)
    put(given[i]);
  nothing_is_left();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_as_one_chain),
      cmocka_unit_test(test_bytes_count_too),
      cmocka_unit_test(test_of_a_thread_that_has_ended),
      cmocka_unit_test(test_who_needs_a_pool_sends_first),
      cmocka_unit_test(test_at_work),
      cmocka_unit_test(test_a_chain_is_of_one_heap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
