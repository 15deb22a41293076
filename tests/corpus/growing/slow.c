/* kind: leak
 * culprit: count_visit
 * 24 bytes in a thousand allocations are lost, beside a heap of 4 MiB. */
#include "../corpus.h"

static void *pages[1024];

static void count_visit(unsigned n) {
  unsigned *counter = malloc(24);
  *counter = n;
  corpus_use(counter, 4);
}
static void visit(unsigned n) {
  unsigned i = corpus_chance(1024);
  free(pages[i]);
  pages[i] = corpus_use(malloc(4000), 4000);
  if (n % 10 == 0) count_visit(n);
}

int main(void) {
  for (int i = 0; i < 1024; i++)
    pages[i] = corpus_use(malloc(4000), 4000);
  EACH_STEP(i)
    for (unsigned k = 0; k < 50; k++)
      visit(i * 50 + k);
}
