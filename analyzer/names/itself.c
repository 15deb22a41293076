#include "names/itself.h"

#include "names/arguments.h"
#include "read/array.h"

#include <ctype.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* A text that a function passes. */
struct said {
  uint64_t callee;
  const char *text;
  uint32_t function; /* by index */
  uint8_t argument;
  bool word, helped; /* as names are; beside a file's name or a format */
};
struct name {
  uint64_t start;
  const char *text;
};
struct claim {
  uint64_t start;
  uint32_t function;
  const char *text;
};
struct itself {
  const struct code *code;
  struct name *names; /* by start */
  size_t name_count, name_room;
  const char **texts; /* of names, sorted */
  uint32_t *parents;  /* of parts of functions; by index */
  struct said *said;
  size_t said_count, said_room;
  struct claim *claims;
  size_t claim_count, claim_room;
};

/* ---- functions with names ------------------------------------------------------ */

static int by_start(const void *a, const void *b) {
  const struct name *x = a, *y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

static int text_order(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool sort_names(struct itself *it) {
  it->texts = malloc((it->name_count + 1) * sizeof *it->texts);
  if (!it->texts) return false;
  for (size_t i = 0; i < it->name_count; i++)
    it->texts[i] = it->names[i].text;
  if (!it->name_count) return true;
  qsort(it->texts, it->name_count, sizeof *it->texts, text_order);
  qsort(it->names, it->name_count, sizeof *it->names, by_start);
  return true;
}

static bool find_names(struct itself *it, Elf *elf) {
  for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));) {
    GElf_Shdr header;
    GElf_Sym symbol;
    if (!gelf_getshdr(s, &header) || header.sh_type != SHT_DYNSYM) continue;
    Elf_Data *data = elf_getdata(s, NULL);
    for (int i = 0; data && gelf_getsym(data, i, &symbol); i++) {
      const char *text = elf_strptr(elf, header.sh_link, symbol.st_name);
      bool function = GELF_ST_TYPE(symbol.st_info) == STT_FUNC;
      if (!function || symbol.st_shndx == SHN_UNDEF || !text ||
          !ARRAY_GROW(it->names, it->name_count, it->name_room))
        continue;
      it->names[it->name_count++] = (struct name){symbol.st_value, text};
    }
  }
  return sort_names(it);
}

static bool has_name(const struct itself *it, const char *text) {
  return it->name_count &&
         bsearch(&text, it->texts, it->name_count, sizeof *it->texts, text_order);
}

/* The first of the function's; NULL: it has none. */
static const struct name *name_of(const struct itself *it, uint64_t start) {
  struct name key = {.start = start};
  const struct name *n = it->name_count ? bsearch(&key, it->names, it->name_count,
                                                  sizeof *it->names, by_start)
                                        : NULL;
  while (n && n > it->names && n[-1].start == start)
    n--;
  return n;
}

static const char *without_dashes(const char *text) {
  return text + strspn(text, "_");
}

static bool is_name(const struct itself *it, uint64_t start, const char *text) {
  const struct name *n = name_of(it, start), *end = it->names + it->name_count;
  for (; n && n < end && n->start == start; n++)
    if (strcmp(without_dashes(n->text), without_dashes(text)) == 0) return true;
  return false;
}

/* ---- parts of functions --------------------------------------------------------
 *
 * What is rarely done the compiler puts elsewhere (".cold"), with a start of its own. The
 * function jumps there if a condition holds; nobody calls it. */

#define NOBODY UINT32_MAX
#define MANY (UINT32_MAX - 1)

static void note_jump(struct itself *it, uint64_t from, uint64_t to, bool call) {
  size_t function, target;
  if (!code_function_index(it->code, to, &target) ||
      !code_function_index(it->code, from, &function) || function == target)
    return;
  uint32_t *parent = &it->parents[target];
  if (call || (*parent != NOBODY && *parent != function))
    *parent = MANY;
  else
    *parent = (uint32_t)function;
}

