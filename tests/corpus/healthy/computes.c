/* Loads for a fifth of the run, then computes without an allocation; holds all. */
#include "../corpus.h"

static double *matrix[1000];

int main(void) {
  double sum = 0;
  EACH_STEP(i) {
    for (unsigned k = 0; i < 200 && k < 5; k++)
      matrix[i * 5 + k] = corpus_use(malloc(4096), 4096);
    for (unsigned k = 0; i >= 200 && k < 512; k++)
      sum += matrix[i][k];
  }
  return sum == 1;
}
