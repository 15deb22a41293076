/* diff.c - `ullage diff`: two looks compared, on a page. */
#include "answers/diff.h"
#include "read/timeline.h"
#include "show/causes.h"
#include "show/json.h"
#include "show/text.h"

#include <stdlib.h>
#include <string.h>

#define TOP_CHANGES 6u
#define TOP_FUNCTIONS 12u
#define TOP_JSON 1000u

static const char *const kinds[] = {
    [DIFF_LEAK] = "leak", [DIFF_GROWTH] = "growth", [DIFF_LIVE] = "live"};

static const char *state_of(const struct ul_amount at[DIFF_LOOKS]) {
  const struct ul_amount *before = &at[DIFF_BEFORE], *after = &at[DIFF_AFTER];
  if (!before->bytes && !before->blocks) return "new";
  if (!after->bytes && !after->blocks) return "gone";
  return after->bytes > before->bytes ||
                 (after->bytes == before->bytes && after->blocks > before->blocks)
             ? "grown"
             : "shrunk";
}

static int different(const struct diff *d) {
  const char *programs[DIFF_LOOKS];
  for (unsigned side = 0; side < DIFF_LOOKS; side++) {
    const struct recording *r = d->look[side].process->recording;
    programs[side] = recording_text(r, recording_header(r)->program);
  }
  fprintf(stderr,
          "ullage: recordings of different programs, %s and %s; --force compares them\n",
          text_escaped(programs[DIFF_BEFORE]), text_escaped(programs[DIFF_AFTER]));
  return 1;
}

/* ---- totals -------------------------------------------------------------------- */

struct totals {
  uint64_t live, blocks, lost, peak, rss, allocations;
  uint64_t ms;
};

static uint64_t run_ms(const struct recording *r) {
  uint64_t start = timeline_start_ms(r), end = recording_duration_ms(r);
  return end > start ? end - start : 0;
}

static struct totals totals_of(const struct diff_look *look) {
  const struct recording *r = look->process->recording;
  const struct moment *m = look->at;
  if (m)
    return (struct totals){.live = m->live_bytes,
                           .blocks = m->live_blocks,
                           .rss = m->rss_bytes,
                           .allocations = m->allocations,
                           .ms = m->ms};
  const struct sites *sites = look->process->sites;
  const struct ul_scan *scan = &recording_header(r)->scan;
  return (struct totals){.live = sites->bytes,
                         .blocks = sites->blocks,
                         .lost = scan->totals[UL_DEFINITE].bytes +
                                 scan->totals[UL_INDIRECT].bytes,
                         .peak = process_peak_bytes(look->process),
                         .rss = recording_header(r)->end_rss_bytes,
                         .allocations = sites->total.allocations,
                         .ms = run_ms(r)};
}

/* ---- text ---------------------------------------------------------------------- */

static uint64_t apart(uint64_t before, uint64_t after) {
  return after > before ? after - before : before - after;
}

static const char *signed_in(struct text_short *to, uint64_t before, uint64_t after,
                             const char *difference) {
  const char *sign = after > before ? "+" : after < before ? "-" : "";
  snprintf(to->s, sizeof to->s, "%s%s", sign, difference);
  return to->s;
}
#define signed_size(o, before, after)                                                    \
  signed_in(TEXT_SHORT, before, after, text_size(o, apart(before, after)))
#define signed_count(before, after)                                                      \
  signed_in(TEXT_SHORT, before, after, text_count(apart(before, after)))

/* "+183 %"; "" where there was nothing. */
static const char *relative_in(struct text_short *to, uint64_t before, uint64_t after) {
  double change = before ? 100.0 * ((double)after - (double)before) / (double)before : 0;
  to->s[0] = 0;
  if (before && before != after)
    snprintf(to->s, sizeof to->s, change < 10 && change > -10 ? "%+.1f %%" : "%+.0f %%",
             change);
  return to->s;
}
#define relative(before, after) relative_in(TEXT_SHORT, before, after)

static void print_nameless(const struct symbols *symbols, const struct view_options *o) {
  enum { FEW = 3 };
  const char *path;
  for (size_t i = 0; (path = symbols_nameless(symbols, i)); i++)
    if (i < FEW)
      fprintf(o->out, "%s%s", i ? ", " : "          without names: ",
              text_path(basename(path), TEXT_PATH));
    else if (i == FEW)
      fprintf(o->out, " ...");
  if (symbols_nameless(symbols, 0))
    fprintf(o->out, " (gone, or changed since; --sysroot=DIR looks elsewhere)\n");
}

