/* Large blocks come and go. */
#include "../corpus.h"

int main(void) {
  double sum = 0;
  EACH_STEP(i) {
    size_t n = 10000 + corpus_chance(100000);
    double *a = calloc(n, sizeof *a), *b = malloc(n * sizeof *b);
    memcpy(corpus_use(b, n * sizeof *b), a, n * sizeof *b);
    sum += b[corpus_chance((unsigned)n)];
    free(a);
    free(b);
  }
  return sum == 1;
}
