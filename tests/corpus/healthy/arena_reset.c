/* An arena for each request, freed whole at its end; requests differ in size. */
#include "../corpus.h"

struct chunk {
  struct chunk *next;
  char bytes[16384];
};
static void request(unsigned chunks) {
  struct chunk *arena = NULL;
  for (unsigned i = 0; i < chunks; i++) {
    struct chunk *c = malloc(sizeof *c);
    corpus_use(c->bytes, sizeof c->bytes);
    c->next = arena;
    arena = c;
  }
  while (arena) {
    struct chunk *next = arena->next;
    free(arena);
    arena = next;
  }
}

int main(void) {
  EACH_STEP(i) {
    request(1 + corpus_chance(20));
  }
}
