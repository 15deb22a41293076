/* test_sample.c - sampling: the countdown as it runs in the preload, and what is made of
 * its samples (weight.h). All seeds are given, so each run is the same. */
#include "ledger/ledger.h"
#include "ledger/sample.h"
#include "weight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { RUNS = 1000, MEAN = 1 << 16 };

/* ---- what is above, and beside ---------------------------------------------------- */

struct process_guard process_guard = {.epoch = EPOCH_FIRST};
uint64_t recording_start_ms;
static struct ul_counter counter;
static unsigned relieved;
struct ul_counter *ledger_counter_slow(struct heap *h, uint32_t site) {
  (void)h, (void)site;
  return &counter;
}
void ledger_relieve(struct heap *h, uint32_t site, struct ul_counter *c) {
  (void)h, (void)site;
  memset(c, 0, sizeof *c);
  relieved++;
}

/* ---- what malloc does (entry.h) --------------------------------------------------- */

static bool passes(struct book *b, size_t bytes) {
  if (!sample_granted(b->sample.left, bytes) && !sample_grant(&b->heap, bytes))
    return sample_passes(&b->heap, bytes);
  b->sample.left -= (int64_t)bytes;
  return true;
}

/* ---- estimates -------------------------------------------------------------------- */

/* Blocks of one call site; between them lie those of others. */
struct work {
  size_t bytes, blocks, others;
};

struct estimate {
  double blocks, bytes;
};

static struct estimate run(const struct work *w, uint64_t seed) {
  struct book b = {.ceiling = INT64_MAX, .floor = INT64_MIN};
  struct estimate e = {0, 0};
  double weight = weight_of((double)w->bytes, MEAN);
  sample_begin(MEAN, seed, 6);
  for (size_t i = 0; i < w->blocks; i++) {
    if (!passes(&b, w->bytes)) {
      e.blocks += weight;
      e.bytes += weight * (double)w->bytes;
    }
    if (w->others) passes(&b, w->others);
  }
  return e;
}

/* How many of the runs have the truth in their interval; the mean of the estimates. */
static unsigned covered(const struct work *w, double *mean) {
  double truth = (double)w->bytes * (double)w->blocks;
  unsigned hits = 0;
  *mean = 0;
  for (uint64_t seed = 1; seed <= RUNS; seed++) {
    struct estimate e = run(w, seed * 7919);
    struct weight_bounds b = weight_interval(e.bytes, (double)w->bytes, MEAN);
    hits += b.low <= truth && truth <= b.high;
    *mean += e.bytes / truth / RUNS;
  }
  return hits;
}

static void the_truth_is_in_the_interval(void **state) {
  (void)state;
  static const struct work works[] = {
      {16, 100000, 0},    {100, 20000, 0},  {100, 20000, 300},
      {1000, 2000, 5000}, {20000, 300, 0},  {MEAN, 100, 64},
      {3 * MEAN, 60, 0},  {64, 4000, 1000}, {100, 3 * MEAN / 100, 5000},
  };
  for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
    double mean;
    unsigned hits = covered(&works[i], &mean);
    print_message("%zu blocks of %zu bytes: %.1f %% covered, mean %.3f\n",
                  works[i].blocks, works[i].bytes, hits / 10.0, mean);
    assert_in_range(hits, 930, 1000);
    assert_true(fabs(mean - 1) < 0.06);
  }
}

/* ---- from some time on --------------------------------------------------------------
 */

/* As `run`, but the first blocks, a part of them, were entered with their stacks. */
static struct estimate run_later(const struct work *w, double part, uint64_t seed) {
  struct book b = {.ceiling = INT64_MAX, .floor = INT64_MIN};
  struct estimate e = {0, 0};
  double weight = weight_of((double)w->bytes, MEAN);
  size_t before = (size_t)(part * (double)w->blocks);
  sample_begin(MEAN, seed, 6);
  for (size_t i = before; i < w->blocks; i++) {
    if (!passes(&b, w->bytes)) {
      e.blocks += weight;
      e.bytes += weight * (double)w->bytes;
    }
    if (w->others) passes(&b, w->others);
  }
  return e;
}

/* What was known stays known: the interval is that of the rest, moved by it. */
static void the_truth_is_in_it_from_whenever_on(void **state) {
  (void)state;
  static const struct work works[] = {
      {16, 100000, 0}, {1000, 2000, 5000}, {20000, 300, 0}};
  static const double parts[] = {0, 0.1, 0.5, 0.9};
  for (size_t i = 0; i < sizeof works / sizeof *works; i++)
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
      const struct work *w = &works[i];
      double truth = (double)w->bytes * (double)w->blocks, mean = 0;
      double known = (double)w->bytes * (double)(size_t)(parts[k] * (double)w->blocks);
      unsigned hits = 0;
      for (uint64_t seed = 1; seed <= RUNS; seed++) {
        struct estimate e = run_later(w, parts[k], seed * 104729);
        struct weight_bounds b = weight_interval(e.bytes, (double)w->bytes, MEAN);
        hits += known + b.low <= truth && truth <= known + b.high;
        mean += (known + e.bytes) / truth / RUNS;
      }
      print_message("%zu blocks of %zu bytes from %.1f on: %.1f %% covered, mean %.3f\n",
                    w->blocks, w->bytes, parts[k], hits / 10.0, mean);
      assert_in_range(hits, 930, 1000);
      assert_true(fabs(mean - 1) < 0.06);
    }
}