static void print_look(const char *which, const struct diff_look *look,
                       const struct view_options *o) {
  const struct recording *r = look->process->recording;
  fprintf(o->out, "  %-7s %s", which, text_path(recording_path(r), text_room(o, 60)));
  if (look->at)
    fprintf(o->out, " %s", text_when(o, look->at, process_peak_bytes(look->process)));
  else
    fprintf(o->out, ", %s, %s", text_time(run_ms(r)), text_end(r));
  fprintf(o->out, "\n          %s\n", text_command(r, 80));
  print_nameless(look->process->symbols, o);
  if (look->processes > 1)
    fprintf(o->out, "          (process %s of %s; --process chooses another)\n",
            look->process->label, text_count(look->processes));
}

static void print_row(const char *what, const char *before, const char *after,
                      const char *change, const char *relative, FILE *out) {
  fprintf(out, "  %-12s %12s %12s %12s%s%s\n", what, before, after, change,
          *relative ? "  " : "", relative);
}

static void print_sizes(const char *what, uint64_t before, uint64_t after,
                        const struct view_options *o) {
  if (!before && !after) return;
  print_row(what, text_size(o, before), text_size(o, after),
            signed_size(o, before, after), relative(before, after), o->out);
}

static void print_counts(const char *what, uint64_t before, uint64_t after,
                         const struct view_options *o) {
  print_row(what, text_count(before), text_count(after), signed_count(before, after),
            relative(before, after), o->out);
}

static void print_totals(const struct diff *d, const struct view_options *o) {
  struct totals x = totals_of(&d->look[DIFF_BEFORE]);
  struct totals y = totals_of(&d->look[DIFF_AFTER]);
  bool ends = !d->look[DIFF_BEFORE].at && !d->look[DIFF_AFTER].at;
  fputc('\n', o->out);
  print_row("", "before", "after", "change", "", o->out);
  print_sizes("live", x.live, y.live, o);
  if (d->leaks) print_sizes("lost", x.lost, y.lost, o);
  if (ends) print_sizes("at the peak", x.peak, y.peak, o);
  if (x.rss && y.rss) print_sizes("resident", x.rss, y.rss, o);
  print_counts("live blocks", x.blocks, y.blocks, o);
  print_counts("allocations", x.allocations, y.allocations, o);
}

static const char *blocks_in(struct text_short *to, const struct ul_amount at[]) {
  uint64_t before = at[DIFF_BEFORE].blocks, after = at[DIFF_AFTER].blocks;
  if (before == after)
    snprintf(to->s, sizeof to->s, "%s as before", text_plural(after, "block", "blocks"));
  else
    snprintf(to->s, sizeof to->s, "%s %s",
             text_plural(apart(before, after), "block", "blocks"),
             after > before ? "more" : "less");
  return to->s;
}

/* Behind so many columns. */
static const char *callers_that_fit(struct text_long *to, const struct diff_change *c,
                                    size_t before, const struct view_options *o) {
  enum { LEAST = 20 };
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  return causes_chain_in(to, c->frame, c->callers, c->callers_count,
                         width > before + LEAST ? width - before : LEAST);
}

static void print_change(const struct diff_change *c, size_t number,
                         const struct view_options *o) {
  uint64_t before = c->at[DIFF_BEFORE].bytes, after = c->at[DIFF_AFTER].bytes;
  struct text_long second;
  fprintf(o->out, "  %s%zu %-6s %-6s %s: %s%s\n", text_on(o, TEXT_STRONG), number,
          kinds[c->kind], state_of(c->at), signed_size(o, before, after),
          causes_frame_in(TEXT_LONG, c->frame), text_off(o));
  int n =
      snprintf(second.s, sizeof second.s, "           %s", blocks_in(TEXT_SHORT, c->at));
  size_t used = n > 0 ? (size_t)n : 0;
  if (before && after)
    snprintf(second.s + used, sizeof second.s - used, ", %s -> %s (%s)",
             text_size(o, before), text_size(o, after), relative(before, after));
  fprintf(o->out, "%s%s%s\n", second.s, c->callers_count ? " " : "",
          callers_that_fit(TEXT_LONG, c, strlen(second.s) + 1, o));
}

static uint64_t size_of(const struct ul_amount at[DIFF_LOOKS]) {
  return apart(at[DIFF_BEFORE].bytes, at[DIFF_AFTER].bytes);
}

static void print_changes(const struct diff_measure *m, const char *title,
                          const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_CHANGES, shown = 0;
  if (!m->changes_count) return;
  text_heading(o, title, "  by the function to change");
  while (shown < m->changes_count && shown < most) {
    print_change(&m->changes[shown], shown + 1, o);
    shown++;
  }
  uint64_t up = 0, down = 0;
  for (size_t i = shown; i < m->changes_count; i++)
    *(m->changes[i].at[1].bytes > m->changes[i].at[0].bytes ? &up : &down) +=
        size_of(m->changes[i].at);
  if (shown < m->changes_count)
    fprintf(o->out, "    and %zu more, +%s and -%s (--all)\n", m->changes_count - shown,
            text_size(o, up), text_size(o, down));
}

