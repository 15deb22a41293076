#include "answers/suppressions.h"

#include "names/demangle.h"

#include <errno.h>
#include <obstack.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

#define VERDICTS_ALL                                                                     \
  (1u << UL_DEFINITE | 1u << UL_INDIRECT | 1u << UL_POSSIBLE | 1u << UL_REACHABLE)

/* A line of a Valgrind suppression. */
struct place {
  enum { PLACE_FUNCTION, PLACE_OBJECT, PLACE_SOURCE, PLACE_ANY } kind;
  const char *pattern;
  const char *readable; /* of a function without wildcards: demangled; else NULL */
  struct place *next;
};

struct rule {
  struct suppression told;
  const char *pattern; /* LSan's; NULL: it is Valgrind's */
  enum suppress_kind kind;
  unsigned verdicts; /* bit 1 << enum ul_verdict */
  struct place *places;
};

struct suppressions {
  struct obstack memory, rules; /* the latter grows: an array */
};

static struct rule *rules_of(const struct suppressions *s) {
  return obstack_base(&s->rules);
}

size_t suppressions_count(const struct suppressions *s) {
  return obstack_object_size(&s->rules) / sizeof(struct rule);
}

const struct suppression *suppressions_at(const struct suppressions *s, size_t i) {
  return &rules_of(s)[i].told;
}

/* ---- a file --------------------------------------------------------------------- */

struct reader {
  struct suppressions *to;
  FILE *in;
  const char *path; /* NULL: the known ones */
  char *line;       /* without blanks around */
  size_t size;
  unsigned number;
  char *error;
  size_t error_size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct reader *r,
                                                         const char *format, ...) {
  char reason[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  snprintf(r->error, r->error_size, "%s:%u: %s", r->path, r->number, reason);
  return false;
}

static const char *keep(struct suppressions *s, const char *text) {
  return obstack_copy0(&s->memory, text, strlen(text));
}

/* The next line that says something; NULL: there is none. */
static const char *next(struct reader *r) {
  ssize_t n;
  while ((n = getline(&r->line, &r->size, r->in)) >= 0) {
    r->number++;
    char *line = r->line + strspn(r->line, " \t");
    while (n && strchr(" \t\r\n", r->line[n - 1]))
      r->line[--n] = 0;
    if (line <= r->line + n && *line && *line != '#') return line;
  }
  return NULL;
}

/* The text behind `word`, if the line begins with it. */
static const char *behind(const char *line, const char *word) {
  size_t n = strlen(word);
  if (strncmp(line, word, n) != 0) return NULL;
  return line + n + strspn(line + n, " \t");
}

static void add(struct reader *r, const struct rule *rule) {
  obstack_grow(&r->to->rules, rule, sizeof *rule);
}

/* ---- LeakSanitizer's: leak:PATTERN ----------------------------------------------- */

static bool read_lsan(struct reader *r, const char *line) {
  for (; line; line = next(r)) {
    const char *pattern = behind(line, "leak:");
    if (!pattern || !*pattern)
      return refuse(r, "'leak:PATTERN' expected (or, for Valgrind's syntax, '{' on the "
                       "first line)");
    struct rule rule = {.verdicts = VERDICTS_ALL};
    rule.pattern = keep(r->to, pattern);
    rule.told =
        (struct suppression){.name = rule.pattern, .file = r->path, .line = r->number};
    add(r, &rule);
  }
  return true;
}

/* ---- Valgrind's ------------------------------------------------------------------- */

static bool read_verdicts(struct reader *r, const char *list, struct rule *rule) {
  static const char *const names[] = {
      [UL_DEFINITE] = "definite",
      [UL_INDIRECT] = "indirect",
      [UL_POSSIBLE] = "possible",
      [UL_REACHABLE] = "reachable",
  };
  rule->verdicts = strcmp(list, "all") == 0 ? VERDICTS_ALL : 0;
  if (rule->verdicts || strcmp(list, "none") == 0) return true;
  while (*list) {
    size_t n = strcspn(list, ","), v = 0;
    while (v < sizeof names / sizeof *names &&
           (!names[v] || strlen(names[v]) != n || strncmp(names[v], list, n) != 0))
      v++;
    if (v == sizeof names / sizeof *names)
      return refuse(r, "there is no kind of leak '%.*s'", (int)n, list);
    rule->verdicts |= 1u << v;
    list += n + (list[n] == ',');
  }
  return true;
}

static bool read_place(struct reader *r, const char *line, struct place ***end) {
  struct place p = {.kind = PLACE_ANY};
  const char *pattern = "";
  if ((pattern = behind(line, "fun:")))
    p.kind = PLACE_FUNCTION;
  else if ((pattern = behind(line, "obj:")))
    p.kind = PLACE_OBJECT;
  else if ((pattern = behind(line, "src:")))
    p.kind = PLACE_SOURCE;
  else if (strcmp(line, "...") != 0)
    return refuse(r, "'fun:', 'obj:', 'src:', '...' or '}' expected, not '%s'", line);
  if (pattern && !*pattern) return refuse(r, "a pattern is expected behind '%s'", line);
  if (pattern) p.pattern = keep(r->to, pattern);
  if (p.kind == PLACE_FUNCTION && !strpbrk(pattern, "*?")) {
    char *readable = demangle(pattern);
    if (readable) p.readable = keep(r->to, readable);
    free(readable);
  }
  **end = obstack_copy(&r->to->memory, &p, sizeof p);
  *end = &(**end)->next;
  return true;
}

/* "Memcheck,Addrcheck:Leak" */
static bool is_of(const char *tool, const char *tools, size_t n) {
  for (const char *end = tools + n; tools < end; tools += strcspn(tools, ",:") + 1)
    if (strncmp(tools, tool, strcspn(tools, ",:")) == 0) return true;
  return false;
}

/* Memcheck sees writes where they are done, we see where the block is from: so what it
 * accepts says nothing, and ours are under our own name, which it passes over. */
static bool read_kind(const char *kind, const char *colon, enum suppress_kind *as) {
  static const struct {
    const char *tool, *name;
  } kinds[] = {[SUPPRESS_LOSS] = {"Memcheck", "Leak"},
               [SUPPRESS_FREE] = {"Memcheck", "Free"},
               [SUPPRESS_WRITE] = {"ullage", "Write"}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    *as = (enum suppress_kind)i;
    if (strcmp(colon + 1, kinds[i].name) == 0)
      return is_of(kinds[i].tool, kind, (size_t)(colon - kind));
  }
  return false;
}

/* What memcheck has besides, however it goes on: "Addr4", "Value8" ... Other tools have
 * theirs. */
static bool is_any_kind(const char *kind, const char *colon) {
  static const char *const kinds[] = {
      "Addr",    "Align",   "Bad",   "Cond", "CoreMem", "Fishy", "Jump",
      "Mempool", "Overlap", "Param", "Size", "Value",   "User",  "ReallocZero"};
  if (!is_of("Memcheck", kind, (size_t)(colon - kind))) return true;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strncmp(colon + 1, kinds[i], strlen(kinds[i])) == 0) return true;
  return false;
}

