/* kind: leak
 * culprit: describe
 * What asprintf has made is for the caller to free. */
#include "../corpus.h"

struct item {
  int id;
  double price;
};
static size_t describe(const struct item *i) {
  char *text;
  if (asprintf(&text, "item %d costs %.2f", i->id, i->price) < 0) return 0;
  return strlen(text);
}
static size_t greet(int n) {
  char *text;
  if (asprintf(&text, "hello for the %dth time, whoever you are", n) < 0) return 0;
  size_t length = strlen(text);
  free(text);
  return length;
}

int main(void) {
  size_t sum = 0;
  EACH_STEP(i)
    for (int k = 0; k < 10; k++) {
      struct item item = {(int)i, k * 1.5};
      sum += describe(&item) + greet(k);
    }
  return sum == 1;
}
