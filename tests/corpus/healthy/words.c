/* Words of a language are interned: frequent ones at once, rare ones later and later. */
#include "../corpus.h"

static char *word[3000];

static const char *intern(unsigned n) {
  char text[40];
  snprintf(text, sizeof text, "word number %u", n);
  if (!word[n]) word[n] = strdup(text);
  return word[n];
}
/* About one in n of the words is the n-th. */
static unsigned by_chance(void) {
  unsigned n = 3000;
  while (n > 1 && corpus_chance(4))
    n = 1 + corpus_chance(n);
  return n - 1;
}

int main(void) {
  size_t sum = 0;
  EACH_STEP(i)
    for (int k = 0; k < 100; k++) {
      char *line = corpus_use(malloc(200), 200);
      sum += strlen(intern(by_chance()));
      free(line);
    }
  return sum == 1;
}
