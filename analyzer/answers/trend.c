#include "answers/trend.h"

#include <math.h>
#include <stdlib.h>

/* Hoare's FIND: brings the k-th smallest to its place, and what is smaller before it.
 * (All slopes of a series are some 8,000: to sort them would be most of the work of a
 * report.) */
static double find(double *v, size_t n, size_t k) {
  ptrdiff_t low = 0, high = (ptrdiff_t)n - 1, at = (ptrdiff_t)k;
  while (low < high) {
    double pivot = v[at];
    ptrdiff_t i = low, j = high;
    do {
      while (v[i] < pivot)
        i++;
      while (pivot < v[j])
        j--;
      if (i > j) break;
      double swapped = v[i];
      v[i++] = v[j];
      v[j--] = swapped;
    } while (i <= j);
    if (j < at) low = i;
    if (at < i) high = j;
  }
  return v[at];
}

static double median_of(double *v, size_t n) {
  double upper = find(v, n, n / 2), lower = v[0];
  if (n % 2) return upper;
  for (size_t i = 1; i < n / 2; i++)
    if (v[i] > lower) lower = v[i];
  return (lower + upper) / 2;
}

double trend_slope(const struct trend_point *points, size_t n) {
  double *slopes = n > 1 ? malloc(n * (n - 1) / 2 * sizeof *slopes) : NULL;
  size_t count = 0;
  if (!slopes) return 0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = i + 1; k < n; k++)
      if (points[k].t != points[i].t)
        slopes[count++] = (points[k].y - points[i].y) / (points[k].t - points[i].t);
  double median = count ? median_of(slopes, count) : 0;
  free(slopes);
  return median;
}

/* Var(S) = (n(n-1)(2n+5) - sum over groups of g tied values g(g-1)(2g+5)) / 18. */
static double weight(double n) {
  return n * (n - 1) * (2 * n + 5);
}

/* Sums over the groups of equal y: of weight(), and of the pairs in each. */
static void tied(const struct trend_point *points, size_t n, double *weights,
                 double *pairs) {
  *weights = *pairs = 0;
  for (size_t i = 0; i < n; i++) {
    bool first = true;
    double group = 1;
    for (size_t k = 0; k < i && first; k++)
      first = points[k].y != points[i].y;
    for (size_t k = i + 1; first && k < n; k++)
      group += points[k].y == points[i].y;
    if (!first) continue;
    *weights += weight(group);
    *pairs += group * (group - 1) / 2;
  }
}

struct trend_kendall trend_kendall(const struct trend_point *points, size_t n) {
  struct trend_kendall k = {.p = 1};
  double weights, ties, all = (double)n * ((double)n - 1) / 2;
  for (size_t i = 0; i < n; i++)
    for (size_t j = i + 1; j < n; j++)
      k.s += (points[j].y > points[i].y) - (points[j].y < points[i].y);
  tied(points, n, &weights, &ties);
  if (all > ties) k.tau = k.s / sqrt(all * (all - ties));
  double variance = (weight((double)n) - weights) / 18;
  if (variance > 0 && k.s != 0) k.z = (k.s - copysign(1, k.s)) / sqrt(variance);
  k.p = erfc(fabs(k.z) / sqrt(2));
  return k;
}

/* ---- verdict ------------------------------------------------------------------- */

/* Limits of the verdict, all relative, so that they hold for any program:
 * a trend is a trend if chance gives it once in a hundred times and at least 70 % of
 * the pairs that differ agree (tau 0.4); it has stopped when the last quarter of the
 * time brought nothing, it may have when the last eighth did; a rise within 2 % of
 * the range is nothing, a tenth at once is a step; a fall of half the range undoes the
 * growth before it. What lives is from the start if the last three quarters of the run
 * added nothing to it; it survives a short run if it is from three 16ths of it. */
#define SIGNIFICANT 0.01
#define TREND_PLENTY 16 /* of fewer measurements that rise, chance cannot be told */
#define TAU 0.4
#define STOPPED 0.25
#define PAUSED 0.125
#define NOTHING 0.02
#define STEP 0.1
#define UNDONE 0.5
#define FLAT_END 0.1
#define TIDYING 0.1
#define SLOW_END 0.25
#define START 0.25
#define SURVIVING 3
/* Behind a plateau: a slope that lasts (the last half of it has at least LASTING of the
 * first half's) and has brought at least MATTERS of the level is growth, however high the
 * plateau. */
