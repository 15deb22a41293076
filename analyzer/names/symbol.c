/* symbol.c - see symbol.h.
 *
 * libdwfl finds the file's parts (separate debug information, .gnu_debugdata, dwz
 * files). Three things are searched by ourselves, because the library's own ways are
 * linear or need tables that not every compiler writes (.debug_aranges is missing from
 * clang's and rustc's output):
 *
 *   units      address ranges of compilation units, sorted; made on the first look
 *   functions  address ranges of the functions of one unit; made when the unit is
 *              first hit, so a large program costs only the units that are shown
 *   elf        function symbols, sorted; for code without debug information
 *   code       where functions begin that have no symbol either, and (derived) what the
 *              file's data say of them
 *
 * All addresses here are those of the file ("own" addresses); `bias` and `debug_bias`
 * are what libdwfl adds to them. */
#include "names/symbol.h"
#include "names/below.h"
#include "names/callers.h"
#include "names/code.h"
#include "names/demangle.h"
#include "names/derived.h"
#include "read/array.h"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIE_DEPTH_MAX 256 /* nesting of scopes; deeper is damage */
#define ENTRY_BYTES 64    /* _start has no symbol in a stripped program */

struct range {
  uint64_t low, high;
  size_t index; /* in units or functions */
};
struct ranges {
  struct range *at;
  size_t count, room;
};

struct unit {
  Dwarf_Die lines; /* has the line table */
  Dwarf_Die tree;  /* has the functions; differs from `lines` in split DWARF */
  bool indexed;
  struct ranges functions;
  Dwarf_Die *dies;
  size_t die_count, die_room;
};

struct elf_function {
  uint64_t low, high; /* equal: size unknown */
  const char *name;
  unsigned rank; /* among names of one address, the lowest is shown */
};

struct symbol_file {
  enum symbol_state state;
  Dwfl *dwfl;
  Dwfl_Module *module;
  uint64_t bias;
  uint64_t entry; /* own address of _start; 0: unknown */

  bool looked_for_debug;
  Dwarf *debug;
  uint64_t debug_bias; /* own address of the module + this = libdwfl's - DWARF's */
  struct ranges unit_ranges;
  struct unit *units;
  size_t unit_count, unit_room;

  bool looked_for_elf;
  struct elf_function *elf;
  size_t elf_count, elf_room;

  bool looked_at_code;
  struct code *code;       /* NULL: no memory */
  struct derived *derived; /* likewise */
  struct callers *callers; /* likewise */

  char **strings; /* names we made */
  size_t string_count, string_room;
};

/* ---- ranges --------------------------------------------------------------------- */

static void ranges_add(struct ranges *ranges, uint64_t low, uint64_t high, size_t index) {
  if (low >= high || !ARRAY_GROW(ranges->at, ranges->count, ranges->room)) return;
  ranges->at[ranges->count++] = (struct range){low, high, index};
}

static int range_order(const void *a, const void *b) {
  const struct range *x = a, *y = b;
  if (x->low != y->low) return x->low < y->low ? -1 : 1;
  return x->high > y->high ? -1 : x->high < y->high; /* the enclosing one first */
}

static void ranges_sort(struct ranges *ranges) {
  if (ranges->count) qsort(ranges->at, ranges->count, sizeof *ranges->at, range_order);
}

/* The innermost range around an address: the last in order that holds it. Ranges nest
 * a few levels at most; going back further than that only happens in damaged files. */
static const struct range *ranges_find(const struct ranges *ranges, uint64_t address) {
  size_t i = below(ranges->at, ranges->count, sizeof *ranges->at, address);
  for (size_t tries = 0; i > 0 && tries < 64; tries++)
    if (ranges->at[--i].high > address) return &ranges->at[i];
  return NULL;
}

/* Keeps a string made for this file until it is closed. */
static const char *keep(struct symbol_file *file, char *string) {
  if (!string) return NULL;
  if (!ARRAY_GROW(file->strings, file->string_count, file->string_room)) {
    free(string);
    return NULL;
  }
  return file->strings[file->string_count++] = string;
}

/* ---- finding the file ---------------------------------------------------------- */

