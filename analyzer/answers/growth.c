/* growth.c - which call sites hold more and more: the model (answers.h).
 *
 * The measurements of a site are its rows in the timed snapshots and the final one;
 * for a process without a last word (running, killed) the ledger is the last
 * measurement. Peaks are left out: taken because they are high, they would bias.
 *
 * A snapshot has no rows for sites below a share of the live bytes then: what they held
 * is in the rows of their callers. For one such site it is known to lie between 0 and
 * that limit, so all measurements below the highest of these limits count as equal:
 * nothing below it is taken for a trend. */
#include "answers/answers.h"
#include "answers/sites.h"
#include "read/rows.h"
#include "read/timeline.h"

#include <stdlib.h>

#define UNSURE_SHARE                                                                     \
  100 /* unsure sites that hold less than 1/100 are not worth a word                     \
       */

struct sample {
  uint32_t site, moment;
  uint64_t bytes;
};

struct series {
  struct timeline timeline;
  struct trend_life life; /* of the run; of the blocks nothing */
  struct sample *samples; /* by site, then moment */
  size_t count;
  size_t moments;   /* snapshots, and the ledger if it is used */
  double *seconds;  /* of each moment */
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
    s->unseen[m] = timeline_unseen(r, shot);
    struct rows rows = rows_of(r, shot);
    struct row row;
    while (rows_next(&rows, &row) && row.kind == UL_ROW_SITE)
      s->samples[s->count++] = (struct sample){row.number, m, row.bytes};
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
  s->unseen[m] = 0;
  for (size_t i = 0; i < sites->count; i++)
    if (sites->sum[i].blocks && !sites->sum[i].of_others)
      s->samples[s->count++] = (struct sample){(uint32_t)i, m, sites->sum[i].bytes};
}

static bool series_load(const struct recording *r, const struct sites *sites,
                        struct series *s) {
  *s = (struct series){.timeline = timeline_load(r, false)};
  uint64_t rows = sites->count;
  s->life.ended = s->timeline.count &&
                  s->timeline.at[s->timeline.count - 1]->kind == UL_SNAPSHOT_FINAL;
  s->life.start = (double)timeline_start_ms(r) / 1000;
  s->life.end = (double)recording_duration_ms(r) / 1000;
  for (size_t m = 0; m < s->timeline.count; m++)
    rows += s->timeline.at[m]->rows[UL_ROW_SITE];
  s->moments = s->timeline.count;
  s->samples = malloc((rows + 1) * sizeof *s->samples);
  s->seconds = calloc(s->moments + 1, sizeof *s->seconds);
  s->unseen = calloc(s->moments + 1, sizeof *s->unseen);
  if (!s->timeline.at || !s->samples || !s->seconds || !s->unseen) return false;
  add_rows(r, s);
  add_ledger(r, sites, s);
  qsort(s->samples, s->count, sizeof *s->samples, by_site);
  return true;
}

static void series_free(struct series *s) {
  timeline_free(&s->timeline);
  free(s->samples);
  free(s->seconds);
  free(s->unseen);
}

static struct trend judge(const struct series *s, const struct trend_point *points,
                          uint64_t blocks, uint64_t newest_ms, unsigned generations) {
  struct trend t = trend_judge(points, s->moments, s->life.ended);
  struct trend_life life = s->life;
  life.holds = blocks > 0;
  life.newest = (double)newest_ms / 1000;
  life.generations = generations;
  trend_consider(&t, points, s->moments, &life);
  return t;
}

/* n samples of one site; points has room for all moments. */
static void judge_site(const struct series *s, const struct sample *samples, size_t n,
                       const struct site_sum *sum, struct trend_point *points,
                       struct growth_site *g) {
  uint64_t level = 0;
  size_t next = 0;
  for (size_t m = 0; m < s->moments; m++) {
    bool seen = next < n && samples[next].moment == m;
    uint64_t bytes = 0;
    while (next < n && samples[next].moment == m)
      bytes = samples[next++].bytes;
    if (!seen && s->unseen[m] > level) level = s->unseen[m];
    points[m] = (struct trend_point){s->seconds[m], (double)bytes};
    if (m == 0) g->first_bytes = bytes;
    g->last_bytes = bytes;
  }
  for (size_t m = 0; m < s->moments; m++)
    if (points[m].y < (double)level) points[m].y = (double)level;
  g->site = samples[0].site;
  g->blocks = sum->blocks;
  g->generations = (unsigned)__builtin_popcount(sum->generations);
  g->trend = judge(s, points, sum->blocks, sum->newest_ms, g->generations);
}

static void judge_all(const struct series *s, const struct sites *sites,
                      struct trend_point *points, struct growth *g) {
  for (size_t i = 0, n; i < s->count; i += n) {
    for (n = 1; i + n < s->count && s->samples[i + n].site == s->samples[i].site; n++)
      ;
    struct growth_site *site = &g->sites[g->count++];
    judge_site(s, &s->samples[i], n, &sites->sum[s->samples[i].site], points, site);
    g->verdicts[site->trend.verdict]++;
  }
}

static void judge_total(const struct series *s, const struct sites *sites,
                        struct trend_point *points, struct growth *g) {
  for (size_t m = 0; m < s->moments; m++) {
    uint64_t live =
        m < s->timeline.count ? timeline_live_bytes(s->timeline.at[m]) : sites->bytes;
    points[m] = (struct trend_point){s->seconds[m], (double)live};
  }
  uint64_t newest = 0;
  for (size_t i = 0; i < sites->count; i++)
    if (sites->sum[i].newest_ms > newest) newest = sites->sum[i].newest_ms;
  g->all = judge(s, points, sites->blocks, newest, 0);
  g->measurements = s->moments;
}

/* By what they hold; or held, if that was freed in the end. */
static bool unsure_matter(const struct growth *g, const struct sites *sites) {
  double live = 0, freed = 0;
  for (size_t i = 0; i < g->count; i++) {
    const struct growth_site *s = &g->sites[i];
    if (s->trend.verdict != TREND_UNSURE) continue;
    live += (double)s->last_bytes;
    if (s->trend.reason == TREND_SHORT || s->trend.reason == TREND_FELL)
      freed += s->trend.high;
  }
  return (live > 0 && live * UNSURE_SHARE >= (double)sites->bytes) ||
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

struct growth *growth_load(const struct recording *r) {
  struct growth *g = calloc(1, sizeof *g);
  struct sites *sites = sites_load(r);
  struct trend_point *points = NULL;
  struct series s = {0};
  bool good = g && sites && series_load(r, sites, &s);
  if (good) points = malloc((s.moments + 1) * sizeof *points);
  if (good) g->sites = calloc(sites->count + 1, sizeof *g->sites);
  good = good && points && g->sites;
  if (good) {
    judge_all(&s, sites, points, g);
    judge_total(&s, sites, points, g);
    g->unsure_matter = unsure_matter(g, sites);
    qsort(g->sites, g->count, sizeof *g->sites, by_importance);
  }
  series_free(&s);
  sites_free(sites);
  free(points);
  if (good) return g;
  growth_free(g);
  return NULL;
}

void growth_free(struct growth *g) {
  if (!g) return;
  free(g->sites);
  free(g);
}
