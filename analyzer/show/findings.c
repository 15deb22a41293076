/* findings.c - what to change in the program, two lines each. */
#include "names/function.h"
#include "read/timeline.h"
#include "show/causes.h"
#include "show/json.h"
#include "show/processes.h"
#include "show/tale.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TOP_TEXT 5u
#define TOP_JSON 100u

static const char *const kinds[FINDING_KINDS] = {[FINDING_LEAK] = "leak",
                                                 [FINDING_GROWTH] = "growth",
                                                 [FINDING_UNUSED] = "unused",
                                                 [FINDING_TEMPORARY] = "temporary"};
/* Worth a word: once in so many findings, there is nothing. */
#define DOUBTFUL 0.001

static uint64_t since_start(const struct recording *r, uint64_t ms) {
  uint64_t start = timeline_start_ms(r);
  return ms > start ? ms - start : 0;
}

static const struct cause *cause_of(const struct finding *f) {
  return &f->causes->at[f->cause];
}

/* ---- text ---------------------------------------------------------------------- */

/* A line that is put together. */
struct line {
  char s[4096];
  size_t n;
};
__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *format,
                                                      ...) {
  va_list list;
  va_start(list, format);
  int n = vsnprintf(l->s + l->n, sizeof l->s - l->n, format, list);
  va_end(list);
  if (n > 0) l->n += (size_t)n < sizeof l->s - l->n ? (size_t)n : sizeof l->s - l->n - 1;
}

static void add_rss(struct line *l, const struct told *t) {
  if (!t->finding.rss_bytes) return;
  add(l, " (%s of RSS", text_percent(t->finding.of.bytes, t->finding.rss_bytes));
  if (t->since_ms != UINT64_MAX) add(l, " at %s", text_time(t->since_ms));
  add(l, ")");
}

static void add_amount(struct line *l, const struct told *t,
                       const struct view_options *o) {
  uint64_t bytes = t->finding.of.bytes;
  bool most = t->finding.kind == FINDING_UNUSED && !t->finding.rss_bytes;
  add(l, "%s%s%s", most ? "at most " : "", text_size(o, bytes),
      text_interval(o, t->finding.of, t->finding.estimated));
  if (t->finding.kind == FINDING_UNUSED)
    add_rss(l, t);
  else if (bytes <= t->live)
    add(l, " (%s)", text_percent(bytes, t->live));
  else if (bytes <= t->peak)
    add(l, " (%s of the peak)", text_percent(bytes, t->peak));
  if (t->finding.rate >= 1) add(l, ", %s/s", text_size(o, (uint64_t)t->finding.rate));
}

static void add_temporary(struct line *l, const struct told *t) {
  add(l, "%s (%s)", text_plural(t->finding.temporary, "allocation", "allocations"),
      text_percent(t->finding.temporary, t->allocations));
}

static void add_blocks(struct line *l, const struct told *t) {
  const struct cause *c = &t->cause;
  bool estimated = t->finding.estimated.blocks;
  if (t->finding.kind == FINDING_TEMPORARY)
    add(l, "freed at once");
  else if (t->finding.of.blocks)
    add(l, "%s%s", estimated ? "about " : "",
        text_plural(t->finding.of.blocks, "block", "blocks"));
  else
    add(l, "blocks that are made larger,");
  if (c->times && c->each > 1)
    add(l, ", %s times %s", text_count(c->times), text_count(c->each));
  else if (c->stacks > 1 && !c->spread)
    add(l, " of %s %sstacks", text_count(c->stacks), estimated ? "sampled " : "");
  if (!t->from_start) add(l, ", since %s", text_time(t->since_ms));
  if (t->finding.chance > DOUBTFUL)
    add(l, ", by chance 1 time in %.0f: a longer run tells", 1 / t->finding.chance);
}

/* What is in the way of giving memory back. */
static void add_survivors(struct line *l, const struct told *t,
                          const struct view_options *o) {
  const struct ul_amount *live = &t->finding.live;
  add(l, "free, kept resident by %s",
      live->blocks ? text_plural(live->blocks, "block", "blocks") : "blocks of this");
  if (live->bytes) add(l, " of %s", text_size(o, live->bytes));
}

/* Where not all is of the process that the page is about, or that is not the one whose
 * recording was named. */
