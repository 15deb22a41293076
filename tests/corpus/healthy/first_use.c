/* Seven kinds of requests come up one after the other, each with a histogram of its own, made
 * when it is first asked for. */
#include "../corpus.h"

#define KINDS 7u
static unsigned *histograms[KINDS];

static unsigned *histogram_of(unsigned kind) {
  size_t bytes = 4096 * sizeof **histograms;
  if (!histograms[kind]) histograms[kind] = corpus_use(malloc(bytes), bytes);
  return histograms[kind];
}
static void request(unsigned kind) {
  char *answer = corpus_use(malloc(600), 600);
  histogram_of(kind)[corpus_chance(4096)] += (unsigned)answer[0];
  free(answer);
}

int main(void) {
  EACH_STEP(i) {
    for (int k = 0; k < 20; k++)
      request(i * KINDS / STEPS);
  }
}
