/* kind: growth
 * culprit: arena_alloc
 * end: kill
 * An arena for requests that is never reset: it takes chunk after chunk. */
#include "../corpus.h"
#include <signal.h>

#define CHUNK 65536
struct chunk {
  struct chunk *next;
  size_t used;
  char bytes[CHUNK];
};
static struct chunk *arena;

static struct chunk *chunk_new(struct chunk *next) {
  struct chunk *c = malloc(sizeof *c);
  c->next = next;
  c->used = 0;
  return c;
}
__attribute__((noinline)) static void *arena_alloc(size_t bytes) {
  if (!arena || arena->used + bytes > CHUNK) arena = chunk_new(arena);
  void *p = arena->bytes + arena->used;
  arena->used += bytes;
  return corpus_use(p, bytes);
}
static void request(unsigned n) {
  char *path = arena_alloc(200), *reply = arena_alloc(800 + n % 100);
  char *scratch = corpus_use(malloc(3000), 3000);
  path[0] = reply[0] = scratch[0];
  free(scratch);
}

int main(void) {
  EACH_STEP(i)
    for (unsigned k = 0; k < 8; k++)
      request(i);
  raise(SIGKILL);
}
