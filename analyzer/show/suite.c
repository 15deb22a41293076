/* suite.c - what the formats of a verdict share, and the text. */
#include "show/suite.h"

#include "answers/baseline.h"
#include "names/blame.h"
#include "show/verbs.h"

#include <limits.h>
#include <string.h>

#define FRAMES_SHOWN 4u
#define FINDINGS_SHOWN 50u
#define GAPS_SHOWN 10u

const struct suite_format suite_formats[] = {
    {"text", suite_text, false},
    {"json", suite_json, false},
    {"sarif", suite_sarif, false},
    {"junit", suite_junit, false},
    {"github", suite_github, false},
    {"memcheck", suite_memcheck, true},
    {"valgrind-xml", suite_valgrind_xml, true},
    {NULL, NULL, false},
};

/* ---- words ------------------------------------------------------------------------ */

static const struct view_options plain = {.out = NULL};

const char *suite_what(const struct suite_finding *f) {
  static const char *const kinds[SUITE_KINDS] = {
      [SUITE_DEFINITE] = "leak",          [SUITE_INDIRECT] = "indirect leak",
      [SUITE_POSSIBLE] = "possible leak", [SUITE_REACHABLE] = "still reachable",
      [SUITE_GROWTH] = "growth",          [SUITE_UNCHECKED] = "not checked",
  };
  static const char *const misuses[UL_MISUSES] = {
      [UL_FREED_TWICE] = "double free",
      [UL_FREED_INSIDE] = "invalid free",
      [UL_RESIZED_AFTER_FREE] = "realloc after free",
      [UL_RESIZED_INSIDE] = "invalid realloc",
      [UL_MISMATCHED] = "mismatched free",
      [UL_MISSIZED] = "missized free",
      [UL_OVERRUN] = "overrun",
      [UL_WRITTEN_FREED] = "write after free",
  };
  static const char *const budgets[BUDGET_MEASURES] = {
      [BUDGET_PEAK] = "peak over budget",
      [BUDGET_LIVE] = "live over budget",
      [BUDGET_ALLOCATIONS] = "allocations over budget",
      [BUDGET_TEMPORARY] = "temporary over budget",
  };
  if (f->kind == SUITE_BUDGET) return budgets[f->measure];
  return suite_is_misuse(f) ? misuses[f->misuse] : kinds[f->kind];
}

const char *suite_freed(const struct suite_finding *f) {
  return suite_is_write(f) ? "freed" : "freed first";
}

const char *suite_name_of(const struct suite_process *p) {
  return basename(*p->program || !p->file ? p->program : p->file);
}

const char *suite_path(const char *file, const struct suite_page *page) {
  size_t n = page->source_root ? strlen(page->source_root) : 0;
  while (n && page->source_root[n - 1] == '/')
    n--;
  bool below = n && !strncmp(file, page->source_root, n) && file[n] == '/';
  return below ? file + n + 1 : file;
}

static void put_frame(FILE *out, const struct frame *f, const struct suite_page *page) {
  char line[1024];
  if (f->function && f->file && f->line) {
    const char *file = page->source_root ? suite_path(f->file, page) : basename(f->file);
    fprintf(out, "%s %s:%u", f->function, file, f->line);
  } else {
    frame_text(f, line, sizeof line);
    fputs(line, out);
  }
}

/* From the frame to blame outwards; what calls it in the runtime says nothing. */
static const char *where_in(struct text_long *to, const struct suite_stack *stack,
                            const struct suite_page *page, unsigned most) {
  char room[sizeof to->s / 4] = "";
  FILE *out = fmemopen(room, sizeof room, "w");
  unsigned shown = 0;
  for (size_t i = stack->guilty; out && i < stack->count && shown < most; i++) {
    const struct frame *f = &stack->frames[i];
    if (shown && !f->note && !blame_is_own(f)) continue;
    if (shown++) fputs(" < ", out);
    put_frame(out, f, page);
  }
  if (out) fclose(out);
  return text_escaped_in(to, *room ? room : "(no stack)");
}

