#include "names/arguments.h"

/* Of "lea offset(%rip), register", the argument that is in this register: RDI, RSI, RDX,
 * RCX, R8, R9. Intel SDM 2A, 2.1, and System V ABI for x86-64, 3.2.3. */
static unsigned argument_of(const uint8_t *at) {
  static const uint8_t low[8] = {ARGUMENTS, 3, 2, ARGUMENTS, ARGUMENTS, ARGUMENTS, 1, 0};
  static const uint8_t high[8] = {4,         5,         ARGUMENTS, ARGUMENTS,
                                  ARGUMENTS, ARGUMENTS, ARGUMENTS, ARGUMENTS};
  if ((at[0] != 0x48 && at[0] != 0x4c) || at[1] != 0x8d || (at[2] & 0xc7) != 5)
    return ARGUMENTS;
  unsigned number = at[2] >> 3 & 7;
  return at[0] == 0x48 ? low[number] : high[number];
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

static void look_through(const struct code *code, uint64_t address, const uint8_t *data,
                         size_t bytes, arguments_visit *visit, void *to) {
  enum { LEA = 7, FAR = 64 }; /* bytes; arguments are not made so far away */
  struct arguments call = {0};
  size_t last = 0;
  for (size_t i = 0; i + LEA <= bytes; i++) {
    unsigned argument = argument_of(data + i);
    if (argument < ARGUMENTS) {
      if (i - last > FAR) call = (struct arguments){0};
      call.at[argument] = code_relative(data + i + 3, address + i + LEA);
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
