/* growth.c - `ullage growth`: which call sites hold more and more, in words. */
#include "answers/rising.h"
#include "read/timeline.h"
#include "show/causes.h"
#include "show/json.h"
#include "show/processes.h"
#include "show/text.h"

#include <inttypes.h>
#include <stdlib.h>

#define TOP_TEXT 10u
#define TOP_JSON 1000u

static const char *const names[] = {[TREND_GROWING] = "growing",
                                    [TREND_UNSURE] = "unsure",
                                    [TREND_SHRINKING] = "shrinking",
                                    [TREND_STEADY] = "steady"};

/* ---- words --------------------------------------------------------------------- */

static uint64_t ms_of(double seconds) {
  return seconds > 0 ? (uint64_t)(seconds * 1000) : 0;
}

static uint64_t whole(double bytes) {
  return bytes > 0 ? bytes < 9e18 ? (uint64_t)bytes : INT64_MAX : 0;
}

static void print_reason(FILE *f, const struct recording *r, const struct trend *t,
                         const struct view_options *o) {
  uint64_t at = ms_of(t->at), start = timeline_start_ms(r);
  const char *when = text_time(at > start ? at - start : 0);
  switch (t->reason) {
  case TREND_FEW:
    if (t->points < TREND_FEWEST)
      fprintf(f, "only %s, %u are needed",
              text_plural(t->points, "measurement", "measurements"), TREND_FEWEST);
    else
      fprintf(f, "only %zu measurements: it may be chance that they rise", t->points);
    return;
  case TREND_NONE:
    fprintf(f, "no trend between %s and %s", text_size(o, whole(t->low)),
            text_size(o, whole(t->high)));
    return;
  case TREND_RISES:
    fprintf(f, "has been rising since %s, in %.0f %% of all comparisons", when,
            50 + 50 * t->kendall.tau);
    return;
  case TREND_FREED:
    fprintf(f, "rose until %s, then was freed as the program ended", when);
    return;
  case TREND_LATE:
    fprintf(f, "began to rise only at %s", when);
    return;
  case TREND_STOPPED:
    fprintf(f, "rose, but no more since %s: filled", when);
    return;
  case TREND_PAUSED:
    fprintf(f, "rose, but not since %s, which is not long", when);
    return;
  case TREND_STEPS:
    fprintf(f, "rises in steps, the last before %s; the next may be due", when);
    return;
  case TREND_SLOWS:
    fprintf(f, "rises ever more slowly");
    return;
  case TREND_SATURATES:
    fprintf(f, "saturates at about %s: each rise is smaller than the one before",
            text_size(o, whole(t->level)));
    return;
  case TREND_DOUBLES:
    fprintf(f, "doubles each time that as much has been done as before");
    return;
  case TREND_SWINGS:
    fprintf(f, "goes up and down between %s and %s, and its floor does not rise",
            text_size(o, whole(t->low)), text_size(o, whole(t->high)));
    return;
  case TREND_FELL:
    fprintf(f, "rises, but fell by half or more at %s", when);
    return;
  case TREND_FALLS:
    fprintf(f, "has been falling since %s", when);
    return;
  case TREND_SETTLED:
    fprintf(f, "fell, but no more since %s", when);
    return;
  case TREND_START:
    fprintf(f, "what lives is from the start, until %s, and nothing was added since",
            when);
    return;
  case TREND_SHORT:
    fprintf(f,
            "rose to %s and was freed within %.0f s: work, or growth; a longer run tells",
            text_size(o, whole(t->high)), TREND_SHORTEST);
    return;
  case TREND_SAMPLES:
    fprintf(f, "rises by samples, but they are few, or all live bytes together do not");
    return;
  }
}

static const char *rate_in(struct text_short *to, const struct view_options *o,
                           double slope) {
  double size = slope < 0 ? -slope : slope;
  if (size < 1)
    snprintf(to->s, sizeof to->s, "%s%.4g bytes/hour", slope < 0 ? "-" : "", size * 3600);
  else if (o->bytes || size < 1024)
    snprintf(to->s, sizeof to->s, "%s%.4g bytes/s", slope < 0 ? "-" : "", size);
  else
    snprintf(to->s, sizeof to->s, "%s%s/s", slope < 0 ? "-" : "",
             text_size(o, whole(size)));
  return to->s;
}
#define rate(o, slope) rate_in(TEXT_SHORT, o, slope)

