/* The statistics of growth: known values, then verdicts on series of known habit. */
#include "answers/trend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define NEAR(a, b, by) assert_true(fabs((a) - (b)) <= (by))
#define MOST 200

static struct trend_point series[MOST];

static void values(const double *y, size_t n) {
  for (size_t i = 0; i < n; i++)
    series[i] = (struct trend_point){(double)i, y[i]};
}

/* Worked by hand: S, and Var(S) = n(n-1)(2n+5)/18 less the ties. */
static void kendall_of_known_series(void **state) {
  (void)state;
  values((double[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10);
  struct trend_kendall k = trend_kendall(series, 10);
  NEAR(k.s, 45, 0);
  NEAR(k.tau, 1, 1e-12);
  NEAR(k.z, 44 / sqrt(125), 1e-12);
  NEAR(k.p, 8.3e-5, 1e-6);
  values((double[]){23, 24, 29, 6, 29, 24, 24, 29, 23}, 9);
  k = trend_kendall(series, 9); /* 17 pairs rise, 11 fall; ties of 2, 3, 3 */
  NEAR(k.s, 3, 0);
  NEAR(k.z, 2 / sqrt((9 * 8 * 23 - 2 * 1 * 9 - 2 * 3 * 2 * 11) / 18.0), 1e-12);
  NEAR(k.tau, 3 / sqrt(36 * 29), 1e-12);
  values((double[]){5, 5, 5, 5}, 4);
  k = trend_kendall(series, 4);
  NEAR(k.s, 0, 0);
  NEAR(k.tau, 0, 0);
  NEAR(k.p, 1, 0);
}

static void slope_of_known_series(void **state) {
  (void)state;
  values((double[]){1, 3, 5, 7, 1000, 11, 13}, 7); /* one outlier */
  NEAR(trend_slope(series, 7), 2, 1e-12);
  values((double[]){0, 1, 0, 4}, 4); /* slopes -1 0 1 4/3 3/2 4 */
  NEAR(trend_slope(series, 4), (1 + 4.0 / 3) / 2, 1e-12);
  NEAR(trend_slope(series, 1), 0, 0);
  NEAR(trend_slope(series, 0), 0, 0);
  series[1].t = series[0].t;
  NEAR(trend_slope(series, 2), 0, 0);
}

/* No more slopes are below the median than above, and it is the mean of the two in the
 * middle if they are even in number: with few and with many that are equal. */
static void slope_is_the_median(void **state) {
  (void)state;
  unsigned random = 1;
  for (unsigned kinds = 1; kinds <= 10000; kinds *= 10)
    for (size_t n = 2; n <= 40; n++) {
      for (size_t i = 0; i < n; i++) {
        random = random * 1103515245 + 12345;
        series[i] = (struct trend_point){(double)i, random / 65536 % kinds};
      }
      double slope = trend_slope(series, n), below = -1e9, above = 1e9, middle = 0;
      int side = 0, equal = 0;
      for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
          double one = (series[k].y - series[i].y) / (double)(k - i);
          if (one < slope) below = one > below ? one : below, side--;
          if (one > slope) above = one < above ? one : above, side++;
          if (one == slope) middle = one, equal++;
        }
      assert_true(equal ? abs(side) < equal && slope == middle
                        : side == 0 && slope == (below + above) / 2);
    }
}

/* A habit: bytes as a function of the time 0..1; noise is a fixed sequence in -1..1. */
typedef double habit(double t);
static unsigned seed;
static double noise(void) {
  seed = seed * 1103515245 + 12345;
  return (double)(seed >> 16 & 0x7fff) / 0x4000 - 1;
}
static double linear(double t) {
  return 1e6 * t;
}
static double slow_on_base(double t) {
  return 1e8 + 1e4 * t;
}
static double noisy(double t) {
  return 1e6 * t + 2e5 * noise();
}
static double root(double t) {
  return 1e6 * sqrt(t);
}
static double constant(double t) {
  return t < 0 ? 0 : 2e6;
}
static double start_up(double t) {
  return t < 0.02 ? 0 : 2e6;
}
static double phase(double t) {
  return t < 0.4 ? 0 : 2e6;
}
static double cache(double t) {
  return t < 0.3 ? 1e6 * t : 3e5;
}
static double cache_exponential(double t) {
  return 1e6 * (1 - exp(-6 * t));
}
static double cache_noisy(double t) {
  return cache(t) + (t < 0.3 ? 0 : 2e4 * noise());
}
static double saw(double t, double teeth) {
  return 1e6 * fmod(t * teeth, 1);
}
static double saw_2(double t) {
  return saw(t, 1.99);
}
static double saw_3(double t) {
  return saw(t, 2.9);
}
static double saw_7(double t) {
  return saw(t, 7.3);
}
static double saw_50(double t) {
  return saw(t, 50.7);
}
static double saw_on_growth(double t) {
  return 2e6 * t + 0.3 * saw(t, 20);
}
static double quick_saw_on_growth(double t) {
  return 1e6 * t + saw(t, 61.3);
}
static double white(double t) {
  return 5e6 + (t < 0 ? 0 : 1e6 * noise());
}
static double shrinking(double t) {
  return 1e6 * (1 - 0.9 * t);
}
static double freed_early(double t) {
  return t < 0.3 ? 1e6 : 0;
}
static double doubling(double t) {
  return exp2(floor(log2(1 + 300 * t))) * 1000;
}
static double doubling_paused(double t) {
  return exp2(floor(log2(1 + 500 * t))) * 1000;
}
static double doubling_overdue(double t) {
  return t < 0.4 ? exp2(floor(log2(1 + 500 * t))) * 1000 : 128e3;
}
static double exponential_2(double t) {
  return 1e6 * (1 - exp(-2 * t));
}
static double exponential_3(double t) {
  return 1e6 * (1 - exp(-3 * t));
}
static double logarithm(double t) {
  return 1e6 * log(1 + 100 * t);
}
static double power(double t) {
  return 1e6 * pow(t, 0.7);
}
/* The most that was ever in use at once: fewer and fewer records. */
static double records(double t) {
  return t < 0.05   ? 1e6 * t * 20
         : t < 0.25 ? 1e6
         : t < 0.63 ? 1.05e6
         : t < 0.84 ? 1.07e6
                    : 1.08e6;
}
static double rare_events(double t) {
  return t < 0.16 ? 700 * t : t < 0.95 ? 115 : 123;
}
static double stairs(double t) {
  return 1e5 * floor(t * 10);
}
static double torn_down(double t) {
  return t < 0.9 ? 1e6 * t : 0;
}
static double late(double t) {
  return t < 0.6 ? 0 : 1e6 * (t - 0.6);
}

static double on_base(double t, double share) {
  return t < 0.02 ? 0 : 1e8 * (1 + share * t);
}
static double base_1(double t) {
  return on_base(t, 0.01);
}
static double base_2(double t) {
  return on_base(t, 0.02);
}
static double base_5(double t) {
  return on_base(t, 0.05);
}
static double base_10(double t) {
  return on_base(t, 0.1);
}
static double base_20(double t) {
  return on_base(t, 0.2);
}
static double base_noisy(double t) {
  return on_base(t, 0.05) + 1e6 * noise();
}
static double base_white(double t) {
  return on_base(t, 0) + (t < 0.02 ? 0 : 1e6 * noise());
}
static double base_warms_up(double t) {
  return on_base(t, 0) + 5e6 * (1 - exp(-8 * t));
}
static double base_fills(double t) {
  return on_base(t, 0) + (t < 0.5 ? 4e6 * t : 2e6);
}

static const struct {
  habit *habit;
  const char *name;
  enum trend_verdict verdict;
  double slope; /* over a run of 100 s; 0: do not look */
} habits[] = {
#define HABIT(name, verdict, slope)                                                      \
  { name, #name, verdict, slope }
    HABIT(linear, TREND_GROWING, 1e4),
    HABIT(slow_on_base, TREND_GROWING, 100),
    HABIT(noisy, TREND_GROWING, 0),
    HABIT(root, TREND_GROWING, 0),
    HABIT(saw_on_growth, TREND_GROWING, 0),
    HABIT(late, TREND_GROWING, 1e4),
    HABIT(doubling, TREND_GROWING, 0),
    HABIT(stairs, TREND_GROWING, 0),
    HABIT(base_1, TREND_GROWING, 0),
    HABIT(base_2, TREND_GROWING, 0),
    HABIT(base_5, TREND_GROWING, 0),
    HABIT(base_10, TREND_GROWING, 0),
    HABIT(base_20, TREND_GROWING, 0),
    HABIT(base_noisy, TREND_GROWING, 0),
    HABIT(base_white, TREND_STEADY, 0),
    HABIT(base_warms_up, TREND_STEADY, 0),
    HABIT(base_fills, TREND_STEADY, 0),
    HABIT(constant, TREND_STEADY, 0),
    HABIT(start_up, TREND_STEADY, 0),
    HABIT(phase, TREND_STEADY, 0),
    HABIT(cache, TREND_STEADY, 0),
    HABIT(cache_exponential, TREND_STEADY, 0),
    HABIT(cache_noisy, TREND_STEADY, 0),
    HABIT(saw_3, TREND_STEADY, 0),
    HABIT(saw_7, TREND_STEADY, 0),
    HABIT(saw_50, TREND_STEADY, 0),
    HABIT(white, TREND_STEADY, 0),
    HABIT(freed_early, TREND_STEADY, 0),
    HABIT(shrinking, TREND_SHRINKING, -9e3),
    HABIT(saw_2, TREND_UNSURE, 0),
    HABIT(torn_down, TREND_UNSURE, 0),
    HABIT(doubling_paused, TREND_GROWING, 0),
    HABIT(doubling_overdue, TREND_STEADY, 0),
    HABIT(exponential_2, TREND_STEADY, 0),
    HABIT(exponential_3, TREND_STEADY, 0),
    HABIT(logarithm, TREND_STEADY, 0),
    HABIT(records, TREND_STEADY, 0),
    HABIT(rare_events, TREND_UNSURE, 0),
    HABIT(power, TREND_GROWING, 0),
};

static struct trend judge(habit *y, size_t n, bool thinned) {
  seed = 7;
  for (size_t i = 0; i < n; i++) {
    double t = (double)i / (double)(n - 1);
    if (thinned) t = 1 - pow(1 - t, 2); /* dense at the end */
    series[i] = (struct trend_point){100 * t, y(t)};
  }
  return trend_judge(series, n, INFINITY);
}

static void habits_are_recognised(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
    for (int variant = 0; variant < 4; variant++) {
      size_t n = variant / 2 ? 120 : 60;
      struct trend t = judge(habits[i].habit, n, variant % 2);
      if (t.verdict != habits[i].verdict)
        fail_msg("%s (%zu points, variant %d): verdict %d, reason %d, tau %.2f",
                 habits[i].name, n, variant, t.verdict, t.reason, t.kendall.tau);
      if (habits[i].slope != 0)
        NEAR(t.slope, habits[i].slope, fabs(habits[i].slope) * 0.01);
    }
}

/* Swings quicker than a bin are washed out by taking the lowest of each. */
static void quick_swings_do_not_hide_growth(void **state) {
  (void)state;
  struct trend t = judge(quick_saw_on_growth, MOST, false);
  assert_int_equal(t.verdict, TREND_GROWING);
}

/* What the program frees as it ends was growing all the same, but nothing else is. */
static void tidying_up_does_not_hide_growth(void **state) {
  (void)state;
  judge(torn_down, 100, false);
  struct trend t = trend_judge(series, 100, series[99].t);
  assert_int_equal(t.verdict, TREND_GROWING);
  assert_int_equal(t.reason, TREND_FREED);
  NEAR(t.slope, 1e4, 1);
  judge(cache, 100, false);
  series[99].y = 0;
  assert_int_not_equal(trend_judge(series, 100, series[99].t).verdict, TREND_GROWING);
  judge(saw_3, 100, false);
  assert_int_equal(trend_judge(series, 100, series[99].t).verdict, TREND_STEADY);
}

/* Of few measurements, of which half is start-up, the fall makes the rise doubtful. */
static void tidying_up_does_not_hide_growth_of_few_measurements(void **state) {
  (void)state;
  values((double[]){1e4, 1e4, 1e4, 1e4, 5e4, 1e5, 15e4, 2e5, 25e4, 3e5, 0}, 11);
  assert_int_equal(trend_judge(series, 11, INFINITY).reason, TREND_FEW);
  assert_int_equal(trend_judge(series, 11, series[10].t).reason, TREND_FREED);
  series[10].y = 25e4; /* not undone */
  assert_int_not_equal(trend_judge(series, 11, series[10].t).reason, TREND_FREED);
}

static double half_torn_down(double t) {
  return 1e6 * (t < 0.5 ? t : 1 - t);
}

/* An interpreter takes apart as much as it has made. */
static void tidying_up_may_be_half_of_the_work(void **state) {
  (void)state;
  judge(half_torn_down, 100, false);
  struct trend t = trend_judge(series, 100, series[50].t);
  assert_int_equal(t.reason, TREND_FREED);
  NEAR(t.slope, 1e4, 200);
  assert_int_not_equal(trend_judge(series, 100, series[99].t).verdict, TREND_GROWING);
}

static double filled_saw(double t) {
  if (t > 0.97) return t > 0.985 ? 0 : 2e5;
  return cache_exponential(t) + 0.6 * saw(t, 20.5);
}

/* Nor is tidying up a trend by itself, in however many steps. */
static void tidying_up_is_no_trend(void **state) {
  (void)state;
  judge(filled_saw, 120, false);
  struct trend t = trend_judge(series, 120, series[119].t);
  if (t.verdict != TREND_STEADY) fail_msg("reason %d at %g", t.reason, t.at);
  judge(cache, 100, false);
  series[98].y = 1e5;
  series[99].y = 0;
  assert_int_equal(trend_judge(series, 100, series[99].t).verdict, TREND_STEADY);
}

/* 60 measurements in the first second, then one after half a minute: not too few. */
static void idle_programs_are_judged(void **state) {
  (void)state;
  for (int i = 0; i < 60; i++)
    series[i] = (struct trend_point){i / 60.0, 1e4 * i};
  series[60] = (struct trend_point){30, 59e4};
  struct trend t = trend_judge(series, 61, INFINITY);
  assert_int_equal(t.reason, TREND_STOPPED);
  for (int i = 0; i < 60; i++)
    series[i].y = 59e4;
  assert_int_equal(trend_judge(series, 61, INFINITY).reason, TREND_NONE);
}

/* Its floor fills, as a start-up does that does most of the work; the peak is in a small
 * part of that, and is many times as high. */
static void peak_is_not_what_the_floor_fills_to(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++)
    series[i] = (struct trend_point){i, 1e6 * (1 - exp(-i / 40.0))};
  assert_int_equal(trend_judge(series, 100, series[99].t).reason, TREND_SATURATES);
  series[99] = (struct trend_point){99, 1e6};
  series[98] = (struct trend_point){98.5, 60e6};
  struct trend t = trend_judge(series, 100, series[99].t);
  assert_int_equal(t.reason, TREND_SWINGS);
  struct trend_life life = {.end = 100, .seconds = 1, .ended = true};
  trend_consider(&t, series, 100, &life);
  assert_int_equal(t.reason, TREND_SHORT);
  series[50].y = 60e6; /* more than once: that is how it works */
  t = trend_judge(series, 100, series[99].t);
  trend_consider(&t, series, 100, &life);
  assert_int_equal(t.verdict, TREND_STEADY);
}

static enum trend_reason considered(size_t n, bool ended, struct trend_life life) {
  struct trend t = trend_judge(series, n, ended ? series[n - 1].t : INFINITY);
  life.ended = ended;
  trend_consider(&t, series, n, &life);
  return t.reason;
}

static void blocks_of_the_start_do_not_grow(void **state) {
  (void)state;
  struct trend_life life = {
      .end = 40, .seconds = 40, .holds = true, .newest = 3, .generations = 2};
  values((double[]){100, 200, 300, 400}, 4);
  series[3].t = 40;
  series[2].y = 400;
  assert_int_equal(considered(4, false, life), TREND_START);
  life.newest = 30; /* something was added since */
  assert_int_equal(considered(4, false, life), TREND_FEW);
  life.newest = 3;
  series[2] = (struct trend_point){20, 500}; /* and was freed since */
  assert_int_equal(considered(4, false, life), TREND_FEW);
  life.holds = false;
  assert_int_equal(considered(4, false, life), TREND_NONE);
  assert_int_equal(considered(4, true, life), TREND_FEW);
  judge(linear, 100, false);
  life = (struct trend_life){
      .end = 100, .seconds = 100, .holds = true, .newest = 99, .generations = 16};
  assert_int_equal(considered(100, false, life), TREND_RISES);
  life.newest = 0; /* one block that is resized */
  assert_int_equal(considered(100, false, life), TREND_RISES);
}

static void short_runs_that_free_everything_did_their_work(void **state) {
  (void)state;
  struct trend_life life = {.end = 0.48, .seconds = 0.48};
  judge(torn_down, 100, false);
  for (int i = 0; i < 100; i++)
    series[i].t *= 0.0048;
  assert_int_equal(considered(100, true, life), TREND_SHORT);
  life.generations = 2;
  assert_int_equal(considered(100, true, life), TREND_SHORT);
  life.generations = 3;
  assert_int_equal(considered(100, true, life), TREND_FREED);
  judge(linear, 100, false); /* what is not freed grows, however short the run */
  assert_int_equal(considered(100, true, (struct trend_life){.end = 0.48}), TREND_RISES);
}

static void few_points_are_not_judged(void **state) {
  (void)state;
  for (size_t n = 1; n < TREND_FEWEST; n++) {
    struct trend t = n > 1 ? judge(linear, n, false) : trend_judge(series, 1, INFINITY);
    assert_int_equal(t.verdict, TREND_UNSURE);
    assert_int_equal(t.reason, TREND_FEW);
  }
  assert_int_equal(trend_judge(series, 0, INFINITY).reason, TREND_FEW);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kendall_of_known_series),
      cmocka_unit_test(slope_of_known_series),
      cmocka_unit_test(slope_is_the_median),
      cmocka_unit_test(habits_are_recognised),
      cmocka_unit_test(quick_swings_do_not_hide_growth),
      cmocka_unit_test(tidying_up_does_not_hide_growth),
      cmocka_unit_test(tidying_up_does_not_hide_growth_of_few_measurements),
      cmocka_unit_test(tidying_up_may_be_half_of_the_work),
      cmocka_unit_test(tidying_up_is_no_trend),
      cmocka_unit_test(idle_programs_are_judged),
      cmocka_unit_test(blocks_of_the_start_do_not_grow),
      cmocka_unit_test(short_runs_that_free_everything_did_their_work),
      cmocka_unit_test(peak_is_not_what_the_floor_fills_to),
      cmocka_unit_test(few_points_are_not_judged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