static bool is_regular(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* O_NONBLOCK: should the path become a FIFO between stat and open. */
static int open_regular(const char *path, struct stat *st) {
  if (!is_regular(path)) return -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  if (fstat(fd, st) == 0 && S_ISREG(st->st_mode)) return fd;
  close(fd);
  return -1;
}

/* A debuglink names a file beside the module or in .debug/ there; refuse to let the
 * library open one that is not a regular file. */
static bool debuglink_is_safe(const char *module, const char *link) {
  if (!link || !module) return true;
  const char *slash = strrchr(module, '/');
  int directory = slash ? (int)(slash - module) + 1 : 0;
  static const char *const places[] = {"", ".debug/"};
  for (size_t i = 0; i < 2; i++) {
    char path[PATH_MAX];
    int n = *link == '/' ? snprintf(path, sizeof path, "%s", link)
                         : snprintf(path, sizeof path, "%.*s%s%s", directory, module,
                                    places[i], link);
    if (n < 0 || (size_t)n >= sizeof path) return false;
    if (access(path, F_OK) == 0 && !is_regular(path)) return false;
  }
  return true;
}

static int find_debuginfo(Dwfl_Module *module, void **data, const char *name,
                          Dwarf_Addr base, const char *file, const char *link,
                          GElf_Word crc, char **found) {
  if (!debuglink_is_safe(file, link)) return -1;
  return dwfl_standard_find_debuginfo(module, data, name, base, file, link, crc, found);
}

/* A NULL callback is not allowed; modules are reported with their files opened. */
static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                    char **file, Elf **elf) {
  (void)module, (void)data, (void)name, (void)base, (void)file, (void)elf;
  return -1;
}

static const Dwfl_Callbacks callbacks = {.find_elf = find_elf,
                                         .find_debuginfo = find_debuginfo,
                                         .section_address = dwfl_offline_section_address};

static bool same_id(Elf *elf, const struct symbol_id *id) {
  const void *bits;
  ssize_t bytes = dwelf_elf_gnu_build_id(elf, &bits);
  return bytes > 0 && (size_t)bytes >= id->build_id_bytes &&
         memcmp(bits, id->build_id, id->build_id_bytes) == 0;
}

