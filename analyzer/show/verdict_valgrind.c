/* verdict_valgrind.c - a suite's verdict as Valgrind's memcheck would tell it, for those
 * who read that: its text, as far as CTest does, and its XML, version 4 of the protocol
 * in Valgrind's docs/internals/xml-output-protocol4.txt.
 *
 * Memcheck has a document for each process, so there can be one here (page->process),
 * with what was found in that process. One for all has each call stack of each finding
 * once, and says where it was found. What memcheck has no kind for is left out, and the
 * XML says how much that is. */
#include "show/suite.h"
#include "show/xml.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool is_loss(const struct suite_finding *f) {
  return f->kind < SUITE_GROWTH;
}

/* What of it the page tells; false: nothing. */
static bool tells(const struct suite *s, const struct suite_page *page,
                  const struct suite_finding *f, struct suite_finding *part) {
  if (page->process) return suite_part(f, (size_t)(page->process - s->processes), part);
  *part = *f;
  return true;
}

/* The call stacks that count, one after the other: each an error of memcheck's. */
struct errors {
  const struct suite *suite;
  const struct suite_page *page;
  size_t finding, stack, number;
};

/* false: there are no more. */
static bool next(struct errors *e, struct suite_finding *error) {
  const struct suite *s = e->suite;
  for (; e->finding < s->count; e->finding++, e->stack = 0) {
    const struct suite_finding *f = &s->findings[e->finding], *stacks;
    size_t n = suite_counts(f) ? suite_stacks(f, &stacks) : 0;
    while (e->stack < n)
      if (tells(s, e->page, &stacks[e->stack++], error)) return ++e->number;
  }
  return false;
}

/* As Valgrind has it: within the call, not behind it. */
static unsigned long long address_of(const struct frame *f) {
  return f->address ? f->address - 1 : 0;
}

/* ---- words ------------------------------------------------------------------------ */

/* Of a write it is not known where it was done: it was found later. */
static const char *misuse_words_in(struct text_long *to, const struct suite_finding *f) {
  if (suite_is_write(f))
    snprintf(to->s, sizeof to->s,
             "Invalid write of size %u, found later; the block was alloc'd at",
             f->first.changed);
  else
    snprintf(to->s, sizeof to->s, "%s",
             f->kind == SUITE_MISMATCH
                 ? "Mismatched free() / delete / delete []"
                 : "Invalid free() / delete / delete[] / realloc()");
  return to->s;
}
#define misuse_words(f) misuse_words_in(TEXT_LONG, f)

static const char *loss_words_in(struct text_long *to, const struct suite_finding *f,
                                 size_t record, size_t records) {
  static const char *const words[SUITE_KINDS] = {
      [SUITE_DEFINITE] = "definitely lost",
      [SUITE_INDIRECT] = "indirectly lost",
      [SUITE_POSSIBLE] = "possibly lost",
      [SUITE_REACHABLE] = "still reachable",
  };
  char parts[128] = "";
  if (f->dragged.bytes)
    snprintf(parts, sizeof parts, "(%s direct, %s indirect) ",
             text_count(f->of.bytes - f->dragged.bytes), text_count(f->dragged.bytes));
  snprintf(to->s, sizeof to->s,
           "%s %sbytes in %s blocks are %s in loss record %zu of %zu",
           text_count(f->of.bytes), parts, text_count(f->of.blocks - f->dragged.blocks),
           words[f->kind], record, records);
  return to->s;
}
#define loss_words(f, record, records) loss_words_in(TEXT_LONG, f, record, records)

static size_t losses(const struct suite *s, const struct suite_page *page) {
  struct errors all = {.suite = s, .page = page};
  struct suite_finding f;
  size_t n = 0;
  while (next(&all, &f))
    n += is_loss(&f);
  return n;
}

/* ---- text ------------------------------------------------------------------------- */

