/* growth.c - which call sites hold more and more: the model (answers.h).
 *
 * The measurements of a site are its rows in the timed snapshots and the final one;
 * for a process without a last word (running, killed) the ledger is the last
 * measurement. Peaks are left out: taken because they are high, they would bias.
 *
 * The clock is work: the program's allocations and frees so far. Start-up, idling and the
 * end of an interpreter take seconds, but no work, and are neither rise nor rest. Only
 * where nothing was added, or hardly anything done, for more than half of the seconds is
 * a rise by work not called growth: who loaded its data and waits has not been growing
 * for long. Where the work says too little, as of one that did all of it at once, the
 * seconds decide.
 *
 * A snapshot has no rows for sites below a share of the live bytes then: what they held
 * is in the rows of their callers. For one such site it is known to lie between 0 and
 * that limit, so all measurements below the highest of these limits count as equal:
 * nothing below it is taken for a trend. */
#include "answers/answers.h"
#include "answers/last.h"
#include "answers/sites.h"
#include "read/estimate.h"
#include "read/rows.h"
#include "read/timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Unsure sites that hold less than 1/100 of all are not worth a word. */
#define UNSURE_SHARE 100

struct sample {
  uint32_t site, moment;
  uint64_t blocks, bytes;
  struct ul_amount estimated; /* the part of it that is one */
};

struct series {
  struct timeline timeline;
  struct trend_life life; /* of the run; of the blocks nothing */
  struct sample *samples; /* by site, then moment */
  size_t count;
  size_t moments;  /* snapshots, and the ledger if it is used */
  double *seconds; /* of each moment */
  double *work;
  uint64_t *unseen; /* at each moment: the most a site without a sample held */
  /* Of what is judged at the moment: known of it at each moment, and for the trend, where
   * what is not known counts as the most it can be. */
  struct ul_amount *held;
  double *y;
  bool *no_rows; /* for which there was no room: the moment says nothing of sites */
  bool by_rows;  /* is what is judged known by rows? */
  double peak_seconds;
};

static int by_site(const void *a, const void *b) {
  const struct sample *x = a, *y = b;
  if (x->site != y->site) return x->site < y->site ? -1 : 1;
  return x->moment < y->moment ? -1 : x->moment > y->moment;
}

static void add_ledger(const struct sites *sites, struct series *s, uint32_t m) {
  for (size_t i = 0; i < sites->count; i++)
    if (sites->sum[i].blocks && !sites->sum[i].of_others)
      s->samples[s->count++] =
          (struct sample){(uint32_t)i, m, sites->sum[i].blocks, sites->sum[i].bytes,
                          site_estimated(&sites->sum[i]).live};
}

static void add_rows(const struct recording *r, struct series *s) {
  for (uint32_t m = 0; m < s->timeline.count; m++) {
    const struct ul_snapshot *shot = s->timeline.at[m];
    s->no_rows[m] = !shot->row_bytes && timeline_live_bytes(shot);
    s->unseen[m] = s->no_rows[m] ? 0 : timeline_unseen(r, shot);
    struct rows rows = rows_of(r, shot);
    struct row row;
    while (rows_next(&rows, &row) && row.kind == UL_ROW_SITE) {
      if (estimate_is_rest(r, row.number)) continue;
      struct sample *to = &s->samples[s->count++];
      *to = (struct sample){estimate_stack(r, row.number), m, row.blocks, row.bytes, {0}};
      if (estimate_is_of_samples(r, row.number))
        to->estimated = (struct ul_amount){row.blocks, row.bytes};
    }
  }
}

/* The ledger as the last moment, if the snapshots end before it, or in place of the rows
 * that the last one has not. */
