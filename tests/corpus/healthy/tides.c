/* Load rises and falls three times, and the run ends in a rise. */
#include "../corpus.h"

static char *session[1200];
static unsigned count;

static unsigned wanted(unsigned step) {
  unsigned t = step % 290;
  return 100 + (t < 145 ? t : 290 - t) * 7;
}

int main(void) {
  EACH_STEP(i) {
    while (count < wanted(i))
      session[count++] = corpus_use(malloc(500), 500);
    while (count > wanted(i))
      free(session[--count]);
    for (int k = 0; k < 10; k++) {
      unsigned at = corpus_chance(count);
      free(session[at]);
      session[at] = corpus_use(malloc(500), 500);
    }
  }
}