static void put_stack(const struct suite_stack *s, int pid, FILE *out) {
  char line[1024];
  for (size_t i = 0; i < s->count; i++) {
    frame_text(&s->frames[i], line, sizeof line);
    fprintf(out, "==%d==    %s 0x%llX: %s\n", pid, i ? "by" : "at",
            address_of(&s->frames[i]), text_escaped(line));
  }
}

static void put_misuse(const struct suite_finding *f, int pid, FILE *out) {
  fprintf(out, "==%d== %s\n", pid, misuse_words(f));
  put_stack(&f->at, pid, out);
  if (suite_is_write(f))
    fprintf(out, "==%d==  Address 0x%llX: %s\n", pid,
            (unsigned long long)f->first.address, misuse_detail(f->misuse, &f->first));
  if (f->freed.count)
    fprintf(out, "==%d==  The block was free'd%s\n", pid,
            suite_is_write(f) ? "" : " before");
  put_stack(&f->freed, pid, out);
  if (f->allocated.count) fprintf(out, "==%d==  Block was alloc'd at\n", pid);
  put_stack(&f->allocated, pid, out);
}

void suite_memcheck(const struct suite *s, const struct suite_page *page) {
  size_t records = losses(s, page), record = 0;
  struct errors all = {.suite = s, .page = page};
  struct suite_finding f;
  while (next(&all, &f)) {
    int pid = page->process ? page->process->pid : s->processes[f.process].pid;
    if (is_loss(&f)) {
      fprintf(page->out, "==%d== %s\n", pid, loss_words(&f, ++record, records));
      put_stack(&f.at, pid, page->out);
    } else if (suite_is_misuse(&f))
      put_misuse(&f, pid, page->out);
    else
      continue;
    fprintf(page->out, "==%d== \n", pid);
  }
}

/* ---- XML: before and after the errors --------------------------------------------- */

/* Of which the head tells: what was named, else the first. */
static const struct suite_process *head_of(const struct suite *s,
                                           const struct suite_page *page) {
  if (page->process) return page->process;
  for (size_t i = 0; i < s->process_count; i++)
    if (s->main_pid && s->processes[i].pid == s->main_pid) return &s->processes[i];
  return s->process_count ? s->processes : NULL;
}

static void put_line(FILE *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put_line(FILE *out, const char *format, ...) {
  struct text_long text;
  va_list list;
  va_start(list, format);
  vsnprintf(text.s, sizeof text.s, format, list);
  va_end(list);
  xml_element(out, 2, "line", text.s);
}

/* What else there is to know: of processes that were not judged, and what is left out. */
static void put_preamble(const struct suite *s, const struct suite_page *page) {
  size_t foreign = 0, known = 0;
  for (size_t i = 0; i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    struct suite_finding part;
    if (!tells(s, page, f, &part)) continue;
    foreign += suite_counts(f) && !is_loss(f) && !suite_is_misuse(f);
    known += f->state == SUITE_KNOWN;
  }
  fputs("<preamble>\n", page->out);
  put_line(page->out, "ullage %s, in the words of Valgrind's memcheck", ULLAGE_VERSION);
  if (foreign)
    put_line(page->out, "left out, for memcheck has no such kind: %s",
             text_plural(foreign, "finding", "findings"));
  if (known)
    put_line(page->out, "left out, for the baseline has them: %s",
             text_plural(known, "finding", "findings"));
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    if (page->process && page->process != p) continue;
    if (p->standing == SUITE_UNSCANNED || p->standing == SUITE_UNRECORDED)
      put_line(page->out, "not checked for leaks: %s (%s)", suite_name_of(p),
               suite_reason(p));
  }
  fputs("</preamble>\n\n", page->out);
}

static void put_arguments(const struct suite_process *p, FILE *out) {
  const char *a = p->arguments;
  fputs("<args>\n  <vargv>\n    <exe>ullage</exe>\n    <arg>check</arg>\n  </vargv>\n"
        "  <argv>\n",
        out);
  xml_element(out, 4, "exe", *a ? a : p->program);
  if (*a) a += strlen(a) + 1;
  for (; *a; a += strlen(a) + 1)
    xml_element(out, 4, "arg", a);
  fputs("  </argv>\n</args>\n\n", out);
}

