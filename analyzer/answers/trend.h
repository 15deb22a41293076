/* trend.h - does a series of measurements rise? Robust, distribution-free statistics,
 * and a verdict for a site's live bytes over time.
 *
 * First-versus-last would call a sawtooth growing or shrinking by chance and a filled
 * cache growing for ever; least squares follows one outlier. Instead:
 *   Mann-Kendall  counts pairs that rise against pairs that fall: is there a trend?
 *   Theil-Sen     median of the slopes of all pairs: how steep? Up to 29 % of the
 *                 points may be arbitrarily wrong.
 * A significant trend is not yet growth: see trend_judge(). */
#ifndef ULLAGE_TREND_H
#define ULLAGE_TREND_H

#include <stdbool.h>
#include <stddef.h>

struct trend_point {
  double t, y; /* of any clock; bytes */
};

/* Median slope over all pairs of different t; 0 without such a pair, or memory. */
double trend_slope(const struct trend_point *points, size_t n);

struct trend_kendall {
  double s;   /* rising minus falling pairs */
  double tau; /* tau-b of y against t, -1..1: corrected for ties */
  double z;   /* standard normal under "no trend"; with continuity correction */
  double p;   /* two-sided */
};
/* Points are in order of t, all different. */
struct trend_kendall trend_kendall(const struct trend_point *points, size_t n);

enum trend_verdict { TREND_GROWING, TREND_UNSURE, TREND_SHRINKING, TREND_STEADY };
enum trend_reason {
  TREND_FEW,       /* unsure: too few measurements */
  TREND_NONE,      /* steady: neither rises nor falls */
  TREND_RISES,     /* growing: since `at` */
  TREND_FREED,     /* growing, up to the end, `at`, when the program tidied up */
  TREND_LATE,      /* unsure: rises, but only since `at`, which is not long */
  TREND_STOPPED,   /* steady: rose, but not since `at` */
  TREND_PAUSED,    /* unsure: rose, but not since `at`, which is not long */
  TREND_STEPS,     /* unsure: rises in steps, the last at `at`; a next may be due */
  TREND_SLOWS,     /* unsure: rises ever more slowly */
  TREND_SATURATES, /* steady: each rise is smaller than the one before, up to `level` */
  TREND_DOUBLES,   /* growing: doubles each time that as much has been done as before */
  TREND_SWINGS,    /* steady: up and down, without a floor that rises */
  TREND_FELL,      /* unsure: rises, but fell once, at `at` */
  TREND_FALLS,     /* shrinking */
  TREND_SETTLED,   /* steady: fell, but not since `at` */
  TREND_START,     /* steady: what lives is from the start, until `at`, and flat since */
  TREND_SHORT,     /* unsure: rose and was freed in a run too short to call it growth */
  TREND_SAMPLES    /* unsure: only few samples rise, or what is exact does not */
};
struct trend {
  enum trend_verdict verdict;
  enum trend_reason reason;
  double slope;     /* per unit of the clock; of growth: since it began */
  double at;        /* by the clock; see the reasons */
  double level;     /* of what saturates: where it goes to */
  double low, high; /* of all measurements */
  struct trend_kendall kendall;
  size_t points;   /* the measurements were reduced to */
  bool by_seconds; /* the clock was the time, not the program's work */
};
/* The points are in order of t. They are reduced to the lowest (for growth; the
 * highest for shrinking) in each of TREND_BINS equal parts of the time, so that the
 * verdict is on the floor of a series that swings, and dense times weigh no more. Where
 * nearly all are from a small part of the time, as of a program that went idle, the parts
 * have equally many points instead. */
#define TREND_BINS 32u
#define TREND_FEWEST 8u
/* `tidying`: when the program began to come to its end, or INFINITY. A fall since then,
 * or in the last tenth of the time, may be its tidying up: then the verdict is on what
 * was before. */
struct trend trend_judge(const struct trend_point *points, size_t n, double tidying);
/* Takes another reason, and its verdict. */
void trend_decide(struct trend *t, enum trend_reason reason);

/* What else is known of the series: the run, and the blocks that live now. */
struct trend_life {
  double start, end; /* of the run, by the points' clock */
  double seconds;    /* it took */
  bool ended;
  bool wanted;          /* it failed for want of memory: it did not just do its work */
  bool holds;           /* there are live blocks */
  double newest;        /* when the last of them was allocated */
  unsigned generations; /* in how many 16ths of the run they were */
};
/* Changes the verdict on these points where the blocks know better: what lives since the
 * first quarter of the run does not grow, however few measurements there are; and a run
 * of less than TREND_SHORTEST seconds that freed everything only did its work. */
#define TREND_SHORTEST 2.0
void trend_consider(struct trend *t, const struct trend_point *points, size_t n,
                    const struct trend_life *life);
#endif