/* None of the blocks that are among the last when samples begin is forgotten. */
static void the_last_blocks_of_before_are_remembered(void **state) {
  (void)state;
  struct book b = {.ceiling = INT64_MAX, .floor = INT64_MIN};
  void *const last = &b;
  sample_begin(MEAN, 3, 6);
  for (unsigned i = 0; i < RECENT_BLOCKS; i++)
    b.recent[b.recent_next++ % RECENT_BLOCKS] = last;
  for (unsigned i = 0; i < RECENT_BLOCKS; i++) {
    assert_ptr_equal(b.recent[(RECENT_BLOCKS - 1)], last);
    assert_false(sample_grant(&b.heap, 1));
    sample_passes(&b.heap, 1);
    b.recent[b.recent_next++ % RECENT_BLOCKS] = NULL; /* as ledger_begin_life() */
  }
  assert_true(sample_grant(&b.heap, 1));
}

/* ---- grants ----------------------------------------------------------------------- */

static void a_grant_ends_at_the_bounds(void **state) {
  (void)state;
  struct book b = {.ceiling = 1 << 16, .floor = -(1 << 16)};
  uint64_t random = 7, granted = 0;
  int64_t live = 0;
  sample_begin(MEAN, 3, 6);
  for (int i = 0; i < 1000000; i++) {
    sample_distance(&random, MEAN);
    int64_t bytes = (int64_t)(1 + (random >> 40) % 2000);
    bool allocates = random >> 63, quickly = true;
    if (allocates && !sample_granted(b.sample.left, (size_t)bytes))
      quickly = sample_grant(&b.heap, (size_t)bytes);
    if (!allocates && !sample_granted(b.sample.left_to_free, (size_t)bytes))
      quickly = sample_grant_to_free(&b.heap, (size_t)bytes);
    if (!quickly && allocates) sample_passes(&b.heap, (size_t)bytes);
    if (!quickly)
      b.live += allocates ? bytes : -bytes;
    else
      *(allocates ? &b.sample.left : &b.sample.left_to_free) -= bytes;
    live += allocates ? bytes : -bytes;
    granted += quickly;
    assert_int_equal(book_live(&b), live);
    if (quickly) assert_true(live <= b.ceiling && live >= b.floor);
    if (live > b.ceiling || live < b.floor) { /* peak.c */
      b.ceiling = live + (1 << 16);
      b.floor = live - (1 << 16);
    }
  }
  assert_true(granted > 900000);
}

static void none_is_granted_when_nothing_is_recorded(void **state) {
  (void)state;
  struct book b = {.ceiling = INT64_MAX, .floor = INT64_MIN};
  sample_begin(MEAN, 3, 6);
  process_guard.epoch = EPOCH_IDLE;
  passes(&b, 100);
  assert_false(sample_grant(&b.heap, 100));
  process_guard.epoch = EPOCH_FIRST;
  for (unsigned i = 0; i < RECENT_BLOCKS; i++)
    passes(&b, 100);
  assert_true(sample_grant(&b.heap, 1));
  assert_int_equal(b.sample.epoch, EPOCH_FIRST);
}

static void heavy_counters_are_relieved(void **state) {
  (void)state;
  struct book b = {.ceiling = INT64_MAX, .floor = INT64_MIN};
  sample_begin(MEAN, 3, 6);
  uint32_t *const numbers[] = {&counter.allocations, &counter.allocated_bytes,
                               &counter.frees, &counter.freed_bytes};
  for (unsigned i = 0; i < 4; i++) {
    *numbers[i] = 1u << UL_CARRY_BITS;
    relieved = 0;
    sample_grant_to_free(&b.heap, 1);
    assert_int_equal(relieved, 1);
  }
}

/* ---- the parts -------------------------------------------------------------------- */

static void no_distance_is_forgotten(void **state) {
  (void)state;
  uint64_t random = 42;
  double mean = 0, least = MEAN;
  for (int i = 0; i < 100000; i++) {
    double d = (double)sample_distance(&random, MEAN);
    mean += d / 100000;
    least = fmin(least, d);
  }
  assert_true(fabs(mean / MEAN - 1) < 0.01);
  assert_true(least >= 1);
}

static void weights_are_those_of_libm(void **state) {
  (void)state;
  for (double bytes = 1; bytes < 1e9; bytes *= 1.7) {
    double p = -expm1(-bytes / MEAN);
    assert_true(fabs(weight_of(bytes, MEAN) * p - 1) < 1e-9);
  }
  assert_true(weight_of(100, 0) == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_truth_is_in_the_interval),
      cmocka_unit_test(the_truth_is_in_it_from_whenever_on),
      cmocka_unit_test(the_last_blocks_of_before_are_remembered),
      cmocka_unit_test(a_grant_ends_at_the_bounds),
      cmocka_unit_test(none_is_granted_when_nothing_is_recorded),
      cmocka_unit_test(heavy_counters_are_relieved),
      cmocka_unit_test(no_distance_is_forgotten),
      cmocka_unit_test(weights_are_those_of_libm),
  };
  return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