static void add_end(const struct recording *r, const struct sites *sites,
                    struct series *s) {
  uint64_t now = recording_duration_ms(r);
  const struct timeline *t = &s->timeline;
  if (!t->count) return;
  uint32_t last = (uint32_t)t->count - 1;
  bool later = !s->life.ended && now > t->at[last]->ms;
  if (later) {
    last = (uint32_t)s->moments++;
    s->seconds[last] = (double)now / 1000;
    s->work[last] = (double)(sites->total.allocations + sites->total.frees);
  }
  if (later || s->no_rows[last]) add_ledger(sites, s, last);
  s->no_rows[last] = false;
}

static void forget_before(struct timeline *t, uint64_t ms) {
  size_t first = 0;
  while (first < t->count && t->at[first]->ms < ms)
    first++;
  t->count -= first;
  if (t->count) memmove(t->at, t->at + first, t->count * sizeof *t->at);
}

/* The run and its moments, without a word of sites. */
static bool series_begin(const struct recording *r, uint64_t since_ms, struct series *s) {
  *s = (struct series){.timeline = timeline_load(r, false)};
  if (since_ms) forget_before(&s->timeline, since_ms);
  s->life.ended = s->timeline.count &&
                  s->timeline.at[s->timeline.count - 1]->kind == UL_SNAPSHOT_FINAL;
  uint64_t start = timeline_start_ms(r);
  s->life.start = (double)(since_ms > start ? since_ms : start) / 1000;
  s->life.end = (double)recording_duration_ms(r) / 1000;
  s->life.seconds = s->life.end - s->life.start;
  s->life.wanted = last_failed_at(r, timeline_peak_bytes(r));
  s->moments = s->timeline.count;
  s->seconds = calloc(s->moments + 1, sizeof *s->seconds);
  s->work = calloc(s->moments + 1, sizeof *s->work);
  s->unseen = calloc(s->moments + 1, sizeof *s->unseen);
  s->held = calloc(s->moments + 1, sizeof *s->held);
  s->y = calloc(s->moments + 1, sizeof *s->y);
  s->no_rows = calloc(s->moments + 1, sizeof *s->no_rows);
  if (!s->timeline.at || !s->seconds || !s->work || !s->unseen || !s->held || !s->y ||
      !s->no_rows)
    return false;
  for (size_t m = 0; m < s->moments; m++) {
    s->seconds[m] = (double)s->timeline.at[m]->ms / 1000;
    s->work[m] = (double)timeline_work(s->timeline.at[m]);
  }
  return true;
}

static bool series_load(const struct recording *r, const struct sites *sites,
                        uint64_t since_ms, struct series *s) {
  if (!series_begin(r, since_ms, s)) return false;
  uint64_t rows = sites->count;
  s->peak_seconds = (double)sites->peak_ms / 1000;
  for (size_t m = 0; m < s->timeline.count; m++)
    rows += s->timeline.at[m]->rows[UL_ROW_SITE];
  if (!(s->samples = malloc((rows + 1) * sizeof *s->samples))) return false;
  add_rows(r, s);
  add_end(r, sites, s);
  qsort(s->samples, s->count, sizeof *s->samples, by_site);
  return true;
}

static void series_free(struct series *s) {
  timeline_free(&s->timeline);
  free(s->samples);
  free(s->seconds);
  free(s->work);
  free(s->unseen);
  free(s->held);
  free(s->y);
  free(s->no_rows);
}

/* When the program began to come to its end: from then on it allocated next to nothing.
 * What an interpreter takes apart at its end may be half of all its work, but not most of
 * its time: who allocates early and then waits keeps what there is. */
static double tidying(const struct series *s, const double *clock) {
  enum { NOTHING = 50 };
  const struct timeline *t = &s->timeline;
  if (!s->life.ended) return INFINITY;
  size_t m = 0;
  uint64_t all = t->at[t->count - 1]->allocations;
  while (t->at[m]->allocations < all - all / NOTHING)
    m++;
  bool waits = s->seconds[m] < s->seconds[t->count - 1] / 2;
  return clock[waits ? t->count - 1 : m];
}

