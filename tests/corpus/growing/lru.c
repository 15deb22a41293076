/* kind: growth
 * culprit: lru_put
 * What is evicted leaves the table, but not the list of ages. */
#include "../corpus.h"

struct age {
  struct age *next;
  unsigned key;
  char *value;
};
static struct age *ages, *table[256];

static char *value_of(unsigned key) {
  char *v = malloc(64);
  snprintf(v, 64, "value %u", key);
  return v;
}
static void lru_put(unsigned key, char *value) {
  struct age *a = malloc(sizeof *a), *old = table[key % 256];
  a->key = key;
  a->value = value;
  a->next = ages;
  ages = a;
  table[key % 256] = a;
  if (!old) return;
  free(old->value);
  old->value = NULL;
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 20; k++) {
      unsigned key = corpus_chance(100000);
      lru_put(key, value_of(key));
    }
}
