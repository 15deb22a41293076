/* holders.c - the functions that hold, or held, most, one line each. */
#include "answers/holder.h"
#include "show/causes.h"
#include "show/processes.h"

#include <string.h>

static void print_holder(const struct holders *h, const struct holder *it, uint64_t peak,
                         const struct view_options *o) {
  const struct cause *c = &h->causes->at[it->cause];
  size_t columns = o->columns ? o->columns : TEXT_COLUMNS;
  struct text_long line;
  int n = snprintf(line.s, sizeof line.s, "  %10s %6s %10s %13s %7s  %s",
                   text_size(o, it->at_peak.bytes), text_percent(it->at_peak.bytes, peak),
                   text_size(o, it->live.bytes), text_count(it->allocations),
                   text_percent(it->temporary, it->allocations),
                   causes_short(h->functions, c));
  size_t used = n > 0 ? (size_t)n : 0;
  const char *callers = used + 1 < columns ? causes_callers(h->functions, h->causes,
                                                            it->cause, columns - used - 1)
                                           : "";
  fprintf(o->out, "%s%s%s\n", line.s, *callers ? " " : "", callers);
}

static void print_most_held(const struct process *p, const char *whose,
                            const struct view_options *o) {
  const struct holders *h = p->holders;
  if (!h || !h->count) return;
  const struct holder *most = h->at;
  for (size_t i = 1; i < h->count; i++)
    if (h->at[i].live.bytes > most->live.bytes) most = &h->at[i];
  fprintf(o->out, "  held     %s (%s) by %s%s\n", text_size(o, most->live.bytes),
          text_percent(most->live.bytes, p->sites->bytes),
          causes_function(h->functions, &h->causes->at[most->cause]), whose);
}

static bool is_known(const struct process *p) {
  const struct findings *f = p->findings;
  for (size_t i = 0; f && i < f->count; i++)
    if (f->at[i].kind == FINDING_GROWTH) return true;
  return leaks_known(p->recording);
}

/* Of processes of which it is not known what is lost or grows. */
static struct process *holds_most(const struct context *context) {
  struct process *most = NULL;
  for (size_t i = 0; i < context->count; i++) {
    struct process *p = &context->processes[i];
    const struct sites *s = is_known(p) ? NULL : process_sites(p);
    if (s && (!most || s->bytes > most->sites->bytes)) most = p;
  }
  return most;
}

/* How many of them are of its program, and what they hold together. */
static size_t count_like(const struct context *context, const struct process *of,
                         uint64_t *bytes) {
  size_t count = 0;
  *bytes = 0;
  for (size_t i = 0; i < context->count; i++) {
    struct process *p = &context->processes[i];
    if (is_known(p) || !p->sites || strcmp(process_name(p), process_name(of)) != 0)
      continue;
    *bytes += p->sites->bytes;
    count++;
  }
  return count;
}

void holders_unknown(const struct context *context, uint64_t live,
                     const struct view_options *o) {
  enum { LEAST = 1 << 20, GOOD_PART = 4 };
  uint64_t bytes;
  struct text_long whose;
  struct process *most = holds_most(context);
  if (!most || most->sites->bytes < LEAST) return;
  size_t count = count_like(context, most, &bytes);
  if (bytes < live / GOOD_PART || !process_holders(most)) return;
  struct view_options view = view_of(o, most);
  snprintf(whose.s, sizeof whose.s, "%s", processes_whose(context, most));
  if (count > 1)
    snprintf(whose.s, sizeof whose.s, "%s, one of %zu with %s",
             processes_whose(context, most), count, text_size(o, bytes));
  print_most_held(most, whose.s, &view);
}

/* A copy of the same, perhaps: as large, nearly. */
static bool is_beside(const struct holder *most, const struct holder *other) {
  return other->at_peak.bytes >= most->at_peak.bytes / 2;
}

