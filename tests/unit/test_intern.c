/* test_intern.c - each word has one number: against a model, with random words, from
 * several threads at once; alone, and as the paths of a trie. */
#include "ledger/intern.h"

#include "base/meta.h"
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

struct table_run table_run(enum ul_table table, uint64_t i) {
  (void)table;
  (void)i;
  return (struct table_run){0, ROOM, (char *)words};
}

uint32_t table_next(enum ul_table table, uint32_t some) {
  (void)table;
  uint64_t n = count;
  do
    if (n + some > room) return TABLE_NONE;
  while (!atomic_compare_exchange_weak(&count, &n, n + some));
  return (uint32_t)n;
}

uint32_t table_append(enum ul_table table, uint32_t n) {
  uint32_t first;
  appended++;
  do { /* others take of the room meanwhile */
    if (count + n > room) room = count + n + STEP < limit ? count + n + STEP : limit;
    first = table_next(table, n);
  } while (first == TABLE_NONE && count + n <= limit);
  return first;
}

static struct intern table;

static int start_with(bool is_trie) {
  memset(words, 0, sizeof words);
  count = 1;
  room = 1;
  limit = ROOM;
  appended = 0;
  table = (struct intern){.table = UL_NODES, .bits = 27, .is_trie = is_trie};
  return 0;
}

static int start(void **state) {
  (void)state;
  return start_with(false);
}

static int start_trie(void **state) {
  (void)state;
  return start_with(true);
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
    numbers[i] = intern(&table, trie_word(i), false);
    assert_int_equal(numbers[i], i + 1); /* each new one, none skipped */
    uint64_t old = next_random(&s) % (i + 1);
    assert_int_equal(intern(&table, trie_word(old), false), numbers[old]);
  }
  for (uint32_t i = 0; i < WORDS; i++) {
    assert_int_equal(intern(&table, trie_word(i), false), numbers[i]);
    assert_int_equal(words[numbers[i]], trie_word(i));
  }
  assert_int_equal(count, WORDS + 1);
  assert_true(appended < WORDS / 50); /* the others took no lock */
}

static void what_finds_no_room_has_no_number(void **state) {
  (void)state;
  limit = 1000;
  for (uint64_t i = 0; i < 999; i++)
    assert_int_not_equal(intern(&table, trie_word(i), false), 0);
  for (uint64_t i = 0; i < 2000; i++)
    assert_int_equal(intern(&table, trie_word(i), false), i < 999 ? i + 1 : 0);
}

static void no_more_than_so_many(void **state) {
  (void)state;
  table.bits = 7;
  for (uint64_t i = 0; i < 300; i++)
    assert_int_equal(intern(&table, trie_word(i), false), i < 127 ? i + 1 : 0);
  assert_int_equal(count, 128);
  for (uint64_t i = 0; i < 300; i++)
    assert_int_equal(intern(&table, trie_word(i), true), i < 127 ? i + 1 : 0);
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
      mine[k] = intern(&table, trie_word(k), false);
    }
  }
  return NULL;
}

/* Which have seen the same. */
static void in_threads(void *(*enter)(void *)) {
  pthread_t threads[THREADS];
  memset(seen, 0, sizeof seen);
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, enter, seen[i]), 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
  for (uint32_t k = 0; k < SHARED; k++) {
    assert_int_not_equal(seen[0][k], 0);
    for (int i = 1; i < THREADS; i++)
      assert_int_equal(seen[i][k], seen[0][k]);
  }
}

static void threads_agree(void **state) {
  (void)state;
  in_threads(enter_all);
  for (uint32_t k = 0; k < SHARED; k++)
    assert_int_equal(words[seen[0][k]], trie_word(k));
  uint64_t used = 0;
  for (uint64_t n = 1; n < count; n++)
    used += words[n] != 0;
  assert_int_equal(used, SHARED); /* what was taken in vain is 0 again */
}

/* ---- paths --------------------------------------------------------------------- */

enum { LONGEST = 24, KEYS = 5 };

/* Of few keys, so that they often part late. */
static uint32_t random_path(uint32_t *path, uint64_t *s) {
  uint32_t n = (uint32_t)(next_random(s) % LONGEST) + 1;
  uint64_t all_the_same = next_random(s) % 4;
  for (uint32_t i = 0; i < n; i++)
    path[i] = all_the_same ? 1 : (uint32_t)(next_random(s) % KEYS) + 1;
  for (uint32_t i = 0; i < 3; i++)
    path[next_random(s) % n] = (uint32_t)(next_random(s) % KEYS) + 1;
  return n;
}

/* Each number has the word of its key below the one before. */
static void assert_numbers(const uint32_t *keys, const uint32_t *numbers, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    assert_int_equal(words[numbers[i]], intern_below(i ? numbers[i - 1] : 0, keys[i]));
}

