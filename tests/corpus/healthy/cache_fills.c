/* A cache with a bound: it is full after a third of the run, and then evicts. */
#include "../corpus.h"

static struct entry {
  unsigned key;
  char *value;
} cache[4096];
static unsigned used, hand;

static char *value_of(unsigned key) {
  char *v = malloc(200);
  snprintf(v, 200, "value of %u", key);
  return v;
}
static void put(unsigned key) {
  unsigned at = used < 4096 ? used++ : hand++ % 4096;
  free(cache[at].value);
  cache[at] = (struct entry){key, value_of(key)};
}

int main(void) {
  EACH_STEP(i)
    for (unsigned k = 0; k < 12; k++)
      put(i * 12 + k);
}