static bool modified_since(const struct stat *st, uint64_t ns) {
  return ns &&
         (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec > ns;
}

static enum symbol_state identify(int fd, const struct stat *st,
                                  const struct symbol_id *id) {
  Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
  enum symbol_state state = SYMBOL_FOUND;
  if (!elf || elf_kind(elf) != ELF_K_ELF)
    state = SYMBOL_NOT_ELF;
  else if (id->build_id_bytes ? !same_id(elf, id) : modified_since(st, id->recorded_ns))
    state = SYMBOL_CHANGED;
  elf_end(elf);
  return state;
}

static void debug_path(char *path, size_t size, const struct symbol_id *id) {
  int n = snprintf(path, size, "/usr/lib/debug/.build-id/%02x/", id->build_id[0]);
  for (size_t i = 1; i < id->build_id_bytes && (size_t)n + 3 < size; i++)
    n += snprintf(path + n, size - (size_t)n, "%02x", id->build_id[i]);
  snprintf(path + n, size - (size_t)n, ".debug");
}

/* Gives the descriptor of the file to read symbols from, or -1. */
static int choose_file(struct symbol_file *file, const struct symbol_id *id) {
  struct stat st;
  int fd = open_regular(id->path, &st);
  file->state = fd < 0 ? SYMBOL_ABSENT : identify(fd, &st, id);
  if (file->state == SYMBOL_FOUND) return fd;
  if (fd >= 0) close(fd);
  if (id->build_id_bytes < 2) return -1;

  char path[PATH_MAX];
  debug_path(path, sizeof path, id);
  fd = open_regular(path, &st);
  if (fd < 0) return -1;
  if (identify(fd, &st, id) == SYMBOL_FOUND) {
    file->state = SYMBOL_FOUND;
    return fd;
  }
  close(fd);
  return -1;
}

static bool report(struct symbol_file *file, const char *path, int fd) {
  file->dwfl = dwfl_begin(&callbacks);
  if (file->dwfl) file->module = dwfl_report_elf(file->dwfl, path, path, fd, 0, true);
  if (!file->module) {
    close(fd);
    return false;
  }
  if (dwfl_report_end(file->dwfl, NULL, NULL) != 0) return false;
  GElf_Addr bias;
  GElf_Ehdr header;
  Elf *elf = dwfl_module_getelf(file->module, &bias);
  if (!elf) return false;
  file->bias = bias;
  if (gelf_getehdr(elf, &header)) file->entry = header.e_entry;
  return true;
}

struct symbol_file *symbol_file_open(const struct symbol_id *id) {
  struct symbol_file *file = calloc(1, sizeof *file);
  if (!file) return NULL;
  elf_version(EV_CURRENT);
  int fd = choose_file(file, id);
  if (fd >= 0 && !report(file, id->path, fd)) file->state = SYMBOL_NOT_ELF;
  return file;
}

void symbol_file_close(struct symbol_file *file) {
  if (!file) return;
  for (size_t i = 0; i < file->unit_count; i++) {
    free(file->units[i].functions.at);
    free(file->units[i].dies);
  }
  free(file->units);
  free(file->unit_ranges.at);
  free(file->elf);
  derived_free(file->derived);
  callers_free(file->callers);
  code_free(file->code);
  if (file->dwfl) dwfl_end(file->dwfl);
  for (size_t i = 0; i < file->string_count; i++)
    free(file->strings[i]);
  free(file->strings);
  free(file);
}

enum symbol_state symbol_file_state(const struct symbol_file *file) {
  return file->state;
}

bool symbol_file_has_lines(const struct symbol_file *file) {
  return file->unit_count > 0;
}

/* ---- debug information: units and their functions ------------------------------ */

static bool add_die_ranges(struct ranges *ranges, Dwarf_Die *die, size_t index) {
  Dwarf_Addr base, low, high;
  ptrdiff_t offset = 0;
  size_t before = ranges->count;
  while ((offset = dwarf_ranges(die, offset, &base, &low, &high)) > 0)
    ranges_add(ranges, low, high, index);
  return ranges->count > before;
}

static void add_unit(struct symbol_file *file, Dwarf_Die *die, Dwarf_Die *split) {
  if (!ARRAY_GROW(file->units, file->unit_count, file->unit_room)) return;
  if (!add_die_ranges(&file->unit_ranges, die, file->unit_count)) return;
  struct unit *unit = &file->units[file->unit_count++];
  *unit = (struct unit){.lines = *die, .tree = split->addr ? *split : *die};
}

static void find_debug(struct symbol_file *file) {
  file->looked_for_debug = true;
  Dwarf_Addr bias;
  file->debug = dwfl_module_getdwarf(file->module, &bias);
  if (!file->debug) return;
  file->debug_bias = bias - file->bias;
  Dwarf_CU *cu = NULL;
  Dwarf_Die die, split;
  uint8_t type;
  memset(&split, 0, sizeof split);
  while (dwarf_get_units(file->debug, cu, &cu, NULL, &type, &die, &split) == 0)
    if (type == DW_UT_compile || type == DW_UT_skeleton) add_unit(file, &die, &split);
  ranges_sort(&file->unit_ranges);
}

/* Function definitions sit in units, namespaces, classes and other functions. */
static bool may_hold_functions(int tag) {
  switch (tag) {
  case DW_TAG_namespace:
  case DW_TAG_module:
  case DW_TAG_class_type:
  case DW_TAG_structure_type:
  case DW_TAG_union_type:
  case DW_TAG_lexical_block:
  case DW_TAG_subprogram:
    return true;
  default:
    return false;
  }
}

static void add_function(struct unit *unit, Dwarf_Die *die) {
  if (!ARRAY_GROW(unit->dies, unit->die_count, unit->die_room)) return;
  if (add_die_ranges(&unit->functions, die, unit->die_count))
    unit->dies[unit->die_count++] = *die;
}

static void index_children(struct unit *unit, Dwarf_Die *parent, unsigned depth) {
  Dwarf_Die die;
  if (depth > DIE_DEPTH_MAX || dwarf_child(parent, &die) != 0) return;
  do {
    int tag = dwarf_tag(&die);
    size_t before = unit->die_count;
    if (tag == DW_TAG_subprogram) add_function(unit, &die);
    bool declared_only = tag == DW_TAG_subprogram && unit->die_count == before;
    if (may_hold_functions(tag) && !declared_only && dwarf_haschildren(&die) == 1)
      index_children(unit, &die, depth + 1);
  } while (dwarf_siblingof(&die, &die) == 0);
}

static struct unit *find_unit(struct symbol_file *file, uint64_t address) {
  const struct range *range = ranges_find(&file->unit_ranges, address);
  if (!range) return NULL;
  struct unit *unit = &file->units[range->index];
  if (!unit->indexed) {
    unit->indexed = true;
    index_children(unit, &unit->tree, 0);
    ranges_sort(&unit->functions);
  }
  return unit;
}

/* ---- debug information: one address -------------------------------------------- */

static const char *die_string(Dwarf_Die *die, unsigned name) {
  Dwarf_Attribute attribute;
  const char *text = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
  return text && *text ? text : NULL;
}

static void name_place(struct symbol_file *file, const char *symbol,
                       struct symbol_place *place) {
  place->function = symbol ? keep(file, demangle(symbol)) : NULL;
  place->linkage = symbol && is_mangled(symbol) ? keep(file, strdup(symbol)) : NULL;
}

/* Linkage names say most where they are mangled; in C they are aliases ("__GI_"). */
static void place_by_name(struct symbol_file *file, Dwarf_Die *die,
                          struct symbol_place *place) {
  const char *linkage = die_string(die, DW_AT_linkage_name);
  if (!linkage) linkage = die_string(die, DW_AT_MIPS_linkage_name);
  const char *name = die_string(die, DW_AT_name);
  if (linkage && (!name || is_mangled(linkage))) name = linkage;
  name_place(file, name, place);
}

/* Paths are shown absolute; compilers record some relative to their directory. */
static const char *absolute(struct symbol_file *file, struct unit *unit,
                            const char *path) {
  if (!path || *path == '/' || *path == '<') return path; /* "<built-in>" */
  Dwarf_Attribute attribute;
  const char *directory =
      dwarf_formstring(dwarf_attr(&unit->lines, DW_AT_comp_dir, &attribute));
  char *joined;
  while (path[0] == '.' && path[1] == '/')
    path += 2;
  if (!directory || asprintf(&joined, "%s/%s", directory, path) < 0) return path;
  return keep(file, joined);
}

static void place_by_line_table(struct symbol_file *file, struct unit *unit,
                                uint64_t address, struct symbol_place *place) {
  Dwarf_Line *line = dwarf_getsrc_die(&unit->lines, address);
  int number;
  if (!line || dwarf_lineno(line, &number) != 0) return;
  place->file = absolute(file, unit, dwarf_linesrc(line, NULL, NULL));
  place->line = place->file && number > 0 ? (unsigned)number : 0;
}

static bool unsigned_attribute(Dwarf_Die *die, unsigned name, Dwarf_Word *value) {
  Dwarf_Attribute attribute;
  return dwarf_formudata(dwarf_attr(die, name, &attribute), value) == 0;
}

/* Where the inlined function was called. */
static void place_by_call(struct symbol_file *file, struct unit *unit, Dwarf_Die *inlined,
                          struct symbol_place *place) {
  Dwarf_Word number, line;
  Dwarf_Files *files;
  size_t count;
  place->file = NULL;
  place->line = 0;
  if (!unsigned_attribute(inlined, DW_AT_call_file, &number) ||
      dwarf_getsrcfiles(&unit->tree, &files, &count) != 0 || number >= count)
    return;
  place->file = absolute(file, unit, dwarf_filesrc(files, number, NULL, NULL));
  if (unsigned_attribute(inlined, DW_AT_call_line, &line) && line <= UINT_MAX)
    place->line = (unsigned)line;
}

/* Scopes of `function` around the address that were inlined, outermost first. */
static size_t inlined_scopes(Dwarf_Die *function, uint64_t address, Dwarf_Die *scopes,
                             size_t max) {
  size_t count = 0;
  Dwarf_Die parent = *function, die;
  for (unsigned depth = 0; depth < DIE_DEPTH_MAX && dwarf_child(&parent, &die) == 0;
       depth++) {
    bool inside = false;
    do {
      int tag = dwarf_tag(&die);
      if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block &&
          tag != DW_TAG_try_block && tag != DW_TAG_catch_block)
        continue;
      inside = dwarf_haspc(&die, address) == 1;
      if (!inside) continue;
      if (tag == DW_TAG_inlined_subroutine && count < max) scopes[count++] = die;
      parent = die;
      break;
    } while (dwarf_siblingof(&die, &die) == 0);
    if (!inside) break;
  }
  return count;
}

