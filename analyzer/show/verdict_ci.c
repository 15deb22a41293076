/* verdict_ci.c - a suite's verdict for those who run suites: JUnit's XML, in which each
 * process is a test case, and annotations of GitHub's workflows. */
#include "show/suite.h"
#include "show/xml.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* ---- JUnit ------------------------------------------------------------------------ */

/* How a test case ended: the names of its elements. */
static const char PASSED[] = "", FAILURE[] = "failure", ERROR[] = "error",
                  SKIPPED[] = "skipped";

/* What of it makes the test case of that process fail. */
static bool fails(const struct suite_finding *f, size_t process,
                  struct suite_finding *part) {
  return suite_counts(f) && suite_part(f, process, part);
}

static const char *outcome_of(const struct suite *s, size_t process) {
  struct suite_finding part;
  const char *outcome = s->processes[process].standing == SUITE_JUDGED ? PASSED : SKIPPED;
  for (size_t i = 0; i < s->count; i++) {
    if (!fails(&s->findings[i], process, &part)) continue;
    if (part.kind != SUITE_UNCHECKED) return FAILURE;
    outcome = ERROR;
  }
  return outcome;
}

static bool is_case(const struct suite_process *p) {
  return p->standing != SUITE_NOT_OURS;
}

static size_t count_of(const struct suite *s, const char *outcome) {
  size_t n = 0;
  for (size_t i = 0; i < s->process_count; i++)
    n += is_case(&s->processes[i]) && outcome_of(s, i) == outcome;
  return n;
}

static void put_finding(const struct suite_finding *f, const struct suite_page *page) {
  fprintf(page->out, "%s, %s: ", suite_what(f), suite_amount(f));
  xml_put(page->out, suite_where(&f->at, page));
  if (f->freed.count) fprintf(page->out, ", %s ", suite_freed(f));
  if (f->freed.count) xml_put(page->out, suite_where(&f->freed, page));
  if (f->allocated.count) fputs(", allocated ", page->out);
  if (f->allocated.count) xml_put(page->out, suite_where(&f->allocated, page));
  fputc('\n', page->out);
}

/* All in one element, the gravest before the others: not every reader takes several. */
static void put_failure(const struct suite *s, size_t process,
                        const struct suite_page *page) {
  struct suite_finding part, first;
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++)
    if (fails(&s->findings[i], process, &part) && part.kind != SUITE_UNCHECKED && !n++)
      first = part;
  fprintf(page->out, "   <failure type=\"%s\" message=\"%s, %s", suite_what(&first),
          suite_what(&first), suite_amount(&first));
  if (n > 1) fprintf(page->out, ", and %zu more", n - 1);
  fputs("\">", page->out);
  for (size_t i = 0; i < s->count; i++)
    if (fails(&s->findings[i], process, &part) && part.kind != SUITE_UNCHECKED)
      put_finding(&part, page);
  fputs("</failure>\n", page->out);
}

/* The name of a test case is as much of the command as lines of children keep, and the
 * same in the next run, as those who compare runs want it: no process id, but which of
 * its name it is. Runners, shells and interpreters that were not judged are none. */
struct name {
  uint64_t count;
  UT_hash_handle hh;
  char text[200];
};
struct cases {
  const struct suite *suite;
  const struct suite_page *page;
  struct name *names;
};

/* Below the root of the sources a word is told by its path from there. */
static void cut_roots(char *text, const struct suite_page *page) {
  for (char *word = text; *word; word++) {
    if (word != text && word[-1] != ' ' && word[-1] != '=') continue;
    const char *rest = suite_path(word, page);
    if (rest != word) memmove(word, rest, strlen(rest) + 1);
  }
}

static void put_name(struct cases *c, const char *command) {
  struct name *name = NULL;
  char text[sizeof name->text];
  utf8_escape(text, sizeof text, command);
  cut_roots(text, c->page);
  HASH_FIND_STR(c->names, text, name);
  if (!name && (name = calloc(1, sizeof *name))) {
    strcpy(name->text, text);
    HASH_ADD_STR(c->names, text, name);
  }
  xml_put(c->page->out, text);
  if (name && ++name->count > 1) fprintf(c->page->out, " (%s)", text_count(name->count));
}