/* By a clock; `points` has room for one more than there are moments. Moments at which the
 * clock stood still are one. What lives at the end was there since the last block of it
 * was allocated, however long before the last measurement; it is told of the part of the
 * time after that, for of each the lowest counts. */
static struct trend judge_by(const struct series *s, const double *clock,
                             struct trend_point *points, const struct trend_life *life) {
  size_t n = 0;
  for (size_t m = 0; m < s->moments; m++) {
    if (s->by_rows && s->no_rows[m]) continue;
    if (n && points[n - 1].t >= clock[m]) n--;
    bool rests = n && s->y[m] < points[n - 1].y / 2;
    if (m + 1 == s->moments && n && life->holds && !rests) {
      double since = life->newest > points[n - 1].t ? life->newest : points[n - 1].t;
      double next = since + (clock[m] - points[0].t) / TREND_BINS;
      if (next < clock[m]) points[n++] = (struct trend_point){next, s->y[m]};
    }
    points[n++] = (struct trend_point){clock[m], s->y[m]};
  }
  struct trend t = trend_judge(points, n, tidying(s, clock));
  trend_consider(&t, points, n, life);
  return t;
}

/* From work to seconds: the moment, and the slope from then on. */
static void to_seconds(const struct series *s, struct trend_point *points,
                       struct trend *t) {
  size_t at = 0, n = 0;
  while (at + 1 < s->moments && s->work[at] < t->at)
    at++;
  bool freed = t->reason == TREND_FREED; /* from then on */
  for (size_t m = freed ? 0 : at; m < (freed ? at : s->moments); m++)
    points[n++] = (struct trend_point){s->seconds[m], s->y[m]};
  double slope = trend_slope(points, n);
  if (t->slope == 0 || (slope > 0) == (t->slope > 0)) t->slope = slope;
  t->at = s->seconds[at];
}

static size_t moment_of(const struct series *s, double seconds) {
  size_t m = 0;
  while (m + 1 < s->moments && s->seconds[m] < seconds)
    m++;
  return m;
}

/* The moments between which it grew; what was freed in the end, up to the last one before
 * that. */
static void moments_of(const struct series *s, const struct trend *t, size_t *from,
                       size_t *to) {
  *from = moment_of(s, t->at);
  *to = s->moments - 1;
  if (t->reason != TREND_FREED) return;
  *to = *from ? *from - 1 : 0;
  *from = 0;
  for (size_t m = 0; m < *to; m++)
    if (s->y[m] <= s->y[*from]) *from = m;
}

/* Seconds since what it has added, or nearly all of that, was there, whether it was freed
 * later or not: between two measurements when the last of the blocks was allocated. */
static double idle_seconds(const struct series *s, const struct trend *t, double newest) {
  enum { NEARLY = 50 };
  size_t m, to;
  moments_of(s, t, &m, &to);
  double low = s->y[m], high = t->reason == TREND_FREED ? s->y[to] : t->high;
  while (m < to && s->y[m] < high - (high - low) / NEARLY)
    m++;
  double reached = s->seconds[m];
  if (m && newest < reached)
    reached = newest > s->seconds[m - 1] ? newest : s->seconds[m - 1];
  return s->seconds[s->moments - 1] - reached;
}

/* Seconds since nearly all work was done. */
static double quiet_seconds(const struct series *s) {
  enum { NEARLY = 16 };
  size_t m = 0, last = s->moments - 1;
  while (s->work[m] < s->work[last] - (s->work[last] - s->work[0]) / NEARLY)
    m++;
  return s->seconds[last] - s->seconds[m];
}

static double rise(const struct series *s, const struct trend *t) {
  size_t from, to;
  moments_of(s, t, &from, &to);
  return s->y[to] - s->y[from];
}

/* Was what lived when the growth began there before it? Not if it is little, or no more
 * than this growth had brought by then at its rate, by the clock by which it grows: the
 * first measurements come when they come, and whenever that is, all that lives is of the
 * growth. */
