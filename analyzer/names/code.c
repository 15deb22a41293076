#include "names/code.h"

#include "names/below.h"

#include <dwarf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* A section that is in memory when the program runs. */
struct part {
  uint64_t low, high;
  const uint8_t *data;
  bool code, got;
};

struct function {
  uint64_t low, high; /* high 0: not known */
};

struct code {
  struct part *parts; /* by address, without overlap */
  size_t part_count;
  struct function *functions; /* by start */
  size_t function_count;
};

/* ---- the image ----------------------------------------------------------------- */

static int part_order(const void *a, const void *b) {
  const struct part *x = a, *y = b;
  return x->low < y->low ? -1 : x->low > y->low;
}

static bool is_named(Elf *elf, const GElf_Shdr *section, const char *name) {
  size_t names;
  if (elf_getshdrstrndx(elf, &names) != 0) return false;
  const char *found = elf_strptr(elf, names, section->sh_name);
  return found && strcmp(found, name) == 0;
}

static void add_part(struct code *c, Elf *elf, Elf_Scn *section) {
  GElf_Shdr header;
  if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_ALLOC) ||
      header.sh_type == SHT_NOBITS || header.sh_addr + header.sh_size < header.sh_addr)
    return;
  Elf_Data *data = elf_rawdata(section, NULL);
  if (!data || !data->d_buf || data->d_size < header.sh_size || !header.sh_size) return;
  c->parts[c->part_count++] = (struct part){
      .low = header.sh_addr,
      .high = header.sh_addr + header.sh_size,
      .data = data->d_buf,
      .code = (header.sh_flags & SHF_EXECINSTR) != 0,
      .got = is_named(elf, &header, ".got") || is_named(elf, &header, ".got.plt"),
  };
}

static bool find_parts(struct code *c, Elf *elf) {
  size_t sections;
  if (elf_getshdrnum(elf, &sections) != 0) return true;
  c->parts = calloc(sections + 1, sizeof *c->parts);
  if (!c->parts) return false;
  for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s)) && c->part_count < sections;)
    add_part(c, elf, s);
  if (c->part_count) qsort(c->parts, c->part_count, sizeof *c->parts, part_order);
  return true;
}

static const struct part *part_at(const struct code *c, uint64_t address) {
  size_t i = below(c->parts, c->part_count, sizeof *c->parts, address);
  return i && address < c->parts[i - 1].high ? &c->parts[i - 1] : NULL;
}

const uint8_t *code_image(const struct code *c, uint64_t address, size_t bytes) {
  const struct part *p = part_at(c, address);
  return p && p->high - address >= bytes ? p->data + (address - p->low) : NULL;
}

const char *code_string(const struct code *c, uint64_t address) {
  const struct part *p = part_at(c, address);
  if (!p || p->code) return NULL;
  const char *s = (const char *)p->data + (address - p->low);
  return memchr(s, 0, p->high - address) ? s : NULL;
}

const char *code_word(const struct code *c, uint64_t address) {
  enum { LONGEST = 64 };
  const char *s = address ? code_string(c, address) : NULL;
  bool letter = false;
  size_t n = 0;
  for (; s && s[n]; n++) {
    if (n == LONGEST || s[n] <= ' ' || s[n] > '~' || s[n] == '"' || s[n] == '%')
      return NULL;
    letter |= (s[n] | 0x20) >= 'a' && (s[n] | 0x20) <= 'z';
  }
  return letter && n >= 2 ? s : NULL;
}

bool code_is_code(const struct code *c, uint64_t address) {
  const struct part *p = part_at(c, address);
  return p && p->code;
}

bool code_section(const struct code *c, size_t index, uint64_t *address,
                  const uint8_t **data, size_t *bytes) {
  for (size_t i = 0; i < c->part_count; i++) {
    const struct part *p = &c->parts[i];
    if (!p->code || index--) continue;
    *address = p->low;
    *data = p->data;
    *bytes = p->high - p->low;
    return true;
  }
  return false;
}

/* ---- functions ----------------------------------------------------------------- */

/* Where the function that begins at `start` ends, by its entry in .eh_frame, if that has
 * the usual form (relative to itself, 32 bits): then it gives the start again. */
static uint64_t end_by_entry(const struct code *c, uint64_t entry, uint64_t start) {
  struct {
    uint32_t length, cie;
    int32_t begin;
    uint32_t bytes;
  } e;
  const uint8_t *at = code_image(c, entry, sizeof e);
  if (!at) return 0;
  memcpy(&e, at, sizeof e);
  uint64_t place = entry + 8;
  return place + (uint64_t)(int64_t)e.begin == start ? start + e.bytes : 0;
}

/* The table's usual form, which every linker writes: pairs of 32-bit offsets from the
 * header's own address (function, entry in .eh_frame), sorted by the first of them. */