/* ---- JSON ---------------------------------------------------------------------- */

static const char *reason_text(const struct recording *r, const struct trend *t,
                               const struct view_options *o, char *text, size_t n) {
  FILE *f = fmemopen(text, n, "w");
  text[0] = 0;
  if (!f) return text;
  print_reason(f, r, t, o);
  fclose(f);
  text[n - 1] = 0;
  return text;
}

static json_t *trend_object(const struct recording *r, const struct trend *t,
                            const struct view_options *o) {
  char reason[256];
  json_t *object = json_object();
  json_put(object, "verdict", json_text(names[t->verdict]));
  json_put(object, "reason", json_text(reason_text(r, t, o, reason, sizeof reason)));
  json_put(object, "bytes_per_second", json_real(t->slope));
  json_put(object, "tau", json_real(t->kendall.tau));
  json_put(object, "p", json_real(t->kendall.p));
  json_put(object, "clock", json_text(t->by_seconds ? "seconds" : "work"));
  json_put(object, "low_bytes", json_bytes(whole(t->low)));
  json_put(object, "high_bytes", json_bytes(whole(t->high)));
  json_put(object, "level_bytes",
           t->reason == TREND_SATURATES ? json_bytes(whole(t->level)) : json_null());
  return object;
}

static struct ul_amount last_amount(const struct growth_site *g) {
  return (struct ul_amount){g->blocks, g->last_bytes};
}

static json_t *site_object(const struct rising_site *place,
                           const struct view_options *o) {
  const struct growth_site *g = place->site;
  json_t *object = trend_object(place->process->recording, &g->trend, o);
  json_put(object, "process", json_text(place->process->label));
  json_put(object, "generations", json_integer(g->generations));
  json_put(object, "first_bytes", json_bytes(g->first_bytes));
  json_put(object, "last_bytes", json_bytes(g->last_bytes));
  json_put(object, "live_blocks", json_bytes(g->blocks));
  json_put(object, "last_interval", json_interval(o, last_amount(g), g->last_estimated));
  return object;
}

static json_t *snapshots_array(const struct recording *r) {
  static const char *const kinds[] = {"free", "timed", "peak", "final", "mark"};
  struct timeline t = timeline_load(r, true);
  uint64_t start = timeline_start_ms(r);
  json_t *array = json_array();
  for (size_t i = 0; i < t.count; i++) {
    const struct ul_snapshot *s = t.at[i];
    json_t *object = json_object();
    json_put(object, "seconds", json_seconds(s->ms > start ? s->ms - start : 0));
    json_put(object, "live_bytes", json_bytes(timeline_live_bytes(s)));
    json_put(object, "live_blocks", json_bytes(timeline_live_blocks(s)));
    json_put(object, "rss_bytes", json_bytes(s->rss_bytes));
    json_put(object, "mapped_bytes", json_bytes(s->mapped_bytes));
    json_put(object, "allocations", json_bytes(timeline_allocations(s)));
    json_put(object, "frees", json_bytes(timeline_work(s) - timeline_allocations(s)));
    json_put(object, "kind", json_text(kinds[s->kind]));
    if (s->kind == UL_SNAPSHOT_MARK)
      json_put(object, "mark", json_text(recording_text(r, s->mark)));
    json_array_append_new(array, object);
  }
  timeline_free(&t);
  return array;
}

/* Of the named process, since it began; 0: from its start on. */
static uint64_t since_ms(const struct context *context) {
  const struct process *p = context->named;
  uint64_t start = timeline_start_ms(p->recording);
  return p->since_ms > start ? p->since_ms - start : 0;
}

/* Each process by itself. */
static json_t *totals_array(const struct context *context,
                            const struct view_options *options) {
  json_t *array = json_array();
  for (size_t i = 0; i < context->count; i++) {
    const struct process *p = &context->processes[i];
    struct view_options o = view_of(options, p);
    json_t *object = trend_object(p->recording, &p->growth->all, &o);
    json_put(object, "process", json_text(p->label));
    json_put(object, "snapshots", snapshots_array(p->recording));
    json_array_append_new(array, object);
  }
  return array;
}