/* Functions that differ by the same, and hold as much, call each other: one line. */
static size_t alike(const struct diff_measure *m, size_t first) {
  const struct diff_function *f = &m->functions[first];
  size_t n = 1;
  while (first + n < m->functions_count &&
         memcmp(f->at, m->functions[first + n].at, sizeof f->at) == 0)
    n++;
  return n;
}

static void print_function(const struct diff_measure *m, size_t first, size_t n,
                           const struct view_options *o) {
  enum { BEFORE_NAMES = 50, MOST = 64 };
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  size_t columns = width > 2 * BEFORE_NAMES ? width - BEFORE_NAMES : width / 2;
  const struct frame *frames[MOST];
  const struct diff_function *f = &m->functions[first];
  uint64_t before = f->at[DIFF_BEFORE].bytes, after = f->at[DIFF_AFTER].bytes;
  for (size_t i = 0; i < n && i < MOST; i++)
    frames[i] = m->functions[first + i].frame;
  const char *names =
      causes_chain_in(TEXT_LONG, NULL, frames, n < MOST ? n : MOST, columns + 2);
  fprintf(o->out, "  %12s %8s %10s %10s  %s\n", signed_size(o, before, after),
          before ? after ? relative(before, after) : "gone" : "new", text_size(o, before),
          text_size(o, after), names + 2); /* without the first "< " */
}

static void print_functions(const struct diff_measure *m, const char *title,
                            const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_FUNCTIONS, shown = 0, lines = 0;
  if (!m->functions_count) return;
  text_heading(o, title, "  by function, with all that it calls");
  fprintf(o->out, "  %12s %8s %10s %10s\n", "change", "", "before", "after");
  for (size_t n; shown < m->functions_count && lines < most; shown += n, lines++) {
    n = alike(m, shown);
    print_function(m, shown, n, o);
  }
  if (shown < m->functions_count)
    fprintf(o->out, "    and %zu more functions (--all)\n", m->functions_count - shown);
}

static bool has(const struct diff_measure *m) {
  return m->changes_count || m->functions_count;
}

/* What live says at the end, the peak need not say again. */
static bool peak_matters(const struct diff *d) {
  return has(&d->peak) &&
         (!has(&d->live) ||
          (d->peak.changes_count && d->live.changes_count &&
           size_of(d->peak.changes[0].at) / 2 > size_of(d->live.changes[0].at)));
}

static void print_untold(const struct diff *d, const struct view_options *o) {
  uint64_t before = d->live.untold[DIFF_BEFORE], after = d->live.untold[DIFF_AFTER];
  if (before || after)
    fprintf(o->out,
            "\n  At call sites too small to be told apart at a moment: %s, then %s.\n",
            text_size(o, before), text_size(o, after));
}

static bool is_sampled(const struct diff *d) {
  return d->look[DIFF_BEFORE].process->sampling.bytes ||
         d->look[DIFF_AFTER].process->sampling.bytes;
}

static void print_notes(const struct diff *d, const struct view_options *o) {
  bool moment = d->look[DIFF_BEFORE].at || d->look[DIFF_AFTER].at;
  if (moment)
    fprintf(o->out, "\n  A moment knows what lives: of leaks and of unused memory it "
                    "knows nothing.\n");
  else if (!d->leaks)
    fprintf(o->out, "\n  What is lost is not known of both: live memory is compared.\n");
  if (is_sampled(d))
    fprintf(o->out,
            "\n  Sampled: what call sites have is an estimate, and what differs by "
            "no more than\n  chance is left out. The totals are exact.\n");
  if (!d->same_build)
    fprintf(o->out, "\n  Of different builds: what only one of them has on its stacks "
                    "(inlined functions) is\n  compared where both agree.\n");
}

static void print_page(const struct diff *d, const struct view_options *o) {
  print_look("before", &d->look[DIFF_BEFORE], o);
  print_look("after", &d->look[DIFF_AFTER], o);
  print_totals(d, o);
  if (!has(&d->live) && !has(&d->peak))
    fprintf(o->out, "\n  %s.\n",
            is_sampled(d) ? "No function has changed by more than chance"
                          : "Nothing has changed");
  print_changes(&d->live, "WHAT HAS CHANGED", o);
  print_functions(&d->live, "LIVE MEMORY", o);
  if (peak_matters(d)) {
    print_changes(&d->peak, "AT THE PEAK", o);
    if (!has(&d->live)) print_functions(&d->peak, "AT THE PEAK", o);
  }
  print_untold(d, o);
  print_notes(d, o);
}

