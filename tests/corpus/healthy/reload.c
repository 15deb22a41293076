/* The configuration is loaded anew each tenth of a second, the old one freed after. */
#include "../corpus.h"

struct config {
  char *option[100];
};
static struct config *config;

static struct config *load(void) {
  struct config *c = malloc(sizeof *c);
  for (int i = 0; i < 100; i++)
    c->option[i] = corpus_use(malloc(50 + corpus_chance(100)), 50);
  return c;
}
static void drop(struct config *c) {
  for (int i = 0; c && i < 100; i++)
    free(c->option[i]);
  free(c);
}

int main(void) {
  EACH_STEP(i) {
    if (i % 100 == 0) {
      struct config *old = config;
      config = load();
      drop(old);
    }
    for (int k = 0; k < 10; k++)
      free(corpus_use(malloc(300), 300));
  }
}