int growth_json(void *model, const struct view_options *options) {
  const struct rising *all = model;
  const struct process *named = all->context->named;
  struct view_options o = view_of(options, named);
  struct json_stream j;
  size_t most = o.top ? o.top : o.all ? SIZE_MAX : TOP_JSON;
  json_begin(&j, &o);
  json_member(&j, "sample_bytes", json_bytes(o.sampling.bytes));
  json_member(&j, "sampled_from", json_sampled_from(&o));
  json_member(&j, "since_seconds",
              all->context->options.since ? json_seconds(since_ms(all->context))
                                          : json_null());
  json_member(&j, "snapshots", snapshots_array(named->recording));
  json_member(&j, "total", trend_object(named->recording, &named->growth->all, &o));
  json_member(&j, "totals", totals_array(all->context, options));
  json_member(&j, "processes", processes_array(all->context, true));
  json_list(&j, "sites");
  for (size_t i = 0; i < all->count && i < most; i++) {
    struct view_options of = view_of(options, all->sites[i].process);
    json_site(&j, &of, site_object(&all->sites[i], &of), all->sites[i].site->site);
  }
  json_list_end(&j);
  return json_end(&j);
}

/* ---- text ---------------------------------------------------------------------- */

/* What grows in rare steps has no rate. */
static void print_most(const struct growth_site *g, const struct view_options *o) {
  if (g->trend.slope != 0)
    fputs(rate(o, g->trend.slope), o->out);
  else
    fprintf(o->out, "from %s to %s", text_size(o, g->first_bytes),
            text_size(o, g->last_bytes));
}

static void print_growing(const struct rising *all, const struct view_options *options) {
  const struct rising_site *most = &all->sites[0];
  struct view_options view = view_of(options, most->process), *o = &view;
  fprintf(o->out, "%s%s%s%s", text_on(o, all->growing_matter ? TEXT_BAD : TEXT_STRONG),
          text_plural(all->verdicts[TREND_GROWING], "call site grows", "call sites grow"),
          all->growing_matter ? "" : " a little", text_off(o));
  if (all->growing > 1)
    fprintf(o->out, " in %s", text_plural(all->growing, "process", "processes"));
  fprintf(o->out, "; most: ");
  print_most(most->site, o);
  fprintf(o->out, "%s%s%s", options->symbols ? " at " : "",
          options->symbols
              ? causes_laid(most->process, LAID_BY_GROWTH, most->site->site, o)
              : "",
          processes_whose(all->context, most->process));
}

/* Of caches and the like: no leak, but what they come to. */
static void print_saturating(const struct rising *all, const struct view_options *o) {
  const struct rising_site *place = all->highest;
  if (!place) return;
  struct view_options view = view_of(o, place->process);
  fprintf(o->out, "; %s%s at about %s",
          text_plural(all->saturating, "call site saturates", "call sites saturate"),
          all->saturating > 1 ? ", the highest" : "",
          text_size(o, whole(place->site->trend.level)));
  if (o->symbols) fprintf(o->out, ": %s", text_guilty(&view, place->site->site));
}

static void print_first_line(const struct rising *all, const struct view_options *o) {
  const struct process *first = &all->context->processes[0];
  bool grows = all->verdicts[TREND_GROWING] && all->growing_matter;
  bool unsure = first->growth->all.verdict == TREND_UNSURE && all->unsure_matter &&
                !grows && !all->unseen;
  if (all->verdicts[TREND_GROWING] && !unsure)
    print_growing(all, o);
  else if (all->unseen)
    fprintf(o->out,
            "%sall live bytes together grow%s: %s, of call sites %stoo small to tell%s",
            text_on(o, TEXT_BAD), text_off(o), rate(o, all->unseen->growth->all.slope),
            all->verdicts[TREND_UNSURE] ? "unsure or " : "",
            processes_whose(all->context, all->unseen));
  else if (unsure) {
    bool few = first->growth->all.reason == TREND_FEW;
    fprintf(o->out, "what grows is not known: %s", few ? "" : "all together ");
    print_reason(o->out, first->recording, &first->growth->all, o);
  } else
    fprintf(o->out, "%snothing grows%s", text_on(o, TEXT_GOOD), text_off(o));
  if (all->unsure_matter && !unsure && all->verdicts[TREND_UNSURE])
    fprintf(o->out, "; %s unsure", text_plural(all->verdicts[TREND_UNSURE], "is", "are"));
  print_saturating(all, o);
}

