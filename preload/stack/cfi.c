#include "stack/cfi.h"

#include "base/os.h"
#include "stack/bytes.h"
#include "stack/expression.h"
#include "stack/module.h"

#include <dwarf.h>
#include <string.h>

/* ---- pointers ------------------------------------------------------------------ */

/* How a pointer is written, and to what it is relative. */
enum { FORM = 0x0f, RELATIVE = 0x70 };

static uint64_t take_form(struct bytes *b, uint8_t encoding) {
  switch (encoding & FORM) {
  case DW_EH_PE_absptr:
  case DW_EH_PE_udata8:
  case DW_EH_PE_sdata8:
    return take(b, 8);
  case DW_EH_PE_uleb128:
    return take_uleb(b);
  case DW_EH_PE_udata2:
    return take(b, 2);
  case DW_EH_PE_udata4:
    return take(b, 4);
  case DW_EH_PE_sleb128:
    return (uint64_t)take_sleb(b);
  case DW_EH_PE_sdata2:
    return (uint64_t)take_signed(b, 2);
  case DW_EH_PE_sdata4:
    return (uint64_t)take_signed(b, 4);
  default:
    b->bad = true;
    return 0;
  }
}

static uint64_t take_pointer(struct bytes *b, uint8_t encoding) {
  uint64_t here = (uint64_t)b->at;
  uint64_t value = take_form(b, encoding);
  if ((encoding & RELATIVE) == DW_EH_PE_pcrel) return value + here;
  b->bad |= encoding & RELATIVE;
  return value;
}

/* ---- records ------------------------------------------------------------------- */

/* Code is on the stack, so its module stays mapped; but where what its headers say is not
 * known, or they say nothing of this, the kernel is asked. */
static bool may_read(const struct module_unwind *m, uint64_t at, uint64_t n) {
  uint64_t room = m->table_end - m->table_start;
  if (at - m->table_start < room && n <= m->table_end - at) return true;
  if (n > UINT32_MAX || at + n < at) return false;
  for (uint64_t page = os_page_of(at); page < at + n; page += OS_PAGE)
    if (page == 0 || !os_readable(page)) return false;
  return true;
}

/* The bytes of the record at an address, behind its length. */
static bool open_record(const struct module_unwind *m, uint64_t at, struct bytes *b) {
  uint32_t bytes;
  if (!may_read(m, at, sizeof bytes)) return false;
  memcpy(&bytes, (const void *)at, sizeof bytes);
  at += sizeof bytes;
  if (bytes == 0 || bytes == UINT32_MAX || !may_read(m, at, bytes)) return false;
  *b = (struct bytes){(const uint8_t *)at, (const uint8_t *)at + bytes, false};
  return true;
}

/* What functions have in common (CIE), and one of them (FDE). */
struct common {
  uint64_t code_unit;
  int64_t data_unit;
  uint8_t encoding; /* of addresses */
  bool augmented, signal;
  struct bytes program;
};
struct function {
  uint64_t start, bytes;
  struct common common;
  struct bytes program;
};

/* The augmentation's letters say what its data are. */
static bool read_augmentation(struct common *c, const char *letters, struct bytes data) {
  for (; *letters; letters++) {
    uint8_t encoding;
    switch (*letters) {
    case 'R':
      c->encoding = (uint8_t)take(&data, 1);
      break;
    case 'P': /* the personality routine */
      encoding = (uint8_t)take(&data, 1);
      if (encoding != DW_EH_PE_omit) (void)take_form(&data, encoding);
      break;
    case 'L':
      skip(&data, 1);
      break;
    case 'S':
      c->signal = true;
      break;
    default:
      return false;
    }
  }
  return !data.bad;
}

