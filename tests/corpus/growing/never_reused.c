/* kind: growth
 * culprit: acquire
 * A pool of objects that takes them back, and never gives one out again. */
#include "../corpus.h"

struct object {
  struct object *next;
  double matrix[16];
};
static struct object *free_list;

static struct object *acquire(void) {
  struct object *o = malloc(sizeof *o);
  return corpus_use(o, sizeof *o);
}
static void release(struct object *o) {
  o->next = free_list;
  free_list = o;
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 10; k++) {
      struct object *a = acquire(), *b = acquire();
      char *scratch = corpus_use(malloc(2000), 2000);
      free(scratch);
      release(a);
      release(b);
    }
}
