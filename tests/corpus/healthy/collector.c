/* An interpreter with a collector: garbage gathers until there is twice what lived. */
#include "../corpus.h"

struct cell {
  struct cell *next;
  int marked;
  double number;
};
static struct cell *all, *roots[500];
static size_t cells, threshold = 4000;

static void collect(void) {
  struct cell **at = &all;
  for (int i = 0; i < 500; i++)
    if (roots[i]) roots[i]->marked = 1;
  while (*at) {
    struct cell *c = *at;
    if (c->marked) {
      c->marked = 0;
      at = &c->next;
    } else {
      *at = c->next;
      free(c);
      cells--;
    }
  }
  threshold = cells * 2 > 4000 ? cells * 2 : 4000;
}
static struct cell *cell_new(double number) {
  if (cells >= threshold) collect();
  struct cell *c = calloc(1, sizeof *c);
  c->number = number;
  c->next = all;
  all = c;
  cells++;
  return c;
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 40; k++)
      roots[corpus_chance(500)] = cell_new(k);
}
