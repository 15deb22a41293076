/* A batch of passes: each builds what it needs, a different size, and drops it. */
#include "../corpus.h"

static char *nodes[20000];
static unsigned count;

static void build(void) {
  nodes[count++] = corpus_use(malloc(100), 100);
}
static void drop(void) {
  while (count)
    free(nodes[--count]);
}

int main(void) {
  static const unsigned sizes[] = {60, 100, 40, 80, 20};
  EACH_STEP(i) {
    unsigned pass = i / 200;
    if (i % 200 == 0) drop();
    for (unsigned k = 0; i % 200 < 100 && k < sizes[pass]; k++)
      build();
    for (unsigned k = 0; i % 200 >= 100 && k < 40; k++)
      free(corpus_use(malloc(500), 500));
  }
  drop();
}