static bool read_common(const struct module_unwind *m, uint64_t at, struct common *c) {
  struct bytes b;
  *c = (struct common){0};
  if (!open_record(m, at, &b) || take(&b, 4) != 0) return false;
  uint64_t version = take(&b, 1);
  const char *letters = (const char *)b.at;
  const uint8_t *zero = memchr(b.at, 0, left(&b));
  if ((version != 1 && version != 3) || !zero) return false;
  b.at = zero + 1;
  c->code_unit = take_uleb(&b);
  c->data_unit = take_sleb(&b);
  uint64_t return_column = version == 1 ? take(&b, 1) : take_uleb(&b);
  if (return_column != CFI_RIP) return false;
  c->augmented = *letters == 'z';
  if (c->augmented) {
    uint64_t bytes = take_uleb(&b);
    struct bytes data = b;
    skip(&b, bytes);
    data.end = b.at;
    if (!read_augmentation(c, letters + 1, data)) return false;
  } else if (*letters) {
    return false;
  }
  c->program = b;
  return !b.bad;
}

static bool read_function(const struct module_unwind *m, uint64_t at,
                          struct function *f) {
  struct bytes b;
  if (!open_record(m, at, &b)) return false;
  uint64_t here = (uint64_t)b.at, back = take(&b, 4);
  if (back == 0 || !read_common(m, here - back, &f->common)) return false;
  f->start = take_pointer(&b, f->common.encoding);
  f->bytes = take_form(&b, f->common.encoding);
  if (f->common.augmented) skip(&b, take_uleb(&b));
  f->program = b;
  return !b.bad;
}

/* .eh_frame_hdr: a sorted table of (code, record), both relative to the header. This is
 * the one form that linkers make. */
struct header {
  uint8_t version, eh_frame_encoding, count_encoding, table_encoding;
  int32_t eh_frame;
  uint32_t count;
};
struct entry {
  int32_t code, record;
};
#define PCREL_SDATA4 (DW_EH_PE_pcrel | DW_EH_PE_sdata4)
#define DATAREL_SDATA4 (DW_EH_PE_datarel | DW_EH_PE_sdata4)

/* The last entry at or before `code`, both relative to the header. */
static bool search(const struct module_unwind *m, uint32_t count, int64_t code,
                   struct entry *found) {
  const struct entry *table = (const void *)(m->eh_frame_hdr + sizeof(struct header));
  uint32_t first = 0, end = count;
  while (first < end) {
    uint32_t middle = first + (end - first) / 2;
    if (!may_read(m, (uint64_t)&table[middle], sizeof *table)) return false;
    if (table[middle].code <= code)
      first = middle + 1;
    else
      end = middle;
  }
  if (first > 0) *found = table[first - 1];
  return first > 0;
}

static enum cfi_outcome find(uint64_t code, struct function *f) {
  struct module_unwind m;
  struct entry e;
  if (!module_find(code, &m) || !m.eh_frame_hdr ||
      !may_read(&m, m.eh_frame_hdr, sizeof(struct header)))
    return CFI_NONE;
  const struct header *h = (const void *)m.eh_frame_hdr;
  if (h->version != 1 || h->eh_frame_encoding != PCREL_SDATA4 ||
      h->count_encoding != DW_EH_PE_udata4 || h->table_encoding != DATAREL_SDATA4)
    return CFI_NONE;
  if (!search(&m, h->count, (int64_t)(code - m.eh_frame_hdr), &e)) return CFI_NONE;
  if (!read_function(&m, m.eh_frame_hdr + (uint64_t)(int64_t)e.record, f)) return CFI_BAD;
  return code - f->start < f->bytes ? CFI_STEPPED : CFI_NONE;
}

bool cfi_function(uint64_t code, uint64_t *start, uint64_t *end) {
  struct function f;
  if (find(code, &f) != CFI_STEPPED) return false;
  *start = f.start;
  *end = f.start + f.bytes;
  return true;
}

/* ---- the machine --------------------------------------------------------------- */