static void put_status(const char *state, uint64_t ms, FILE *out) {
  unsigned s = (unsigned)(ms / 1000);
  fprintf(out,
          "<status>\n  <state>%s</state>\n  <time>%02u:%02u:%02u:%02u.%03u</time>\n"
          "</status>\n\n",
          state, s / 86400, s / 3600 % 24, s / 60 % 60, s % 60, (unsigned)(ms % 1000));
}

/* Of the stacks of a finding, those that the page tells. */
static size_t stacks_told(const struct suite *s, const struct suite_page *page,
                          const struct suite_finding *f) {
  const struct suite_finding *stacks;
  struct suite_finding part;
  size_t count = 0;
  for (size_t i = 0, n = suite_stacks(f, &stacks); i < n; i++)
    count += tells(s, page, &stacks[i], &part);
  return count;
}

/* The names and how many stacks each has taken. */
static void put_suppressed(const struct suite *s, const struct suite_page *page) {
  size_t n = suppressions_count(s->rules.suppressions);
  fputs("<suppcounts>\n", page->out);
  for (size_t i = 0; i < n; i++) {
    const struct suppression *u = suppressions_at(s->rules.suppressions, i);
    size_t count = 0;
    for (size_t k = 0; k < s->count; k++)
      if (s->findings[k].accepted == u) count += stacks_told(s, page, &s->findings[k]);
    if (!count) continue;
    fprintf(page->out, "  <pair>\n    <count>%zu</count>\n", count);
    xml_element(page->out, 4, "name", u->name);
    fputs("  </pair>\n", page->out);
  }
  fputs("</suppcounts>\n\n", page->out);
}

/* ---- XML: errors ------------------------------------------------------------------ */

static void put_source(const struct frame *f, const struct suite_page *page) {
  const char *path = suite_path(f->file, page), *name = basename(path);
  char *directory = strndup(path, name == path ? 0 : (size_t)(name - path - 1));
  if (directory && *directory) xml_element(page->out, 6, "dir", directory);
  free(directory);
  xml_element(page->out, 6, "file", name);
  if (f->line) fprintf(page->out, "      <line>%u</line>\n", f->line);
}

/* At least one frame is expected. */
static void put_frames(const struct suite_stack *stack, const struct suite_page *page) {
  fputs("  <stack>\n", page->out);
  for (size_t i = 0; i < stack->count; i++) {
    const struct frame *f = &stack->frames[i];
    fprintf(page->out, "    <frame>\n      <ip>0x%llX</ip>\n", address_of(f));
    if (f->module) xml_element(page->out, 6, "obj", f->module);
    if (f->function) xml_element(page->out, 6, "fn", f->function);
    if (f->file) put_source(f, page);
    fputs("    </frame>\n", page->out);
  }
  if (!stack->count) fputs("    <frame>\n      <ip>0x0</ip>\n    </frame>\n", page->out);
  fputs("  </stack>\n", page->out);
}

/* Later versions of memcheck have kinds of their own for other sizes, which older readers
 * do not take. */
static const char *kind_of(const struct suite_finding *f) {
  static const char *const kinds[SUITE_KINDS] = {
      [SUITE_DEFINITE] = "Leak_DefinitelyLost", [SUITE_INDIRECT] = "Leak_IndirectlyLost",
      [SUITE_POSSIBLE] = "Leak_PossiblyLost",   [SUITE_REACHABLE] = "Leak_StillReachable",
      [SUITE_BAD_FREE] = "InvalidFree",         [SUITE_MISMATCH] = "MismatchedFree",
      [SUITE_OVERRUN] = "InvalidWrite",         [SUITE_WRITTEN_FREED] = "InvalidWrite",
  };
  return kinds[f->kind];
}