const char *suite_where_in(struct text_long *to, const struct suite_stack *stack,
                           const struct suite_page *page) {
  return where_in(to, stack, page, FRAMES_SHOWN);
}

char *suite_names(const struct suite_finding *f) {
  char *names = NULL;
  size_t size;
  FILE *out = open_memstream(&names, &size);
  unsigned shown = 0;
  for (size_t i = f->at.guilty; out && i < f->at.count && shown < FRAMES_SHOWN; i++) {
    const struct frame *at = &f->at.frames[i];
    if (shown && !blame_is_own(at)) continue;
    const char *module = at->module ? basename(at->module) : "(no module)";
    fprintf(out, "%s%s", shown++ ? " < " : "",
            text_escaped(at->function ? at->function : module));
  }
  if (out && !shown) fputs(suite_what(f), out);
  if (out) fclose(out);
  return names;
}

static const char *use_in(struct text_short *to, enum budget_measure measure,
                          uint64_t value) {
  if (measure == BUDGET_TEMPORARY)
    snprintf(to->s, sizeof to->s, "%s %%", text_count(value));
  else
    snprintf(to->s, sizeof to->s, "%s",
             measure == BUDGET_ALLOCATIONS ? text_count(value)
                                           : text_size(&plain, value));
  return to->s;
}
#define use(measure, value) use_in(TEXT_SHORT, measure, value)

const char *suite_amount_in(struct text_short *to, const struct suite_finding *f) {
  if (f->kind == SUITE_BUDGET) {
    snprintf(to->s, sizeof to->s, "%s of %s", use(f->measure, f->value),
             use(f->measure, f->limit));
    return to->s;
  }
  if (f->times) return text_plural_in(to, f->times, "time", "times");
  snprintf(to->s, sizeof to->s, "%s in %s", text_size(&plain, f->of.bytes),
           text_plural(f->of.blocks, "block", "blocks"));
  return to->s;
}

const char *suite_who_in(struct text_long *to, const struct suite *s,
                         const struct suite_finding *f) {
  const struct suite_process *p = &s->processes[f->process];
  int n = snprintf(to->s, sizeof to->s, "%s%s", text_escaped(basename(p->program)),
                   p->forked ? ", a child" : "");
  if (f->processes > 1)
    n += snprintf(to->s + n, sizeof to->s - (size_t)n, " and %s",
                  text_plural(f->processes - 1, "more process", "more processes"));
  if (f->stack_count > 1)
    snprintf(to->s + n, sizeof to->s - (size_t)n, ", %s stacks",
             text_count(f->stack_count));
  return to->s;
}

static const char *signal_name(struct text_long *to, int number) {
  const char *name = sigabbrev_np(number);
  if (name)
    snprintf(to->s, sizeof to->s, "SIG%s", name);
  else
    snprintf(to->s, sizeof to->s, "signal %d", number);
  return to->s;
}

static const char *why_not_scanned(struct text_long *to, const struct suite_process *p) {
  if (p->end == RECORDING_RUNNING) return "still running";
  if (p->confined) return "it forbade itself what a scan needs (seccomp)";
  if (p->scan.state == UL_SCAN_RUNNING) return "the scan did not end";
  if (p->scan.state == UL_SCAN_PARTIAL) return "the scan took longer than --scan-limit";
  if (p->scan.state == UL_SCAN_FAILED) {
    snprintf(to->s, sizeof to->s, "the scan failed: %s", strerror(p->scan.error));
    return to->s;
  }
  if (p->stop) return "the recording stopped: no room";
  if (p->end == RECORDING_SIGNALED) return signal_name(to, p->status);
  if (p->end == RECORDING_ABORTED) return "SIGABRT";
  if (p->end == RECORDING_EXECED) return "replaced itself by another program";
  if (p->end == RECORDING_EXITED) return "no scan";
  return "killed, or ended by a bare system call";
}

const char *suite_reason_in(struct text_long *to, const struct suite_process *p) {
  if (p->unreadable) return text_escaped_in(to, p->unreadable);
  if (p->standing == SUITE_UNSCANNED) return why_not_scanned(to, p);
  if (p->standing != SUITE_UNRECORDED) return "";
  if (p->forked) return "a forked child that could not be recorded";
  if (p->bare) return "it was started without LD_PRELOAD";
  return "it cannot have ullage: static, 32-bit, another libc, a sanitizer, or in valgrind";
}

