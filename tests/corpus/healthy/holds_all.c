/* Loads for a third of the run, works, and ends with everything held. */
#include "../corpus.h"

struct row {
  struct row *next;
  char text[200];
};
static struct row *rows;

static void load(void) {
  struct row *r = corpus_use(malloc(sizeof *r), sizeof *r);
  r->next = rows;
  rows = r;
}
static size_t query(void) {
  char *reply = malloc(400);
  size_t n = (size_t)snprintf(reply, 400, "%s", rows->text);
  corpus_use(reply, n);
  free(reply);
  return n;
}

int main(void) {
  size_t sum = 0;
  EACH_STEP(i) {
    for (int k = 0; i < 330 && k < 30; k++)
      load();
    for (int k = 0; i >= 330 && k < 30; k++)
      sum += query();
  }
  return sum == 1;
}
