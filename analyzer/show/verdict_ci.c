/* verdict_ci.c - a suite's verdict for those who run suites: JUnit's XML, in which each
 * process is a test case, and annotations of GitHub's workflows. */
#include "show/suite.h"
#include "show/xml.h"

#include <string.h>

/* ---- JUnit ------------------------------------------------------------------------ */

/* What of it makes the test case of that process fail. */
static bool fails(const struct suite_finding *f, size_t process,
                  struct suite_finding *part) {
  return suite_counts(f) && f->kind != SUITE_UNCHECKED && suite_part(f, process, part);
}

static size_t failures_of(const struct suite *s, size_t process) {
  struct suite_finding part;
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++)
    n += fails(&s->findings[i], process, &part);
  return n;
}

static void put_failure(const struct suite_finding *f, const struct suite_page *page) {
  fputs("   <failure type=\"", page->out);
  xml_put(page->out, suite_what(f));
  fputs("\" message=\"", page->out);
  xml_put(page->out, suite_what(f));
  fputs(", ", page->out);
  xml_put(page->out, suite_amount(f));
  fputs("\">", page->out);
  xml_put(page->out, suite_where(&f->at, page));
  if (f->freed.count) fputs(", freed first ", page->out);
  if (f->freed.count) xml_put(page->out, suite_where(&f->freed, page));
  if (f->allocated.count) fputs(", allocated ", page->out);
  if (f->allocated.count) xml_put(page->out, suite_where(&f->allocated, page));
  fputs("</failure>\n", page->out);
}

static void put_case(const struct suite *s, size_t i, const struct suite_page *page) {
  const struct suite_process *p = &s->processes[i];
  struct suite_finding part;
  fputs("  <testcase classname=\"ullage\" name=\"", page->out);
  xml_put(page->out, *p->command ? p->command : suite_base_name(p->program));
  fprintf(page->out, " (%d)\" time=\"%.3f\">\n", p->pid, (double)p->duration_ms / 1000);
  for (size_t k = 0; k < s->count; k++)
    if (fails(&s->findings[k], i, &part)) put_failure(&part, page);
  if (p->standing != SUITE_JUDGED && !failures_of(s, i)) {
    fputs("   <skipped message=\"", page->out);
    xml_put(page->out, p->standing == SUITE_NOT_OURS ? "not judged" : suite_reason(p));
    fputs("\"/>\n", page->out);
  }
  fputs("  </testcase>\n", page->out);
}

void suite_junit(const struct suite *s, const struct suite_page *page) {
  size_t failed = 0, skipped = 0;
  for (size_t i = 0; i < s->process_count; i++) {
    bool fails_here = failures_of(s, i) > 0;
    failed += fails_here;
    skipped += !fails_here && s->processes[i].standing != SUITE_JUDGED;
  }
  fprintf(page->out,
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
          " <testsuite name=\"ullage\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" "
          "skipped=\"%zu\">\n",
          s->process_count, failed, skipped);
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
