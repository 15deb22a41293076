/* A server: connections come and go by chance, about a hundred at a time. */
#include "../corpus.h"

static struct connection {
  char *in, *out;
} *open[200];

static struct connection *accept_one(void) {
  struct connection *c = malloc(sizeof *c);
  c->in = corpus_use(malloc(2048), 2048);
  c->out = corpus_use(malloc(1024), 1024);
  return c;
}
static void close_one(struct connection *c) {
  free(c->in);
  free(c->out);
  free(c);
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 4; k++) {
      unsigned at = corpus_chance(200);
      if (open[at]) {
        close_one(open[at]);
        open[at] = NULL;
      } else {
        open[at] = accept_one();
      }
    }
}
