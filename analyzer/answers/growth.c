/* growth.c - which call sites hold more and more: the model (answers.h).
 *
 * The measurements of a site are its rows in the timed snapshots and the final one;
 * for a process without a last word (running, killed) the ledger is the last
 * measurement. Peaks are left out: taken because they are high, they would bias.
 *
 * The clock is work: the program's allocations and frees so far. Start-up, idling and the
 * end of an interpreter take seconds, but no work, and are neither rise nor rest. Only
 * where nothing was added for more than half of the seconds is a rise by work not called
 * growth: who loaded its data and waits has not been growing for long. Where the work
 * says too little, as of one that did all of it at once, the seconds decide.
 *
 * A snapshot has no rows for sites below a share of the live bytes then: what they held
 * is in the rows of their callers. For one such site it is known to lie between 0 and
 * that limit, so all measurements below the highest of these limits count as equal:
 * nothing below it is taken for a trend. */
#include "answers/answers.h"
#include "answers/sites.h"
#include "read/estimate.h"
#include "read/rows.h"
#include "read/timeline.h"

#include <stdlib.h>

#define UNSURE_SHARE                                                                     \
  100 /* unsure sites that hold less than 1/100 are not worth a word                     \
       */

struct sample {
  uint32_t site, moment;
  uint64_t blocks, bytes;
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
};

static int by_site(const void *a, const void *b) {
  const struct sample *x = a, *y = b;
  if (x->site != y->site) return x->site < y->site ? -1 : 1;
  return x->moment < y->moment ? -1 : x->moment > y->moment;
}

static void add_rows(const struct recording *r, struct series *s) {
  for (uint32_t m = 0; m < s->timeline.count; m++) {
    const struct ul_snapshot *shot = s->timeline.at[m];
    s->seconds[m] = (double)shot->ms / 1000;
    s->work[m] = (double)timeline_work(shot);
    s->unseen[m] = timeline_unseen(r, shot);
    struct rows rows = rows_of(r, shot);
    struct row row;
    while (rows_next(&rows, &row) && row.kind == UL_ROW_SITE)
      if (!estimate_is_rest(r, row.number))
        s->samples[s->count++] = (struct sample){row.number, m, row.blocks, row.bytes};
  }
}

/* The ledger as the last moment, if the snapshots end before it. */
static void add_ledger(const struct recording *r, const struct sites *sites,
                       struct series *s) {
  uint64_t now = recording_duration_ms(r);
  const struct timeline *t = &s->timeline;
  if (s->life.ended || !t->count || now <= t->at[t->count - 1]->ms) return;
  uint32_t m = (uint32_t)s->moments++;
  s->seconds[m] = (double)now / 1000;
  s->work[m] = (double)(sites->total.allocations + sites->total.frees);
  s->unseen[m] = 0;
  for (size_t i = 0; i < sites->count; i++)
    if (sites->sum[i].blocks && !sites->sum[i].of_others)
      s->samples[s->count++] =
          (struct sample){(uint32_t)i, m, sites->sum[i].blocks, sites->sum[i].bytes};
}

static bool series_load(const struct recording *r, const struct sites *sites,
                        struct series *s) {
  *s = (struct series){.timeline = timeline_load(r, false)};
  uint64_t rows = sites->count;
  s->life.ended = s->timeline.count &&
                  s->timeline.at[s->timeline.count - 1]->kind == UL_SNAPSHOT_FINAL;
  s->life.start = (double)timeline_start_ms(r) / 1000;
  s->life.end = (double)recording_duration_ms(r) / 1000;
  s->life.seconds = s->life.end - s->life.start;
  for (size_t m = 0; m < s->timeline.count; m++)
    rows += s->timeline.at[m]->rows[UL_ROW_SITE];
  s->moments = s->timeline.count;
  s->samples = malloc((rows + 1) * sizeof *s->samples);
  s->seconds = calloc(s->moments + 1, sizeof *s->seconds);
  s->work = calloc(s->moments + 1, sizeof *s->work);
  s->unseen = calloc(s->moments + 1, sizeof *s->unseen);
  if (!s->timeline.at || !s->samples || !s->seconds || !s->work || !s->unseen)
    return false;
  add_rows(r, s);
  add_ledger(r, sites, s);
  qsort(s->samples, s->count, sizeof *s->samples, by_site);
  return true;
}

static void series_free(struct series *s) {
  timeline_free(&s->timeline);
  free(s->samples);
  free(s->seconds);
  free(s->work);
  free(s->unseen);
}

/* By a clock; in `points` the y are set. Moments at which the clock stood still are one.
 */
