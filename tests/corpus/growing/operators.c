/* kind: growth
 * culprit: run
 * An interpreter's loop calls operators by a table; its program keeps a quarter of all values, whoever made them. */
#include "../corpus.h"

struct value {
  struct value *next;
  unsigned type;
};
static struct value *globals;

#define OPERATORS(X)                                                                     \
  X(add, 40) X(concat, 70) X(list, 64) X(hash, 80) X(call, 56)                           \
  X(slice, 48) X(format, 72) X(match, 60)
#define OPERATOR(name, bytes)                                                            \
  static struct value *op_##name(unsigned type) {                                        \
    struct value *v = malloc(bytes);                                                     \
    v->type = type;                                                                      \
    return v;                                                                            \
  }
OPERATORS(OPERATOR)
#define ENTRY(name, bytes) op_##name,
static struct value *(*const operators[])(unsigned) = {OPERATORS(ENTRY)};
enum { COUNT = sizeof operators / sizeof *operators };

__attribute__((noinline)) static void run(unsigned steps) {
  for (unsigned i = 0; i < steps; i++) {
    struct value *v = operators[corpus_chance(COUNT)](i);
    if (corpus_chance(4)) {
      free(corpus_use(v, sizeof *v));
      continue;
    }
    v->next = globals;
    globals = v;
  }
}

int main(void) {
  EACH_STEP(i)
    run(40);
  return globals == NULL;
}
