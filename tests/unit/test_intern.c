/* test_intern.c - each word has one number: against a model, with random words, from
 * several threads at once. */
#include "ledger/intern.h"

#include "heap/types.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the recording's table ----------------------------------------------------- */

enum { ROOM = 4 << 20, STEP = 512 };
static uint64_t words[ROOM];
static _Atomic uint64_t count, room;
static uint64_t limit = ROOM;
static _Atomic uint64_t appended;

void *table_at(enum ul_table table, uint64_t i) {
  (void)table;
  assert_true(i < count);
  return &words[i];
}

uint64_t table_count(enum ul_table table) {
  (void)table;
  return count;
}

uint32_t table_next(enum ul_table table, uint32_t one) {
  (void)table;
  assert_int_equal(one, 1);
  uint64_t n = count;
  do
    if (n >= room) return TABLE_NONE;
  while (!atomic_compare_exchange_weak(&count, &n, n + 1));
  return (uint32_t)n;
}

uint32_t table_append(enum ul_table table, uint32_t n) {
  assert_int_equal(n, 1);
  appended++;
  if (count >= room) room = count + STEP < limit ? count + STEP : limit;
  return table_next(table, 1);
}

static struct intern table;

static int start(void **state) {
  (void)state;
  memset(words, 0, sizeof words);
  count = 1;
  room = 1;
  limit = ROOM;
  appended = 0;
  table = (struct intern){.table = UL_NODES, .bits = 27};
  return 0;
}

/* ---- words --------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *s) {
  *s ^= *s << 13;
  *s ^= *s >> 7;
  return *s ^= *s << 17;
}

/* As a trie has them: a few codes below many parents. */
static uint64_t trie_word(uint64_t i) {
  return (i % 61 + 1) << 32 | (uint32_t)(i / 61);
}

/* ---- alone --------------------------------------------------------------------- */

static void numbers_are_kept(void **state) {
  (void)state;
  enum { WORDS = 300000 };
  static uint32_t numbers[WORDS];
  uint64_t s = 88172645463325252u;
  for (uint32_t i = 0; i < WORDS; i++) {
    numbers[i] = intern(&table, trie_word(i));
    assert_int_equal(numbers[i], i + 1); /* each new one, none skipped */
    uint64_t old = next_random(&s) % (i + 1);
    assert_int_equal(intern(&table, trie_word(old)), numbers[old]);
  }
  for (uint32_t i = 0; i < WORDS; i++) {
    assert_int_equal(intern(&table, trie_word(i)), numbers[i]);
    assert_int_equal(words[numbers[i]], trie_word(i));
  }
  assert_int_equal(count, WORDS + 1);
  assert_true(appended < WORDS / 50); /* the others took no lock */
}

static void what_finds_no_room_has_no_number(void **state) {
  (void)state;
  limit = 1000;
  for (uint64_t i = 0; i < 999; i++)
    assert_int_not_equal(intern(&table, trie_word(i)), 0);
  for (uint64_t i = 0; i < 2000; i++)
    assert_int_equal(intern(&table, trie_word(i)), i < 999 ? i + 1 : 0);
}

static void no_more_than_so_many(void **state) {
  (void)state;
  table.bits = 7;
  for (uint64_t i = 0; i < 300; i++)
    assert_int_equal(intern(&table, trie_word(i)), i < 127 ? i + 1 : 0);
  assert_int_equal(count, 128);
  for (uint64_t i = 0; i < 300; i++)
    assert_int_equal(intern_find(&table, trie_word(i)), i < 127 ? i + 1 : 0);
}

/* ---- together ------------------------------------------------------------------ */

enum { THREADS = 4, SHARED = 100000 };
static uint32_t seen[THREADS][SHARED];
static pthread_barrier_t barrier;

/* All of them, each in an order of its own; the words of a round are contended. */
static void *enter_all(void *of) {
  uint32_t *mine = of;
  uint64_t s = (uint64_t)(mine - seen[0]) * 2654435761u + 1;
  enum { ROUND = 500 };
  for (uint32_t round = 0; round < SHARED; round += ROUND) {
    pthread_barrier_wait(&barrier);
    uint32_t first = (uint32_t)(next_random(&s) % ROUND);
    for (uint32_t i = 0; i < ROUND; i++) {
      uint32_t k = round + (first + i * 7) % ROUND;
      mine[k] = intern(&table, trie_word(k));
    }
  }
  return NULL;
}

static void threads_agree(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  memset(seen, 0, sizeof seen);
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, enter_all, seen[i]), 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
  for (uint32_t k = 0; k < SHARED; k++) {
    assert_int_not_equal(seen[0][k], 0);
    assert_int_equal(words[seen[0][k]], trie_word(k));
    for (int i = 1; i < THREADS; i++)
      assert_int_equal(seen[i][k], seen[0][k]);
  }
  uint64_t used = 0;
  for (uint64_t n = 1; n < count; n++)
    used += words[n] != 0;
  assert_int_equal(used, SHARED); /* what was taken in vain is 0 again */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(numbers_are_kept, start),
      cmocka_unit_test_setup(what_finds_no_room_has_no_number, start),
      cmocka_unit_test_setup(no_more_than_so_many, start),
      cmocka_unit_test_setup(threads_agree, start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