/* Where a trend could be judged; `usual`: work goes without saying. */
static const char *clock_of(const struct trend *t, bool usual) {
  if (t->points < TREND_FEWEST) return "";
  return t->by_seconds ? " (by seconds)" : usual ? "" : " (by work)";
}

static void print_site(const struct rising *all, const struct rising_site *place,
                       size_t rank, const struct view_options *options) {
  const struct growth_site *g = place->site;
  struct view_options view = view_of(options, place->process), *o = &view;
  text_entry(o, rank);
  fprintf(o->out, "%s%s",
          text_on(o, g->trend.verdict == TREND_GROWING ? TEXT_BAD : TEXT_STRONG),
          names[g->trend.verdict]);
  bool moves = g->trend.verdict == TREND_GROWING || g->trend.verdict == TREND_SHRINKING;
  if (moves && g->trend.slope != 0) fprintf(o->out, " %s", rate(o, g->trend.slope));
  fprintf(o->out, "%s: from %s to %s%s", text_off(o), text_size(o, g->first_bytes),
          text_size(o, g->last_bytes),
          text_interval(o, last_amount(g), g->last_estimated));
  if (g->trend.high >= 2 * (double)g->first_bytes &&
      g->trend.high >= 2 * (double)g->last_bytes)
    fprintf(o->out, ", %s at most", text_size(o, whole(g->trend.high)));
  if (g->blocks)
    fprintf(o->out, ", %s from %u of %u parts of the run",
            text_plural(g->blocks, "block", "blocks"), g->generations, SITE_GENERATIONS);
  fprintf(o->out, "%s\n       ", processes_whose(all->context, place->process));
  print_reason(o->out, place->process->recording, &g->trend, o);
  fprintf(o->out, "%s\n", clock_of(&g->trend, true));
  text_stack(o, g->site);
}

static void print_since(const struct context *context, const struct view_options *o) {
  if (context->options.since)
    fprintf(o->out, "As if the run had begun at %s.\n", text_time(since_ms(context)));
}

/* The first process, and others that grow as a whole. */
static void print_together(const struct rising *all, const struct view_options *o) {
  const struct context *context = all->context;
  for (size_t i = 0; i < context->count; i++) {
    const struct process *p = &context->processes[i];
    const struct trend *t = &p->growth->all;
    if (i && t->verdict != TREND_GROWING) continue;
    fprintf(o->out, "All live bytes together%s: %s; ", processes_whose(context, p),
            names[t->verdict]);
    print_reason(o->out, p->recording, t, o);
    fprintf(o->out, "%s.\n", clock_of(t, false));
  }
}

void growth_brief(const struct rising *all, const struct view_options *o) {
  fprintf(o->out, "  growth   ");
  print_first_line(all, o);
  fputc('\n', o->out);
}

static bool is_worth(const struct rising_site *place, const struct view_options *o) {
  return o->all || o->top || place->site->trend.verdict != TREND_STEADY ||
         rising_saturates(place);
}

/* Without --all: what grows, may grow, shrinks or comes to a level; of the other steady
 * ones only how many. */
int growth_text(void *model, const struct view_options *options) {
  const struct rising *all = model;
  struct view_options view = view_of(options, &all->context->processes[0]), *o = &view;
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT, shown = 0;
  print_first_line(all, o);
  fprintf(o->out, "\n\n");
  print_since(all->context, o);
  print_together(all, o);
  fprintf(o->out, "Of %s: %zu growing, %zu unsure, %zu shrinking, %zu steady.\n",
          text_plural(all->count, "call site", "call sites"),
          all->verdicts[TREND_GROWING], all->verdicts[TREND_UNSURE],
          all->verdicts[TREND_SHRINKING], all->verdicts[TREND_STEADY]);
  processes_unread(all->context, o);
  for (size_t i = 0; i < all->count && shown < most; i++)
    if (is_worth(&all->sites[i], o)) print_site(all, &all->sites[i], ++shown, o);
  if (shown < all->count && !o->all)
    fprintf(o->out, "\n%s not shown (--all)\n",
            text_plural(all->count - shown, "call site", "call sites"));
  text_sampled(o, "\nSampled:");
  processes_hints(all->context, o);
  return text_finish(o);
}
