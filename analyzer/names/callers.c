/* callers.c - see callers.h. */
#include "names/callers.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* A word of the global offset table, and the file's function that it leads to. */
struct slot {
  uint64_t at, to;
};
struct callee {
  uint32_t count;
  size_t last; /* caller, by index; code is gone through in its order */
};

struct callers {
  const struct code *code;
  struct slot *slots; /* by place */
  size_t slot_count, slot_room;
  struct callee *callees; /* by index of the function */
};

/* ---- the linkage table --------------------------------------------------------- */

static int slot_order(const void *a, const void *b) {
  const struct slot *x = a, *y = b;
  return x->at < y->at ? -1 : x->at > y->at;
}

static bool add_slot(struct callers *c, uint64_t at, uint64_t to) {
  if (c->slot_count == c->slot_room) {
    size_t room = c->slot_room ? c->slot_room * 2 : 64;
    struct slot *more = realloc(c->slots, room * sizeof *more);
    if (!more) return false;
    c->slots = more;
    c->slot_room = room;
  }
  c->slots[c->slot_count++] = (struct slot){at, to};
  return true;
}

static bool add_slots_of(struct callers *c, Elf *elf, Elf_Scn *section) {
  GElf_Shdr header;
  GElf_Rela r;
  GElf_Sym symbol;
  if (!gelf_getshdr(section, &header) || header.sh_type != SHT_RELA) return true;
  Elf_Scn *other = elf_getscn(elf, header.sh_link);
  Elf_Data *data = elf_getdata(section, NULL);
  Elf_Data *symbols = other ? elf_getdata(other, NULL) : NULL;
  for (int i = 0; data && symbols && gelf_getrela(data, i, &r); i++) {
    bool linkage = GELF_R_TYPE(r.r_info) == R_X86_64_JUMP_SLOT ||
                   GELF_R_TYPE(r.r_info) == R_X86_64_GLOB_DAT;
    if (!linkage || !gelf_getsym(symbols, (int)GELF_R_SYM(r.r_info), &symbol) ||
        symbol.st_shndx == SHN_UNDEF)
      continue;
    if (!add_slot(c, r.r_offset, symbol.st_value)) return false;
  }
  return true;
}

static bool find_slots(struct callers *c, Elf *elf) {
  for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));)
    if (!add_slots_of(c, elf, s)) return false;
  if (c->slot_count) qsort(c->slots, c->slot_count, sizeof *c->slots, slot_order);
  return true;
}

static uint64_t led_to(const struct callers *c, uint64_t at) {
  const struct slot key = {at, 0};
  const struct slot *s =
      c->slot_count ? bsearch(&key, c->slots, c->slot_count, sizeof key, slot_order) : NULL;
  return s ? s->to : 0;
}

/* Where an entry of the linkage table leads to: [endbr64] [bnd] jmp *slot(%rip); 0: it is
 * none. */
static uint64_t behind_entry(const struct callers *c, uint64_t at) {
  enum { JMP = 6 };
  static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
  const uint8_t *code = code_image(c->code, at, sizeof endbr64 + 1 + JMP);
  size_t i = 0;
  if (!code) return 0;
  if (memcmp(code, endbr64, sizeof endbr64) == 0) i += sizeof endbr64;
  if (code[i] == 0xf2) i++;
  if (code[i] != 0xff || code[i + 1] != 0x25) return 0;
  return led_to(c, code_relative(code + i + 2, at + i + JMP));
}

/* ---- calls --------------------------------------------------------------------- */

static void count_call(struct callers *c, uint64_t from, uint64_t to) {
  size_t caller, callee;
  if (!code_is_code(c->code, to)) return;
  if (!code_is_function(c->code, to) && !(to = behind_entry(c, to))) return;
  if (!code_is_function(c->code, to) || !code_function_index(c->code, to, &callee) ||
      !code_function_index(c->code, from, &caller) || caller == callee)
    return;
  struct callee *it = &c->callees[callee];
  if (it->count && it->last == caller) return;
  it->count++;
  it->last = caller;
}

static void look_through(struct callers *c, uint64_t address, const uint8_t *data,
                         size_t bytes) {
  enum { CALL = 5, BY_SLOT = 6 };
  for (size_t i = 0; i + BY_SLOT <= bytes; i++) {
    uint64_t from = address + i;
    if (data[i] == 0xe8 || data[i] == 0xe9) { /* call; jmp */
      count_call(c, from, code_relative(data + i + 1, from + CALL));
    } else if (data[i] == 0xff && data[i + 1] == 0x15) { /* call *slot(%rip) */
      uint64_t to = led_to(c, code_relative(data + i + 2, from + BY_SLOT));
      if (to) count_call(c, from, to);
    }
  }
}

struct callers *callers_of(Elf *elf, const struct code *code) {
  struct callers *c = calloc(1, sizeof *c);
  const uint8_t *data;
  uint64_t address;
  size_t bytes;
  if (!c) return NULL;
  c->code = code;
  c->callees = calloc(code_functions(code) + 1, sizeof *c->callees);
  if (!c->callees || !find_slots(c, elf)) {
    callers_free(c);
    return NULL;
  }
  for (size_t i = 0; code_section(code, i, &address, &data, &bytes); i++)
    look_through(c, address, data, bytes);
  return c;
}

uint32_t callers_count(const struct callers *c, uint64_t start) {
  size_t index;
  return code_is_function(c->code, start) && code_function_index(c->code, start, &index)
             ? c->callees[index].count
             : 0;
}

void callers_free(struct callers *c) {
  if (!c) return;
  free(c->slots);
  free(c->callees);
  free(c);
}