/* ---- text ------------------------------------------------------------------------- */

/* Columns of kinds and amounts. */
struct columns {
  int what, amount;
};

static int longer(int width, const char *text) {
  return (int)strlen(text) > width ? (int)strlen(text) : width;
}

static size_t most_shown(const struct suite_page *page) {
  return page->all ? SIZE_MAX : FINDINGS_SHOWN;
}

static struct columns columns_of(const struct suite *s, size_t most) {
  struct columns c = {0, 0};
  for (size_t i = 0, shown = 0; i < s->count && shown < most; i++) {
    const struct suite_finding *f = &s->findings[i];
    if (!suite_counts(f)) continue;
    c.what = longer(c.what, suite_what(f));
    c.amount = longer(c.amount, suite_amount(f));
    shown++;
  }
  return c;
}

/* One of several of a finding, from the innermost own frame out to main. */
static void put_stack(const struct suite *s, const struct suite_finding *stack,
                      const struct suite_page *page) {
  struct suite_stack at = stack->at;
  struct text_long text;
  at.guilty = at.blamed;
  fprintf(page->out, "       %s  %s  [%s]\n", suite_amount(stack),
          where_in(&text, &at, page, UINT_MAX), suite_who(s, stack));
}

static void put_finding(const struct suite *s, const struct suite_finding *f, size_t rank,
                        struct columns c, const struct suite_page *page) {
  fprintf(page->out, " %2zu  %-*s  %-*s  ", rank, c.what, suite_what(f), c.amount,
          suite_amount(f));
  if (f->kind == SUITE_UNCHECKED)
    fputs(suite_reason(&s->processes[f->process]), page->out);
  else
    fputs(suite_where(&f->at, page), page->out);
  if (suite_is_misuse(f) && *misuse_detail(f->misuse, &f->first))
    fprintf(page->out, " (%s)", misuse_detail(f->misuse, &f->first));
  if (f->freed.count)
    fprintf(page->out, ", %s %s", suite_freed(f), suite_where(&f->freed, page));
  if (f->allocated.count)
    fprintf(page->out, ", allocated %s", suite_where(&f->allocated, page));
  if (f->state == SUITE_GREW && f->kind == SUITE_BUDGET)
    fprintf(page->out, ", was %s", use(f->measure, f->was.blocks));
  else if (f->state == SUITE_GREW)
    fprintf(page->out, ", was %s %s", text_count(f->was.blocks),
            f->times ? "times" : "blocks");
  fprintf(page->out, "  [%s]\n", suite_who(s, f));
  for (size_t i = 0; page->all && f->stack_count > 1 && i < f->stack_count; i++)
    put_stack(s, &f->stacks[i], page);
}

static void put_findings(const struct suite *s, const struct suite_page *page) {
  size_t rank = 0, all = suite_in_state(s, SUITE_NEW) + suite_in_state(s, SUITE_GREW);
  struct columns c = columns_of(s, most_shown(page));
  for (size_t i = 0; i < s->count && rank < most_shown(page); i++)
    if (suite_counts(&s->findings[i])) put_finding(s, &s->findings[i], ++rank, c, page);
  if (all > rank) fprintf(page->out, "     and %zu more (--all)\n", all - rank);
}

/* What is told of a process that was not judged: who, and why. */
static const char *gap_in(struct text_long *to, const struct suite_process *p) {
  const char *name = suite_name_of(p);
  const char *why = suite_reason(p);
  snprintf(to->s, sizeof to->s, *why ? "%s (%s)" : "%s", text_escaped(name), why);
  return to->s;
}

struct gap {
  struct text_long text;
  uint64_t number;
};

static void put_gap(const struct gap *g, const char *before, FILE *out) {
  fprintf(out, "%s%s", before, g->text.s);
  if (g->number > 1) fprintf(out, " %s times", text_count(g->number));
}