/* Where a register of the caller is to be had, or the CFA. */
enum how {
  SAME,
  UNDEFINED,
  AT_OFFSET, /* in memory, at CFA + offset */
  IS_OFFSET, /* CFA + offset itself */
  REGISTER,  /* that register + offset */
  AT_EXPRESSION,
  IS_EXPRESSION
};
struct place {
  uint8_t how;
  uint8_t number;  /* of the register */
  uint32_t length; /* of the expression */
  union {
    int64_t offset;
    const uint8_t *expression;
  };
};

/* A row has a column for the CFA, and one for each register that is asked for. */
enum { CFA, FOR_RULE = 3, FOR_STEP = 1 + CFI_REGISTERS };
static const uint8_t columns[CFI_REGISTERS] = {
    [CFI_RIP] = 1, [CFI_RBP] = 2, [CFI_RBX] = 3,  [CFI_R12] = 4, [CFI_R13] = 5,
    [CFI_R14] = 6, [CFI_R15] = 7, [0] = 8,        [1] = 9,       [2] = 10,
    [4] = 11,      [5] = 12,      [CFI_RSP] = 13, [8] = 14,      [9] = 15,
    [10] = 16,     [11] = 17};

enum { NOW, INITIAL, REMEMBERED, ROWS = REMEMBERED + 8 };
struct machine {
  struct place *places; /* ROWS rows of `width` */
  unsigned width, depth;
  struct place other; /* vector registers and such */
};

static struct place *row(struct machine *m, unsigned i) {
  return m->places + i * m->width;
}

static void copy_row(struct machine *m, unsigned to, unsigned from) {
  memcpy(row(m, to), row(m, from), m->width * sizeof(struct place));
}

/* 0: it has none. */
static unsigned column_of(const struct machine *m, uint64_t number) {
  unsigned column = number < CFI_REGISTERS ? columns[number] : 0;
  return column < m->width ? column : 0;
}

static struct place *column(struct machine *m, uint64_t number) {
  unsigned i = column_of(m, number);
  return i ? &row(m, NOW)[i] : &m->other;
}

static struct place of_offset(enum how how, int64_t offset) {
  return (struct place){.how = how, .offset = offset};
}

static struct place of_register(uint64_t number, int64_t offset) {
  return (struct place){.how = REGISTER,
                        .number =
                            number < CFI_REGISTERS ? (uint8_t)number : CFI_REGISTERS,
                        .offset = offset};
}

static struct place of_expression(struct bytes *b, enum how how) {
  uint64_t length = take_uleb(b);
  struct place p = {.how = how, .length = (uint32_t)length, .expression = b->at};
  skip(b, length);
  return p;
}

static void restore(struct machine *m, uint64_t number) {
  unsigned i = column_of(m, number);
  if (i) row(m, NOW)[i] = row(m, INITIAL)[i];
}

static int64_t scaled(const struct common *c, uint64_t units) {
  return (int64_t)(units * (uint64_t)c->data_unit);
}

