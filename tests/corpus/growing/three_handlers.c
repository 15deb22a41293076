/* kind: growth
 * culprit: handler_123 | handler_500 | handler_877
 * A thousand request handlers behind a table; three of them keep what they make. */
#include "../corpus.h"

struct kept {
  struct kept *next;
  char text[104];
};
static struct kept *kept[3];
void *base[200]; /* seen from elsewhere: not optimized away */

static struct kept *reply_new(void) {
  struct kept *k = malloc(sizeof *k);
  corpus_use(k->text, sizeof k->text);
  return k;
}
#define HANDLER(n)                                                                       \
  static int handler_##n(void) {                                                         \
    struct kept *reply = reply_new();                                                    \
    int i = 1##n == 1123 ? 0 : 1##n == 1500 ? 1 : 1##n == 1877 ? 2 : -1;                 \
    if (i < 0) {                                                                         \
      free(reply);                                                                       \
    } else {                                                                             \
      reply->next = kept[i];                                                             \
      kept[i] = reply;                                                                   \
    }                                                                                    \
    return n % 10;                                                                       \
  }
#define TEN(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define HUNDRED(X, n)                                                                    \
  TEN(X, n##0) TEN(X, n##1) TEN(X, n##2) TEN(X, n##3) TEN(X, n##4)                       \
  TEN(X, n##5) TEN(X, n##6) TEN(X, n##7) TEN(X, n##8) TEN(X, n##9)
#define ALL(X)                                                                           \
  HUNDRED(X, 1) HUNDRED(X, 2) HUNDRED(X, 3) HUNDRED(X, 4) HUNDRED(X, 5)                  \
  HUNDRED(X, 6) HUNDRED(X, 7) HUNDRED(X, 8) HUNDRED(X, 9)
ALL(HANDLER)
#define NAME(n) handler_##n,
static int (*const handlers[])(void) = {ALL(NAME)};

int main(void) {
  int sum = 0;
  for (int i = 0; i < 200; i++) /* start-up */
    base[i] = corpus_use(malloc(4000), 4000);
  EACH_STEP(i)
    for (unsigned k = 0; k < 300; k++)
      sum += handlers[corpus_chance(900)]();
  return sum == 1;
}
