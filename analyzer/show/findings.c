/* findings.c - what to change in the program, two lines each. */
#include "answers/children.h"
#include "answers/finding.h"
#include "answers/fingerprint.h"
#include "names/function.h"
#include "read/timeline.h"
#include "show/causes.h"
#include "show/json.h"
#include "show/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- of all processes ---------------------------------------------------------- */

/* A finding in words, or the same one of several processes. */
struct told {
  struct finding finding; /* sums over the processes; its causes are gone */
  struct cause cause;
  unsigned processes;
  int pid; /* of the first one */
  char *program, *function, *callers;
  uint64_t live, peak,
      since_ms; /* of the first one; since its start, UINT64_MAX: unknown */
  bool from_start;
};
struct tale {
  struct told *at;
  size_t count, room;
};

static const char *program_of(const struct recording *r) {
  const char *path = recording_argument(r, 0);
  if (!path || !*path) path = recording_text(r, recording_header(r)->program);
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static void told_free(struct told *t) {
  free(t->program);
  free(t->function);
  free(t->callers);
}

static struct told *same(const struct tale *tale, const struct told *wanted) {
  for (size_t i = 0; i < tale->count; i++) {
    struct told *t = &tale->at[i];
    if (t->finding.kind == wanted->finding.kind && !strcmp(t->program, wanted->program) &&
        !strcmp(t->function, wanted->function) && !strcmp(t->callers, wanted->callers))
      return t;
  }
  return NULL;
}

/* Takes what it points to. */
static void tell(struct tale *tale, struct told t) {
  struct told *known = t.program && t.function && t.callers ? same(tale, &t) : NULL;
  if (known) {
    known->processes++;
    known->finding.of.blocks += t.finding.of.blocks;
    known->finding.of.bytes += t.finding.of.bytes;
    known->finding.rate += t.finding.rate;
    known->cause.times = 0;
    known->live += t.live;
    known->peak += t.peak;
  } else if (t.program && t.function && t.callers) {
    if (tale->count == tale->room) {
      size_t room = tale->room ? tale->room * 2 : 64;
      struct told *more = realloc(tale->at, room * sizeof *more);
      if (!more) return told_free(&t);
      tale->at = more;
      tale->room = room;
    }
    tale->at[tale->count++] = t;
    return;
  }
  told_free(&t);
}

static void tell_findings(struct tale *tale, struct process *p, size_t columns) {
  const struct recording *r = p->recording;
  const struct findings *all = process_findings(p);
  uint64_t run = since_start(r, recording_duration_ms(r));
  for (size_t i = 0; all && i < all->count; i++) {
    const struct finding *f = &all->at[i];
    const struct cause *c = cause_of(f);
    bool known = f->since_ms != UINT64_MAX;
    tell(tale,
         (struct told){.finding = *f,
                       .cause = *c,
                       .processes = 1,
                       .pid = recording_header(r)->pid,
                       .program = strdup(program_of(r)),
                       .function = strdup(causes_function(all->functions, c)),
                       .callers = strdup(
                           causes_callers(all->functions, f->causes, f->cause, columns)),
                       .live = p->sites->bytes,
                       .peak = timeline_peak_bytes(r),
                       .since_ms = known ? since_start(r, f->since_ms) : UINT64_MAX,
                       .from_start = !known || since_start(r, f->since_ms) * 20 <= run});
  }
}

/* Of a child that holds or held something. */
typedef void visit(void *what, struct process *p);
static void each_child(const struct recording *r, visit *look, void *what) {
  enum { LITTLE = 16 << 10 };
  struct children *children = children_find(recording_path(r));
  char error[256];
  for (size_t i = 0; children && i < children->count; i++) {
    struct context *child = context_open(children->files[i], NULL, error, sizeof error);
    if (!child) continue;
    const struct recording *of = child->process.recording;
    bool lost = recording_header(of)->scan.totals[UL_DEFINITE].blocks;
    if (lost || timeline_peak_bytes(of) >= LITTLE) look(what, &child->process);
    context_free(child);
  }
  children_free(children);
}

struct telling {
  struct tale *tale;
  size_t columns;
};
static void tell_child(void *what, struct process *p) {
  struct telling *t = what;
  tell_findings(t->tale, p, t->columns);
}

static int by_gain(const void *a, const void *b) {
  const struct told *x = a, *y = b;
  if (x->finding.of.bytes != y->finding.of.bytes)
    return x->finding.of.bytes > y->finding.of.bytes ? -1 : 1;
  return x->pid - y->pid;
}

/* ---- text ---------------------------------------------------------------------- */

static void add_amount(struct line *l, const struct told *t,
                       const struct view_options *o) {
  uint64_t bytes = t->finding.of.bytes;
  add(l, "%s%s", text_size(o, bytes), text_interval(o, bytes, t->finding.of.blocks));
  if (bytes <= t->live)
    add(l, " (%s)", text_percent(bytes, t->live));
  else if (bytes <= t->peak)
    add(l, " (%s of the peak)", text_percent(bytes, t->peak));
  if (t->finding.rate >= 1) add(l, ", %s/s", text_size(o, (uint64_t)t->finding.rate));
}

static void add_blocks(struct line *l, const struct told *t) {
  const struct cause *c = &t->cause;
  if (t->finding.of.blocks)
    add(l, "%s", text_plural(t->finding.of.blocks, "block", "blocks"));
  else
    add(l, "blocks that are made larger,");
  if (c->times && c->each > 1)
    add(l, ", %s times %s", text_count(c->times), text_count(c->each));
  else if (c->stacks > 1)
    add(l, " of %s stacks", text_count(c->stacks));
  if (!t->from_start) add(l, ", since %s", text_time(t->since_ms));
  add(l, " ");
}

/* Where not all is of the process whose recording it is. */
static void add_process(struct line *l, const struct told *t, bool several) {
  if (t->processes > 1)
    add(l, " in %u processes of %s", t->processes, text_escaped(t->program));
  else if (several)
    add(l, " in %s, process %d", text_escaped(t->program), t->pid);
}

static void print_told(const struct told *t, size_t number, bool several,
                       const struct view_options *o) {
  struct line first = {"", 0}, second = {"", 0};
  add(&first, "  %zu %-6s ", number, kinds[t->finding.kind]);
  add_amount(&first, t, o);
  add(&first, ": %s", t->function);
  add_process(&first, t, several);
  add(&second, "           ");
  add_blocks(&second, t);
  fprintf(o->out, "%s%s%s\n%s%s\n", text_on(o, TEXT_STRONG), first.s, text_off(o),
          second.s, t->callers);
}

/* What is worth a line: not what is nothing beside the first. */
static size_t worth(const struct tale *tale, const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT, n = 0;
  while (n < tale->count && n < most &&
         (o->all || o->top ||
          tale->at[n].finding.of.bytes >= tale->at[0].finding.of.bytes / 100))
    n++;
  return n;
}

static void print_rest(const struct tale *tale, size_t first,
                       const struct view_options *o) {
  struct ul_amount rest = {0, 0};
  for (size_t i = first; i < tale->count; i++) {
    rest.blocks += tale->at[i].finding.of.blocks;
    rest.bytes += tale->at[i].finding.of.bytes;
  }
  if (tale->count > first)
    fprintf(o->out, "    and %zu more, %s in %s (--all)\n", tale->count - first,
            text_size(o, rest.bytes), text_plural(rest.blocks, "block", "blocks"));
}

void findings_print(struct process *p, const struct view_options *o) {
  enum { BEFORE_CALLERS = 50 };
  struct tale tale = {0};
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  size_t columns = width > 2 * BEFORE_CALLERS ? width - BEFORE_CALLERS : width / 2;
  int pid = recording_header(p->recording)->pid;
  tell_findings(&tale, p, columns);
  each_child(p->recording, tell_child, &(struct telling){&tale, columns});
  if (tale.count) qsort(tale.at, tale.count, sizeof *tale.at, by_gain);
  bool several = false;
  for (size_t i = 0; i < tale.count; i++)
    several = several || tale.at[i].pid != pid;
  size_t shown = worth(&tale, o);
  if (shown) fputc('\n', o->out);
  for (size_t i = 0; i < shown; i++)
    print_told(&tale.at[i], i + 1, several, o);
  print_rest(&tale, shown, o);
  for (size_t i = 0; i < tale.count; i++)
    told_free(&tale.at[i]);
  free(tale.at);
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

static json_t *finding_object(const struct recording *r, const struct findings *all,
                              const struct finding *f,
                              struct fingerprints *fingerprints) {
  const struct cause *c = cause_of(f);
  struct fingerprint known = fingerprint_of_finding(fingerprints, all, f);
  const struct frame *frame = causes_frame(all->functions, c);
  json_t *object = json_object();
  json_put(object, "kind", json_text(kinds[f->kind]));
  json_put(object, "pid", json_integer(recording_header(r)->pid));
  json_put(object, "program", json_text(program_of(r)));
  json_put(object, "bytes", json_bytes(f->of.bytes));
  json_put(object, "blocks", json_bytes(f->of.blocks));
  json_put(object, "frame", frame ? json_frame(frame) : json_null());
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
  json_put_fingerprint(object, &known);
  return object;
}

struct collecting {
  json_t *array;
  size_t most;
};
static void collect_findings(void *what, struct process *p) {
  struct collecting *c = what;
  const struct findings *all = process_findings(p);
  struct fingerprints *fingerprints = fingerprints_new(p->recording, p->symbols);
  size_t n = all && fingerprints ? all->count : 0;
  for (size_t i = 0; i < n && json_array_size(c->array) < c->most; i++)
    json_array_append_new(c->array,
                          finding_object(p->recording, all, &all->at[i], fingerprints));
  fingerprints_free(fingerprints);
}

json_t *findings_array(struct process *p, const struct view_options *o) {
  struct collecting c = {json_array(), o->top ? o->top : o->all ? SIZE_MAX : TOP_JSON};
  collect_findings(&c, p);
  each_child(p->recording, collect_findings, &c);
  return c.array;
}
