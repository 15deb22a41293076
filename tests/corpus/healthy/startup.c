/* Registers and tables of start-up are never freed, by nobody; the pointers stay. */
#include "../corpus.h"

static struct driver {
  struct driver *next;
  char *name, *table;
} *drivers;

static void register_driver(int n) {
  struct driver *d = malloc(sizeof *d);
  d->name = malloc(30);
  snprintf(d->name, 30, "driver %d", n);
  d->table = corpus_use(calloc(1, 5000), 5000);
  d->next = drivers;
  drivers = d;
}

int main(void) {
  for (int i = 0; i < 60; i++)
    register_driver(i);
  EACH_STEP(i)
    for (int k = 0; k < 5; k++)
      free(corpus_use(malloc(100), 100));
}