#define LASTING 0.5
#define MATTERS 0.005
/* Four equal parts of the time, by their means: if each rise between them is at most
 * SHRINKS of the one before, the rest of this geometric series is all there is to come.
 * (Of a linear rise they are equal, of a square root 0.76 and 0.85, of 1 - exp(-k t)
 * exp(-k / 4).) */
#define SHRINKS 0.7
#define PARTS 4u
/* A container that doubles when it is full: each level is DOUBLE of the one before at
 * least, and lasts as long as all before it together, within bounds; so is the last. */
#define DOUBLE 1.4
#define DOUBLINGS 3u
/* Its peaks are so many times its floor: what that does says nothing of the whole. */
#define PEAKED 2.0
#define DUE_LEAST 1.4
#define DUE_MOST 2.8
#define OVERDUE 2.2

typedef size_t bin_of(const struct trend_point *points, size_t n, size_t i);

static size_t bin_by_time(const struct trend_point *points, size_t n, size_t i) {
  double start = points[0].t, width = (points[n - 1].t - start) / TREND_BINS;
  size_t bin = width > 0 ? (size_t)((points[i].t - start) / width) : 0;
  return bin < TREND_BINS ? bin : TREND_BINS - 1;
}

/* The last point is alone in its bin: it may be of much later. */
static size_t bin_by_number(const struct trend_point *points, size_t n, size_t i) {
  (void)points;
  return i + 1 < n ? i * (TREND_BINS - 1) / (n - 1) : TREND_BINS - 1;
}

static void copy_extremes(const struct trend_point *points, size_t n, bin_of *bin_by,
                          double sign, struct trend_point *bins, size_t *count) {
  size_t last = TREND_BINS;
  *count = 0;
  for (size_t i = 0; i < n; i++) {
    size_t bin = bin_by(points, n, i);
    double y = sign * points[i].y;
    if (bin != last)
      bins[(*count)++] = (struct trend_point){points[i].t, y};
    else if (y < bins[*count - 1].y)
      bins[*count - 1] = (struct trend_point){points[i].t, y};
    last = bin;
  }
}

/* How a series that should be rising does it. */
struct shape {
  double low, high, range;
  double began;     /* last time at the low */
  double reached;   /* first time at the high */
  double span;      /* of time */
  unsigned steps;   /* of STEP the range at once, to a new high */
  double pause;     /* between steps, the longest */
  unsigned falls;   /* of UNDONE the range */
  double fell;      /* when, the last time */
  double early_low; /* of the first third of the time */
  double late_low;  /* of the last third */
};

static void shape_range(struct shape *s, const struct trend_point *p, size_t n) {
  s->low = s->high = p[0].y;
  for (size_t i = 1; i < n; i++) {
    if (p[i].y < s->low) s->low = p[i].y;
    if (p[i].y > s->high) s->high = p[i].y;
  }
  s->range = s->high - s->low;
  s->span = p[n - 1].t - p[0].t;
}

static void shape_rises(struct shape *s, const struct trend_point *p, size_t n) {
  s->began = s->reached = p[0].t;
  for (size_t i = 0; i < n; i++) {
    if (p[i].y <= s->low + NOTHING * s->range) s->began = p[i].t;
    if (p[i].y < s->high - NOTHING * s->range) continue;
    s->reached = p[i].t;
    break;
  }
}

static void shape_steps(struct shape *s, const struct trend_point *p, size_t n) {
  double top = p[0].y, stepped = 0;
  for (size_t i = 1; i < n; i++) {
    if (p[i].y <= top) continue;
    top = p[i].y;
    if (s->range <= 0 || top - p[i - 1].y < STEP * s->range) continue;
    if (s->steps++ && p[i].t - stepped > s->pause) s->pause = p[i].t - stepped;
    stepped = p[i].t;
  }
}

static void shape_falls(struct shape *s, const struct trend_point *p, size_t n) {
  double top = p[0].y;
  s->early_low = s->late_low = s->high;
  for (size_t i = 0; i < n; i++) {
    double at = p[i].t - p[0].t;
    if (at <= s->span / 3 && p[i].y < s->early_low) s->early_low = p[i].y;
    if (at >= s->span * 2 / 3 && p[i].y < s->late_low) s->late_low = p[i].y;
    if (p[i].y > top) top = p[i].y;
    if (s->range <= 0 || top - p[i].y < UNDONE * s->range) continue;
    s->falls++;
    s->fell = p[i].t;
    top = p[i].y;
  }
}