static void put_what(const struct suite_finding *f, size_t record, size_t records,
                     FILE *out) {
  if (suite_is_misuse(f)) {
    xml_element(out, 2, "what", misuse_words(f));
    return;
  }
  fputs("  <xwhat>\n", out);
  xml_element(out, 4, "text", loss_words(f, record, records));
  fprintf(out,
          "    <leakedbytes>%llu</leakedbytes>\n    <leakedblocks>%llu</leakedblocks>\n"
          "  </xwhat>\n",
          (unsigned long long)f->of.bytes,
          (unsigned long long)(f->of.blocks - f->dragged.blocks));
}

/* What ullage calls it, and the block. */
static void put_origins(const struct suite_finding *f, const struct suite_page *page) {
  struct text_long words;
  const char *detail = misuse_detail(f->misuse, &f->first);
  const char *then = f->freed.count       ? "; the block was free'd"
                     : f->allocated.count ? "; the block was alloc'd"
                                          : "";
  snprintf(words.s, sizeof words.s, "Address 0x%llX: %s%s%s%s%s",
           (unsigned long long)f->first.address, suite_what(f), *detail ? " (" : "",
           detail, *detail ? ")" : "", then);
  xml_element(page->out, 2, "auxwhat", words.s);
  if (f->freed.count) put_frames(&f->freed, page);
  if (f->freed.count && f->allocated.count)
    xml_element(page->out, 2, "auxwhat", "Block was alloc'd at");
  if (f->allocated.count) put_frames(&f->allocated, page);
}

static void put_error(const struct suite *s, const struct suite_finding *f, size_t unique,
                      size_t record, size_t records, const struct suite_page *page) {
  struct text_long where;
  fprintf(page->out, "<error>\n  <unique>0x%zx</unique>\n  <tid>1</tid>\n", unique);
  xml_element(page->out, 2, "kind", kind_of(f));
  put_what(f, record, records, page->out);
  put_frames(&f->at, page);
  if (suite_is_misuse(f)) put_origins(f, page);
  if (!page->process) {
    snprintf(where.s, sizeof where.s, "In process %d: %s", s->processes[f->process].pid,
             suite_who(s, f));
    xml_element(page->out, 2, "auxwhat", where.s);
  }
  fputs("</error>\n\n", page->out);
}

/* Those of one sort; the others come before or after the end of the program. */
static void put_errors(const struct suite *s, bool (*is)(const struct suite_finding *),
                       const struct suite_page *page) {
  size_t records = losses(s, page), record = 0;
  struct errors all = {.suite = s, .page = page};
  struct suite_finding f;
  while (next(&all, &f))
    if (is(&f)) put_error(s, &f, all.number, ++record, records, page);
}

/* How often each was done; what is lost is so once. */
static void put_counts(const struct suite *s, const struct suite_page *page) {
  fputs("<errorcounts>\n", page->out);
  struct errors all = {.suite = s, .page = page};
  struct suite_finding f;
  while (next(&all, &f))
    if (suite_is_misuse(&f))
      fprintf(
          page->out,
          "  <pair>\n    <count>%llu</count>\n    <unique>0x%zx</unique>\n  </pair>\n",
          (unsigned long long)f.times, all.number);
  fputs("</errorcounts>\n\n", page->out);
}

void suite_valgrind_xml(const struct suite *s, const struct suite_page *page) {
  const struct suite_process *p = head_of(s, page);
  static const struct suite_process nobody = {.program = "", .arguments = ""};
  if (!p) p = &nobody;
  fputs("<?xml version=\"1.0\"?>\n\n<valgrindoutput>\n\n"
        "<protocolversion>4</protocolversion>\n<protocoltool>memcheck</protocoltool>\n\n",
        page->out);
  put_preamble(s, page);
  fprintf(page->out, "<pid>%d</pid>\n<ppid>%d</ppid>\n<tool>memcheck</tool>\n\n", p->pid,
          p->ppid);
  put_arguments(p, page->out);
  put_status("RUNNING", 0, page->out);
  put_errors(s, suite_is_misuse, page);
  put_status("FINISHED", p->duration_ms, page->out);
  put_errors(s, is_loss, page);
  put_counts(s, page);
  put_suppressed(s, page);
  fputs("</valgrindoutput>\n", page->out);
}
