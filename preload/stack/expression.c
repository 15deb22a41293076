#include "stack/expression.h"

#include <dwarf.h>

/* At most; a branch may go back. */
enum { OPERANDS = 32, OPERATIONS = 256 };

struct operands {
  uint64_t of[OPERANDS];
  unsigned n;
  bool bad;
};

static void push(struct operands *s, uint64_t value) {
  s->bad |= s->n == OPERANDS;
  if (s->n < OPERANDS) s->of[s->n++] = value;
}

static uint64_t pop(struct operands *s) {
  s->bad |= s->n == 0;
  return s->n ? s->of[--s->n] : 0;
}

static void pick(struct operands *s, uint64_t depth) {
  s->bad |= depth >= s->n;
  push(s, depth < s->n ? s->of[s->n - 1 - depth] : 0);
}

/* Of two operands, the second on top. */
static uint64_t combine(uint8_t operation, uint64_t a, uint64_t b, bool *known) {
  int64_t x = (int64_t)a, y = (int64_t)b;
  switch (operation) {
  case DW_OP_and:
    return a & b;
  case DW_OP_minus:
    return a - b;
  case DW_OP_mul:
    return a * b;
  case DW_OP_or:
    return a | b;
  case DW_OP_plus:
    return a + b;
  case DW_OP_shl:
    return b < 64 ? a << b : 0;
  case DW_OP_shr:
    return b < 64 ? a >> b : 0;
  case DW_OP_shra:
    return (uint64_t)(x >> (b < 64 ? b : 63));
  case DW_OP_xor:
    return a ^ b;
  case DW_OP_eq:
    return x == y;
  case DW_OP_ge:
    return x >= y;
  case DW_OP_gt:
    return x > y;
  case DW_OP_le:
    return x <= y;
  case DW_OP_lt:
    return x < y;
  case DW_OP_ne:
    return x != y;
  default:
    *known = false;
    return 0;
  }
}

static uint64_t register_of(const struct expression_of *m, struct operands *s,
                            uint64_t number) {
  s->bad |= number >= CFI_REGISTERS;
  return number < CFI_REGISTERS ? m->registers->of[number] : 0;
}

static void branch(struct bytes *b, const struct bytes *whole, int64_t distance) {
  int64_t to = b->at - whole->at + distance;
  b->bad |= to < 0 || to > whole->end - whole->at;
  if (!b->bad) b->at = whole->at + to;
}

/* Those that push a constant or a register's value; false: it is none of them. */
static bool operate_alone(uint8_t op, const struct expression_of *m, struct bytes *b,
                          struct operands *s) {
  if (op >= DW_OP_lit0 && op <= DW_OP_lit31) {
    push(s, op - DW_OP_lit0);
  } else if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
    uint64_t value = register_of(m, s, op - DW_OP_breg0);
    push(s, value + (uint64_t)take_sleb(b));
  } else if (op >= DW_OP_const1u && op <= DW_OP_const8s) {
    unsigned n = 1u << (op - DW_OP_const1u) / 2;
    push(s, op % 2 ? (uint64_t)take_signed(b, n) : take(b, n));
  } else if (op == DW_OP_addr) {
    push(s, take(b, 8));
  } else if (op == DW_OP_constu) {
    push(s, take_uleb(b));
  } else if (op == DW_OP_consts) {
    push(s, (uint64_t)take_sleb(b));
  } else {
    return false;
  }
  return true;
}

static void operate(uint8_t op, const struct expression_of *m, struct bytes *b,
                    const struct bytes *whole, struct operands *s) {
  uint64_t word = 0, other, third;
  int64_t distance;
  bool known = true;
  if (operate_alone(op, m, b, s)) return;
  switch (op) {
  case DW_OP_deref:
    s->bad |= !m->word(m->memory, pop(s), &word);
    push(s, word);
    break;
  case DW_OP_dup:
    pick(s, 0);
    break;
  case DW_OP_drop:
    pop(s);
    break;
  case DW_OP_over:
    pick(s, 1);
    break;
  case DW_OP_pick:
    pick(s, take(b, 1));
    break;
  case DW_OP_swap:
    word = pop(s);
    other = pop(s);
    push(s, word);
    push(s, other);
    break;
  case DW_OP_rot:
    word = pop(s);
    other = pop(s);
    third = pop(s);
    push(s, word);
    push(s, third);
    push(s, other);
    break;
  case DW_OP_abs:
    word = pop(s);
    push(s, (int64_t)word < 0 ? -word : word);
    break;
  case DW_OP_neg:
    push(s, -pop(s));
    break;
  case DW_OP_not:
    push(s, ~pop(s));
    break;
  case DW_OP_plus_uconst:
    word = pop(s);
    push(s, word + take_uleb(b));
    break;
  case DW_OP_bra:
    distance = take_signed(b, 2);
    if (pop(s)) branch(b, whole, distance);
    break;
  case DW_OP_skip:
    branch(b, whole, take_signed(b, 2));
    break;
  case DW_OP_nop:
    break;
  default:
    word = pop(s);
    other = pop(s);
    push(s, combine(op, other, word, &known));
    s->bad |= !known;
  }
}

bool expression_value(struct bytes whole, const struct expression_of *m,
                      const uint64_t *first, uint64_t *result) {
  struct operands s;
  struct bytes b = whole;
  s.n = 0;
  s.bad = false;
  if (first) push(&s, *first);
  for (unsigned n = 0; left(&b) && !b.bad && !s.bad; n++) {
    if (n == OPERATIONS) return false;
    operate((uint8_t)take(&b, 1), m, &b, &whole, &s);
  }
  *result = pop(&s);
  return !b.bad && !s.bad;
}