static bool has_base(const struct series *s, const struct trend *t, size_t from,
                     size_t to) {
  enum { LITTLE = 8, LIKE_ITSELF = 2 };
  const double *clock = t->by_seconds ? s->seconds : s->work;
  double base = (double)s->held[from].bytes, gain = (double)s->held[to].bytes - base;
  return base * LITTLE > (double)s->held[to].bytes &&
         base * (clock[to] - clock[from]) > LIKE_ITSELF * gain * clock[from];
}

static struct trend judge(const struct series *s, uint64_t blocks, uint64_t newest_ms,
                          unsigned generations) {
  struct trend_point *points = malloc((s->moments + 2) * sizeof *points);
  if (!points) return (struct trend){.verdict = TREND_UNSURE, .reason = TREND_FEW};
  struct trend_life life = s->life;
  life.holds = blocks > 0;
  life.newest = (double)newest_ms / 1000;
  life.generations = generations;
  struct trend seconds = judge_by(s, s->seconds, points, &life);
  seconds.by_seconds = true;
  life.start = timeline_work_at(&s->timeline, (uint64_t)(life.start * 1000));
  life.end = s->moments ? s->work[s->moments - 1] : 0;
  life.newest = timeline_work_at(&s->timeline, newest_ms);
  struct trend work = judge_by(s, s->work, points, &life);
  bool enough = work.points >= TREND_FEWEST;
  if (enough) to_seconds(s, points, &work);
  free(points);
  if (!enough) return seconds;
  if (work.verdict != TREND_GROWING) return work;
  if (seconds.verdict == TREND_GROWING)
    return rise(s, &seconds) < rise(s, &work) ? seconds : work;
  double newest = blocks ? (double)newest_ms / 1000 : INFINITY;
  double idle = fmax(idle_seconds(s, &work, newest), quiet_seconds(s));
  return idle > s->life.seconds / 2 ? seconds : work;
}

static uint64_t more(uint64_t now, uint64_t before) {
  return now > before ? now - before : 0;
}

/* Was it freed behind the peak, and that behind all measurements? */
static bool peaked_last(const struct series *s, const struct trend *t, size_t to) {
  return t->reason == TREND_FREED && s->peak_seconds >= s->seconds[to] &&
         s->peak_seconds <= t->at;
}

/* What the growth has brought: of what lives, or if that was freed in the end, lived
 * then, by the last measurement or the peak's, if that came later. */
static struct ul_amount added(const struct series *s, const struct trend *t,
                              struct ul_amount live, struct ul_amount peak) {
  struct ul_amount before = {0, 0};
  size_t from, to;
  if (t->verdict != TREND_GROWING) return before;
  moments_of(s, t, &from, &to);
  if (t->reason == TREND_FREED) live = peaked_last(s, t, to) ? peak : s->held[to];
  if (has_base(s, t, from, to)) before = s->held[from];
  return (struct ul_amount){.blocks = more(live.blocks, before.blocks),
                            .bytes = more(live.bytes, before.bytes)};
}

/* If most of it came behind the last measurement, the others' slope is not its rate. */
static void rate_to_peak(const struct series *s, struct ul_amount added,
                         struct trend *t) {
  size_t from, to;
  moments_of(s, t, &from, &to);
  double took = s->peak_seconds - s->seconds[from];
  if (peaked_last(s, t, to) && took > 0) t->slope = (double)added.bytes / took;
}

/* Behind a base: in how many 16ths of the time that it is said to grow has it added
 * blocks that live? In few, if it is the most that was ever in use at once. */
