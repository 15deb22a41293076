/* derived.c - see derived.h.
 *
 * Pointers in a file's data are slots: words that the loader relocates, or, in a program
 * that is loaded where it was linked, words as they are. Both tables are found by what
 * their slots point to. */
#include "names/derived.h"

#include "names/below.h"
#include "names/demangle.h"
#include "names/itself.h"
#include "read/array.h"

#include <ctype.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SHT_RELR
#define SHT_RELR 19
#endif
#define BASE_DEPTH_MAX 64 /* of classes; deeper is damage */

struct slot {
  uint64_t at, to; /* to 0: something in another file */
  bool type;       /* points into a type_info's own virtual table */
};

/* Function `start` is the index-th virtual one of the class with that type_info. */
struct member {
  uint64_t start, class;
  unsigned index;
};

/* The text beside a pointer to the function `start`. */
struct label {
  uint64_t start;
  const char *text;
  char *made; /* the text, if it is in no file; NULL */
};

struct derived {
  const struct code *code;
  struct slot *slots; /* by place */
  size_t slot_count, slot_room;
  struct member *members; /* by start */
  size_t member_count, member_room;
  struct label *labels; /* by start */
  size_t label_count, label_room;
  struct registered *own; /* names that functions say of themselves, by start */
  size_t own_count;
  uint64_t types[8]; /* virtual tables of type_info that are in this file */
  size_t type_count;
};

/* ---- slots --------------------------------------------------------------------- */

static void add_slot(struct derived *d, uint64_t at, uint64_t to, bool type) {
  if (at % 8 == 0 && ARRAY_GROW(d->slots, d->slot_count, d->slot_room))
    d->slots[d->slot_count++] = (struct slot){at, to, type};
}

static bool word_at(const struct derived *d, uint64_t at, uint64_t *word) {
  const uint8_t *p = code_image(d->code, at, sizeof *word);
  if (p) memcpy(word, p, sizeof *word);
  return p;
}

/* Of __class_type_info, __si_class_type_info and __vmi_class_type_info. */
static bool is_type_table(const char *symbol) {
  static const char start[] = "_ZTVN10__cxxabiv1", end[] = "class_type_infoE";
  size_t length = symbol ? strlen(symbol) : 0;
  return length > sizeof start + sizeof end &&
         !strncmp(symbol, start, sizeof start - 1) &&
         !strcmp(symbol + length - (sizeof end - 1), end);
}

static void add_types(struct derived *d, Elf *elf) {
  for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));) {
    GElf_Shdr header;
    GElf_Sym symbol;
    if (!gelf_getshdr(s, &header) || header.sh_type != SHT_DYNSYM) continue;
    Elf_Data *data = elf_getdata(s, NULL);
    for (int i = 0; data && gelf_getsym(data, i, &symbol); i++)
      if (symbol.st_shndx != SHN_UNDEF &&
          is_type_table(elf_strptr(elf, header.sh_link, symbol.st_name)) &&
          d->type_count < sizeof d->types / sizeof *d->types)
        d->types[d->type_count++] = symbol.st_value;
  }
}

/* A type_info's first word leads behind the two first words of its table. */
static bool leads_to_type(const struct derived *d, uint64_t to) {
  for (size_t i = 0; i < d->type_count; i++)
    if (to == d->types[i] + 16) return true;
  return false;
}

static void add_known(struct derived *d, uint64_t at, uint64_t to) {
  add_slot(d, at, to, leads_to_type(d, to));
}

static void add_symbolic(struct derived *d, Elf *elf, const GElf_Shdr *symbols,
                         Elf_Data *data, const GElf_Rela *r) {
  GElf_Sym symbol;
  if (!data || !gelf_getsym(data, (int)GELF_R_SYM(r->r_info), &symbol)) return;
  if (symbol.st_shndx != SHN_UNDEF)
    add_known(d, r->r_offset, symbol.st_value + (uint64_t)r->r_addend);
  else
    add_slot(d, r->r_offset, 0,
             is_type_table(elf_strptr(elf, symbols->sh_link, symbol.st_name)));
}

