/* Loads at once, in a moment, and then waits: a service without clients. */
#include "../corpus.h"

static char *table[50000];

int main(void) {
  for (int i = 0; i < 50000; i++)
    table[i] = corpus_use(malloc(100), 100);
  EACH_STEP(i)
    if (!table[i]) return 1;
}
