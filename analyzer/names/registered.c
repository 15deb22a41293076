/* registered.c - see registered.h.
 *
 * Code is looked through byte by byte, not decoded: what looks like the instruction but
 * is a part of another leads to no function that begins there, and to no word. */
#include "names/registered.h"

#include <stdlib.h>
#include <string.h>

/* RDI, RSI, RDX, RCX, R8, R9. */
#define ARGUMENTS 6u

struct argument {
  uint64_t start;   /* of a function; 0: it is none */
  const char *text; /* NULL: it is none */
};
struct call {
  struct registered what;
  uint64_t callee;
  unsigned function, text; /* indices of the arguments */
};
struct calls {
  struct call *at;
  size_t count, room;
};

static uint64_t relative(const uint8_t *at, uint64_t behind) {
  int32_t offset;
  memcpy(&offset, at, sizeof offset);
  return behind + (uint64_t)(int64_t)offset;
}

/* Of "lea offset(%rip), register", the argument that is in this register. Intel SDM 2A,
 * 2.1, and System V ABI for x86-64, 3.2.3. */
static unsigned argument_of(const uint8_t *at) {
  static const uint8_t low[8] = {ARGUMENTS, 3, 2, ARGUMENTS, ARGUMENTS, ARGUMENTS, 1, 0};
  static const uint8_t high[8] = {4,         5,         ARGUMENTS, ARGUMENTS,
                                  ARGUMENTS, ARGUMENTS, ARGUMENTS, ARGUMENTS};
  if ((at[0] != 0x48 && at[0] != 0x4c) || at[1] != 0x8d || (at[2] & 0xc7) != 5)
    return ARGUMENTS;
  unsigned number = at[2] >> 3 & 7;
  return at[0] == 0x48 ? low[number] : high[number];
}

static void add_call(struct calls *calls, const struct argument *a, uint64_t callee) {
  struct call call = {.callee = callee, .function = ARGUMENTS, .text = ARGUMENTS};
  for (unsigned i = 0; i < ARGUMENTS; i++) {
    if (!a[i].start && !a[i].text) continue;
    unsigned *which = a[i].start ? &call.function : &call.text;
    if (*which != ARGUMENTS) return;
    *which = i;
  }
  if (call.function == ARGUMENTS || call.text == ARGUMENTS) return;
  call.what = (struct registered){a[call.function].start, a[call.text].text};
  if (calls->count == calls->room) {
    size_t room = calls->room ? calls->room * 2 : 64;
    struct call *more = realloc(calls->at, room * sizeof *more);
    if (!more) return;
    calls->at = more;
    calls->room = room;
  }
  calls->at[calls->count++] = call;
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
  if (*at != CALL && *at != JUMP) return false;
  *callee = relative(at + 1, address + 5);
  return code_is_code(code, *callee);
}

static void look_through(const struct code *code, uint64_t address, const uint8_t *data,
                         size_t bytes, struct calls *calls) {
  enum { LEA = 7, FAR = 64 }; /* bytes; arguments are not made so far away */
  struct argument arguments[ARGUMENTS] = {{0}};
  size_t last = 0;
  uint64_t callee;
  for (size_t i = 0; i + LEA <= bytes; i++) {
    unsigned argument = argument_of(data + i);
    if (argument < ARGUMENTS) {
      uint64_t to = relative(data + i + 3, address + i + LEA), start = 0;
      if (i - last > FAR) memset(arguments, 0, sizeof arguments);
      if (code_is_function(code, to)) start = to;
      arguments[argument] = (struct argument){start, start ? NULL : code_word(code, to)};
      last = i;
    } else if (is_call(code, data + i, address + i, &callee)) {
      if (i - last <= FAR) add_call(calls, arguments, callee);
      memset(arguments, 0, sizeof arguments);
    }
  }
}

static int by_callee(const void *a, const void *b) {
  const struct call *x = a, *y = b;
  if (x->callee != y->callee) return x->callee < y->callee ? -1 : 1;
  if (x->function != y->function) return x->function < y->function ? -1 : 1;
  if (x->text != y->text) return x->text < y->text ? -1 : 1;
  return strcmp(x->what.text, y->what.text);
}

static bool is_alike(const struct call *a, const struct call *b) {
  return a->callee == b->callee && a->function == b->function && a->text == b->text;
}

/* Do they say something different of each? */
static bool is_believed(const struct call *at, size_t count) {
  enum { FEWEST = 3 };
  size_t texts = 1;
  for (size_t i = 1; i < count; i++)
    texts += strcmp(at[i].what.text, at[i - 1].what.text) != 0;
  return texts >= FEWEST && texts >= count / 2;
}

struct registered *registered_in(const struct code *code, size_t *count) {
  struct calls calls = {NULL, 0, 0};
  const uint8_t *data;
  uint64_t address;
  size_t bytes;
  *count = 0;
  for (size_t i = 0; code_section(code, i, &address, &data, &bytes); i++)
    look_through(code, address, data, bytes, &calls);
  if (!calls.count) return NULL;
  qsort(calls.at, calls.count, sizeof *calls.at, by_callee);
  struct registered *all = malloc(calls.count * sizeof *all);
  for (size_t i = 0, n; all && i < calls.count; i += n) {
    n = 1;
    while (i + n < calls.count && is_alike(&calls.at[i], &calls.at[i + n]))
      n++;
    if (!is_believed(calls.at + i, n)) continue;
    for (size_t k = i; k < i + n; k++)
      all[(*count)++] = calls.at[k].what;
  }
  free(calls.at);
  return all;
}
