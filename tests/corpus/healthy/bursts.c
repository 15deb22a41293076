/* A queue that bursts fill and pauses drain. */
#include "../corpus.h"

static char *queue[20000];
static unsigned first, last;

int main(void) {
  EACH_STEP(i) {
    unsigned in = i % 125 < 40 ? 30 : 2;
    for (unsigned k = 0; k < in; k++)
      queue[last++ % 20000] = corpus_use(malloc(150), 150);
    for (int k = 0; k < 13 && first != last; k++)
      free(queue[first++ % 20000]);
  }
}
