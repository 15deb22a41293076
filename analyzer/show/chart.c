#include "show/chart.h"

#include "read/timeline.h"
#include "show/text.h"

#include <stdlib.h>
#include <string.h>

#define ROWS 8u
#define COLUMNS_MAX 120u
#define MARGIN 14u
#define TALL 4 /* RSS above so many times the peak is not drawn to scale */
#define NEAR 2 /* a limit above so many times the most is not drawn */

struct column {
  uint64_t live, rss;
  bool peak;
};

/* A snapshot; or what there is no snapshot of: the highest peak, and now. */
struct point {
  uint64_t ms, live, rss;
};

struct course {
  struct point *at; /* by time */
  size_t count, peak;
};

struct chart {
  struct column column[COLUMNS_MAX];
  unsigned columns;
  uint64_t start, span; /* ms */
  uint64_t top, live_top, rss_top;
  uint64_t limit; /* 0: far away, or none */
};

static unsigned column_of(const struct chart *c, uint64_t ms) {
  double part = (double)(ms > c->start ? ms - c->start : 0) / (double)c->span;
  return part < 1 ? (unsigned)(part * c->columns) : c->columns - 1;
}

/* ---- what there is to draw ----------------------------------------------------- */

static void insert(struct course *c, struct point p) {
  size_t i = c->count++;
  for (; i && c->at[i - 1].ms > p.ms; i--)
    c->at[i] = c->at[i - 1];
  c->at[i] = p;
}

static void add_snapshots(const struct timeline *t, struct course *c) {
  for (size_t i = 0; i < t->count; i++)
    c->at[c->count++] =
        (struct point){t->at[i]->ms, timeline_live_bytes(t->at[i]), t->at[i]->rss_bytes};
}

/* The ledger is newer than the last snapshot of what runs or was killed. */
static void add_end(const struct process *p, uint64_t end, struct course *c) {
  const struct ul_header *h = recording_header(p->recording);
  if (h->stop != UL_STOP_NONE && h->stop_ms < end) end = h->stop_ms;
  const struct point *last = &c->at[c->count - 1];
  if (p->sites && p->sites->bytes != last->live && end >= last->ms)
    insert(c, (struct point){end, p->sites->bytes, 0});
}

static size_t highest(const struct course *c) {
  size_t best = 0;
  for (size_t i = 1; i < c->count; i++)
    if (c->at[i].live > c->at[best].live) best = i;
  return best;
}

static void add_missed(const struct process *p, struct course *c) {
  uint64_t bytes = timeline_peak_bytes(p->recording);
  if (bytes > c->at[highest(c)].live)
    insert(c, (struct point){recording_header(p->recording)->missed_ms, bytes, 0});
}

/* Nothing, of fewer than two snapshots. */
static struct course course_of(const struct process *p, uint64_t end) {
  enum { OTHERS = 2 };
  struct timeline t = timeline_load(p->recording, true);
  struct course c = {.at = calloc(t.count + OTHERS, sizeof *c.at)};
  if (c.at && t.count >= 2) {
    add_snapshots(&t, &c);
    add_end(p, end, &c);
    add_missed(p, &c);
    c.peak = highest(&c);
  }
  timeline_free(&t);
  return c;
}

/* ---- drawing ------------------------------------------------------------------- */

/* A column shows the most of its time, or what was last before. */
static void fill(struct chart *c, const struct course *of) {
  uint64_t live = 0, rss = 0;
  size_t next = 0;
  for (unsigned x = 0; x < c->columns; x++) {
    c->column[x] = (struct column){live, rss, false};
    while (next < of->count && column_of(c, of->at[next].ms) <= x) {
      const struct point *p = &of->at[next];
      live = p->live;
      if (p->rss) rss = p->rss;
      if (live > c->column[x].live) c->column[x].live = live;
      if (rss > c->column[x].rss) c->column[x].rss = rss;
      if (next++ == of->peak) c->column[x].peak = true;
    }
    if (c->column[x].live > c->live_top) c->live_top = c->column[x].live;
    if (c->column[x].rss > c->rss_top) c->rss_top = c->column[x].rss;
  }
  c->top = c->live_top;
  if (c->rss_top > c->top && c->rss_top / TALL <= c->live_top) c->top = c->rss_top;
}