static void find_functions_in(struct code *c, Elf_Scn *section) {
  enum { TABLE = 12, PAIR = 8 }; /* version, three encodings, .eh_frame's place, count */
  GElf_Shdr header;
  if (!gelf_getshdr(section, &header)) return;
  const uint8_t *at = code_image(c, header.sh_addr, TABLE);
  uint32_t count;
  if (!at || at[0] != 1 || at[2] != DW_EH_PE_udata4 ||
      at[3] != (DW_EH_PE_datarel | DW_EH_PE_sdata4))
    return;
  memcpy(&count, at + 8, sizeof count);
  if (count > (header.sh_size - TABLE) / PAIR) return;
  const uint8_t *table = code_image(c, header.sh_addr + TABLE, (size_t)count * PAIR);
  if (!table) return;
  c->functions = malloc(((size_t)count + 1) * sizeof *c->functions);
  for (uint32_t i = 0; c->functions && i < count; i++) {
    int32_t pair[2];
    memcpy(pair, table + (size_t)i * PAIR, sizeof pair);
    uint64_t start = header.sh_addr + (uint64_t)(int64_t)pair[0];
    uint64_t entry = header.sh_addr + (uint64_t)(int64_t)pair[1];
    size_t n = c->function_count;
    if (n && start <= c->functions[n - 1].low) continue;
    c->functions[c->function_count++] =
        (struct function){start, end_by_entry(c, entry, start)};
  }
}

static void find_functions(struct code *c, Elf *elf) {
  for (Elf_Scn *s = NULL; !c->functions && (s = elf_nextscn(elf, s));) {
    GElf_Shdr header;
    if (gelf_getshdr(s, &header) && is_named(elf, &header, ".eh_frame_hdr"))
      find_functions_in(c, s);
  }
}

bool code_function_index(const struct code *c, uint64_t address, size_t *index) {
  size_t i = below(c->functions, c->function_count, sizeof *c->functions, address);
  if (!i) return false;
  const struct function *f = &c->functions[i - 1];
  const struct part *p = part_at(c, address);
  if (!p || !p->code || f->low < p->low || (f->high && address >= f->high)) return false;
  *index = i - 1;
  return true;
}

uint64_t code_function_start(const struct code *c, size_t index) {
  return c->functions[index].low;
}

bool code_function(const struct code *c, uint64_t address, uint64_t *start) {
  size_t index;
  if (!code_function_index(c, address, &index)) return false;
  *start = c->functions[index].low;
  return true;
}

size_t code_functions(const struct code *c) {
  return c->function_count;
}

bool code_is_function(const struct code *c, uint64_t start) {
  uint64_t found;
  return code_function(c, start, &found) && found == start;
}

/* ---- calls --------------------------------------------------------------------- */

/* Bytes of the ModRM byte at `m` with what belongs to it, if it is an operand of /2
 * (near call) that a call by pointer can have; 0 if not. Intel SDM 2A, 2.1. */
static size_t operand_bytes(const uint8_t *m, size_t have) {
  unsigned mode = m[0] >> 6, field = m[0] >> 3 & 7, base = m[0] & 7;
  size_t bytes = 1;
  if (field != 2) return 0;
  if (mode == 3) return bytes;
  if (base == 4) { /* SIB */
    if (have < 2) return 0;
    bytes++;
    if (mode == 0 && (m[1] & 7) == 5) return bytes + 4;
  }
  if (mode == 0) return base == 5 ? 0 : bytes; /* 5: relative to RIP */
  return bytes + (mode == 1 ? 1 : 4);
}

static bool is_call_by_pointer(const uint8_t *end) {
  for (size_t bytes = 2; bytes <= 7; bytes++) {
    const uint8_t *at = end - bytes;
    if (*at == 0xff && operand_bytes(at + 1, bytes - 1) == bytes - 1) return true;
  }
  return false;
}

enum code_call code_call_before(const struct code *c, uint64_t return_address) {
  enum { LONGEST = 8 };
  const struct part *p = part_at(c, return_address - 1);
  if (!p || !p->code || return_address - p->low < LONGEST) return CODE_CALL_UNKNOWN;
  const uint8_t *end = p->data + (return_address - p->low);
  const struct part *to = part_at(c, code_relative(end - 4, return_address));
  if (end[-5] == 0xe8 && to && to->code) return CODE_CALL_DIRECT;
  if (end[-6] == 0xff && end[-5] == 0x15) /* by a variable, or by the GOT: an import */
    return to && to->got ? CODE_CALL_DIRECT : CODE_CALL_BY_POINTER;
  return is_call_by_pointer(end) ? CODE_CALL_BY_POINTER : CODE_CALL_UNKNOWN;
}

/* Intel SDM 2A, 2.1 and 2.2.1: REX.W 89 /r, 8b /r, 8d /r, 85 /r. */
bool code_takes_result(const struct code *c, uint64_t return_address) {
  enum { SOON = 24, BYTES = 3, CALL = 0xe8, STORE = 0x89, LOAD = 0x8b, LEA = 0x8d };
  const uint8_t *at = code_image(c, return_address, SOON);
  for (size_t i = 0; at && i + BYTES <= SOON; i++) {
    const uint8_t *b = at + i;
    bool of_rax = (b[0] & 0xfc) == 0x48 && (b[2] & 0x38) == 0; /* the register operand */
    bool through_rax = !(b[0] & 1) && (b[2] & 7) == 0 && b[2] >> 6 != 3;
    if (b[0] == CALL || (b[0] == 0x31 && b[1] == 0xc0)) return false; /* xor %eax,%eax */
    if (of_rax && (b[1] == LOAD || b[1] == LEA)) return through_rax;
    if (of_rax && (b[1] == STORE || (b[1] == 0x85 && b[2] == 0xc0))) return true;
  }
  return false;
}

/* ---- life ---------------------------------------------------------------------- */

struct code *code_of(Elf *elf) {
  struct code *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  if (!find_parts(c, elf)) {
    code_free(c);
    return NULL;
  }
  find_functions(c, elf);
  return c;
}

void code_free(struct code *c) {
  if (!c) return;
  free(c->parts);
  free(c->functions);
  free(c);
}
