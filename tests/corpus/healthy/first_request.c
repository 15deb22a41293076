/* end: kill
 * A service loads its rules, then waits for long; its first request makes what requests need. */
#include "../corpus.h"
#include <signal.h>

#define RULES (STEPS * 2 / 10)
#define FIRST (STEPS * 95 / 100)
#define EACH 40u
static char *rules[RULES][EACH];
static char *buffers[100];

static char *rule_read(void) {
  char *line = corpus_use(malloc(300), 300), *rule = corpus_use(malloc(100), 100);
  free(line);
  return rule;
}

int main(void) {
  EACH_STEP(i) {
    for (unsigned k = 0; k < EACH && i < RULES; k++)
      rules[i][k] = rule_read();
    for (int k = 0; k < 100 && i == FIRST; k++)
      buffers[k] = corpus_use(malloc(1000), 1000);
  }
  raise(SIGKILL);
}
