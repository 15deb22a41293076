/* arguments: 3 | 5
 * A table of what was asked for, of 5,000 things asked for by chance: it fills ever more
 * slowly, 3 or 5 times as often asked as there are things. */
#include "../corpus.h"

static char *known[5000];

static char *make(unsigned n) {
  char *p = malloc(150);
  snprintf(p, 150, "thing %u", n);
  return p;
}
static char *look_up(unsigned n) {
  char *scratch = corpus_use(malloc(100), 100);
  if (!known[n]) known[n] = make(n);
  free(scratch);
  return known[n];
}

int main(int argc, char **argv) {
  unsigned times = argc > 1 ? (unsigned)atoi(argv[1]) : 5, sum = 0;
  EACH_STEP(i)
    for (unsigned k = 0; k < times * 5; k++)
      sum += (unsigned)look_up(corpus_chance(5000))[0];
  return sum == 1;
}
