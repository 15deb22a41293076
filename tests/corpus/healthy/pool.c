/* A pool of objects: it has as many as were ever in use at once. */
#include "../corpus.h"

struct object {
  struct object *next;
  double data[30];
};
static struct object *spare, *busy[400];

static struct object *acquire(void) {
  struct object *o = spare;
  if (o)
    spare = o->next;
  else
    o = malloc(sizeof *o);
  return corpus_use(o, sizeof *o);
}
static void release(struct object *o) {
  o->next = spare;
  spare = o;
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 30; k++) {
      unsigned at = corpus_chance(400);
      char *text = corpus_use(malloc(80), 80);
      if (busy[at]) {
        release(busy[at]);
        busy[at] = NULL;
      } else {
        busy[at] = acquire();
      }
      free(text);
    }
}
