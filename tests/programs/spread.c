/* spread.c MODE - an interpreter's loop calls operators by way of a table:
 *
 *   spread  each makes values, and the interpreted program keeps three in ten of all:
 * none of the operators is to blame much    the same, but one of them makes half of it
 *   apart   five operators keep all that they make, by mistakes of their own
 *   all     nothing is freed at all
 *
 * Names are the program's own: nobody knows the loop. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define KEEP_FRAME __asm__ volatile("")

struct value {
  struct value *next;
};
static struct value *kept;

#define EACH(X)                                                                          \
  X(add) X(sub) X(mul) X(join) X(split) X(list) X(hash) X(call) X(sort) X(copy)
#define SIZE(name) (100 + 8 * sizeof #name)
#define OPERATOR(name)                                                                   \
  NOINLINE static struct value *op_##name(void) {                                        \
    struct value *v = malloc(SIZE(name));                                                \
    if (!v) abort();                                                                     \
    KEEP_FRAME;                                                                          \
    return v;                                                                            \
  }
EACH(OPERATOR)
NOINLINE static struct value *op_file(void) {
  struct value *v = malloc(1200);
  if (!v) abort();
  KEEP_FRAME;
  return v;
}

typedef struct value *operator(void);
#define ENTRY(name) op_##name,
static operator* const operators[] = {EACH(ENTRY) op_file};
enum { OPERATORS = sizeof operators / sizeof *operators - 1, FILES = OPERATORS };

typedef bool keeps(unsigned step, unsigned op);
static bool script_keeps(unsigned step, unsigned op) {
  (void)op;
  return step / OPERATORS % 10 < 3;
}
static bool operator_keeps(unsigned step, unsigned op) {
  (void)step;
  return op % 2;
}
static bool nothing_is_freed(unsigned step, unsigned op) {
  (void)step;
  (void)op;
  return true;
}

NOINLINE static void interpret(unsigned first, unsigned steps, keeps *keep, bool files) {
  for (unsigned i = first; i < first + steps; i++) {
    unsigned op = files && i % 2 ? FILES : i % OPERATORS;
    struct value *v = operators[op]();
    if (keep(i, op)) {
      v->next = kept;
      kept = v;
    } else {
      free(v);
    }
  }
  KEEP_FRAME;
}

int main(int argc, char *argv[]) {
  static const struct {
    const char *name;
    keeps *keep;
    bool files;
  } modes[] = {{"spread", script_keeps, false},
               {"much", script_keeps, true},
               {"apart", operator_keeps, false},
               {"all", nothing_is_freed, false}};
  enum { ROUNDS = 100, STEPS = 10 * OPERATORS };
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (argc != 2 || strcmp(argv[1], modes[i].name) != 0) continue;
    for (unsigned round = 0; round < ROUNDS; round++) {
      interpret(round * STEPS, STEPS, modes[i].keep, modes[i].files);
      usleep(4000);
    }
    return 0;
  }
  fprintf(stderr, "usage: spread MODE\n");
  return 2;
}