/* Who held it is known of a moment that may only be near it. */
static const char *peak_in(struct text_long *to, const struct process *p,
                           const struct view_options *o) {
  uint64_t peak = process_peak_bytes(p), pictured = p->sites->peak_bytes;
  bool near = text_is_near(pictured, peak) ||
              !strcmp(text_size(o, pictured), text_size(o, peak)); /* reads as the same */
  snprintf(to->s, sizeof to->s, "%s%s%s", text_size(o, near ? peak : pictured),
           near ? "" : ", near the peak of ", near ? "" : text_size(o, peak));
  return to->s;
}

static void print_side_by_side(const struct process *p, const struct view_options *o) {
  enum { MOST = 3, INDENT = 11 };
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  const struct holders *h = p->holders;
  int used = fprintf(o->out, "  peak     %s, freed since:", peak_in(TEXT_LONG, p, o));
  for (size_t i = 0; i < h->count && i < MOST && is_beside(h->at, &h->at[i]); i++) {
    struct text_long item;
    int n = snprintf(item.s, sizeof item.s, " %s %s",
                     text_percent(h->at[i].at_peak.bytes, p->sites->peak_bytes),
                     causes_short(h->functions, &h->causes->at[h->at[i].cause]));
    bool fits = used > 0 && n > 0 && (size_t)(used + n + 1) < width;
    if (!fits) {
      fprintf(o->out, "%s\n%*s", i ? "," : "", INDENT - 1, "");
      used = INDENT - 1;
    }
    used += fprintf(o->out, "%s%s", i && fits ? "," : "", item.s);
  }
  fputc('\n', o->out);
}

/* Has a finding told of it, as growth that was freed in the end? */
static bool is_told(const struct process *p, const struct holder *most) {
  const struct findings *f = p->findings;
  for (size_t i = 0; f && i < f->count; i++)
    if (f->at[i].kind == FINDING_GROWTH && f->at[i].of.bytes >= most->at_peak.bytes / 2)
      return true;
  return false;
}

/* Worth a line if most of it was freed since: then nothing else on the page is about it;
 * and if somebody had a good part of it. */
void holders_peak(const struct process *p, const struct view_options *o) {
  enum { LEAST = 1 << 20, GOOD_PART = 8 };
  const struct holders *h = p->holders;
  uint64_t peak = process_peak_bytes(p);
  if (!h || !h->count || peak < LEAST || p->sites->bytes > peak / 2) return;
  const struct holder *most = h->at;
  if (most->at_peak.bytes < p->sites->peak_bytes / GOOD_PART || is_told(p, most)) return;
  if (h->count > 1 && is_beside(most, &h->at[1]))
    print_side_by_side(p, o);
  else
    fprintf(o->out, "  peak     %s of %s, mostly freed since, by %s\n",
            text_percent(most->at_peak.bytes, p->sites->peak_bytes),
            peak_in(TEXT_LONG, p, o),
            causes_function(h->functions, &h->causes->at[most->cause]));
}

void holders_print(const struct process *p, size_t most, const struct view_options *o) {
  const struct holders *h = p->holders;
  uint64_t pictured = p->sites->peak_bytes;
  char near[64] = "", title[160];
  if (o->top) most = o->top;
  if (!text_is_near(pictured, process_peak_bytes(p)))
    snprintf(near, sizeof near, ", when there were %s", text_size(o, pictured));
  snprintf(title, sizeof title, "LIVE %s, AND %s THE PEAK%s", text_moment(p->recording),
           *near ? "NEAR" : "AT", near);
  if (h->count) {
    text_heading(o, title, "  (%zu of %zu functions; stacks: --all)",
                 h->count < most ? h->count : most, h->count);
    fprintf(o->out, "  %10s %6s %10s %13s %7s\n", "peak", "", "live", "allocations",
            "temp.");
  }
  for (size_t i = 0; i < h->count && i < most; i++)
    print_holder(h, &h->at[i], pictured, o);
}
