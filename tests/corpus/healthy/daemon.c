/* end: kill
 * A daemon that wakes up now and then, killed in the end. */
#include "../corpus.h"
#include <signal.h>

static char *state[300];

int main(void) {
  for (int i = 0; i < 300; i++)
    state[i] = corpus_use(malloc(1000), 1000);
  EACH_STEP(i) {
    if (i % 20) continue;
    for (int k = 0; k < 30; k++) {
      unsigned at = corpus_chance(300);
      free(state[at]);
      state[at] = corpus_use(malloc(1000), 1000);
    }
  }
  raise(SIGKILL);
}