/* Of an error that is none of ours. */
static bool pass_over(struct reader *r, const char *kind, const char *colon) {
  const char *line;
  if (!is_any_kind(kind, colon)) return refuse(r, "memcheck has no kind '%s'", colon + 1);
  while ((line = next(r)))
    if (strcmp(line, "}") == 0) return true;
  return refuse(r, "the file ends without '}'");
}

static bool read_places(struct reader *r, struct rule *rule) {
  const char *line;
  struct place **end = &rule->places;
  while ((line = next(r)) && strcmp(line, "}") != 0) {
    const char *verdicts = behind(line, "match-leak-kinds:");
    if (verdicts && rule->places)
      return refuse(r, "'match-leak-kinds:' stands before the frames");
    if (verdicts ? !read_verdicts(r, verdicts, rule) : !read_place(r, line, &end))
      return false;
  }
  if (!line) return refuse(r, "the file ends without '}'");
  return rule->places || refuse(r, "there is no frame before '}'");
}

static bool read_block(struct reader *r) {
  struct rule rule = {.verdicts = VERDICTS_ALL};
  const char *name = next(r);
  if (!name || strcmp(name, "}") == 0) return refuse(r, "a name is expected behind '{'");
  rule.told =
      (struct suppression){.name = keep(r->to, name), .file = r->path, .line = r->number};
  const char *kind = next(r), *colon = kind ? strchr(kind, ':') : NULL;
  if (!colon) return refuse(r, "'TOOL:KIND' is expected, such as 'Memcheck:Leak'");
  if (!read_kind(kind, colon, &rule.kind)) return pass_over(r, kind, colon);
  if (!read_places(r, &rule)) return false;
  add(r, &rule);
  return true;
}

static bool read_valgrind(struct reader *r, const char *line) {
  for (; line; line = next(r)) {
    if (strcmp(line, "{") != 0) return refuse(r, "'{' expected, not '%s'", line);
    if (!read_block(r)) return false;
  }
  return true;
}

/* ---- life ------------------------------------------------------------------------- */

static bool read_all(struct reader *r) {
  const char *first = next(r);
  bool valgrind = first && *first == '{';
  bool done = valgrind ? read_valgrind(r, first) : read_lsan(r, first);
  if (done && ferror(r->in)) done = refuse(r, "%s", strerror(errno));
  free(r->line);
  fclose(r->in);
  return done;
}