static struct trend judge_by(const struct series *s, const double *clock, const double *y,
                             struct trend_point *points, const struct trend_life *life) {
  size_t n = 0;
  for (size_t m = 0; m < s->moments; m++) {
    if (n && points[n - 1].t >= clock[m]) n--;
    points[n++] = (struct trend_point){clock[m], y[m]};
  }
  struct trend t = trend_judge(points, n, s->life.ended);
  trend_consider(&t, points, n, life);
  return t;
}

/* From work to seconds: the moment, and the slope from then on. */
static void to_seconds(const struct series *s, const double *y,
                       struct trend_point *points, struct trend *t) {
  size_t at = 0, n = 0;
  while (at + 1 < s->moments && s->work[at] < t->at)
    at++;
  bool freed = t->reason == TREND_FREED; /* from then on */
  for (size_t m = freed ? 0 : at; m < (freed ? at : s->moments); m++)
    points[n++] = (struct trend_point){s->seconds[m], y[m]};
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

/* Seconds since what has been added from t->at on was there, or nearly all of it. */
static double idle_seconds(const struct series *s, const double *y,
                           const struct trend *t) {
  enum { NEARLY = 50 };
  size_t m = moment_of(s, t->at);
  double low = y[m];
  while (m + 1 < s->moments && y[m] < t->high - (t->high - low) / NEARLY)
    m++;
  return s->seconds[s->moments - 1] - s->seconds[m];
}

/* What was added since it began to grow. */
static uint64_t added(const struct series *s, const double *y, const struct trend *t) {
  if (t->verdict != TREND_GROWING) return 0;
  double low = t->reason == TREND_FREED ? t->low : y[moment_of(s, t->at)];
  double high = t->reason == TREND_FREED ? t->high : y[s->moments - 1];
  return high > low ? (uint64_t)(high - low) : 0;
}

static struct trend judge(const struct series *s, const double *y, uint64_t blocks,
                          uint64_t newest_ms, unsigned generations) {
  struct trend_point *points = malloc((s->moments + 1) * sizeof *points);
  if (!points) return (struct trend){.verdict = TREND_UNSURE, .reason = TREND_FEW};
  struct trend_life life = s->life;
  life.holds = blocks > 0;
  life.newest = (double)newest_ms / 1000;
  life.generations = generations;
  struct trend seconds = judge_by(s, s->seconds, y, points, &life);
  life.start = timeline_work_at(&s->timeline, (uint64_t)(life.start * 1000));
  life.end = s->moments ? s->work[s->moments - 1] : 0;
  life.newest = timeline_work_at(&s->timeline, newest_ms);
  struct trend work = judge_by(s, s->work, y, points, &life);
  bool enough = work.points >= TREND_FEWEST;
  if (enough) to_seconds(s, y, points, &work);
  free(points);
  if (!enough) return seconds;
  if (work.verdict != TREND_GROWING) return work;
  if (seconds.verdict == TREND_GROWING)
    return added(s, y, &seconds) < added(s, y, &work) ? seconds : work;
  return idle_seconds(s, y, &work) > s->life.seconds / 2 ? seconds : work;
}

static uint64_t added_blocks(const struct series *s, const struct sample *samples,
                             size_t n, const struct trend *t) {
  uint64_t before = 0, most = 0;
  for (size_t i = 0; i < n; i++) {
    if (samples[i].moment <= moment_of(s, t->at) && t->reason != TREND_FREED)
      before = samples[i].blocks;
    else if (samples[i].blocks > most)
      most = samples[i].blocks;
  }
  return most > before ? most - before : 0;
}

/* n samples of one site; y has room for all moments. */
static void judge_site(const struct series *s, const struct sample *samples, size_t n,
                       const struct site_sum *sum, double *y, struct growth_site *g) {
  uint64_t level = 0;
  size_t next = 0;
  for (size_t m = 0; m < s->moments; m++) {
    bool seen = next < n && samples[next].moment == m;
    uint64_t bytes = 0;
    while (next < n && samples[next].moment == m)
      bytes = samples[next++].bytes;
    if (!seen && s->unseen[m] > level) level = s->unseen[m];
    y[m] = (double)bytes;
    if (m == 0) g->first_bytes = bytes;
    g->last_bytes = bytes;
  }
  for (size_t m = 0; m < s->moments; m++)
    if (y[m] < (double)level) y[m] = (double)level;
  g->site = samples[0].site;
  g->blocks = sum->blocks;
  g->generations = (unsigned)__builtin_popcount(sum->generations);
  g->trend = judge(s, y, sum->blocks, sum->newest_ms, g->generations);
  g->added.bytes = added(s, y, &g->trend);
  if (g->added.bytes) g->added.blocks = added_blocks(s, samples, n, &g->trend);
}

static void judge_all(const struct series *s, const struct sites *sites, double *y,
                      struct growth *g) {
  for (size_t i = 0, n; i < s->count; i += n) {
    for (n = 1; i + n < s->count && s->samples[i + n].site == s->samples[i].site; n++)
      ;
    struct growth_site *site = &g->sites[g->count++];
    judge_site(s, &s->samples[i], n, &sites->sum[s->samples[i].site], y, site);
    g->verdicts[site->trend.verdict]++;
  }
}

static void judge_total(const struct series *s, const struct sites *sites, double *y,
                        struct growth *g) {
  for (size_t m = 0; m < s->moments; m++) {
    uint64_t live =
        m < s->timeline.count ? timeline_live_bytes(s->timeline.at[m]) : sites->bytes;
    y[m] = (double)live;
  }
  uint64_t newest = 0;
  for (size_t i = 0; i < sites->count; i++)
    if (sites->sum[i].newest_ms > newest) newest = sites->sum[i].newest_ms;
  g->all = judge(s, y, sites->blocks, newest, 0);
  g->measurements = s->moments;
}

/* By what they hold; or held, if that was freed in the end. */
static bool unsure_matter(const struct growth *g, const struct sites *sites) {
  double live = 0, freed = 0, seen = 0;
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    seen += (double)s->last_bytes;
    if (s->trend.verdict != TREND_UNSURE) continue;
    live += (double)s->last_bytes;
    if (s->trend.reason == TREND_SHORT || s->trend.reason == TREND_FELL)
      freed += s->trend.high;
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
  return by_slope ? slope : (double)g->last_bytes;
}

static int by_importance(const void *a, const void *b) {
  const struct growth_site *x = a, *y = b;
  if (x->trend.verdict != y->trend.verdict)
    return x->trend.verdict < y->trend.verdict ? -1 : 1;
  double wx = weight_of(x), wy = weight_of(y);
  if (wx != wy) return wx > wy ? -1 : 1;
  if (x->last_bytes != y->last_bytes) return x->last_bytes > y->last_bytes ? -1 : 1;
  return x->site < y->site ? -1 : x->site > y->site;
}

struct growth *growth_load(const struct recording *r, const struct sites *sites) {
  struct growth *g = calloc(1, sizeof *g);
  double *y = NULL;
  struct series s = {0};
  bool good = g && series_load(r, sites, &s);
  if (good) y = malloc((s.moments + 1) * sizeof *y);
  if (good) g->sites = calloc(sites->count + 1, sizeof *g->sites);
  good = good && y && g->sites;
  if (good) {
    judge_all(&s, sites, y, g);
    judge_total(&s, sites, y, g);
    g->unsure_matter = unsure_matter(g, sites);
    qsort(g->sites, g->count, sizeof *g->sites, by_importance);
  }
  series_free(&s);
  free(y);
  if (good) return g;
  growth_free(g);
  return NULL;
}

bool growth_of_codes(const struct recording *r, const struct sites *sites,
                     const bool *codes, struct growth_codes *g) {
  struct series s = {0};
  double *y = NULL;
  bool good = series_load(r, sites, &s) &&
              (y = calloc(s.moments + 1, sizeof *y)); /* the ledger has no such sum */
  uint64_t level = 0;
  *g = (struct growth_codes){.trend.verdict = TREND_UNSURE};
  s.moments = s.timeline.count;
  for (size_t m = 0; good && m < s.moments; m++) {
    struct rows rows = rows_of(r, s.timeline.at[m]);
    struct row row;
    while (rows_next(&rows, &row))
      if (row.kind == UL_ROW_CODE && codes[row.number]) y[m] += (double)row.bytes;
    uint64_t least = ul_row_least(s.timeline.at[m], UL_ROW_CODE);
    if (y[m] == 0 && least > level) level = least;
  }
  for (size_t m = 0; good && m < s.moments; m++)
    if (y[m] < (double)level) y[m] = (double)level;
  if (good && s.moments) {
    g->trend = judge(&s, y, sites->blocks, recording_duration_ms(r), SITE_GENERATIONS);
    g->added_bytes = added(&s, y, &g->trend);
  }
  free(y);
  series_free(&s);
  return good;
}

void growth_free(struct growth *g) {
  if (!g) return;
  free(g->sites);
  free(g);
}
