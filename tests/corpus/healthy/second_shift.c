/* After four tenths of the run there are twice as many clients, and that is all. */
#include "../corpus.h"

static char *client[1000];

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 20; k++) {
      unsigned at = corpus_chance(i < 400 ? 500 : 1000);
      free(client[at]);
      client[at] = corpus_use(malloc(800), 800);
    }
}