static struct shape shape_of(const struct trend_point *points, size_t n) {
  struct shape s = {0};
  shape_range(&s, points, n);
  shape_rises(&s, points, n);
  shape_steps(&s, points, n);
  shape_falls(&s, points, n);
  return s;
}

/* The last measurement before the last `part` of the time, or the first in it. */
static size_t before_last(const struct trend_point *points, size_t n, double part) {
  double from = points[n - 1].t - (points[n - 1].t - points[0].t) * part;
  size_t first = 0;
  while (first + 1 < n && points[first + 1].t <= from)
    first++;
  return first;
}

static double late_slope(const struct trend_point *points, size_t n) {
  size_t first = before_last(points, n, 1.0 / 3);
  return trend_slope(points + first, n - first);
}

/* Two thirds of the time are enough to tell a rise from some late events. */
static bool rises_late(const struct trend_point *points, size_t n) {
  size_t first = before_last(points, n, 2.0 / 3);
  if (n - first < TREND_FEWEST) return true;
  struct trend_kendall k = trend_kendall(points + first, n - first);
  return k.p < SIGNIFICANT && k.tau >= TAU;
}

/* Does the rise come to an end, and at which level? */
static bool saturates(const struct trend_point *p, size_t n, double *level) {
  double sum[PARTS] = {0}, rise[PARTS - 1], span = p[n - 1].t - p[0].t;
  size_t count[PARTS] = {0};
  for (size_t i = 0; i < n; i++) {
    size_t part = span > 0 ? (size_t)((p[i].t - p[0].t) / span * PARTS) : 0;
    if (part >= PARTS) part = PARTS - 1;
    sum[part] += p[i].y;
    count[part]++;
  }
  for (size_t i = 0; i < PARTS; i++)
    if (count[i] < 2) return false;
  for (size_t i = 0; i + 1 < PARTS; i++)
    rise[i] = sum[i + 1] / (double)count[i + 1] - sum[i] / (double)count[i];
  for (size_t i = 0; i + 2 < PARTS; i++)
    if (rise[i] <= 0 || rise[i + 1] > SHRINKS * rise[i]) return false;
  double ratio = rise[PARTS - 2] / rise[PARTS - 3];
  double top = sum[PARTS - 1] / (double)count[PARTS - 1];
  *level = ratio > 0 ? top + rise[PARTS - 2] * ratio / (1 - ratio) : top;
  return true;
}

/* From p[0] on, where it was (nearly) nothing. */
static bool doubles(const struct trend_point *p, size_t n) {
  double start = p[0].t, at = 0, level = 0;
  unsigned doublings = 0;
  if (p[0].y < 0) return false; /* a fall, turned upside down */
  for (size_t i = 1; i < n; i++) {
    double t = p[i].t - start;
    if (p[i].y < DOUBLE * p[i - 1].y) {
      if (p[i].y > level * (1 + NOTHING)) return false; /* and not in between */
      continue;
    }
    bool due = at > 0 && t >= DUE_LEAST * at && t <= DUE_MOST * at;
    doublings = due ? doublings + 1 : 1;
    at = t;
    level = p[i].y;
  }
  return doublings >= DOUBLINGS && p[n - 1].t - start <= OVERDUE * at;
}

/* Three quarters of the rise in the first half of the time: it has slowed down, or ended.
 */
static bool is_early(const struct trend_point *p, size_t n) {
  struct shape s = {0};
  size_t i = 0;
  shape_range(&s, p, n);
  while (p[i].y < s.low + s.range * 3 / 4)
    i++;
  return p[i].t - p[0].t < s.span / 2;
}

/* A heap that is filled at the start and then leaks: against the base the leak is
 * nothing, so what comes after the base is judged against its own noise. What saturates
 * slows down. The first point of it, or n. */
