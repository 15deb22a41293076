/* test_recall.c - what is remembered of stacks: enough, not too much, never a wrong
 * site. */
#include "ledger/recall.h"

#include "base/meta.h"
#include "format.h"
#include "stack/hash.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static _Atomic size_t taken;

/* What is outgrown stays, for those who look at it (recall.c): no heap to watch for
 * leaks. */
void *meta_alloc(size_t bytes) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(p, MAP_FAILED);
  taken += bytes;
  return p;
}
void meta_free(void *p, size_t bytes) {
  taken -= bytes;
  munmap(p, bytes);
}

/* Of one of many stacks; each test has others. */
static uint64_t stack(uint64_t test, uint64_t i) {
  return hash_mix(hash_mix(HASH_SEED, test), i);
}
static uint32_t site_of(uint64_t i) {
  return (uint32_t)(i % (UL_SITES_MAX - 1)) + 1;
}

/* true: it had to be looked for elsewhere. */
static bool meet(uint64_t test, uint64_t i, bool known) {
  uint64_t hash = stack(test, i);
  uint32_t site = recall(hash);
  if (site) assert_int_equal(site, site_of(i));
  if (!site) remember(hash, site_of(i), known);
  return !site;
}

static void new_stacks_take_no_more_room(void **state) {
  (void)state;
  for (uint64_t i = 0; i < 1000000; i++)
    assert_true(meet(1, i, false));
  assert_true(taken < 4096);
}

/* However many they are, looking for them costs a few looks for each. */
static void stacks_in_turn_are_remembered(void **state) {
  (void)state;
  enum { STACKS = 7000, ROUNDS = 100 };
  unsigned in_vain = 0, lately = 0;
  for (unsigned round = 0; round < ROUNDS; round++)
    for (uint64_t i = 0; i < STACKS; i++) {
      bool missed = meet(2, i, round);
      in_vain += missed;
      lately += missed && round >= ROUNDS / 2;
    }
  assert_in_range(in_vain, STACKS, 4 * STACKS);
  assert_in_range(lately, 0, STACKS * ROUNDS / 2 / 100);
  assert_true(taken <= 2 * 8 * 4 * STACKS);
}

static void more_than_there_is_room_for(void **state) {
  (void)state;
  for (unsigned round = 0; round < 4; round++)
    for (uint64_t i = 0; i < 1000000; i++)
      meet(3, i, round);
  assert_true(taken < 3 << 20);
}

enum { THREADS = 4 };
static void *meet_some(void *first) {
  for (unsigned round = 0; round < 20; round++)
    for (uint64_t i = 0; i < 20000; i++)
      meet(4, i + (uintptr_t)first % 2 * 10000, round);
  return NULL;
}
static void by_many_at_once(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, meet_some, (void *)i);
  for (unsigned i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(new_stacks_take_no_more_room),
      cmocka_unit_test(stacks_in_turn_are_remembered),
      cmocka_unit_test(more_than_there_is_room_for),
      cmocka_unit_test(by_many_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
