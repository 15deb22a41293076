/* suppressions.c - findings as suppressions: for `check` itself, and for the tools whose
 * syntax it is. */
#include "show/suite.h"

#include <string.h>

/* ---- Valgrind's ------------------------------------------------------------------- */

/* Whether it was malloc or calloc is not known. */
static const char *allocator(const struct suite_finding *f) {
  if (suite_is_misuse(f)) return "fun:*";
  switch (f->family) {
  case UL_FAMILY_MALLOC:
    return "fun:*alloc";
  case UL_FAMILY_NEW:
    return "fun:_Znw*";
  case UL_FAMILY_NEW_ARRAY:
    return "fun:_Zna*";
  default:
    return "fun:*";
  }
}

static void put_place(const struct frame *f, FILE *out) {
  if (f->function && !f->derived)
    fprintf(out, "   fun:%s\n", f->linkage ? f->linkage : f->function);
  else if (f->module)
    fprintf(out, "   obj:%s\n", f->module);
  else
    fputs("   obj:*\n", out);
}

/* Inlined functions are only there with debug information: whether they are or not. */
static void put_places(const struct suite_stack *at, FILE *out) {
  bool any = false;
  for (size_t i = 0; i < at->count; i++) {
    const struct frame *f = &at->frames[i];
    if (f->inlined && !any) fputs("   ...\n", out);
    if (!f->inlined && !f->note) put_place(f, out);
    any = f->inlined || (any && f->note);
  }
}

static void put_for_valgrind(const struct suite *s, const struct suite_finding *f,
                             const struct suite_page *page) {
  static const char *const verdicts[SUITE_KINDS] = {
      [SUITE_DEFINITE] = "definite",
      [SUITE_INDIRECT] = "indirect",
      [SUITE_POSSIBLE] = "possible",
      [SUITE_REACHABLE] = "reachable",
  };
  fprintf(page->out, "{\n   %s in %s\n   %s\n", suite_what(f), suite_who(s, f),
          suite_is_write(f)    ? "ullage:Write"
          : suite_is_misuse(f) ? "Memcheck:Free"
                               : "Memcheck:Leak");
  if (verdicts[f->kind])
    fprintf(page->out, "   match-leak-kinds: %s\n", verdicts[f->kind]);
  fprintf(page->out, "   %s\n", allocator(f));
  put_places(&f->at, page->out);
  fputs("}\n", page->out);
}

/* ---- LeakSanitizer's -------------------------------------------------------------- */

/* It is looked for in all of a stack, and main is in each. */
static const char *pattern_of(const struct suite_finding *f) {
  const struct frame *at = &f->at.frames[f->at.guilty];
  if (at->function && strcmp(at->function, "main") == 0) at = &f->at.frames[f->at.blamed];
  return at->function && !at->derived ? at->function : basename(at->module);
}

static void put_for_lsan(const struct suite *s, const struct suite_finding *f,
                         const struct suite_page *page) {
  fprintf(page->out, "# %s, %s in %s: %s\nleak:%s\n", suite_what(f), suite_amount(f),
          suite_who(s, f), suite_where(&f->at, page), pattern_of(f));
}

/* ---- all -------------------------------------------------------------------------- */

/* Each call stack that fails and is no budget or growth, one after the other. */
struct failing {
  size_t finding, stack;
};
static const struct suite_finding *next(const struct suite *s, struct failing *f) {
  for (; f->finding < s->count; f->finding++, f->stack = 0) {
    const struct suite_finding *finding = &s->findings[f->finding], *stacks;
    bool has_any = finding->kind < SUITE_GROWTH || suite_is_misuse(finding);
    size_t n = suite_stacks(finding, &stacks);
    if (suite_counts(finding) && has_any && finding->at.count && f->stack < n)
      return &stacks[f->stack++];
  }
  return NULL;
}

static void for_valgrind(const struct suite *s, const struct suite_page *page) {
  struct failing all = {0, 0};
  const struct suite_finding *f;
  while ((f = next(s, &all)))
    put_for_valgrind(s, f, page);
}

/* Misuses are none of its business, and a pattern is told once. */
static void for_lsan(const struct suite *s, const struct suite_page *page) {
  struct failing all = {0, 0};
  const struct suite_finding *f, *before;
  while ((f = next(s, &all))) {
    struct failing told = {0, 0};
    while ((before = next(s, &told)) != f)
      if (!suite_is_misuse(before) && strcmp(pattern_of(before), pattern_of(f)) == 0)
        break;
    if (before == f && !suite_is_misuse(f)) put_for_lsan(s, f, page);
  }
}

const struct suite_format suite_suppressions[] = {
    {"valgrind", for_valgrind, false}, {"lsan", for_lsan, false}, {NULL, NULL, false}};
