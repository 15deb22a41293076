/* verdict_ci.c - a suite's verdict for those who run suites: JUnit's XML, in which each
 * process is a test case, and annotations of GitHub's workflows. */
#include "show/suite.h"
#include "show/xml.h"

#include <string.h>

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

static size_t count_of(const struct suite *s, const char *outcome) {
  size_t n = 0;
  for (size_t i = 0; i < s->process_count; i++)
    n += outcome_of(s, i) == outcome;
  return n;
}

static void put_finding(const struct suite_finding *f, const struct suite_page *page) {
  fprintf(page->out, "%s, %s: ", suite_what(f), suite_amount(f));
  xml_put(page->out, suite_where(&f->at, page));
  if (f->freed.count) fputs(", freed first ", page->out);
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

static const char *name_of(const struct suite_process *p) {
  return *p->command ? p->command : suite_name_of(p);
}

/* The same in the next run, as those who compare runs want it: no process id, but which
 * of its name it is. */
static void put_name(const struct suite *s, size_t process, FILE *out) {
  const char *name = name_of(&s->processes[process]);
  size_t same = 1;
  for (size_t i = 0; i < process; i++)
    same += strcmp(name_of(&s->processes[i]), name) == 0;
  xml_put(out, name);
  if (same > 1) fprintf(out, " (%zu)", same);
}

static void put_case(const struct suite *s, size_t i, const struct suite_page *page) {
  const struct suite_process *p = &s->processes[i];
  const char *outcome = outcome_of(s, i);
  fputs("  <testcase classname=\"ullage\" name=\"", page->out);
  put_name(s, i, page->out);
  fprintf(page->out, "\" time=\"%.3f\">\n", (double)p->duration_ms / 1000);
  if (outcome == FAILURE)
    put_failure(s, i, page);
  else if (outcome != PASSED) {
    const char *why = p->standing == SUITE_NOT_OURS ? "not judged" : suite_reason(p);
    fprintf(page->out, "   <%s type=\"not checked\" message=\"", outcome);
    xml_put(page->out, why);
    fputs("\"/>\n", page->out);
  }
  fputs("  </testcase>\n", page->out);
}

void suite_junit(const struct suite *s, const struct suite_page *page) {
  uint64_t ms = 0;
  for (size_t i = 0; i < s->process_count; i++)
    ms += s->processes[i].duration_ms;
  fprintf(page->out,
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
          " <testsuite name=\"ullage\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
          "skipped=\"%zu\" time=\"%.3f\">\n",
          s->process_count, count_of(s, FAILURE), count_of(s, ERROR),
          count_of(s, SKIPPED), (double)ms / 1000);
  for (size_t i = 0; i < s->process_count; i++)
    put_case(s, i, page);
  if (s->silent)
    fprintf(page->out, "  <system-out>nothing found in %s more</system-out>\n",
            text_plural(s->silent, "process", "processes"));
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