static bool find_parents(struct itself *it) {
  enum { JUMP = 6, CALL = 0xe8 };
  size_t functions = code_functions(it->code), bytes;
  const uint8_t *data;
  uint64_t address;
  it->parents = malloc((functions + 1) * sizeof *it->parents);
  if (!it->parents) return false;
  memset(it->parents, 0xff, functions * sizeof *it->parents);
  for (size_t i = 0; code_section(it->code, i, &address, &data, &bytes); i++)
    for (size_t k = 0; k + JUMP <= bytes; k++) {
      uint64_t at = address + k;
      if (data[k] == 0x0f && (data[k + 1] & 0xf0) == 0x80) /* jcc */
        note_jump(it, at, code_relative(data + k + 2, at + JUMP), false);
      else if (data[k] == CALL)
        note_jump(it, at, code_relative(data + k + 1, at + JUMP - 1), true);
    }
  return true;
}

static uint32_t whole(const struct itself *it, size_t function) {
  uint32_t parent = it->parents[function];
  return parent < MANY ? parent : (uint32_t)function;
}

/* ---- texts --------------------------------------------------------------------- */

static bool is_word(const char *text) {
  bool lower = false;
  size_t n = 0;
  if (isdigit((unsigned char)*text)) return false;
  for (; text[n]; n++) {
    lower |= islower((unsigned char)text[n]) != 0;
    if (!isalnum((unsigned char)text[n]) && text[n] != '_') return false;
  }
  return lower && n >= 3;
}

static bool is_file(const char *text) {
  static const char *const ends[] = {".c", ".cc", ".cpp", ".cxx", ".h", ".hpp"};
  const char *end = strrchr(text, '.');
  for (size_t i = 0; end && i < sizeof ends / sizeof *ends; i++)
    if (strcmp(end, ends[i]) == 0) return true;
  return false;
}

/* What is printed; NULL: it is no such. */
static const char *text_at(const struct code *code, uint64_t address) {
  enum { LONGEST = 120 };
  const char *text = address ? code_string(code, address) : NULL;
  size_t n = 0;
  while (text && n <= LONGEST && (isprint((unsigned char)text[n]) || text[n] == '\n'))
    n++;
  return text && n && n <= LONGEST && !text[n] ? text : NULL;
}

static void add_said(void *to, const struct arguments *a) {
  struct itself *it = to;
  const char *texts[ARGUMENTS];
  size_t function, callee;
  bool file = false;
  if (!code_function_index(it->code, a->from, &function)) return;
  if (code_function_index(it->code, a->callee, &callee) && callee == function) return;
  for (unsigned i = 0; i < ARGUMENTS; i++) {
    texts[i] = text_at(it->code, a->at[i]);
    file |= texts[i] && is_file(texts[i]);
  }
  for (unsigned i = 0; i < ARGUMENTS; i++) {
    if (!texts[i] || !ARRAY_GROW(it->said, it->said_count, it->said_room)) continue;
    bool format = i && texts[i - 1] && strncmp(texts[i - 1], "%s", 2) == 0;
    it->said[it->said_count++] = (struct said){.callee = a->callee,
                                               .text = texts[i],
                                               .function = whole(it, function),
                                               .argument = (uint8_t)i,
                                               .word = is_word(texts[i]),
                                               .helped = file || format};
  }
}

/* ---- which argument is a name -------------------------------------------------- */

static int said_order(const void *a, const void *b) {
  const struct said *x = a, *y = b;
  if (x->callee != y->callee) return x->callee < y->callee ? -1 : 1;
  if (x->argument != y->argument) return x->argument < y->argument ? -1 : 1;
  if (x->word != y->word) return x->word ? -1 : 1;
  if (x->function != y->function) return x->function < y->function ? -1 : 1;
  return strcmp(x->text, y->text);
}

static int by_text(const void *a, const void *b) {
  const struct claim *x = a, *y = b;
  int order = strcmp(x->text, y->text);
  return order ? order : x->function < y->function ? -1 : x->function > y->function;
}

static int by_function(const void *a, const void *b) {
  const struct claim *x = a, *y = b;
  if (x->function != y->function) return x->function < y->function ? -1 : 1;
  return strcmp(x->text, y->text);
}

/* Leaves those functions that have one text, which no other has; `claims` by function.
 * How many functions there were. */