static void begin_case(struct cases *c, const char *command, uint64_t ms) {
  fputs("  <testcase classname=\"ullage\" name=\"", c->page->out);
  put_name(c, command);
  fprintf(c->page->out, "\" time=\"%.3f\">\n", (double)ms / 1000);
}

static void put_case(struct cases *c, size_t i) {
  const struct suite_process *p = &c->suite->processes[i];
  const char *outcome = outcome_of(c->suite, i);
  begin_case(c, *p->command ? p->command : suite_name_of(p), p->duration_ms);
  if (outcome == FAILURE)
    put_failure(c->suite, i, c->page);
  else if (outcome != PASSED) {
    fprintf(c->page->out, "   <%s type=\"not checked\" message=\"", outcome);
    xml_put(c->page->out, suite_reason(p));
    fputs("\"/>\n", c->page->out);
  }
  fputs("  </testcase>\n", c->page->out);
}

static void put_cases(struct cases *c) {
  struct name *name, *next;
  for (size_t i = 0; i < c->suite->process_count; i++)
    if (is_case(&c->suite->processes[i])) put_case(c, i);
  for (const struct suite_silent *one = c->suite->told; one; one = one->before) {
    begin_case(c, one->command, one->ms);
    fputs("  </testcase>\n", c->page->out);
  }
  HASH_ITER(hh, c->names, name, next) {
    HASH_DEL(c->names, name);
    free(name);
  }
}

void suite_junit(const struct suite *s, const struct suite_page *page) {
  struct cases cases = {.suite = s, .page = page};
  uint64_t ms = 0, told = 0;
  for (size_t i = 0; i < s->process_count; i++)
    if (is_case(&s->processes[i])) ms += s->processes[i].duration_ms;
  for (const struct suite_silent *one = s->told; one; one = one->before, told++)
    ms += one->ms;
  size_t failures = count_of(s, FAILURE), errors = count_of(s, ERROR);
  size_t skipped = count_of(s, SKIPPED), passed = count_of(s, PASSED) + told;
  fprintf(page->out,
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
          " <testsuite name=\"ullage\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
          "skipped=\"%zu\" time=\"%.3f\">\n",
          failures + errors + skipped + passed, failures, errors, skipped,
          (double)ms / 1000);
  put_cases(&cases);
  if (s->silent > told)
    fprintf(page->out, "  <system-out>nothing found in %s more</system-out>\n",
            text_plural(s->silent - told, "process", "processes"));
  fputs(" </testsuite>\n</testsuites>\n", page->out);
}

/* ---- GitHub ----------------------------------------------------------------------- */

/* A property ends at ',' and ':', a command at the end of its line. */
static void put_github(const char *text, bool property, FILE *out) {
  for (; *text; text++) {
    bool coded = strchr("%\r\n", *text) || (property && strchr(":,", *text));
    fprintf(out, coded ? "%%%02X" : "%c", (unsigned char)*text);
  }
}

void suite_github(const struct suite *s, const struct suite_page *page) {
  for (size_t i = 0; i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    if (!suite_counts(f)) continue;
    const struct frame *at = NULL;
    for (size_t k = f->at.guilty; k < f->at.count && !at; k++)
      if (f->at.frames[k].file && f->at.frames[k].line) at = &f->at.frames[k];
    fputs("::error ", page->out);
    if (at) {
      fputs("file=", page->out);
      put_github(suite_path(at->file, page), true, page->out);
      fprintf(page->out, ",line=%u,", at->line);
    }
    fputs("title=", page->out);
    put_github(suite_what(f), true, page->out);
    fputs("::", page->out);
    put_github(suite_amount(f), false, page->out);
    fputs(": ", page->out);
    put_github(f->kind == SUITE_UNCHECKED ? suite_reason(&s->processes[f->process])
                                          : suite_where(&f->at, page),
               false, page->out);
    fputs(" (", page->out);
    put_github(suite_who(s, f), false, page->out);
    fputs(")\n", page->out);
  }
}
