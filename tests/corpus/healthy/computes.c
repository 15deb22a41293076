/* Loads for a twentieth of the run, then computes without an allocation; holds all. */
#include "../corpus.h"

static double *matrix[1000];

int main(void) {
  double sum = 0;
  EACH_STEP(i) {
    for (unsigned k = 0; i < 50 && k < 20; k++)
      matrix[i * 20 + k] = corpus_use(malloc(4096), 4096);
    for (unsigned k = 0; i >= 50 && k < 512; k++)
      sum += matrix[i][k];
  }
  return sum == 1;
}