/* False: no debug information covers the address. */
static bool find_by_debug(struct symbol_file *file, uint64_t own, symbol_visit *visit,
                          void *argument) {
  uint64_t address = own - file->debug_bias;
  struct unit *unit = find_unit(file, address);
  if (!unit) return false;
  const struct range *range = ranges_find(&unit->functions, address);
  if (!range) return false;
  Dwarf_Die *function = &unit->dies[range->index];
  Dwarf_Die scopes[DIE_DEPTH_MAX];
  size_t count = inlined_scopes(function, address, scopes, DIE_DEPTH_MAX);

  Dwarf_Addr entry;
  if (dwarf_entrypc(function, &entry) != 0 || entry > address) entry = range->low;
  struct symbol_place place = {.start = entry + file->debug_bias};
  place_by_line_table(file, unit, address, &place);
  while (count > 0) {
    place_by_name(file, &scopes[--count], &place);
    place.inlined = true;
    visit(argument, &place);
    place_by_call(file, unit, &scopes[count], &place);
  }
  place.inlined = false;
  place_by_name(file, function, &place);
  place.offset = place.function ? address - entry : own;
  visit(argument, &place);
  return true;
}

/* ---- ELF symbols --------------------------------------------------------------- */

static unsigned symbol_rank(const GElf_Sym *symbol, const char *name) {
  unsigned rank = GELF_ST_TYPE(symbol->st_info) == STT_NOTYPE ? 8 : 0;
  rank += GELF_ST_BIND(symbol->st_info) == STB_LOCAL ? 4 : 0;
  return rank + (name[0] == '_') + (name[0] == '_' && name[1] == '_');
}

