/* A population that goes up and down by chance, and is drawn back to its middle. */
#include "../corpus.h"

static char *member[4000];
static int count;

static void join(void) {
  member[count++] = corpus_use(malloc(256), 256);
}
static void leave(void) {
  free(member[--count]);
}

int main(void) {
  while (count < 1000)
    join();
  EACH_STEP(i)
    for (int k = 0; k < 40; k++)
      if (count < 10 || (count < 3990 && (int)corpus_chance(2000) > count))
        join();
      else
        leave();
}
