/* The last 300 states of a text; the first 300 changes take a third of the run. */
#include "../corpus.h"

static char *history[300];
static unsigned changes;

static void change(const char *text) {
  free(history[changes % 300]);
  history[changes++ % 300] = strdup(text);
}

int main(void) {
  char *text = malloc(2000);
  corpus_use(text, 2000);
  text[1999] = 0;
  EACH_STEP(i) {
    text[corpus_chance(1999)] = 'x';
    change(text);
    free(corpus_use(malloc(700), 700));
  }
  free(text);
}