static void add_relocations(struct derived *d, Elf *elf, Elf_Scn *section,
                            const GElf_Shdr *header) {
  GElf_Shdr symbols = {0};
  GElf_Rela r;
  Elf_Data *data = elf_getdata(section, NULL), *names = NULL;
  Elf_Scn *other = elf_getscn(elf, header->sh_link);
  if (other && gelf_getshdr(other, &symbols) && symbols.sh_type == SHT_DYNSYM)
    names = elf_getdata(other, NULL);
  for (int i = 0; data && gelf_getrela(data, i, &r); i++) {
    if (GELF_R_TYPE(r.r_info) == R_X86_64_RELATIVE)
      add_known(d, r.r_offset, (uint64_t)r.r_addend);
    else if (GELF_R_TYPE(r.r_info) == R_X86_64_64)
      add_symbolic(d, elf, &symbols, names, &r);
  }
}

/* Addresses, and bitmaps of the 63 words behind (generic ABI, "Relative Relocation
 * Table"); the words hold what is added to. */
static void add_relative(struct derived *d, const GElf_Shdr *header) {
  uint64_t next = 0, word, to;
  for (uint64_t at = 0; at + 8 <= header->sh_size; at += 8) {
    if (!word_at(d, header->sh_addr + at, &word)) return;
    if (!(word & 1)) {
      if (word_at(d, word, &to)) add_known(d, word, to);
      next = word + 8;
      continue;
    }
    for (unsigned bit = 1; bit < 64; bit++)
      if (word >> bit & 1 && word_at(d, next + (bit - 1) * 8, &to))
        add_known(d, next + (bit - 1) * 8, to);
    next += 63 * 8;
  }
}

/* Words as they are: those that lead somewhere in the file. */
static void add_words(struct derived *d, const GElf_Shdr *header) {
  uint64_t to;
  for (uint64_t at = (header->sh_addr + 7) / 8 * 8;
       at + 8 <= header->sh_addr + header->sh_size && word_at(d, at, &to); at += 8)
    if (leads_to_type(d, to) || code_image(d->code, to, 1)) add_known(d, at, to);
}

static int slot_order(const void *a, const void *b) {
  const struct slot *x = a, *y = b;
  return x->at < y->at ? -1 : x->at > y->at;
}

static void find_slots(struct derived *d, Elf *elf) {
  GElf_Ehdr head;
  bool fixed = gelf_getehdr(elf, &head) && head.e_type == ET_EXEC;
  add_types(d, elf);
  for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));) {
    GElf_Shdr header;
    if (!gelf_getshdr(s, &header) || !(header.sh_flags & SHF_ALLOC)) continue;
    if (header.sh_type == SHT_RELA)
      add_relocations(d, elf, s, &header);
    else if (header.sh_type == SHT_RELR)
      add_relative(d, &header);
    else if (fixed && header.sh_type == SHT_PROGBITS &&
             !(header.sh_flags & SHF_EXECINSTR))
      add_words(d, &header);
  }
  if (d->slot_count) qsort(d->slots, d->slot_count, sizeof *d->slots, slot_order);
}

static const struct slot *slot_at(const struct derived *d, uint64_t at) {
  struct slot key = {.at = at};
  return d->slot_count ? bsearch(&key, d->slots, d->slot_count, sizeof key, slot_order)
                       : NULL;
}

/* Where the slot there leads to; 0: there is none. */
static uint64_t led_to(const struct derived *d, uint64_t at) {
  const struct slot *s = slot_at(d, at);
  return s ? s->to : 0;
}

/* ---- classes ------------------------------------------------------------------- */

static bool is_class(const struct derived *d, uint64_t type) {
  const struct slot *s = type ? slot_at(d, type) : NULL;
  return s && s->type && code_string(d->code, led_to(d, type + 8));
}

/* The table's slots are functions, and such as are in other files (pure virtual ones). */
static void add_members(struct derived *d, uint64_t class, uint64_t table) {
  const struct slot *s;
  for (unsigned i = 0; (s = slot_at(d, table + 8 * (uint64_t)i)); i++) {
    if (s->to && !code_is_function(d->code, s->to)) return;
    if (s->to && ARRAY_GROW(d->members, d->member_count, d->member_room))
      d->members[d->member_count++] = (struct member){s->to, class, i};
  }
}