static size_t rise_behind(const struct trend_point *p, size_t n, const struct shape *s,
                          double *slope) {
  size_t first = 0;
  while (first < n && p[first].y < s->low + UNDONE * s->range)
    first++;
  size_t count = n - first, half = count / 2;
  if (count < TREND_FEWEST || s->falls) return n;
  const struct trend_point *tail = p + first;
  struct trend_kendall k = trend_kendall(tail, count);
  double early = trend_slope(tail, half + 1),
         late = trend_slope(tail + half, count - half);
  *slope = trend_slope(tail, count);
  bool lasts = k.p < SIGNIFICANT && k.tau >= TAU && early > 0 && late >= LASTING * early;
  bool matters = *slope * (tail[count - 1].t - tail[0].t) >= MATTERS * s->high;
  double level;
  return lasts && matters && !is_early(tail, count) && !saturates(tail, count, &level)
             ? first
             : n;
}

static bool rises_behind(const struct trend_point *p, size_t n, const struct shape *s,
                         struct trend *t) {
  double slope;
  size_t first = rise_behind(p, n, s, &slope);
  if (first == n) return false;
  t->slope = slope;
  t->at = p[first].t;
  return true;
}

/* The series rises significantly: does it still, and is that growth? */
static enum trend_reason rising(const struct trend_point *p, size_t n,
                                const struct shape *s, struct trend *t) {
  size_t first = 0;
  while (p[first].t < s->began)
    first++;
  t->slope = trend_slope(p + first, n - first);
  t->at = s->began;
  if (s->falls) {
    t->at = s->fell;
    return s->falls > 1 && s->late_low - s->early_low < UNDONE / 2 * s->range
               ? TREND_SWINGS
               : TREND_FELL;
  }
  if (doubles(p, n)) return TREND_DOUBLES;
  double idle = p[n - 1].t - s->reached, late = late_slope(p, n);
  bool stepping = s->steps >= 3 && idle <= 2 * s->pause;
  if (idle >= STOPPED * s->span || late < FLAT_END * t->slope) {
    if (rises_behind(p, n, s, t)) return TREND_RISES;
    t->at = s->reached;
    return stepping ? TREND_STEPS : TREND_STOPPED;
  }
  if (idle >= PAUSED * s->span && !stepping) {
    if (rises_behind(p, n, s, t)) return TREND_RISES;
    t->at = s->reached;
    return TREND_PAUSED;
  }
  if (n - first < TREND_FEWEST / 2 + 1) return TREND_LATE;
  if (saturates(p + first, n - first, &t->level)) return TREND_SATURATES;
  if (!rises_late(p, n)) return TREND_SLOWS;
  return late < SLOW_END * t->slope ? TREND_SLOWS : TREND_RISES;
}

static enum trend_verdict verdict_for(enum trend_reason reason) {
  switch (reason) {
  case TREND_RISES:
  case TREND_FREED:
  case TREND_DOUBLES:
    return TREND_GROWING;
  case TREND_FALLS:
    return TREND_SHRINKING;
  case TREND_NONE:
  case TREND_STOPPED:
  case TREND_SATURATES:
  case TREND_SWINGS:
  case TREND_SETTLED:
  case TREND_START:
    return TREND_STEADY;
  default:
    return TREND_UNSURE;
  }
}

/* The reasons of rising(), for a series that was turned upside down. */
static enum trend_reason mirrored(enum trend_reason reason) {
  switch (reason) {
  case TREND_SWINGS:
    return TREND_SWINGS;
  case TREND_STOPPED:
  case TREND_PAUSED:
  case TREND_STEPS:
  case TREND_SATURATES:
    return TREND_SETTLED;
  case TREND_FELL:
    return TREND_NONE;
  default:
    return TREND_FALLS;
  }
}