static int by_word(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static uint64_t assert_each_once(void) {
  static uint64_t sorted[ROOM];
  uint64_t used = 0;
  memcpy(sorted, words, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, by_word);
  for (uint64_t i = 1; i < count; i++) {
    assert_true(!sorted[i] || sorted[i] != sorted[i - 1]);
    used += sorted[i] != 0;
  }
  return used;
}

static void paths_are_kept(void **state) {
  (void)state;
  uint64_t s = 88172645463325252u, found = 0;
  for (int i = 0; i < 100000; i++) {
    uint32_t keys[LONGEST], path[LONGEST], again[LONGEST];
    uint32_t n = random_path(keys, &s);
    memcpy(path, keys, sizeof path);
    uint32_t known = intern_path(&table, 0, path, n, true);
    found += known == n;
    for (uint32_t k = known; k < n; k++)
      assert_int_equal(path[k], keys[k]);
    memcpy(path, keys, sizeof path);
    assert_int_equal(intern_path(&table, 0, path, n, false), n);
    assert_numbers(keys, path, n);
    memcpy(again, keys, sizeof again);
    assert_int_equal(intern_path(&table, 0, again, n, true), n);
    assert_memory_equal(again, path, n * sizeof *path);
  }
  assert_in_range(found, 1000, 99000);
  uint64_t used = assert_each_once();
  assert_true(count - used < used / 10);
}

/* Whatever follows a word in the table, a child that came later is looked up. */
static void a_later_child_is_in_no_line(void **state) {
  (void)state;
  uint32_t path[] = {1, 2}, longer[] = {1, 2, 3, 4}, other[] = {1, 2, 5};
  assert_int_equal(intern_path(&table, 0, path, 2, false), 2);
  uint64_t last = count;
  assert_int_equal(intern_path(&table, 0, longer, 4, false), 4);
  assert_int_equal(words[last], 0);
  assert_int_equal(intern_path(&table, 0, other, 3, false), 3);
  assert_int_equal(other[1], longer[1]);
  assert_int_equal(longer[3], longer[2] + 1);
}

static void a_path_ends_where_there_is_no_room(void **state) {
  (void)state;
  limit = 10;
  uint32_t path[] = {1, 2, 3, 4}, more[] = {1, 2, 3, 7, 8, 9, 10, 11, 12},
           gap[] = {1, 2, 0, 4};
  assert_int_equal(intern_path(&table, 0, path, 4, false), 4);
  assert_int_equal(intern_path(&table, 0, more, 9, false), 3);
  assert_int_equal(intern_path(&table, 0, gap, 4, false), 2);
}

static void a_path_has_no_more_than_so_many(void **state) {
  (void)state;
  table.bits = 3;
  uint32_t path[] = {1, 2, 3, 4}, more[] = {1, 2, 3, 7, 8, 9, 10}, one[] = {1, 5};
  assert_int_equal(intern_path(&table, 0, path, 4, false), 4);
  assert_int_equal(intern_path(&table, 0, more, 7, false), 3);
  assert_int_equal(intern_path(&table, 0, one, 2, false), 2);
}

static size_t meta_bytes(void) {
  size_t all = 0, bytes;
  uintptr_t start;
  for (unsigned i = 0; meta_range(i, &start, &bytes); i++)
    all += bytes;
  return all;
}

/* As of stacks that part at their outermost frame: what is new together takes one place
 * in the index, and no look at it. */
static void words_of_a_line_are_not_in_the_index(void **state) {
  (void)state;
  enum { PATHS = 100000, LENGTH = 20 };
  size_t before = meta_bytes();
  for (uint32_t i = 1; i <= PATHS; i++) {
    uint32_t path[LENGTH] = {i};
    for (uint32_t k = 1; k < LENGTH; k++)
      path[k] = k;
    assert_int_equal(intern_path(&table, 0, path, LENGTH, false), LENGTH);
  }
  assert_in_range(count, PATHS * LENGTH, PATHS * LENGTH + 2);
  assert_true(meta_bytes() - before < 3 * PATHS * LENGTH); /* else 5 to 7 a word */
}

/* The same paths, in an order of each thread's own. */
static void *enter_paths(void *of) {
  uint32_t *last = of;
  uint64_t s = (uint64_t)(last - seen[0]) * 2654435761u + 1;
  enum { ROUND = 20 };
  for (uint32_t round = 0; round < SHARED; round += ROUND) {
    pthread_barrier_wait(&barrier);
    uint32_t first = (uint32_t)(next_random(&s) % ROUND);
    for (uint32_t i = 0; i < ROUND; i++) {
      uint32_t k = round + (first + i * 7) % ROUND, keys[LONGEST], path[LONGEST];
      uint64_t of_path = k * 0x9e3779b97f4a7c15u + 1;
      uint32_t n = random_path(keys, &of_path);
      memcpy(path, keys, sizeof path);
      last[k] = intern_path(&table, 0, path, n, false) == n ? path[n - 1] : 0;
    }
  }
  return NULL;
}

static void threads_agree_on_paths(void **state) {
  (void)state;
  in_threads(enter_paths);
  assert_each_once();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(numbers_are_kept, start),
      cmocka_unit_test_setup(what_finds_no_room_has_no_number, start),
      cmocka_unit_test_setup(no_more_than_so_many, start),
      cmocka_unit_test_setup(threads_agree, start),
      cmocka_unit_test_setup(paths_are_kept, start_trie),
      cmocka_unit_test_setup(a_later_child_is_in_no_line, start_trie),
      cmocka_unit_test_setup(a_path_ends_where_there_is_no_room, start_trie),
      cmocka_unit_test_setup(a_path_has_no_more_than_so_many, start_trie),
      cmocka_unit_test_setup(words_of_a_line_are_not_in_the_index, start_trie),
      cmocka_unit_test_setup(threads_agree_on_paths, start_trie),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