/* One instruction, the addresses aside; false: none that is known. */
static bool execute(struct machine *m, uint8_t op, struct bytes *b,
                    const struct common *c) {
  struct place *p, *cfa = &row(m, NOW)[CFA];
  uint64_t number;
  switch (op) {
  case DW_CFA_nop:
    return true;
  case DW_CFA_offset_extended:
    p = column(m, take_uleb(b));
    *p = of_offset(AT_OFFSET, scaled(c, take_uleb(b)));
    return true;
  case DW_CFA_restore_extended:
    restore(m, take_uleb(b));
    return true;
  case DW_CFA_undefined:
    *column(m, take_uleb(b)) = of_offset(UNDEFINED, 0);
    return true;
  case DW_CFA_same_value:
    *column(m, take_uleb(b)) = of_offset(SAME, 0);
    return true;
  case DW_CFA_register:
    p = column(m, take_uleb(b));
    *p = of_register(take_uleb(b), 0);
    return true;
  case DW_CFA_remember_state:
    if (m->depth == ROWS - REMEMBERED) return false;
    copy_row(m, REMEMBERED + m->depth++, NOW);
    return true;
  case DW_CFA_restore_state:
    if (m->depth == 0) return false;
    copy_row(m, NOW, REMEMBERED + --m->depth);
    return true;
  case DW_CFA_def_cfa:
    number = take_uleb(b);
    *cfa = of_register(number, (int64_t)take_uleb(b));
    return true;
  case DW_CFA_def_cfa_register:
    number = take_uleb(b);
    if (cfa->how != REGISTER) return false;
    *cfa = of_register(number, cfa->offset);
    return true;
  case DW_CFA_def_cfa_offset:
    cfa->offset = (int64_t)take_uleb(b);
    return cfa->how == REGISTER;
  case DW_CFA_def_cfa_expression:
    *cfa = of_expression(b, IS_EXPRESSION);
    return true;
  case DW_CFA_expression:
    p = column(m, take_uleb(b));
    *p = of_expression(b, AT_EXPRESSION);
    return true;
  case DW_CFA_offset_extended_sf:
    p = column(m, take_uleb(b));
    *p = of_offset(AT_OFFSET, scaled(c, (uint64_t)take_sleb(b)));
    return true;
  case DW_CFA_def_cfa_sf:
    number = take_uleb(b);
    *cfa = of_register(number, scaled(c, (uint64_t)take_sleb(b)));
    return true;
  case DW_CFA_def_cfa_offset_sf:
    cfa->offset = scaled(c, (uint64_t)take_sleb(b));
    return cfa->how == REGISTER;
  case DW_CFA_val_offset:
    p = column(m, take_uleb(b));
    *p = of_offset(IS_OFFSET, scaled(c, take_uleb(b)));
    return true;
  case DW_CFA_val_offset_sf:
    p = column(m, take_uleb(b));
    *p = of_offset(IS_OFFSET, scaled(c, (uint64_t)take_sleb(b)));
    return true;
  case DW_CFA_val_expression:
    p = column(m, take_uleb(b));
    *p = of_expression(b, IS_EXPRESSION);
    return true;
  case DW_CFA_GNU_args_size:
    (void)take_uleb(b);
    return true;
  default:
    return false;
  }
}

/* Three instructions have an operand in their low bits. */
enum { PRIMARY = 0xc0, OPERAND = 0x3f };

/* How far the location goes up; false: it is another instruction. */
static bool advances(uint8_t op, struct bytes *b, const struct function *f,
                     uint64_t *location) {
  uint64_t units;
  if ((op & PRIMARY) == DW_CFA_advance_loc)
    units = op & OPERAND;
  else if (op >= DW_CFA_advance_loc1 && op <= DW_CFA_advance_loc4)
    units = take(b, 1u << (op - DW_CFA_advance_loc1));
  else if (op == DW_CFA_set_loc) {
    *location = take_pointer(b, f->common.encoding);
    return true;
  } else
    return false;
  *location += units * f->common.code_unit;
  return true;
}

/* Up to the row of `code`. */
static bool run(struct machine *m, struct bytes b, const struct function *f,
                uint64_t code) {
  uint64_t location = f->start;
  while (left(&b) && location <= code) {
    uint8_t op = (uint8_t)take(&b, 1);
    if (advances(op, &b, f, &location)) continue;
    if ((op & PRIMARY) == DW_CFA_offset) {
      struct place *p = column(m, op & OPERAND);
      *p = of_offset(AT_OFFSET, scaled(&f->common, take_uleb(&b)));
    } else if ((op & PRIMARY) == DW_CFA_restore) {
      restore(m, op & OPERAND);
    } else if (!execute(m, op, &b, &f->common)) {
      return false;
    }
  }
  return !b.bad;
}

static bool find_row(struct machine *m, const struct function *f, uint64_t code) {
  memset(row(m, NOW), 0, m->width * sizeof(struct place));
  if (!run(m, f->common.program, f, UINT64_MAX)) return false;
  copy_row(m, INITIAL, NOW);
  return run(m, f->program, f, code);
}

