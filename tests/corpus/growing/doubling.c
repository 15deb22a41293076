/* kind: growth
 * culprit: table_insert
 * A table that is never cleaned doubles, again and again. */
#include "../corpus.h"

static struct {
  uint64_t *key;
  size_t used, room;
} table;

static void table_insert(uint64_t key) {
  if (table.used * 4 >= table.room * 3) {
    size_t room = table.room ? table.room * 2 : 16;
    uint64_t *grown = calloc(room, sizeof *grown);
    for (size_t i = 0; i < table.room; i++)
      if (table.key[i]) grown[i] = table.key[i];
    free(table.key);
    table.key = grown;
    table.room = room;
  }
  table.key[table.used++] = key;
}

int main(void) {
  EACH_STEP(i)
    for (uint64_t k = 0; k < 300; k++) {
      char *name = corpus_use(malloc(60), 60);
      table_insert(i * 300 + k + 1);
      free(name);
    }
  return table.used == 1;
}