static bool is_of_few_events(const struct series *s, const struct trend *t,
                             unsigned generations) {
  size_t from, to;
  moments_of(s, t, &from, &to);
  double part = (s->seconds[from] - s->life.start) / s->life.seconds * SITE_GENERATIONS;
  unsigned first = part < SITE_GENERATIONS - 1 ? (unsigned)part + 1 : SITE_GENERATIONS;
  unsigned parts = SITE_GENERATIONS - first;
  uint64_t blocks = more(s->held[to].blocks, s->held[from].blocks);
  return has_base(s, t, from, to) && blocks >= parts / 2 &&
         (unsigned)__builtin_popcount(generations >> first) < parts / 2;
}

/* All that it ever allocated is so little, and lives: what comes up once for each kind of
 * request, say. Measurements between them make it no more. */
static bool is_of_few_blocks(const struct site_sum *sum) {
  return sum->blocks && sum->blocks == sum->count.allocations &&
         sum->blocks < TREND_FEWEST && !site_estimated(sum).live.blocks;
}

static void doubt_events(const struct series *s, struct trend *t, unsigned generations) {
  if (t->verdict == TREND_GROWING && is_of_few_events(s, t, generations))
    trend_decide(t, TREND_STEPS);
}

/* n samples of one site. The most it may have held where it is not known. */
static uint64_t fill(struct series *s, const struct sample *samples, size_t n) {
  uint64_t level = 0;
  size_t next = 0;
  s->by_rows = true;
  for (size_t m = 0; m < s->moments; m++) {
    bool seen = next < n && samples[next].moment == m;
    s->held[m] = s->no_rows[m] && m ? s->held[m - 1] : (struct ul_amount){0, 0};
    if (seen) s->held[m] = (struct ul_amount){0, 0};
    for (; next < n && samples[next].moment == m; next++) {
      s->held[m].blocks += samples[next].blocks;
      s->held[m].bytes += samples[next].bytes;
    }
    if (!seen && s->unseen[m] > level) level = s->unseen[m];
  }
  return level;
}

static void lift(struct series *s, uint64_t level) {
  for (size_t m = 0; m < s->moments; m++)
    s->y[m] = (double)(s->held[m].bytes > level ? s->held[m].bytes : level);
}

/* Does what is known of it say anything? Below the level it may have done what it will.
 */
static bool is_told(const struct growth_site *g, uint64_t level) {
  return g->trend.verdict == TREND_GROWING || g->trend.high >= 2 * (double)level;
}

/* Of what it held last. */
static struct ul_amount last_estimated(const struct series *s,
                                       const struct sample *samples, size_t n) {
  struct ul_amount sum = {0};
  for (; n && samples[n - 1].moment + 1 == s->moments; n--) {
    sum.blocks += samples[n - 1].estimated.blocks;
    sum.bytes += samples[n - 1].estimated.bytes;
  }
  return sum;
}

static double all_gain(const struct series *s, size_t from, size_t to) {
  return (double)timeline_live_bytes(s->timeline.at[to]) -
         (double)timeline_live_bytes(s->timeline.at[from]);
}

/* Has the site nearly all that all together has gained between these moments? */
static bool has_gain(const struct series *s, size_t from, size_t to) {
  enum { PER_CENT = 100, NEARLY_ALL = 80 };
  double all = all_gain(s, from, to);
  double gain = (double)s->held[to].bytes - (double)s->held[from].bytes;
  return all > 0 && gain >= all / PER_CENT * NEARLY_ALL;
}

/* The last one with rows in the first half of the time between these moments. */
static size_t middle(const struct series *s, size_t from, size_t to) {
  double half = (s->seconds[from] + s->seconds[to]) / 2;
  size_t middle = from;
  for (size_t m = from + 1; m < to && s->seconds[m] <= half; m++)
    if (!s->no_rows[m]) middle = m;
  return middle;
}

/* Only moments with rows say who has gained. */
static void to_rows(const struct series *s, size_t *from, size_t *to) {
  while (*from < *to && s->no_rows[*from])
    ++*from;
  while (*to > *from && s->no_rows[*to])
    --*to;
}

