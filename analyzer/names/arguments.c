#include "names/arguments.h"

enum { REGISTERS = 16, LEA = 7 }; /* bytes of that instruction */

/* By number: RDI, RSI, RDX, RCX, R8, R9. System V ABI for x86-64, 3.2.3. */
static unsigned argument_in(unsigned reg) {
  static const uint8_t of[REGISTERS] = {
      ARGUMENTS, 3, 2,         ARGUMENTS, ARGUMENTS, ARGUMENTS, 1,         0,
      4,         5, ARGUMENTS, ARGUMENTS, ARGUMENTS, ARGUMENTS, ARGUMENTS, ARGUMENTS};
  return of[reg];
}

/* RBX, RBP, R12 to R15: a call leaves them alone. Who is passed by several calls is put
 * in one of them once. */
static bool outlives_calls(unsigned reg) {
  return reg == 3 || reg == 5 || reg >= 12;
}

/* Which register "lea offset(%rip), register" sets; REGISTERS: it is none. Intel SDM 2A,
 * 2.1 and 2.2.1. */
static unsigned set_by_lea(const uint8_t *at) {
  if ((at[0] & 0xfb) != 0x48 || at[1] != 0x8d || (at[2] & 0xc7) != 5) return REGISTERS;
  return (at[2] >> 3 & 7u) | (at[0] & 4u) << 1;
}

/* What stands in registers that outlive calls. */
struct kept {
  uint64_t at[REGISTERS]; /* 0: not known */
  size_t since[REGISTERS];
  bool any; /* is there one at all? */
};

/* "mov register, register"; or the register is set by something else: then it is not
 * known any more. Where it goes, or REGISTERS. */
static unsigned move(struct kept *k, const uint8_t *at, size_t i, uint64_t *address) {
  bool prefix = (at[0] & 0xf0) == 0x40;
  const uint8_t *b = at + prefix;
  unsigned reg = (b[1] >> 3 & 7u) | (prefix ? (at[0] & 4u) << 1 : 0);
  unsigned other = (b[1] & 7u) | (prefix ? (at[0] & 1u) << 3 : 0);
  bool registers = b[1] >> 6 == 3, to_other = b[0] == 0x89 || b[0] == 0x31;
  if (!to_other && b[0] != 0x8b && b[0] != 0x8d) return REGISTERS;
  if (to_other && !registers) return REGISTERS;
  unsigned to = to_other ? other : reg, from = to_other ? reg : other;
  if (k->at[to] && i >= k->since[to] + LEA) k->at[to] = 0;
  *address = k->at[from];
  bool moves = registers && (at[0] & 0xf8) == 0x48 && b[0] != 0x31 && b[0] != 0x8d;
  return moves && *address ? to : REGISTERS;
}

/* What is called from here: by a call, or at the end of a function by a jump; by a short
 * one where it begins so near, else it is no call. */
static bool is_call(const struct code *code, const uint8_t *at, uint64_t address,
                    uint64_t *callee) {
  enum { CALL = 0xe8, JUMP = 0xe9, SHORT = 0xeb };
  if (*at == SHORT) {
    *callee = address + 2 + (uint64_t)(int64_t)(int8_t)at[1];
    return code_is_function(code, *callee);
  }
  if (at[0] == 0xff && at[1] == 0x15) { /* call *slot(%rip) */
    *callee = code_relative(at + 2, address + 6);
    return code_image(code, *callee, 8) && !code_is_code(code, *callee);
  }
  if (*at != CALL && *at != JUMP) return false;
  *callee = code_relative(at + 1, address + 5);
  return code_is_code(code, *callee);
}

/* Nearly all bytes begin nothing of all this: a bit for each that may. */
static bool may_begin(uint8_t byte) {
  static const uint64_t bits[4] = {
      UINT64_C(1) << 0x31, /* xor */
      0xffff,              /* prefixes */
      UINT64_C(1) << (0x89 - 0x80) | UINT64_C(1) << (0x8b - 0x80) |
          UINT64_C(1) << (0x8d - 0x80), /* mov, lea */
      UINT64_C(1) << (0xe8 - 0xc0) | UINT64_C(1) << (0xe9 - 0xc0) |
          UINT64_C(1) << (0xeb - 0xc0) | UINT64_C(1) << (0xff - 0xc0)}; /* calls, jumps */
  return bits[byte >> 6] >> (byte & 63) & 1;
}

/* A register's content holds to the end of the function: where the next one begins. */
static uint64_t forget_others(struct kept *k, const struct code *code, uint64_t address,
                              size_t *next) {
  size_t count = code_functions(code);
  while (*next < count && code_function_start(code, *next) <= address)
    ++*next;
  if (k->any) *k = (struct kept){0};
  return *next < count ? code_function_start(code, *next) : UINT64_MAX;
}

static void look_through(const struct code *code, uint64_t address, const uint8_t *data,
                         size_t bytes, arguments_visit *visit, void *to) {
  enum { FAR = 64 }; /* bytes; arguments are not made so far away */
  struct arguments call = {0};
  struct kept kept = {0};
  size_t last = 0, next = 0;
  uint64_t end = 0; /* of the function */
  for (size_t i = 0; i + LEA <= bytes; i++) {
    if (!may_begin(data[i])) continue;
    if (address + i >= end) end = forget_others(&kept, code, address + i, &next);
    uint64_t value = 0;
    unsigned reg = set_by_lea(data + i);
    if (reg < REGISTERS)
      value = code_relative(data + i + 3, address + i + LEA);
    else if (kept.any)
      reg = move(&kept, data + i, i, &value);
    if (reg < REGISTERS && outlives_calls(reg)) {
      kept.at[reg] = value;
      kept.since[reg] = i;
      kept.any = true;
    } else if (reg < REGISTERS && argument_in(reg) < ARGUMENTS) {
      if (i - last > FAR) call = (struct arguments){0};
      call.at[argument_in(reg)] = value;
      last = i;
    } else if (is_call(code, data + i, address + i, &call.callee)) {
      call.from = address + i;
      if (i - last <= FAR) visit(to, &call);
      call = (struct arguments){0};
    }
  }
}

void arguments_each(const struct code *code, arguments_visit *visit, void *to) {
  const uint8_t *data;
  uint64_t address;
  size_t bytes;
  for (size_t i = 0; code_section(code, i, &address, &data, &bytes); i++)
    look_through(code, address, data, bytes, visit, to);
}