/* Those of that standing. */
static void put_gaps(const struct suite *s, enum suite_standing standing,
                     const char *title, const struct suite_page *page) {
  struct gap gaps[GAPS_SHOWN];
  size_t count = 0;
  uint64_t more = 0;
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    struct text_long text;
    size_t g = 0;
    if (p->standing != standing) continue;
    gap_in(&text, p);
    while (g < count && strcmp(gaps[g].text.s, text.s) != 0)
      g++;
    if (g == GAPS_SHOWN)
      more += p->number;
    else if (g == count)
      gaps[count++] = (struct gap){text, p->number};
    else
      gaps[g].number += p->number;
  }
  for (size_t g = 0; g < count; g++)
    put_gap(&gaps[g], g ? ", " : title, page->out);
  if (more) fprintf(page->out, " and %s more", text_count(more));
  if (count) fputc('\n', page->out);
}

static void put_head(const struct suite *s, const struct suite_page *page) {
  size_t found = suite_in_state(s, SUITE_NEW) + suite_in_state(s, SUITE_GREW);
  size_t judged = suite_judged(s);
  const char *in = text_plural(suite_looked_at(s), "process", "processes");
  if (suite_fails(s))
    fprintf(page->out, "check failed: %s in %s\n",
            text_plural(found, "finding", "findings"), in);
  else if (!judged)
    fputs("check passed, but no process was judged\n", page->out);
  else if (found)
    fprintf(page->out, "check passed: %s in %s, less than is allowed\n",
            text_plural(found, "finding", "findings"), in);
  else
    fprintf(page->out, "check passed: nothing found in %s\n", in);
}

static void put_totals(const struct suite *s, const struct suite_page *page) {
  const struct baseline *b = s->baseline;
  fprintf(page->out, "new %zu, ", suite_in_state(s, SUITE_NEW));
  if (b) {
    size_t moved = baseline_moved(b);
    fprintf(page->out, "grown %zu, known %zu", suite_in_state(s, SUITE_GREW),
            suite_in_state(s, SUITE_KNOWN));
    if (moved) fprintf(page->out, " (%zu moved)", moved);
    fprintf(page->out, ", fixed %zu, ", baseline_fixed(b));
  }
  fprintf(page->out, "suppressed %zu", suite_in_state(s, SUITE_SUPPRESSED));
  if (suite_in_state(s, SUITE_FOREIGN))
    fprintf(page->out, ", not ours %zu", suite_in_state(s, SUITE_FOREIGN));
  fputc('\n', page->out);
}

/* Lines of the baseline for which that is true. */
static void put_lines(const struct baseline *b, bool (*is)(const struct baseline_line *),
                      const char *title, FILE *out) {
  size_t shown = 0, all = 0;
  for (size_t i = 0; b && i < b->count; i++) {
    const struct baseline_line *line = &b->lines[i];
    if (!is(line) || all++ >= GAPS_SHOWN) continue;
    fprintf(out, "%s%s", shown++ ? ", " : title, text_escaped(line->program));
    if (line->where) fprintf(out, " (%s)", text_escaped(line->where));
  }
  if (all > shown) fprintf(out, " and %zu more", all - shown);
  if (all) fputc('\n', out);
}

static bool has_moved(const struct baseline_line *line) {
  return line->moved;
}

/* Where it is written, "known" for those that everybody has. */
static void put_suppression(const struct suppression *u, FILE *out) {
  fputs(text_escaped(u->name), out);
  if (u->file)
    fprintf(out, " (%s:%u)", text_escaped(basename(u->file)), u->line);
  else
    fputs(" (known to ullage)", out);
}