/* Few measurements, or many from before it began, tell little of one site. But if nearly
 * all by which all together grows is its own, and so is what came late, it grows as
 * surely as that. */
static void judge_by_all(const struct series *s, const struct trend *all,
                         struct trend *t) {
  size_t from, to;
  bool tells = t->reason != TREND_FEW && t->reason != TREND_NONE;
  if (tells || all->verdict != TREND_GROWING) return;
  moments_of(s, all, &from, &to);
  if (to >= s->timeline.count) return;
  to_rows(s, &from, &to);
  if (to <= from) return;
  if (all_gain(s, from, to) < (all->high - all->low) / 2 || !has_gain(s, from, to) ||
      !has_gain(s, middle(s, from, to), to))
    return;
  double low = t->low, high = t->high;
  double part = (double)(s->held[to].bytes - s->held[from].bytes);
  *t = *all;
  t->low = low;
  t->high = high;
  t->slope *= part / all_gain(s, from, to);
  if (t->reason == TREND_RISES) t->at = s->seconds[from];
}

static bool judge_site(struct series *s, const struct sample *samples, size_t n,
                       const struct site_sum *sum, const struct trend *all,
                       struct growth_site *g) {
  uint64_t level = fill(s, samples, n);
  lift(s, level);
  g->site = samples[0].site;
  g->first_bytes = s->held[0].bytes;
  g->last_bytes = s->held[s->moments - 1].bytes;
  g->last_estimated = last_estimated(s, samples, n);
  g->blocks = sum->blocks;
  g->generations = (unsigned)__builtin_popcount(sum->generations);
  g->trend = judge(s, sum->blocks, sum->newest_ms, g->generations);
  judge_by_all(s, all, &g->trend);
  doubt_events(s, &g->trend, sum->generations);
  if (g->trend.verdict == TREND_GROWING && is_of_few_blocks(sum))
    trend_decide(&g->trend, TREND_STEPS);
  g->added = added(s, &g->trend, (struct ul_amount){sum->blocks, sum->bytes},
                   (struct ul_amount){sum->peak_blocks, sum->peak_bytes});
  rate_to_peak(s, g->added, &g->trend);
  return is_told(g, level);
}

/* The room of a container doubles as well while something is filled that then stays: not
 * growth, unless all together grows. */
static void doubt_doubling(const struct growth *g, struct growth_site *site) {
  if (site->trend.reason != TREND_DOUBLES || g->all.verdict == TREND_GROWING) return;
  trend_decide(&site->trend, TREND_STEPS);
  site->added = (struct ul_amount){0, 0};
}

/* What samples say of a site is an estimate, what all live bytes together do is exact:
 * that they grow can be chance where those do not, or where the samples could be counted
 * on the fingers. */
static void doubt_samples(const struct recording *r, const struct growth *g,
                          const struct site_sum *sum, struct growth_site *site) {
  struct ul_amount of = site_estimated(sum).allocated;
  if (site->trend.verdict != TREND_GROWING || of.bytes * 2 < sum->count.allocated_bytes ||
      !of.blocks)
    return;
  double weight = estimate_weight(r, site->site, of.bytes / of.blocks);
  bool few = (double)of.blocks < TREND_FEWEST * weight;
  if (!few && g->all.verdict == TREND_GROWING) return;
  trend_decide(&site->trend, TREND_SAMPLES);
  site->added = (struct ul_amount){0, 0};
}

static void judge_all(const struct recording *r, struct series *s,
                      const struct sites *sites, struct growth *g) {
  for (size_t i = 0, n; i < s->count; i += n) {
    for (n = 1; i + n < s->count && s->samples[i + n].site == s->samples[i].site; n++)
      ;
    struct growth_site *site = &g->sites[g->count];
    const struct site_sum *sum = &sites->sum[s->samples[i].site];
    if (!judge_site(s, &s->samples[i], n, sum, &g->all, site)) continue;
    doubt_doubling(g, site);
    doubt_samples(r, g, sum, site);
    g->count++;
    g->verdicts[site->trend.verdict]++;
  }
}

