/* findings.c - what to change in the program, two lines each. */
#include "answers/finding.h"
#include "names/function.h"
#include "read/timeline.h"
#include "show/causes.h"
#include "show/json.h"
#include "show/text.h"

#include <stdarg.h>
#include <stdlib.h>

#define TOP_TEXT 5u
#define TOP_JSON 100u

static const char *const kinds[] = {[FINDING_LEAK] = "leak", [FINDING_GROWTH] = "growth"};

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

static void add_amount(struct line *l, const struct finding *f, uint64_t live,
                       uint64_t peak, const struct view_options *o) {
  add(l, "%s", text_size(o, f->of.bytes));
  if (f->of.bytes <= live)
    add(l, " (%s)", text_percent(f->of.bytes, live));
  else if (f->of.bytes <= peak)
    add(l, " (%s of the peak)", text_percent(f->of.bytes, peak));
  if (f->rate >= 1) add(l, ", %s/s", text_size(o, (uint64_t)f->rate));
}

static void add_blocks(struct line *l, const struct recording *r,
                       const struct finding *f) {
  const struct cause *c = cause_of(f);
  uint64_t run = since_start(r, recording_duration_ms(r));
  add(l, "%s", text_plural(f->of.blocks, "block", "blocks"));
  if (c->times)
    add(l, ", %s times %s", text_count(c->times), text_count(c->each));
  else if (c->stacks > 1)
    add(l, " of %s stacks", text_count(c->stacks));
  if (f->since_ms != UINT64_MAX && since_start(r, f->since_ms) * 20 > run)
    add(l, ", since %s", text_time(since_start(r, f->since_ms)));
  add(l, " ");
}

static void print_finding(const struct recording *r, const struct findings *all, size_t i,
                          uint64_t live, const struct view_options *o) {
  const struct finding *f = &all->at[i];
  struct line first = {"", 0}, second = {"", 0};
  add(&first, "  %zu %-6s ", i + 1, kinds[f->kind]);
  add_amount(&first, f, live, timeline_peak_bytes(r), o);
  add(&first, ": %s", causes_function(all->functions, cause_of(f)));
  add(&second, "           ");
  add_blocks(&second, r, f);
  size_t columns = o->columns ? o->columns : TEXT_COLUMNS;
  if (second.n < columns)
    add(&second, "%s",
        causes_callers(all->functions, f->causes, f->cause, columns - second.n));
  fprintf(o->out, "%s%s%s\n%s\n", text_on(o, TEXT_STRONG), first.s, text_off(o),
          second.s);
}

/* What is worth a line: not what is nothing beside the first. */
static size_t worth(const struct findings *all, const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT, n = 0;
  while (n < all->count && n < most &&
         (o->all || o->top || all->at[n].of.bytes >= all->at[0].of.bytes / 100))
    n++;
  return n;
}

void findings_print(const struct recording *r, const struct sites *sites,
                    const struct view_options *o) {
  struct findings *all = findings_load(r, o->symbols, sites);
  if (!all) return;
  size_t most = worth(all, o);
  if (most) fputc('\n', o->out);
  for (size_t i = 0; i < most; i++)
    print_finding(r, all, i, sites->bytes, o);
  struct ul_amount rest = {0, 0};
  for (size_t i = most; i < all->count; i++) {
    rest.blocks += all->at[i].of.blocks;
    rest.bytes += all->at[i].of.bytes;
  }
  if (all->count > most)
    fprintf(o->out, "    and %zu more, %s in %s (--all)\n", all->count - most,
            text_size(o, rest.bytes), text_plural(rest.blocks, "block", "blocks"));
  findings_free(all);
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *callers_array(const struct findings *all, const struct finding *f) {
  enum { MOST = 64 };
  uint64_t codes[MOST];
  json_t *array = json_array();
  size_t n = causes_common(all->functions, f->causes, f->cause, codes, MOST);
  for (size_t i = 0; i < n && i < MOST; i++)
    json_array_append_new(array, json_frame(functions_place(all->functions, codes[i])));
  return array;
}

static json_t *finding_object(const struct recording *r, const struct findings *all,
                              const struct finding *f) {
  const struct cause *c = cause_of(f);
  uint64_t code = causes_code(all->functions, c);
  json_t *object = json_object();
  json_put(object, "kind", json_text(kinds[f->kind]));
  json_put(object, "bytes", json_bytes(f->of.bytes));
  json_put(object, "blocks", json_bytes(f->of.blocks));
  json_put(object, "frame",
           code ? json_frame(functions_place(all->functions, code)) : json_null());
  json_put(object, "callers", callers_array(all, f));
  json_put(object, "stacks", json_bytes(c->stacks));
  json_put(object, "site", json_bytes(c->site));
  json_put(object, "retention", json_real(c->retention));
  json_put(object, "times", json_bytes(c->times));
  json_put(object, "blocks_each", json_bytes(c->each));
  json_put(object, "since_seconds",
           f->since_ms == UINT64_MAX ? json_null()
                                     : json_seconds(since_start(r, f->since_ms)));
  json_put(object, "bytes_per_second", json_real(f->rate));
  return object;
}

json_t *findings_array(const struct recording *r, const struct sites *sites,
                       const struct view_options *o) {
  struct findings *all = findings_load(r, o->symbols, sites);
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_JSON;
  json_t *array = json_array();
  for (size_t i = 0; all && i < all->count && i < most; i++)
    json_array_append_new(array, finding_object(r, all, &all->at[i]));
  findings_free(all);
  return array;
}
