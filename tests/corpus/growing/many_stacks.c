/* kind: growth
 * culprit: cache_insert
 * 10^5 different stacks lead into one insert, which keeps what it gets. */
#include "../corpus.h"

static struct entry { struct entry *next; char key[40]; } *entries;

static char *text_new(size_t bytes) {
  return malloc(bytes);
}

__attribute__((noinline)) static void cache_insert(unsigned key) {
  char *text = text_new(100);
  struct entry *e = malloc(sizeof *e);
  snprintf(text, 100, "entry %u", key);
  strncpy(e->key, text, sizeof e->key - 1);
  e->next = entries;
  entries = e;
  free(text);
}

typedef void visit(unsigned depth, unsigned path);
static visit *const ways[10];
static void go_on(unsigned depth, unsigned path) {
  if (depth)
    ways[path % 10](depth - 1, path / 10);
  else
    cache_insert(path);
}
#define WAY(n)                                                                           \
  static void way_##n(unsigned depth, unsigned path) {                                   \
    char *scratch = corpus_use(malloc(60), 60);                                          \
    go_on(depth, path);                                                                  \
    free(scratch);                                                                       \
  }
WAY(0) WAY(1) WAY(2) WAY(3) WAY(4) WAY(5) WAY(6) WAY(7) WAY(8) WAY(9)
static visit *const ways[10] = {way_0, way_1, way_2, way_3, way_4,
                                way_5, way_6, way_7, way_8, way_9};

int main(void) {
  EACH_STEP(i) {
    for (unsigned k = 0; k < 100; k++)
      go_on(5, i * 100 + k);
  }
}