static bool is_directory(FILE *in) {
  struct stat st;
  if (fstat(fileno(in), &st) != 0 || !S_ISDIR(st.st_mode)) return false;
  errno = EISDIR;
  return true;
}

bool suppressions_read(struct suppressions *s, const char *path, char *error,
                       size_t size) {
  struct reader r = {.to = s, .path = keep(s, path), .error = error, .error_size = size};
  r.in = fopen(path, "re");
  if (r.in && !is_directory(r.in)) return read_all(&r);
  snprintf(error, size, "%s: %s", path, strerror(errno));
  if (r.in) fclose(r.in);
  return false;
}

struct suppressions *suppressions_new(void) {
  struct suppressions *s = malloc(sizeof *s);
  char error[256];
  struct reader r = {.to = s, .error = error, .error_size = sizeof error};
  if (!s) return NULL;
  obstack_init(&s->memory);
  obstack_init(&s->rules);
  r.in = fmemopen((char *)(uintptr_t)suppressions_known, strlen(suppressions_known), "r");
  if (r.in && read_all(&r)) return s;
  suppressions_free(s);
  return NULL;
}

void suppressions_free(struct suppressions *s) {
  if (!s) return;
  obstack_free(&s->rules, NULL);
  obstack_free(&s->memory, NULL);
  free(s);
}

/* Of the frames of a stack, looked up once for all rules. */
struct names {
  const struct frame *frames;
  size_t count;
  char **full;          /* with parameters; NULL: `function` is all that is known */
  const char **symbols; /* for linkers; NULL: there is none */
};

/* ---- match: LeakSanitizer --------------------------------------------------------- */

/* The pattern is a part of the text; '^' and '$' bind it to an end, '*' is any text. */
static bool has_part(const char *pattern, const char *text) {
  bool bound = *pattern == '^', any = false;
  if (!text || !*text) return false;
  pattern += bound;
  while (*pattern) {
    size_t n = strcspn(pattern, "*$");
    if (*pattern == '$') return any || !*text;
    if (n) {
      const char *at = memmem(text, strlen(text), pattern, n);
      if (!at || (bound && at != text)) return false;
      text = at + n;
    }
    any = !n;
    bound = false;
    pattern += n ? n : 1;
  }
  return true;
}

/* Any frame, by its function with parameters, its source, or its module. */
static bool is_lsan_match(const char *pattern, const struct names *names) {
  for (size_t i = 0; i < names->count; i++) {
    const struct frame *f = &names->frames[i];
    if (has_part(pattern, names->full[i] ? names->full[i] : f->function) ||
        has_part(pattern, f->file) || has_part(pattern, f->module))
      return true;
  }
  return false;
}

/* ---- match: Valgrind -------------------------------------------------------------- */

/* '*' is any text, '?' any character. Of all stars only the last one met may have to
 * stand for more. */
static bool is_like(const char *pattern, const char *text) {
  const char *star = NULL, *rest = NULL;
  while (*text) {
    if (*pattern == '*') {
      star = ++pattern;
      rest = text;
    } else if (*pattern == '?' || *pattern == *text) {
      pattern++;
      text++;
    } else if (star) {
      pattern = star;
      text = ++rest;
    } else {
      return false;
    }
  }
  while (*pattern == '*')
    pattern++;
  return !*pattern;
}

/* The allocator's own frame, of which only the family is known; or that of a free. */
static bool is_allocator(const struct place *p, const struct suppressible *what) {
  static const char *const mallocs[] = {"malloc",   "calloc",         "realloc",
                                        "memalign", "posix_memalign", "aligned_alloc",
                                        "valloc",   "pvalloc",        "reallocarray"};
  static const char *const news[] = {"_Znwm",
                                     "_ZnwmRKSt9nothrow_t",
                                     "_ZnwmSt11align_val_t",
                                     "_ZnwmSt11align_val_tRKSt9nothrow_t",
                                     "operator new(unsigned long)",
                                     "operator new"};
  static const char *const arrays[] = {"_Znam",
                                       "_ZnamRKSt9nothrow_t",
                                       "_ZnamSt11align_val_t",
                                       "_ZnamSt11align_val_tRKSt9nothrow_t",
                                       "operator new[](unsigned long)",
                                       "operator new[]"};
  static const char *const frees[] = {"free",
                                      "realloc",
                                      "cfree",
                                      "_ZdlPv",
                                      "_ZdaPv",
                                      "_ZdlPvm",
                                      "_ZdaPvm",
                                      "_ZdlPvSt11align_val_t",
                                      "_ZdaPvSt11align_val_t"};
#define LIST(names)                                                                      \
  { names, sizeof names / sizeof *names }
  const struct {
    const char *const *names;
    size_t count;
  } lists[] = {LIST(mallocs), LIST(news), LIST(arrays), LIST(frees)};
#undef LIST
  size_t list = what->kind == SUPPRESS_FREE           ? 3
                : what->family == UL_FAMILY_NEW       ? 1
                : what->family == UL_FAMILY_NEW_ARRAY ? 2
                                                      : 0;
  if (p->kind == PLACE_OBJECT)
    return is_like(p->pattern, "vgpreload_memcheck") || strstr(p->pattern, "vgpreload");
  for (size_t i = 0; p->kind == PLACE_FUNCTION && i < lists[list].count; i++)
    if (is_like(p->pattern, lists[list].names[i])) return true;
  return false;
}