static void judge_total(struct series *s, const struct sites *sites, struct growth *g) {
  s->by_rows = false;
  for (size_t m = 0; m < s->moments; m++) {
    const struct ul_snapshot *shot = m < s->timeline.count ? s->timeline.at[m] : NULL;
    s->held[m].bytes = shot ? timeline_live_bytes(shot) : sites->bytes;
    s->held[m].blocks = shot ? timeline_live_blocks(shot) : sites->blocks;
  }
  lift(s, 0);
  uint64_t newest = 0;
  unsigned generations = 0;
  for (size_t i = 0; i < sites->count; i++) {
    if (sites->sum[i].newest_ms > newest) newest = sites->sum[i].newest_ms;
    generations |= sites->sum[i].generations;
  }
  g->all = judge(s, sites->blocks, newest, 0);
  doubt_events(s, &g->all, generations);
  g->measurements = s->moments;
}

/* What was freed in the end may have been most between two measurements. */
static void add_peak(const struct recording *r, struct trend *all) {
  double peak = (double)timeline_peak_bytes(r);
  if (all->reason == TREND_SHORT && all->high < peak) all->high = peak;
}

/* Rose, and was freed: it is not by what is left that it may matter. */
static bool was_freed(const struct growth_site *s) {
  return s->trend.reason == TREND_SHORT || s->trend.reason == TREND_FELL ||
         (s->trend.reason == TREND_FEW && s->trend.kendall.s > 0);
}

/* By what they hold; or held, if that was freed in the end. */
static bool unsure_matter(const struct growth *g, const struct sites *sites) {
  double live = 0, freed = 0, seen = 0;
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    seen += (double)s->last_bytes;
    if (s->trend.verdict != TREND_UNSURE) continue;
    live += (double)s->last_bytes;
    if (was_freed(s)) freed += s->trend.high;
  }
  bool unseen = seen * 2 < (double)sites->bytes; /* of sites too small for a row */
  return (unseen && g->all.verdict == TREND_UNSURE) ||
         (live > 0 && live * UNSURE_SHARE >= (double)sites->bytes) ||
         (freed > 0 && freed * UNSURE_SHARE >= g->all.high);
}

static double weight_of(const struct growth_site *g) {
  double slope = g->trend.slope < 0 ? -g->trend.slope : g->trend.slope;
  bool by_slope =
      g->trend.verdict == TREND_GROWING || g->trend.verdict == TREND_SHRINKING;
  if (by_slope) return slope;
  return was_freed(g) ? g->trend.high : (double)g->last_bytes;
}

/* Does it rise, but so that it may have come to its end? */
static bool rises_in_doubt(const struct trend *all) {
  return all->reason == TREND_STEPS || all->reason == TREND_SLOWS ||
         all->reason == TREND_PAUSED || all->reason == TREND_LATE;
}

bool growth_matters(const struct recording *r, const struct trend *all, uint64_t added,
                    uint64_t live, uint64_t peak) {
  enum { SHARE = 200, SHARE_IN_DOUBT = 16 };
  uint64_t start = timeline_start_ms(r), end = recording_duration_ms(r);
  bool is_short = end < start + (uint64_t)(TREND_SHORTEST * 1000);
  bool freed = live < added / 2;
  bool doubt = is_short || freed || rises_in_doubt(all);
  return added > peak / (doubt ? SHARE_IN_DOUBT : SHARE);
}