int diff_text(void *model, const struct view_options *o) {
  const struct diff *d = model;
  char *lines = NULL;
  size_t bytes;
  if (d->different) return different(d);
  struct view_options page = view_of(o, d->look[DIFF_AFTER].process);
  if (!o->all && (page.out = open_memstream(&lines, &bytes))) {
    print_page(d, &page);
    fclose(page.out);
    text_fit(o, lines);
    free(lines);
  } else {
    page.out = o->out;
    print_page(d, &page);
  }
  return text_finish(o);
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *look_object(const struct diff_look *look) {
  const struct recording *r = look->process->recording;
  struct totals t = totals_of(look);
  json_t *object = json_object();
  json_put(object, "file", json_text(recording_path(r)));
  json_put(object, "path", json_text(recording_text(r, recording_header(r)->program)));
  json_put(object, "pid", json_integer(recording_header(r)->pid));
  json_put(object, "moment", look->at ? json_text(look->at->name) : json_null());
  json_put(object, "seconds", json_seconds(t.ms));
  json_put(object, "live_bytes", json_bytes(t.live));
  json_put(object, "live_blocks", json_bytes(t.blocks));
  json_put(object, "allocations", json_bytes(t.allocations));
  json_put(object, "lost_bytes",
           !look->at && leaks_known(r) ? json_bytes(t.lost) : json_null());
  json_put(object, "peak_bytes", look->at ? json_null() : json_bytes(t.peak));
  json_put(object, "rss_bytes", json_bytes(t.rss));
  const struct symbols *symbols = look->process->symbols;
  json_t *nameless = json_array();
  const char *path;
  for (size_t i = 0; (path = symbols_nameless(symbols, i)); i++)
    json_array_append_new(nameless, json_text(path));
  json_put(object, "nameless", nameless);
  return object;
}

static void put_amounts(json_t *object, const struct ul_amount at[DIFF_LOOKS]) {
  json_put(object, "state", json_text(state_of(at)));
  json_put(object, "before_bytes", json_bytes(at[DIFF_BEFORE].bytes));
  json_put(object, "after_bytes", json_bytes(at[DIFF_AFTER].bytes));
  json_put(object, "before_blocks", json_bytes(at[DIFF_BEFORE].blocks));
  json_put(object, "after_blocks", json_bytes(at[DIFF_AFTER].blocks));
}

static json_t *change_object(const struct diff_change *c) {
  json_t *object = json_object(), *callers = json_array();
  for (size_t i = 0; i < c->callers_count; i++)
    json_array_append_new(callers, json_frame(c->callers[i]));
  json_put(object, "kind", json_text(kinds[c->kind]));
  put_amounts(object, c->at);
  json_put(object, "frame", c->frame ? json_frame(c->frame) : json_null());
  json_put(object, "callers", callers);
  json_put(object, "stacks", json_bytes(c->stacks));
  json_put(object, "named_by",
           json_text(c->named_by == DIFF_BEFORE ? "before" : "after"));
  json_put(object, "site", json_bytes(c->site));
  json_put_fingerprint(object, &c->fingerprint);
  return object;
}

static void put_measure(json_t *root, const char *changes, const char *functions,
                        const struct diff_measure *m, const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_JSON;
  json_t *array = json_array();
  for (size_t i = 0; i < m->changes_count && i < most; i++)
    json_array_append_new(array, change_object(&m->changes[i]));
  json_put(root, changes, array);
  array = json_array();
  for (size_t i = 0; i < m->functions_count && i < most; i++) {
    json_t *object = json_object();
    put_amounts(object, m->functions[i].at);
    json_put(object, "frame", json_frame(m->functions[i].frame));
    json_array_append_new(array, object);
  }
  json_put(root, functions, array);
}

int diff_json(void *model, const struct view_options *o) {
  const struct diff *d = model;
  if (d->different) return different(d);
  json_t *root = json_object(), *untold = json_array();
  json_put(root, "before", look_object(&d->look[DIFF_BEFORE]));
  json_put(root, "after", look_object(&d->look[DIFF_AFTER]));
  json_put(root, "same_build", json_boolean(d->same_build));
  json_put(root, "leaks_known", json_boolean(d->leaks));
  put_measure(root, "changes", "functions", &d->live, o);
  put_measure(root, "peak_changes", "peak_functions", &d->peak, o);
  for (unsigned side = 0; side < DIFF_LOOKS; side++)
    json_array_append_new(untold, json_bytes(d->live.untold[side]));
  json_put(root, "untold_bytes", untold);
  return json_finish(o, root);
}