static void add_process(struct line *l, const struct told *t, bool several) {
  const char *program = text_escaped(t->program);
  if (!t->first)
    add(l, " in %zu x %s without a recording", t->lines, program);
  else if (t->lines)
    add(l, " in %zu processes of %s, %zu without a recording", t->processes + t->lines,
        program, t->lines);
  else if (t->processes > 1)
    add(l, " in %zu processes of %s", t->processes, program);
  else if (several)
    add(l, " in %s, process %s", program, t->first->label);
}

/* Behind so many columns. */
static const char *callers_that_fit(struct text_long *to, const struct told *t,
                                    size_t before, const struct view_options *o) {
  enum { LEAST = 20 };
  const struct finding *f = &t->finding;
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  size_t left = width > before + LEAST ? width - before : LEAST;
  if (t->lines) return causes_chain_in(to, t->of, t->common, t->common_count, left);
  if (!t->first || !f->causes) return t->callers;
  return causes_callers_in(to, t->first->findings->functions, f->causes, f->cause, left);
}

static void print_told(const struct told *t, size_t number, bool several,
                       const struct view_options *o) {
  struct line first = {"", 0}, second = {"", 0};
  bool temporary = t->finding.kind == FINDING_TEMPORARY;
  add(&first, "  %zu %-6s ", number, temporary ? "temp." : kinds[t->finding.kind]);
  if (temporary)
    add_temporary(&first, t);
  else
    add_amount(&first, t, o);
  add(&first, ": ");
  if (t->cause.spread)
    add(&first, "spread over %s", text_plural(t->cause.stacks, "stack", "stacks"));
  else
    add(&first, "%s", t->function);
  if (t->first)
    add(&first, "%s", causes_helper_text(t->first->findings->functions, &t->cause));
  add_process(&first, t, several);
  add(&second, "           ");
  if (t->finding.kind == FINDING_UNUSED)
    add_survivors(&second, t, o);
  else
    add_blocks(&second, t);
  if (t->cause.spread) add(&second, ", always through %s", t->function);
  const char *callers = callers_that_fit(TEXT_LONG, t, second.n + 1, o);
  fprintf(o->out, "%s%s%s\n%s%s%s\n", text_on(o, TEXT_STRONG), first.s, text_off(o),
          second.s, *callers ? " " : "", callers);
}

/* A few blocks that are nothing beside what the program held, and that it did not lose
 * again and again; nor did it what comes from each stack once or twice. */
static bool is_little(const struct told *t, uint64_t peak) {
  enum { FEW = 16, SMALL = 1024, ONCE = 1 << 16, TWICE = 2, SHARE = 100 };
  const struct finding *f = &t->finding;
  size_t stacks = t->cause.stacks;
  bool once = f->of.blocks <= TWICE * stacks && f->gain < ONCE * stacks;
  return f->kind == FINDING_LEAK && f->gain < peak / SHARE &&
         (once || (f->of.blocks < FEW && f->gain < SMALL));
}

/* What is worth a line: not what is nothing beside the first. */
static bool is_worth(const struct tale *tale, size_t i, uint64_t peak,
                     const struct view_options *o) {
  const struct finding *f = &tale->at[i].finding, *first = &tale->at[0].finding;
  return o->all || o->top || f->kind == FINDING_TEMPORARY ||
         (f->gain >= first->gain / 100 && !is_little(&tale->at[i], peak));
}

static void print_rest(size_t count, struct ul_amount rest, bool all,
                       const struct view_options *o) {
  if (!count) return;
  if (all)
    fprintf(o->out, "    %s", text_plural(count, "little finding", "little findings"));
  else
    fprintf(o->out, "    and %zu more", count);
  if (rest.bytes)
    fprintf(o->out, ", %s in %s", text_size(o, rest.bytes),
            text_plural(rest.blocks, "block", "blocks"));
  fprintf(o->out, " (--all)\n");
}

/* The kinds of those that have a line; a leak that grows is growth, too. */
static unsigned print_tale(const struct tale *tale, uint64_t peak, bool several,
                           const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT, shown = 0;
  struct ul_amount rest = {0, 0};
  unsigned kinds_shown = 0;
  if (tale->count) fputc('\n', o->out);
  for (size_t i = 0; i < tale->count; i++) {
    const struct told *t = &tale->at[i];
    if (shown < most && is_worth(tale, i, peak, o)) {
      print_told(t, ++shown, several, o);
      kinds_shown |= 1u << t->finding.kind;
      if (t->finding.rate > 0) kinds_shown |= 1u << FINDING_GROWTH;
      continue;
    }
    rest.blocks += t->finding.of.blocks;
    rest.bytes += t->finding.of.bytes;
  }
  print_rest(tale->count - shown, rest, !shown, o);
  return kinds_shown;
}