/* What has matched, and what of the user's has not. */
static void put_suppressions(const struct suite *s, const struct suite_page *page) {
  const struct suppressions *all = s->rules.suppressions;
  size_t idle = 0, n = suppressions_count(all);
  for (size_t i = 0; i < n; i++) {
    const struct suppression *u = suppressions_at(all, i);
    if (u->matched) {
      fputs("suppressed by ", page->out);
      put_suppression(u, page->out);
      fprintf(page->out, ": %s", text_plural(u->matched, "stack", "stacks"));
      if (u->of.blocks)
        fprintf(page->out, ", %s in %s", text_size(&plain, u->of.bytes),
                text_plural(u->of.blocks, "block", "blocks"));
      fputc('\n', page->out);
    }
  }
  for (size_t i = 0; i < n; i++) {
    const struct suppression *u = suppressions_at(all, i);
    if (u->matched || !u->file) continue;
    fputs(idle ? ", " : "suppressions without a match: ", page->out);
    if (idle++ < GAPS_SHOWN)
      put_suppression(u, page->out);
    else
      break;
  }
  if (idle > GAPS_SHOWN) fputs("and more", page->out);
  if (idle) fputc('\n', page->out);
}

/* Of --ours and --not-ours, as they were given. */
static size_t put_idle(const struct ours_list *list, const char *option, size_t idle,
                       FILE *out) {
  for (size_t i = 0; i < list->count; i++) {
    if (list->seen[i]) continue;
    fputs(idle++ ? ", " : "without a match in what was found: ", out);
    fprintf(out, "--%s=%s", option, text_escaped(list->at[i]));
  }
  return idle;
}

static void put_ours(const struct suite *s, const struct suite_page *page) {
  size_t idle = 0;
  if (!s->count) return;
  idle = put_idle(&s->rules.ours.mine, "ours", idle, page->out);
  idle = put_idle(&s->rules.ours.others, "not-ours", idle, page->out);
  if (idle) fputc('\n', page->out);
}

static bool is_unmarked(const struct suite_process *p) {
  return p->unmarked;
}

static bool is_cold(const struct suite_process *p) {
  return p->cold;
}

/* Programs of which that is true, each once. */
static void put_programs(const struct suite *s, bool (*is)(const struct suite_process *),
                         const char *title, FILE *out) {
  const char *shown[GAPS_SHOWN];
  size_t count = 0;
  bool more = false;
  for (size_t i = 0; i < s->process_count; i++) {
    const char *name = suite_name_of(&s->processes[i]);
    size_t k = 0;
    while (k < count && strcmp(shown[k], name) != 0)
      k++;
    if (!is(&s->processes[i]) || k < count) continue;
    more = count == GAPS_SHOWN;
    if (more) break;
    fprintf(out, "%s%s", count ? ", " : title, text_escaped(name));
    shown[count++] = name;
  }
  if (more) fputs(" and more", out);
  if (count) fputc('\n', out);
}

/* What it did not leave out, and what it left out whole. */
static void put_warmup(const struct suite *s, const struct suite_page *page) {
  struct text_long title;
  const char *end = text_escaped(s->rules.warmup ? s->rules.warmup : "");
  snprintf(title.s, sizeof title.s, "judged whole, for there is no mark '%s': ", end);
  put_programs(s, is_unmarked, title.s, page->out);
  snprintf(title.s, sizeof title.s,
           "ended before the warm-up of %s, so its leaks do not count: ", end);
  put_programs(s, is_cold, title.s, page->out);
}

void suite_text(const struct suite *s, const struct suite_page *page) {
  put_head(s, page);
  put_findings(s, page);
  put_totals(s, page);
  put_lines(s->baseline, baseline_is_fixed, "fixed: ", page->out);
  put_lines(s->baseline, has_moved, "moved, known by their function: ", page->out);
  put_suppressions(s, page);
  put_ours(s, page);
  put_warmup(s, page);
  put_gaps(s, SUITE_UNSCANNED, "leaks not judged: ", page);
  put_gaps(s, SUITE_UNRECORDED, "not checked: ", page);
  put_gaps(s, SUITE_NOT_OURS, "not judged: ", page);
  if (suite_fails(s))
    fputs("accept: ullage check --update-baseline FILE ...\n", page->out);
  if (page->recording && page->stays)
    fprintf(page->out,
            "recordings stay until %u later checks have failed; -o FILE keeps them\n",
            page->stays);
  if (page->recording)
    fprintf(page->out, "details: ullage leaks %s\n", text_word(page->recording));
}