static struct trend judge(const struct trend_point *points, size_t n) {
  struct trend t = {.verdict = TREND_UNSURE, .reason = TREND_FEW};
  struct trend_point floor[TREND_BINS], ceiling[TREND_BINS];
  size_t count;
  if (n == 0) return t;
  copy_extremes(points, n, bin_by_time, 1, floor, &count);
  bin_of *bins = count < TREND_FEWEST ? bin_by_number : bin_by_time;
  copy_extremes(points, n, bins, -1, ceiling, &count);
  copy_extremes(points, n, bins, 1, floor, &count);
  struct shape up = shape_of(floor, count), down = shape_of(ceiling, count);
  t.points = count;
  t.low = up.low;
  t.high = -down.low;
  t.slope = trend_slope(floor, count);
  t.kendall = trend_kendall(floor, count);
  if (count < TREND_FEWEST) return t;
  struct trend_kendall fall = trend_kendall(ceiling, count);
  t.reason = up.falls > 1 ? TREND_SWINGS : TREND_NONE;
  if (t.kendall.p < SIGNIFICANT && t.kendall.tau >= TAU) {
    t.reason = rising(floor, count, &up, &t);
  } else if (fall.p < SIGNIFICANT && fall.tau >= TAU) {
    t.reason = mirrored(rising(ceiling, count, &down, &t));
    t.slope = -t.slope;
  }
  bool fills = t.reason == TREND_SATURATES || t.reason == TREND_STOPPED;
  if (fills && t.high > PEAKED * up.high) t.reason = TREND_SWINGS;
  bool rises = t.kendall.tau >= TAU && t.kendall.p >= SIGNIFICANT;
  if (rises && count < TREND_PLENTY) t.reason = TREND_FEW;
  t.verdict = verdict_for(t.reason);
  return t;
}

/* When it fell, if it rose before. Of few measurements, or where much of the work is to
 * take all apart, the fall hides that. */
static double fell_at(const struct trend *t, const struct trend_point *points, size_t n) {
  if (t->reason == TREND_FELL) return t->at;
  struct shape s = shape_of(points, n);
  bool hidden = t->reason == TREND_FEW || t->reason == TREND_NONE;
  return hidden && s.falls ? s.fell : -INFINITY;
}

/* How many measurements were before that: up to the top, or to where tidying up began. */
static size_t before_fall(const struct trend_point *points, double fell, double tidying) {
  size_t top = 0, i = 0;
  for (; points[i].t < fell; i++)
    if (points[i].y >= points[top].y) top = i;
  while (i > top + 1 && points[i - 1].t >= tidying)
    i--;
  return i;
}

/* The tidying up may be in several steps. */
static struct trend judge_before(const struct trend_point *points, size_t n,
                                 double tidying) {
  struct trend t = judge(points, n);
  double end = points[n - 1].t, late = end - TIDYING * (end - points[0].t);
  for (double fell; (fell = fell_at(&t, points, n)) >= fmin(late, tidying);) {
    n = before_fall(points, fell, tidying);
    struct trend until = judge(points, n);
    if (until.reason == TREND_FEW) break;
    t = until;
    if (t.verdict != TREND_GROWING) continue;
    t.reason = TREND_FREED;
    t.at = points[n].t;
  }
  return t;
}

struct trend trend_judge(const struct trend_point *points, size_t n, double tidying) {
  if (tidying == INFINITY || n == 0) return judge(points, n);
  return judge_before(points, n, tidying);
}

/* ---- what the blocks know ------------------------------------------------------ */

/* Neither more, that was freed since, nor less: a block may have been resized. */
static bool flat_since(const struct trend *t, const struct trend_point *points, size_t n,
                       double since) {
  for (size_t i = 0; i < n; i++)
    if (points[i].t >= since && fabs(points[i].y - points[n - 1].y) > NOTHING * t->high)
      return false;
  return true;
}

/* It was freed once, whatever part of the work had that in it. */
static bool peaks_once(const struct trend_point *points, size_t n) {
  return shape_of(points, n).falls == 1;
}

void trend_decide(struct trend *t, enum trend_reason reason) {
  t->reason = reason;
  t->verdict = verdict_for(reason);
}

void trend_consider(struct trend *t, const struct trend_point *points, size_t n,
                    const struct trend_life *life) {
  double run = life->end - life->start;
  if (n == 0) return;
  if (life->seconds < TREND_SHORTEST) {
    bool freed = points[n - 1].y < t->low + UNDONE * (t->high - t->low);
    bool rose = t->verdict == TREND_GROWING ||
                (t->verdict == TREND_STEADY && peaks_once(points, n));
    if (rose && freed && !life->wanted && life->generations < SURVIVING)
      trend_decide(t, TREND_SHORT);
    return;
  }
  if (t->verdict != TREND_UNSURE && t->verdict != TREND_GROWING) return;
  double start = life->start + START * run;
  if (life->holds && life->newest <= start && flat_since(t, points, n, start)) {
    trend_decide(t, TREND_START);
    t->at = life->newest;
  } else if (!life->holds && !life->ended && t->reason == TREND_FEW) {
    trend_decide(t, TREND_NONE);
  }
}
