/* suppressions.c - findings as suppressions: for `check` itself, and for the tools whose
 * syntax it is. */
#include "show/suite.h"

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

/* Inlined functions are only there with debug information. */
static bool tells(const struct frame *f) {
  return !f->inlined && !f->note;
}

static void put_place(const struct frame *f, FILE *out) {
  if (f->function && !f->derived)
    fprintf(out, "   fun:%s\n", f->linkage ? f->linkage : f->function);
  else if (f->module)
    fprintf(out, "   obj:%s\n", f->module);
  else
    fputs("   obj:*\n", out);
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
  for (size_t i = 0; i < f->at.count; i++)
    if (tells(&f->at.frames[i])) put_place(&f->at.frames[i], page->out);
  fputs("}\n", page->out);
}

/* ---- LeakSanitizer's -------------------------------------------------------------- */

/* Misuses are none of its business. */
static void put_for_lsan(const struct suite *s, const struct suite_finding *f,
                         const struct suite_page *page) {
  if (suite_is_misuse(f)) return;
  const struct frame *guilty = &f->at.frames[f->at.guilty];
  const char *name = guilty->derived ? NULL : guilty->function;
  fprintf(page->out, "# %s, %s in %s: %s\n", suite_what(f), suite_amount(f),
          suite_who(s, f), suite_where(&f->at, page));
  fprintf(page->out, "leak:%s\n", name ? name : basename(guilty->module));
}

/* ---- all -------------------------------------------------------------------------- */

typedef void put_one(const struct suite *, const struct suite_finding *,
                     const struct suite_page *);

static void put_all(const struct suite *s, const struct suite_page *page, put_one *put) {
  for (size_t i = 0; i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    bool has_any = f->kind < SUITE_GROWTH || suite_is_misuse(f);
    if (suite_counts(f) && has_any && f->at.count) put(s, f, page);
  }
}

static void for_valgrind(const struct suite *s, const struct suite_page *page) {
  put_all(s, page, put_for_valgrind);
}
static void for_lsan(const struct suite *s, const struct suite_page *page) {
  put_all(s, page, put_for_lsan);
}

const struct suite_format suite_suppressions[] = {
    {"valgrind", for_valgrind, false}, {"lsan", for_lsan, false}, {NULL, NULL, false}};