/* ---- a step -------------------------------------------------------------------- */

static struct bytes expression_of(const struct place *p) {
  return (struct bytes){p->expression, p->expression + p->length, false};
}

static bool find_cfa(const struct place *p, const struct expression_of *m,
                     uint64_t *cfa) {
  if (p->how == IS_EXPRESSION) return expression_value(expression_of(p), m, NULL, cfa);
  if (p->how != REGISTER || p->number >= CFI_REGISTERS) return false;
  *cfa = m->registers->of[p->number] + (uint64_t)p->offset;
  return true;
}

/* `*at`: where in memory, or 0. */
static bool find_value(const struct place *p, unsigned number,
                       const struct expression_of *m, uint64_t cfa, uint64_t *value,
                       uint64_t *at) {
  *at = 0;
  switch (p->how) {
  case SAME:
    *value = m->registers->of[number];
    return true;
  case UNDEFINED:
    *value = 0;
    return true;
  case REGISTER:
    *value = p->number < CFI_REGISTERS ? m->registers->of[p->number] : 0;
    return p->number < CFI_REGISTERS;
  case IS_OFFSET:
    *value = cfa + (uint64_t)p->offset;
    return true;
  case IS_EXPRESSION:
    return expression_value(expression_of(p), m, &cfa, value);
  case AT_OFFSET:
    *at = cfa + (uint64_t)p->offset;
    return m->word(m->memory, *at, value);
  case AT_EXPRESSION:
    return expression_value(expression_of(p), m, &cfa, at) &&
           m->word(m->memory, *at, value);
  }
  return false;
}

static void tell_rbp(const struct place *p, uint64_t at, struct cfi_frame *frame) {
  frame->rbp = p->how == SAME ? CFI_KEPT : at ? CFI_IN_MEMORY : CFI_ELSEWHERE;
  frame->rbp_at = at;
}

static enum cfi_outcome step(struct machine *m, struct cfi_registers *registers,
                             uint64_t code, cfi_word *word, void *of_word,
                             struct cfi_frame *frame) {
  struct function f;
  struct expression_of e = {registers, word, of_word};
  struct cfi_registers caller = *registers;
  uint64_t cfa, at;
  enum cfi_outcome found = find(code, &f);
  if (found != CFI_STEPPED) return found;
  if (!find_row(m, &f, code)) return CFI_BAD;
  const struct place *of = row(m, NOW);
  if (of[column_of(m, CFI_RIP)].how == UNDEFINED) return CFI_OUTERMOST;
  if (!find_cfa(&of[CFA], &e, &cfa)) return CFI_BAD;
  for (unsigned i = 0; i < CFI_REGISTERS; i++) {
    const struct place *p = &of[column_of(m, i)];
    if (p == of) continue;
    if (!find_value(p, i, &e, cfa, &caller.of[i], &at)) return CFI_BAD;
    if (i == CFI_RBP) tell_rbp(p, at, frame);
  }
  caller.of[CFI_RSP] = cfa;
  frame->signal = f.common.signal;
  *registers = caller;
  return CFI_STEPPED;
}

enum cfi_outcome cfi_step(struct cfi_registers *registers, uint64_t code, cfi_word *word,
                          void *of_word, struct cfi_frame *frame) {
  static struct place places[ROWS * FOR_STEP];
  struct machine m = {.places = places, .width = FOR_STEP};
  return step(&m, registers, code, word, of_word, frame);
}

enum cfi_outcome cfi_step_for_rule(struct cfi_registers *registers, uint64_t code,
                                   cfi_word *word, void *of_word,
                                   struct cfi_frame *frame) {
  struct place places[ROWS * FOR_RULE];
  struct machine m = {.places = places, .width = FOR_RULE};
  return step(&m, registers, code, word, of_word, frame);
}