struct findings_told findings_print(const struct context *context,
                                    const struct folded *folded,
                                    const struct view_options *o) {
  enum { BEFORE_CALLERS = 50 };
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  size_t columns = width > 2 * BEFORE_CALLERS ? width - BEFORE_CALLERS : width / 2;
  struct tale tale = tale_load(context, folded, columns);
  bool several = context->named != context->processes;
  for (size_t i = 0; i < tale.count; i++)
    several = several || tale.at[i].first != context->processes;
  uint64_t peak = process_peak_bytes(context->processes);
  struct findings_told told = {.kinds = print_tale(&tale, peak, several, o)};
  if (tale.count) told.process = tale.at[0].first;
  if (tale.count) told.first = tale.at[0].origin;
  tale_free(&tale);
  return told;
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *callers_array(const struct findings *all, const struct finding *f) {
  enum { MOST = 64 };
  const struct frame *frames[MOST];
  json_t *array = json_array();
  size_t n = causes_common(all->functions, f->causes, f->cause, frames, MOST);
  for (size_t i = 0; i < n && i < MOST; i++)
    json_array_append_new(array, json_frame(frames[i]));
  return array;
}

static json_t *finding_object(const struct process *p, const struct finding *f) {
  const struct recording *r = p->recording;
  const struct findings *all = p->findings;
  const struct cause *c = cause_of(f);
  struct fingerprint known = fingerprint_of_finding(p->fingerprints, all, f);
  const struct frame *frame = causes_frame(all->functions, c);
  const struct frame *helper = causes_helper(all->functions, c);
  json_t *object = json_object();
  json_put(object, "kind", json_text(kinds[f->kind]));
  json_put(object, "pid", json_integer(recording_header(r)->pid));
  json_put(object, "process", json_text(p->label));
  json_put(object, "program", json_text(process_name(p)));
  json_put(object, "bytes", json_bytes(f->of.bytes));
  json_put(object, "blocks", json_bytes(f->of.blocks));
  json_put(object, "live_bytes", json_bytes(f->live.bytes));
  json_put(object, "live_blocks", json_bytes(f->live.blocks));
  json_put(object, "frame", frame ? json_frame(frame) : json_null());
  json_put(object, "callers", callers_array(all, f));
  json_put(object, "helper", helper ? json_frame(helper) : json_null());
  json_put(object, "stacks", json_bytes(c->stacks));
  json_put(object, "spread", json_boolean(c->spread));
  json_put(object, "site", json_bytes(c->site));
  json_put(object, "retention", json_real(c->retention));
  json_put(object, "times", json_bytes(c->times));
  json_put(object, "blocks_each", json_bytes(c->each));
  json_put(object, "since_seconds",
           f->since_ms == UINT64_MAX ? json_null()
                                     : json_seconds(since_start(r, f->since_ms)));
  json_put(object, "bytes_per_second", json_real(f->rate));
  json_put(object, "temporary", json_bytes(f->temporary));
  json_put(object, "chance",
           f->kind == FINDING_GROWTH ? json_real(f->chance) : json_null());
  json_put_fingerprint(object, &known);
  return object;
}

struct found {
  struct process *process;
  const struct finding *finding;
};

static int by_found(const void *a, const void *b) {
  const struct found *x = a, *y = b;
  int order = tale_order(x->process, x->finding, y->process, y->finding);
  return order ? order : (x->finding > y->finding) - (x->finding < y->finding);
}

json_t *findings_array(const struct context *context, const struct view_options *o) {
  json_t *array = json_array();
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_JSON, count = 0;
  for (size_t i = 0; i < context->count; i++)
    if (context->processes[i].findings) count += context->processes[i].findings->count;
  struct found *all = malloc((count + 1) * sizeof *all), *next = all;
  for (size_t i = 0; all && i < context->count; i++) {
    struct process *p = &context->processes[i];
    size_t n = p->findings && process_fingerprints(p) ? p->findings->count : 0;
    for (size_t k = 0; k < n; k++)
      *next++ = (struct found){p, &p->findings->at[k]};
  }
  count = all ? (size_t)(next - all) : 0;
  if (count) qsort(all, count, sizeof *all, by_found);
  for (size_t i = 0; i < count && i < most; i++) {
    json_t *object = finding_object(all[i].process, all[i].finding);
    if (!i) branches_put(object, all[i].process, all[i].finding);
    json_array_append_new(array, object);
  }
  free(all);
  return array;
}
