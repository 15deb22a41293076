/* Start-up loads tables for a fifth of the run; then the work goes on in what there is. */
#include "../corpus.h"

static char *tables[2000];

static void load(unsigned n) {
  tables[n] = corpus_use(malloc(3000), 3000);
}
static int work(void) {
  char *t = corpus_use(malloc(500), 500);
  int n = t[0] + tables[corpus_chance(2000)][0];
  free(t);
  return n;
}

int main(void) {
  int sum = 0;
  EACH_STEP(i) {
    for (unsigned k = 0; i < 200 && k < 10; k++)
      load(i * 10 + k);
    for (int k = 0; i >= 200 && k < 20; k++)
      sum += work();
  }
  return sum == 1;
}
