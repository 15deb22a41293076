/* kind: leak
 * culprit: parse_list
 * Two functions of a parser call each other to any depth; one loses its brackets. */
#include "../corpus.h"

struct value {
  char *text;
  int count;
};
static int parse_list(const char **s);

static int parse_value(const char **s) {
  if (**s == '(') {
    ++*s;
    return parse_list(s);
  }
  char *text = malloc(32);
  int n = 0;
  while (**s >= 'a' && **s <= 'z')
    text[n++ % 32] = *(*s)++;
  free(text);
  return n;
}

static int parse_list(const char **s) {
  struct value *v = malloc(sizeof *v);
  v->text = malloc(48);
  v->count = 0;
  while (**s && **s != ')') {
    v->count += parse_value(s);
    if (**s == ' ') ++*s;
  }
  if (**s == ')') ++*s;
  int count = v->count;
  free(v->text);
  return count;
}

static void document(char *text, unsigned depth) {
  char *s = text;
  for (unsigned i = 0; i < depth; i++)
    s += sprintf(s, "(a bc ");
  for (unsigned i = 0; i < depth; i++)
    s += sprintf(s, ")");
}

int main(void) {
  static char text[1000];
  int sum = 0;
  EACH_STEP(i) {
    document(text, 1 + corpus_chance(40));
    for (int k = 0; k < 5; k++) {
      const char *s = text;
      sum += parse_value(&s);
    }
  }
  return sum == 1;
}