int growth_order(const struct growth_site *x, const struct growth_site *y) {
  if (x->trend.verdict != y->trend.verdict)
    return x->trend.verdict < y->trend.verdict ? -1 : 1;
  double wx = weight_of(x), wy = weight_of(y);
  if (wx != wy) return wx > wy ? -1 : 1;
  if (x->last_bytes != y->last_bytes) return x->last_bytes > y->last_bytes ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

static int by_importance(const void *a, const void *b) {
  return growth_order(a, b);
}

struct growth *growth_load(const struct recording *r, const struct sites *sites,
                           uint64_t since_ms) {
  struct growth *g = calloc(1, sizeof *g);
  struct series s = {0};
  bool good = g && series_load(r, sites, since_ms, &s) &&
              (g->sites = calloc(sites->count + 1, sizeof *g->sites));
  if (good) {
    judge_total(&s, sites, g);
    add_peak(r, &g->all);
    judge_all(r, &s, sites, g);
    g->unsure_matter = unsure_matter(g, sites);
    qsort(g->sites, g->count, sizeof *g->sites, by_importance);
  }
  series_free(&s);
  if (good) return g;
  growth_free(g);
  return NULL;
}

/* The ledger has no such sum. As in fill(). */
static uint64_t fill_codes(const struct recording *r, const bool *codes,
                           struct series *s) {
  uint64_t level = 0;
  s->moments = s->timeline.count;
  s->by_rows = true;
  for (size_t m = 0; m < s->moments; m++) {
    struct rows rows = rows_of(r, s->timeline.at[m]);
    struct row row;
    s->no_rows[m] = !s->timeline.at[m]->row_bytes;
    s->held[m] = s->no_rows[m] && m ? s->held[m - 1] : (struct ul_amount){0, 0};
    while (rows_next(&rows, &row))
      if (row.kind == UL_ROW_CODE && codes[row.number]) {
        s->held[m].blocks += row.blocks;
        s->held[m].bytes += row.bytes;
      }
    uint64_t least = ul_row_least(s->timeline.at[m], UL_ROW_CODE);
    if (!s->no_rows[m] && !s->held[m].bytes && least > level) level = least;
  }
  return level;
}

bool growth_of_codes(const struct recording *r, const struct sites *sites,
                     const struct trend *all, const bool *codes, unsigned generations,
                     struct growth_codes *g) {
  struct series s = {0};
  bool good = series_begin(r, 0, &s);
  *g = (struct growth_codes){.trend.verdict = TREND_UNSURE};
  s.peak_seconds = (double)sites->peak_ms / 1000;
  if (good) lift(&s, fill_codes(r, codes, &s));
  if (good && s.moments) {
    size_t from, to;
    g->trend = judge(&s, sites->blocks, recording_duration_ms(r), SITE_GENERATIONS);
    judge_by_all(&s, all, &g->trend);
    doubt_events(&s, &g->trend, generations);
    moments_of(&s, &g->trend, &from, &to);
    g->added = added(&s, &g->trend, s.held[to], s.held[to]);
    g->has_base = has_base(&s, &g->trend, from, to);
  }
  series_free(&s);
  return good;
}

uint64_t growth_outline(const struct recording *r) {
  struct series s = {0};
  struct ul_amount grown = {0, 0};
  size_t from, to;
  if (series_begin(r, 0, &s) && s.moments) {
    for (size_t m = 0; m < s.moments; m++)
      s.held[m] = (struct ul_amount){timeline_live_blocks(s.timeline.at[m]),
                                     timeline_live_bytes(s.timeline.at[m])};
    lift(&s, 0);
    uint64_t live = s.held[s.moments - 1].bytes, end = recording_duration_ms(r);
    struct trend all = judge(&s, s.held[s.moments - 1].blocks, end, SITE_GENERATIONS);
    moments_of(&s, &all, &from, &to);
    grown = added(&s, &all, s.held[to], s.held[to]);
    if (!growth_matters(r, &all, grown.bytes, live, timeline_peak_bytes(r)))
      grown.bytes = 0;
  }
  series_free(&s);
  return grown.bytes;
}

void growth_free(struct growth *g) {
  if (!g) return;
  free(g->sites);
  free(g);
}