static int member_order(const void *a, const void *b) {
  const struct member *x = a, *y = b;
  if (x->start != y->start) return x->start < y->start ? -1 : 1;
  if (x->class != y->class) return x->class < y->class ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* A virtual table: 0 (it is the object's first), the type_info, the functions. */
static void find_classes(struct derived *d) {
  for (size_t i = 0; i < d->slot_count; i++) {
    const struct slot *s = &d->slots[i];
    uint64_t offset;
    if (!s->to || !is_class(d, s->to) || !word_at(d, s->at - 8, &offset) || offset ||
        slot_at(d, s->at - 8))
      continue;
    add_members(d, s->to, s->at + 8);
  }
  if (d->member_count)
    qsort(d->members, d->member_count, sizeof *d->members, member_order);
}

static bool derives(const struct derived *d, uint64_t class, uint64_t base,
                    unsigned depth);

/* __vmi_class_type_info: flags, count, then pairs of base and offset. */
static bool derives_from_one(const struct derived *d, uint64_t class, uint64_t base,
                             unsigned depth) {
  const uint8_t *at = code_image(d->code, class + 20, sizeof(uint32_t));
  uint32_t count = 0;
  if (at) memcpy(&count, at, sizeof count);
  for (uint32_t i = 0; i < count && i < BASE_DEPTH_MAX; i++) {
    uint64_t of = led_to(d, class + 24 + 16 * (uint64_t)i);
    if (of && derives(d, of, base, depth + 1)) return true;
  }
  return false;
}

static bool derives(const struct derived *d, uint64_t class, uint64_t base,
                    unsigned depth) {
  if (class == base) return true;
  if (depth > BASE_DEPTH_MAX || !is_class(d, class)) return false;
  uint64_t single = led_to(d, class + 16);
  if (single) return derives(d, single, base, depth + 1);
  return derives_from_one(d, class, base, depth);
}

static const struct member *member_of(const struct derived *d, uint64_t start) {
  if (!d->member_count || !start) return NULL;
  size_t earlier = below(d->members, d->member_count, sizeof *d->members, start - 1);
  const struct member *first = d->members + earlier, *end = d->members + d->member_count;
  for (const struct member *m = first; m < end && m->start == start; m++) {
    const struct member *o = first;
    while (o < end && o->start == start && derives(d, o->class, m->class, 0))
      o++;
    if (o == end || o->start != start) return m;
  }
  return NULL;
}

static char *class_name(const struct derived *d, const struct member *m) {
  const char *name = code_string(d->code, led_to(d, m->class + 8)), *of = "typeinfo for ";
  char *symbol, *text = NULL;
  if (!name || asprintf(&symbol, "_ZTI%s", name + (*name == '*')) < 0) return NULL;
  char *readable = demangle(symbol);
  free(symbol);
  if (readable && strncmp(readable, of, strlen(of)) == 0 &&
      asprintf(&text, "%s [virtual %u]", readable + strlen(of), m->index) < 0)
    text = NULL;
  free(readable);
  return text;
}

/* ---- tables of functions with texts -------------------------------------------- */

/* Which side the texts are on: of pointers in a row, what comes first is a record's
 * first. */
enum side { BEFORE = -8, BEHIND = 8 };
static const char *label_at(const struct derived *d, size_t slot, enum side *side) {
  const struct slot *s = &d->slots[slot];
  const char *before = code_word(d->code, led_to(d, s->at - 8));
  const char *behind = code_word(d->code, led_to(d, s->at + 8));
  if (before && behind) {
    size_t first = slot;
    while (first && d->slots[first - 1].at + 8 == d->slots[first].at)
      first--;
    *side = code_is_function(d->code, d->slots[first].to) ? BEHIND : BEFORE;
  } else {
    *side = before ? BEFORE : BEHIND;
  }
  return *side == BEFORE ? before : behind;
}

struct run {
  uint64_t last, stride;
  enum side side;
  size_t first, count; /* of labels */
};

static void end_run(struct derived *d, struct run *run) {
  enum { FEWEST = 3 };
  if (run->count < FEWEST) d->label_count = run->first;
  *run = (struct run){.first = d->label_count};
}

static void add_label(struct derived *d, struct run *run, uint64_t at, uint64_t start,
                      const char *text, enum side side) {
  enum { STRIDE_MAX = 256 };
  uint64_t stride = at - run->last;
  bool fits = run->count && side == run->side && stride <= STRIDE_MAX &&
              (run->count == 1 || stride == run->stride);
  if (!fits) end_run(d, run);
  if (!ARRAY_GROW(d->labels, d->label_count, d->label_room)) return;
  d->labels[d->label_count++] = (struct label){start, text, NULL};
  run->stride = stride;
  run->last = at;
  run->side = side;
  run->count++;
}

/* ---- types of Python ----------------------------------------------------------- */

/* What a method of a type is called, and where in a table its function stands. */
struct method {
  uint32_t at;
  const char *name;
};
/* Of PyTypeObject (CPython, Include/cpython/object.h), from tp_name on. */
static const struct method type_methods[] = {
    {64, "__repr__"},          {96, "__hash__"},     {104, "__call__"}, {112, "__str__"},
    {120, "__getattribute__"}, {128, "__setattr__"}, {176, "__eq__"},   {192, "__iter__"},
    {200, "__next__"},         {248, "__get__"},     {272, "__init__"}, {288, "__new__"}};
enum { NAME = 24, AS_NUMBER = 72, AS_SEQUENCE = 80, AS_MAPPING = 88 };
static const struct method number_methods[] = {
    {0, "__add__"}, {8, "__sub__"}, {16, "__mul__"}, {24, "__mod__"}};
static const struct method sequence_methods[] = {
    {8, "__add__"},      {16, "__mul__"},      {24, "__getitem__"},
    {40, "__setitem__"}, {56, "__contains__"}, {64, "__iadd__"}};
static const struct method mapping_methods[] = {{8, "__getitem__"}, {16, "__setitem__"}};
/* Of PyType_Slot, by number (Include/typeslots.h). */
static const struct method slot_methods[] = {
    {3, "__setitem__"},       {5, "__getitem__"}, {7, "__add__"},   {40, "__add__"},
    {44, "__getitem__"},      {46, "__mul__"},    {50, "__call__"}, {54, "__get__"},
    {58, "__getattribute__"}, {59, "__hash__"},   {60, "__init__"}, {62, "__iter__"},
    {63, "__next__"},         {65, "__new__"},    {66, "__repr__"}, {67, "__eq__"},
    {69, "__setattr__"},      {70, "__str__"}};
#define METHODS(table) table, sizeof(table) / sizeof *(table)

static void add_method(struct derived *d, const char *type, const char *name,
                       uint64_t start) {
  char *text;
  if (!start || !code_is_function(d->code, start) ||
      !ARRAY_GROW(d->labels, d->label_count, d->label_room) ||
      asprintf(&text, "%s.%s", type, name) < 0)
    return;
  d->labels[d->label_count++] = (struct label){start, text, text};
}

static void add_methods(struct derived *d, const char *type, uint64_t table,
                        const struct method *methods, size_t count) {
  for (size_t i = 0; table && i < count; i++)
    add_method(d, type, methods[i].name, led_to(d, table + methods[i].at));
}

/* "xml.etree.ElementTree.XMLParser" */
static const char *type_name(const struct derived *d, uint64_t at) {
  enum { LONGEST = 80 };
  const char *name = code_string(d->code, at);
  size_t n = 0;
  while (name && (isalnum((unsigned char)name[n]) || name[n] == '_' || name[n] == '.'))
    n++;
  return name && n > 1 && n < LONGEST && !name[n] ? name : NULL;
}

static bool small(const struct derived *d, uint64_t at, uint64_t least, uint64_t most) {
  uint64_t word;
  return word_at(d, at, &word) && word >= least && word <= most;
}

/* One that is not made at run time: one reference, or it never dies; no items by itself;
 * sizes that an object may have. */
static bool is_type_object(const struct derived *d, uint64_t name) {
  enum { HEAD = 16, LARGEST = 1 << 16, IMMORTAL = 0x3fffffff };
  uint64_t references;
  return word_at(d, name - NAME, &references) &&
         (references == 1 || (references & UINT32_MAX) >= IMMORTAL) &&
         small(d, name - 8, 0, 0) && small(d, name + 8, HEAD, LARGEST) &&
         small(d, name + 16, 0, LARGEST) && small(d, name + 32, 0, LARGEST);
}

/* PyType_Spec: name, two sizes, flags, slots, each a number and a pointer. */
static void add_spec(struct derived *d, const char *type, uint64_t name) {
  enum { SLOT = 16, MOST = 100 };
  uint64_t slot = led_to(d, name + 24), number, sizes;
  if (!slot || !word_at(d, name + 8, &sizes) || (uint32_t)sizes > UINT16_MAX ||
      sizes >> 32 > UINT16_MAX)
    return;
  for (size_t i = 0; i < MOST; i++, slot += SLOT) {
    if (!word_at(d, slot, &number) || !number || number > MOST) return;
    for (size_t k = 0; k < sizeof slot_methods / sizeof *slot_methods; k++)
      if (slot_methods[k].at == number)
        add_method(d, type, slot_methods[k].name, led_to(d, slot + 8));
  }
}

static void find_types(struct derived *d) {
  for (size_t i = 0; i < d->slot_count; i++) {
    uint64_t at = d->slots[i].at;
    const char *type = d->slots[i].to ? type_name(d, d->slots[i].to) : NULL;
    if (type && is_type_object(d, at)) {
      add_methods(d, type, at, METHODS(type_methods));
      add_methods(d, type, led_to(d, at + AS_NUMBER), METHODS(number_methods));
      add_methods(d, type, led_to(d, at + AS_SEQUENCE), METHODS(sequence_methods));
      add_methods(d, type, led_to(d, at + AS_MAPPING), METHODS(mapping_methods));
    } else if (type && strchr(type, '.')) {
      add_spec(d, type, at);
    }
  }
}

static int label_order(const void *a, const void *b) {
  const struct label *x = a, *y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

static void find_registered(struct derived *d) {
  size_t count;
  struct registered *all = registered_in(d->code, &count);
  for (size_t i = 0; i < count && ARRAY_GROW(d->labels, d->label_count, d->label_room);
       i++)
    d->labels[d->label_count++] = (struct label){all[i].start, all[i].text, NULL};
  free(all);
}

static void find_labels(struct derived *d) {
  struct run run = {0};
  for (size_t i = 0; i < d->slot_count; i++) {
    enum side side;
    const struct slot *s = &d->slots[i];
    if (!s->to || !code_is_function(d->code, s->to)) continue;
    const char *text = label_at(d, i, &side);
    if (text) add_label(d, &run, s->at, s->to, text, side);
  }
  end_run(d, &run);
  find_registered(d);
  find_types(d);
  if (d->label_count) qsort(d->labels, d->label_count, sizeof *d->labels, label_order);
}

/* A function may have an alias; one that does for more texts is named by none of them. */
static char *label_name(const struct derived *d, uint64_t start) {
  struct label key = {.start = start};
  const struct label *l =
      d->label_count ? bsearch(&key, d->labels, d->label_count, sizeof key, label_order)
                     : NULL;
  if (!l) return NULL;
  while (l > d->labels && l[-1].start == start)
    l--;
  const char *first = l->text, *last = first;
  for (const struct label *o = l; o < d->labels + d->label_count && o->start == start;
       o++) {
    if (strcmp(o->text, first) == 0 || strcmp(o->text, last) == 0) continue;
    if (first != last) return NULL;
    last = o->text;
  }
  if (strcmp(first, last) > 0) {
    const char *other = first;
    first = last;
    last = other;
  }
  char *text;
  int n = strcmp(first, last) == 0 ? asprintf(&text, "\"%s\"", first)
                                   : asprintf(&text, "\"%s\" or \"%s\"", first, last);
  return n < 0 ? NULL : text;
}

static int own_order(const void *a, const void *b) {
  const struct registered *x = a, *y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

static char *own_name(const struct derived *d, uint64_t start) {
  struct registered key = {.start = start};
  const struct registered *own =
      d->own_count ? bsearch(&key, d->own, d->own_count, sizeof key, own_order) : NULL;
  char *text;
  return own && asprintf(&text, "'%s'", own->text) >= 0 ? text : NULL;
}

/* ---- life ---------------------------------------------------------------------- */

struct derived *derived_of(Elf *elf, const struct code *code) {
  struct derived *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  d->code = code;
  find_slots(d, elf);
  find_classes(d);
  find_labels(d);
  d->own = itself_in(elf, code, &d->own_count);
  return d;
}

void derived_free(struct derived *d) {
  if (!d) return;
  free(d->slots);
  free(d->members);
  for (size_t i = 0; i < d->label_count; i++)
    free(d->labels[i].made);
  free(d->labels);
  free(d->own);
  free(d);
}

char *derived_name(const struct derived *d, uint64_t start) {
  const struct member *m = member_of(d, start);
  char *name = m ? class_name(d, m) : label_name(d, start);
  return name ? name : own_name(d, start);
}
