/* verdict_ci.c - a suite's verdict for those who run suites: JUnit's XML, in which each
 * process is a test case; annotations of GitHub's workflows; and memcheck's text. */
#include "show/suite.h"

#include <string.h>

/* ---- JUnit ------------------------------------------------------------------------ */

/* Characters that XML cannot have, even escaped, have been escaped before. */
static void put_xml(const char *text, FILE *out) {
  for (; *text; text++) {
    const char *as = *text == '<'    ? "&lt;"
                     : *text == '>'  ? "&gt;"
                     : *text == '&'  ? "&amp;"
                     : *text == '"'  ? "&quot;"
                     : *text == '\n' ? "&#10;"
                                     : NULL;
    if (as)
      fputs(as, out);
    else
      fputc(*text, out);
  }
}

static bool was_seen_in(const struct suite_finding *f, size_t process) {
  for (const struct suite_sighting *s = f->seen; s; s = s->before)
    if (s->process == process) return true;
  return false;
}

static bool fails(const struct suite_finding *f, size_t process) {
  return suite_counts(f) && f->kind != SUITE_UNCHECKED && was_seen_in(f, process);
}

static size_t failures_of(const struct suite *s, size_t process) {
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++)
    n += fails(&s->findings[i], process);
  return n;
}

static void put_failure(const struct suite_finding *f, const struct suite_page *page) {
  fputs("   <failure type=\"", page->out);
  put_xml(suite_what(f), page->out);
  fputs("\" message=\"", page->out);
  put_xml(suite_what(f), page->out);
  fputs(", ", page->out);
  put_xml(suite_amount(f), page->out);
  fputs("\">", page->out);
  put_xml(suite_where(&f->at, page), page->out);
  if (f->freed.count) fputs(", freed first ", page->out);
  if (f->freed.count) put_xml(suite_where(&f->freed, page), page->out);
  if (f->allocated.count) fputs(", allocated ", page->out);
  if (f->allocated.count) put_xml(suite_where(&f->allocated, page), page->out);
  fputs("</failure>\n", page->out);
}

static void put_case(const struct suite *s, size_t i, const struct suite_page *page) {
  const struct suite_process *p = &s->processes[i];
  fputs("  <testcase classname=\"ullage\" name=\"", page->out);
  put_xml(text_escaped(*p->command ? p->command : suite_base_name(p->program)),
          page->out);
  fprintf(page->out, " (%d)\" time=\"%.3f\">\n", p->pid, (double)p->duration_ms / 1000);
  for (size_t k = 0; k < s->count; k++)
    if (fails(&s->findings[k], i)) put_failure(&s->findings[k], page);
  if (p->standing != SUITE_JUDGED && !failures_of(s, i)) {
    fputs("   <skipped message=\"", page->out);
    put_xml(p->standing == SUITE_NOT_OURS ? "not judged" : suite_reason(p), page->out);
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

/* ---- memcheck's text, as far as CTest reads it ------------------------------------ */

static void put_stack(const struct suite_stack *s, int pid, FILE *out) {
  char line[1024];
  for (size_t i = 0; i < s->count; i++) {
    frame_text(&s->frames[i], line, sizeof line);
    fprintf(out, "==%d==    %s 0x%llX: %s\n", pid, i ? "by" : "at",
            (unsigned long long)s->frames[i].address, text_escaped(line));
  }
}

static void put_free(const struct suite_finding *f, int pid, FILE *out) {
  fprintf(out, "==%d== %s\n", pid,
          f->kind == SUITE_MISMATCH ? "Mismatched free() / delete / delete []"
                                    : "Invalid free() / delete / delete[] / realloc()");
  put_stack(&f->at, pid, out);
  if (f->freed.count) fprintf(out, "==%d==  The block was free'd before\n", pid);
  put_stack(&f->freed, pid, out);
  if (f->allocated.count) fprintf(out, "==%d==  Block was alloc'd at\n", pid);
  put_stack(&f->allocated, pid, out);
}

static void put_loss(const struct suite_finding *f, size_t record, size_t records,
                     int pid, FILE *out) {
  static const char *const words[SUITE_KINDS] = {
      [SUITE_DEFINITE] = "definitely lost",
      [SUITE_INDIRECT] = "indirectly lost",
      [SUITE_POSSIBLE] = "possibly lost",
      [SUITE_REACHABLE] = "still reachable",
  };
  fprintf(out, "==%d== %s ", pid, text_count(f->of.bytes));
  if (f->dragged.bytes)
    fprintf(out, "(%s direct, %s indirect) ", text_count(f->of.bytes - f->dragged.bytes),
            text_count(f->dragged.bytes));
  fprintf(out, "bytes in %s blocks are %s in loss record %zu of %zu\n",
          text_count(f->of.blocks - f->dragged.blocks), words[f->kind], record, records);
  put_stack(&f->at, pid, out);
}

static bool is_loss(const struct suite_finding *f) {
  return suite_counts(f) && f->kind < SUITE_GROWTH;
}

void suite_memcheck(const struct suite *s, const struct suite_page *page) {
  size_t records = 0, record = 0;
  for (size_t i = 0; i < s->count; i++)
    records += is_loss(&s->findings[i]);
  for (size_t i = 0; i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    int pid = s->processes[f->process].pid;
    if (is_loss(f))
      put_loss(f, ++record, records, pid, page->out);
    else if (suite_counts(f) && (f->kind == SUITE_BAD_FREE || f->kind == SUITE_MISMATCH))
      put_free(f, pid, page->out);
    else
      continue;
    fprintf(page->out, "==%d== \n", pid);
  }
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
