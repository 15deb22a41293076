/* kind: growth
 * culprit: symbol_new
 * A small interpreter makes a new symbol for each temporary name, and keeps it. */
#include "../corpus.h"

struct symbol {
  struct symbol *next;
  char *name;
};
struct value {
  int type;
  char *text;
};
static struct symbol *symbols[1024];

static unsigned hash_of(const char *name) {
  unsigned h = 5381;
  while (*name)
    h = h * 33 + (unsigned char)*name++;
  return h % 1024;
}
static struct symbol *symbol_new(const char *name) {
  struct symbol *s = malloc(sizeof *s);
  s->name = strdup(name);
  return s;
}
static struct symbol *intern(const char *name) {
  unsigned h = hash_of(name);
  for (struct symbol *s = symbols[h]; s; s = s->next)
    if (!strcmp(s->name, name)) return s;
  struct symbol *s = symbol_new(name);
  s->next = symbols[h];
  return symbols[h] = s;
}
static struct value *value_new(const char *text) {
  struct value *v = malloc(sizeof *v);
  v->text = strdup(text);
  return v;
}
static void value_free(struct value *v) {
  free(v->text);
  free(v);
}

enum { PUSH, GENSYM, LOAD, POP, HALT };
static void run(const int *code, unsigned *next) {
  struct value *stack[16];
  int depth = 0;
  char name[40];
  for (;; code++)
    switch (*code) {
    case PUSH:
      stack[depth++] = value_new("some constant that is pushed");
      break;
    case GENSYM:
      snprintf(name, sizeof name, "temporary-%u", ++*next);
      intern(name);
      break;
    case LOAD:
      snprintf(name, sizeof name, "variable-%u", corpus_chance(50));
      stack[depth++] = value_new(intern(name)->name);
      break;
    case POP:
      value_free(stack[--depth]);
      break;
    default:
      return;
    }
}

int main(void) {
  static const int program[] = {PUSH, LOAD, PUSH, POP, POP, GENSYM, LOAD, POP, POP, HALT};
  unsigned next = 0;
  EACH_STEP(i)
    for (int k = 0; k < 10; k++)
      run(program, &next);
}
