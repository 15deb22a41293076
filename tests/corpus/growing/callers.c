/* kind: leak
 * culprit: session_new
 * One function has 500 callers, and nobody frees what it makes. */
#include "../corpus.h"

struct session {
  char *name;
  int user;
};

__attribute__((noinline)) static int session_new(int user) {
  struct session *s = malloc(sizeof *s);
  s->name = malloc(80);
  snprintf(s->name, 80, "session of %d", user);
  s->user = (int)strlen(s->name);
  return s->user;
}

#define CALLER(n)                                                                        \
  static int caller_##n(int user) {                                                      \
    char *header = corpus_use(malloc(120), 120);                                         \
    int length = session_new(user) + header[0];                                          \
    free(header);                                                                        \
    return length;                                                                       \
  }
#define TEN(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define HUNDRED(X, n)                                                                    \
  TEN(X, n##0) TEN(X, n##1) TEN(X, n##2) TEN(X, n##3) TEN(X, n##4)                       \
  TEN(X, n##5) TEN(X, n##6) TEN(X, n##7) TEN(X, n##8) TEN(X, n##9)
#define ALL(X) HUNDRED(X, 1) HUNDRED(X, 2) HUNDRED(X, 3) HUNDRED(X, 4) HUNDRED(X, 5)
ALL(CALLER)
#define NAME(n) caller_##n,
static int (*const callers[])(int) = {ALL(NAME)};

int main(void) {
  int sum = 0;
  EACH_STEP(i)
    for (int k = 0; k < 10; k++)
      sum += callers[corpus_chance(500)]((int)i);
  return sum == 1;
}