/* The lowest of what the process was allowed. */
static void set_limit(struct chart *c, const struct ul_header *h) {
  const struct ul_limits *l = &h->limits;
  const uint64_t limits[] = {l->group, l->address_space, l->data, l->machine};
  uint64_t most = c->rss_top > c->live_top ? c->rss_top : c->live_top, least = UINT64_MAX;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    if (limits[i] < least) least = limits[i];
  if (!(h->features & UL_FEATURE_LIMITS) || least / NEAR > most) return;
  c->limit = least;
  if (least > c->top) c->top = least;
}

/* Rows that a value fills, rounded, at least one for anything. */
static unsigned height(const struct chart *c, uint64_t bytes) {
  if (!bytes || !c->top) return 0;
  if (bytes > c->top) return ROWS + 1;
  unsigned rows = (unsigned)((double)bytes / (double)c->top * ROWS + 0.5);
  return rows ? rows : 1;
}

static void draw_row(const struct chart *c, const struct view_options *o, unsigned row) {
  char line[COLUMNS_MAX + 1] = "";
  for (unsigned x = 0; x < c->columns; x++) {
    unsigned live = height(c, c->column[x].live), rss = height(c, c->column[x].rss);
    line[x] = live >= row ? '#' : rss == row ? '.' : ' ';
    if (c->column[x].peak && live + 1 == row) line[x] = 'v';
    if (c->column[x].peak && live == ROWS && row == ROWS) line[x] = '^';
    if (line[x] == ' ' && row == height(c, c->limit)) line[x] = '-';
  }
  unsigned end = c->columns;
  while (end && line[end - 1] == ' ')
    line[--end] = 0;
  fprintf(o->out, "%*s |%s\n", (int)MARGIN - 2, row == ROWS ? text_size(o, c->top) : "",
          line);
}

static void draw(const struct chart *c, const struct view_options *o,
                 const struct point *peak) {
  char limit[64] = "";
  if (c->limit) snprintf(limit, sizeof limit, "- limit of %s, ", text_size(o, c->limit));
  text_heading(o, "MEMORY OVER TIME", "  # live, . resident, %speak of %s at %s", limit,
               text_size(o, peak->live),
               text_time(peak->ms > c->start ? peak->ms - c->start : 0));
  for (unsigned row = ROWS; row > 0; row--)
    draw_row(c, o, row);
  char axis[COLUMNS_MAX + 1];
  memset(axis, '-', sizeof axis);
  const char *end = text_time(c->span);
  fprintf(o->out, "%*s +%.*s\n%*s0%*s\n", (int)MARGIN - 2, "0", (int)c->columns, axis,
          (int)MARGIN, "", (int)c->columns - 1, end);
  if (c->rss_top > c->top)
    fprintf(o->out, "%*s(resident: up to %s, off the scale)\n", (int)MARGIN, "",
            text_size(o, c->rss_top));
}

void chart_draw(const struct process *p, const struct view_options *o) {
  const struct recording *r = p->recording;
  uint64_t end = recording_duration_ms(r), columns = o->columns ? o->columns : 80;
  struct course course = course_of(p, end);
  struct chart c = {.start = timeline_start_ms(r)};
  if (course.count && course.at[course.count - 1].ms > end)
    end = course.at[course.count - 1].ms;
  c.columns = columns > MARGIN + 20 ? (unsigned)columns - MARGIN - 2 : 20;
  if (c.columns > COLUMNS_MAX) c.columns = COLUMNS_MAX;
  c.span = end > c.start ? end - c.start : 0;
  if (course.count && c.span && course.at[course.peak].live) {
    fill(&c, &course);
    set_limit(&c, recording_header(r));
    draw(&c, o, &course.at[course.peak]);
  }
  free(course.at);
}