static bool is_function(const GElf_Sym *symbol, const char *name) {
  int type = GELF_ST_TYPE(symbol->st_info);
  return name && *name && symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS &&
         (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

static int elf_order(const void *a, const void *b) {
  const struct elf_function *x = a, *y = b;
  if (x->low != y->low) return x->low < y->low ? -1 : 1;
  if ((x->high > x->low) != (y->high > y->low)) return x->high > x->low ? -1 : 1;
  return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void find_elf_symbols(struct symbol_file *file) {
  file->looked_for_elf = true;
  int count = dwfl_module_getsymtab(file->module);
  for (int i = 1; i < count; i++) {
    GElf_Sym symbol;
    GElf_Addr address;
    const char *name =
        dwfl_module_getsym_info(file->module, i, &symbol, &address, NULL, NULL, NULL);
    if (!is_function(&symbol, name)) continue;
    if (!ARRAY_GROW(file->elf, file->elf_count, file->elf_room)) return;
    uint64_t low = address - file->bias;
    file->elf[file->elf_count++] = (struct elf_function){low, low + symbol.st_size, name,
                                                         symbol_rank(&symbol, name)};
  }
  if (file->elf_count) qsort(file->elf, file->elf_count, sizeof *file->elf, elf_order);
}

/* The function around the address. One without a size (assembler) counts only if no
 * other symbol lies between. */
static const struct elf_function *elf_find(const struct symbol_file *file,
                                           uint64_t address) {
  size_t i = below(file->elf, file->elf_count, sizeof *file->elf, address);
  const struct elf_function *found = NULL;
  uint64_t nearest = i ? file->elf[i - 1].low : 0;
  for (size_t tries = 0; i > 0 && tries < 64; tries++) {
    const struct elf_function *f = &file->elf[--i];
    if (found && f->low != found->low) break; /* the best of its aliases comes first */
    bool sizeless = f->high == f->low && f->low == nearest;
    if (f->high > address || sizeless) found = f;
  }
  return found;
}

/* The file that is in memory when the program runs; separate debug information has no
 * code. */
static void look_at_code(struct symbol_file *file) {
  if (file->looked_at_code) return;
  file->looked_at_code = true;
  GElf_Addr elf_bias;
  Elf *elf = dwfl_module_getelf(file->module, &elf_bias);
  if (elf) file->code = code_of(elf);
}

static void look_for_derived(struct symbol_file *file) {
  GElf_Addr elf_bias;
  if (file->code && !file->derived)
    file->derived = derived_of(dwfl_module_getelf(file->module, &elf_bias), file->code);
}

/* A symbol without a size reaches up to where the next function begins. */
static bool reaches(const struct symbol_file *file, const struct elf_function *f,
                    uint64_t own) {
  uint64_t start;
  return f->high > own || !file->code || !code_function(file->code, own, &start) ||
         start <= f->low;
}

static void place_by_code(struct symbol_file *file, uint64_t own,
                          struct symbol_place *place) {
  if (!file->code || !code_function(file->code, own, &place->start)) return;
  look_for_derived(file);
  char *name = file->derived ? derived_name(file->derived, place->start) : NULL;
  place->function = keep(file, name);
  place->derived = place->function;
  if (place->function) place->offset = own - place->start;
}

static void find_by_elf(struct symbol_file *file, uint64_t own, symbol_visit *visit,
                        void *argument) {
  if (!file->looked_for_elf) find_elf_symbols(file);
  look_at_code(file);
  const struct elf_function *function = elf_find(file, own);
  struct symbol_place place = {.offset = own};
  if (function && reaches(file, function, own)) {
    name_place(file, function->name, &place);
    place.start = function->low;
    place.offset = own - function->low;
  } else if (file->entry && own >= file->entry && own - file->entry < ENTRY_BYTES) {
    place.function = "_start";
    place.start = file->entry;
    place.offset = own - file->entry;
  } else {
    place_by_code(file, own, &place);
  }
  visit(argument, &place);
}

void symbol_file_find(struct symbol_file *file, uint64_t address, symbol_visit *visit,
                      void *argument) {
  if (file->state != SYMBOL_FOUND) {
    visit(argument, &(struct symbol_place){.offset = address});
    return;
  }
  if (!file->looked_for_debug) find_debug(file);
  if (!find_by_debug(file, address, visit, argument))
    find_by_elf(file, address, visit, argument);
}

const char *symbol_file_symbol(struct symbol_file *file, uint64_t address) {
  if (file->state != SYMBOL_FOUND) return NULL;
  if (!file->looked_for_elf) find_elf_symbols(file);
  const struct elf_function *f = elf_find(file, address);
  return f ? f->name : NULL;
}

bool symbol_file_function(struct symbol_file *file, uint64_t address, uint64_t *start) {
  if (file->state != SYMBOL_FOUND) return false;
  look_at_code(file);
  if (file->code && code_function(file->code, address, start)) return true;
  if (!file->looked_for_elf) find_elf_symbols(file);
  const struct elf_function *f = elf_find(file, address);
  if (f) *start = f->low;
  return f;
}

enum code_call symbol_file_call_before(struct symbol_file *file,
                                       uint64_t return_address) {
  if (file->state != SYMBOL_FOUND) return CODE_CALL_UNKNOWN;
  look_at_code(file);
  return file->code ? code_call_before(file->code, return_address) : CODE_CALL_UNKNOWN;
}

uint32_t symbol_file_callers(struct symbol_file *file, uint64_t start) {
  GElf_Addr elf_bias;
  if (file->state != SYMBOL_FOUND) return 0;
  look_at_code(file);
  if (file->code && !file->callers)
    file->callers = callers_of(dwfl_module_getelf(file->module, &elf_bias), file->code);
  return file->callers ? callers_count(file->callers, start) : 0;
}

bool symbol_file_takes_result(struct symbol_file *file, uint64_t return_address) {
  if (file->state != SYMBOL_FOUND) return false;
  look_at_code(file);
  return file->code && code_takes_result(file->code, return_address);
}