static size_t leave_own(struct claim *claims, size_t *count) {
  size_t functions = 0, kept = 0;
  for (size_t i = 0, n; i < *count; i += n, functions++) {
    n = 1;
    bool same = true;
    for (; i + n < *count && claims[i + n].function == claims[i].function; n++)
      same &= strcmp(claims[i + n].text, claims[i].text) == 0;
    if (same) claims[kept++] = claims[i];
  }
  size_t singles = kept;
  kept = 0;
  if (singles) qsort(claims, singles, sizeof *claims, by_text);
  for (size_t i = 0, n; i < singles; i += n) {
    for (n = 1; i + n < singles && strcmp(claims[i + n].text, claims[i].text) == 0;)
      n++;
    if (n == 1) claims[kept++] = claims[i];
  }
  *count = kept;
  return functions;
}

struct group {
  size_t calls, words, helped, functions, own, known, right;
};

static bool is_believed(const struct group *g) {
  enum { FEWEST_KNOWN = 4, FEWEST = 8 };
  if (g->words * 10 < g->calls * 9) return false;
  if (g->known >= FEWEST_KNOWN && g->right * 10 >= g->known * 9) return true;
  return g->functions >= FEWEST && g->helped * 10 >= g->words * 9 &&
         g->own * 5 >= g->functions * 4 && g->right * 5 >= g->known * 4;
}

/* Of texts that all are one argument of one callee. */
static void add_group(struct itself *it, const struct said *said, size_t count) {
  struct group g = {.calls = count};
  struct claim *own = malloc((count + 1) * sizeof *own);
  for (size_t i = 0; own && i < count && said[i].word; i++) {
    uint64_t start = code_function_start(it->code, said[i].function);
    own[g.words++] = (struct claim){start, said[i].function, said[i].text};
    g.helped += said[i].helped;
  }
  g.own = g.words;
  if (own) g.functions = leave_own(own, &g.own);
  for (size_t i = 0; own && i < g.own; i++) {
    if (!name_of(it, own[i].start)) continue;
    g.known++;
    g.right += is_name(it, own[i].start, own[i].text);
  }
  free(own);
  if (!g.words || !is_believed(&g)) return;
  for (size_t i = 0; i < g.words; i++) {
    if (!ARRAY_GROW(it->claims, it->claim_count, it->claim_room)) return;
    uint64_t start = code_function_start(it->code, said[i].function);
    it->claims[it->claim_count++] = (struct claim){start, said[i].function, said[i].text};
  }
}

static void find_claims(struct itself *it) {
  if (!it->said_count) return;
  qsort(it->said, it->said_count, sizeof *it->said, said_order);
  for (size_t i = 0, n; i < it->said_count; i += n) {
    const struct said *s = &it->said[i];
    for (n = 1; i + n < it->said_count && s[n].callee == s->callee &&
                s[n].argument == s->argument;)
      n++;
    add_group(it, s, n);
  }
}

/* ---- all of it ----------------------------------------------------------------- */

/* What says nothing of a function without a name is left out. */
static struct registered *told_by(struct itself *it, size_t *count) {
  if (it->claim_count) {
    qsort(it->claims, it->claim_count, sizeof *it->claims, by_function);
    leave_own(it->claims, &it->claim_count);
  }
  if (it->claim_count)
    qsort(it->claims, it->claim_count, sizeof *it->claims, by_function);
  struct registered *all = malloc((it->claim_count + 1) * sizeof *all);
  for (size_t i = 0; all && i < it->claim_count; i++)
    if (!name_of(it, it->claims[i].start) && !has_name(it, it->claims[i].text))
      all[(*count)++] = (struct registered){it->claims[i].start, it->claims[i].text};
  return all;
}

struct registered *itself_in(Elf *elf, const struct code *code, size_t *count) {
  struct itself it = {.code = code};
  struct registered *all = NULL;
  *count = 0;
  if (find_names(&it, elf) && find_parents(&it)) {
    arguments_each(code, add_said, &it);
    find_claims(&it);
    all = told_by(&it, count);
  }
  free(it.names);
  free(it.texts);
  free(it.parents);
  free(it.said);
  free(it.claims);
  return all;
}
