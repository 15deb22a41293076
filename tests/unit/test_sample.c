/* test_sample.c - sampling: the countdown as it runs in the preload, and what is made of
 * its samples (weight.h). All seeds are given, so each run is the same. */
#include "ledger/sample.h"
#include "weight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

enum { RUNS = 1000, MEAN = 1 << 16 };

/* Blocks of one call site; between them lie those of others. */
struct work {
  size_t bytes, blocks, others;
};

struct estimate {
  double blocks, bytes;
};

static struct estimate run(const struct work *w, uint64_t seed) {
  struct book b = {.index = 0};
  struct estimate e = {0, 0};
  double weight = weight_of((double)w->bytes, MEAN);
  sample_begin(MEAN, seed, 6);
  for (size_t i = 0; i < w->blocks; i++) {
    if (!sample_passes(&b.heap, w->bytes)) {
      e.blocks += weight;
      e.bytes += weight * (double)w->bytes;
    }
    if (w->others) sample_passes(&b.heap, w->others);
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
      cmocka_unit_test(no_distance_is_forgotten),
      cmocka_unit_test(weights_are_those_of_libm),
  };
  return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
