/* The last thousand events, of different sizes. */
#include "../corpus.h"

static char *ring[1000];
static unsigned head;

static void push(void) {
  size_t n = 20 + corpus_chance(400);
  free(ring[head % 1000]);
  ring[head++ % 1000] = corpus_use(malloc(n), n);
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 20; k++)
      push();
}