static bool is_source(const char *pattern, const struct frame *f) {
  char place[4096];
  if (!f->file || !f->line) return false;
  snprintf(place, sizeof place, "%s:%u", basename(f->file), f->line);
  return is_like(pattern, place);
}

static bool is_function(const struct place *p, const struct frame *f,
                        const char *symbol) {
  if (!f->function || f->note || f->derived) return is_like(p->pattern, "???");
  if (symbol && is_like(p->pattern, symbol)) return true;
  if (p->readable && !symbol) return strcmp(p->readable, f->function) == 0;
  return is_like(p->pattern, f->function);
}

static bool is_at(const struct place *p, const struct names *names, size_t i) {
  const struct frame *f = &names->frames[i];
  switch (p->kind) {
  case PLACE_FUNCTION:
    return is_function(p, f, names->symbols[i]);
  case PLACE_OBJECT:
    return is_like(p->pattern, f->module && !f->inlined ? f->module : "???") ||
           (f->module && is_like(p->pattern, f->module));
  case PLACE_SOURCE:
    return is_source(p->pattern, f);
  default:
    return true;
  }
}

/* From the allocator outwards, as far as the suppression goes: "..." stands for any
 * number of frames. Of these, too, only the last one met may have to stand for more. */
static bool is_valgrind_match(const struct place *p, const struct names *names,
                              const struct suppressible *what) {
  const struct place *dots = NULL;
  size_t at = 0, rest = 0; /* 0: the allocator, then the frames */
  while (p) {
    if (p->kind == PLACE_ANY) {
      dots = p = p->next;
      rest = at;
    } else if (at <= names->count &&
               (at ? is_at(p, names, at - 1) : is_allocator(p, what))) {
      p = p->next;
      at++;
    } else if (dots && rest < names->count) {
      p = dots;
      at = ++rest;
    } else {
      return false;
    }
  }
  return true;
}

/* ---- match ------------------------------------------------------------------------ */

static bool may_match(const struct rule *r, const struct suppressible *what) {
  if (r->kind != what->kind) return false;
  return what->kind != SUPPRESS_LOSS || r->verdicts & 1u << what->verdict;
}

/* Without what is ullage's own. NULL: no memory. */
static struct names *names_of(const struct suppressible *what) {
  struct names *n = malloc(sizeof *n);
  size_t own = 0;
  while (own < what->count && what->frames[own].hidden)
    own++;
  if (!n) return NULL;
  *n = (struct names){.frames = what->frames + own, .count = what->count - own};
  n->full = calloc(n->count + 1, sizeof *n->full);
  n->symbols = calloc(n->count + 1, sizeof *n->symbols);
  for (size_t i = 0; n->full && n->symbols && i < n->count; i++) {
    const struct frame *f = &n->frames[i];
    if (f->linkage) n->full[i] = demangle_fully(f->linkage);
    n->symbols[i] = frame_symbol(what->symbols, f);
  }
  return n;
}

static void names_free(struct names *n) {
  for (size_t i = 0; n && n->full && i < n->count; i++)
    free(n->full[i]);
  if (n) free(n->full);
  if (n) free(n->symbols);
  free(n);
}

static bool is_match(const struct rule *r, const struct names *names,
                     const struct suppressible *what) {
  if (!names || !names->full || !names->symbols) return false;
  return r->pattern ? is_lsan_match(r->pattern, names)
                    : is_valgrind_match(r->places, names, what);
}

const struct suppression *suppressions_match(struct suppressions *s,
                                             const struct suppressible *what,
                                             struct ul_amount of) {
  struct names *names = NULL;
  struct rule *r = rules_of(s), *end = r + suppressions_count(s);
  for (; r < end; r++) {
    if (!may_match(r, what)) continue;
    if (!names) names = names_of(what);
    if (is_match(r, names, what)) break;
  }
  names_free(names);
  if (r == end) return NULL;
  r->told.matched++;
  r->told.of.blocks += of.blocks;
  r->told.of.bytes += of.bytes;
  return &r->told;
}
