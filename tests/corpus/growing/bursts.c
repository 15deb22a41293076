/* kind: growth
 * culprit: audit
 * Work comes in bursts with pauses between; each leaves something, and most does not. */
#include "../corpus.h"

static struct record {
  struct record *before;
  char text[120];
} *records;

static void audit(const char *text) {
  struct record *r = malloc(sizeof *r);
  strncpy(r->text, text, sizeof r->text - 1);
  r->before = records;
  records = r;
}
static void transaction(unsigned n) {
  char *rows[20];
  for (int i = 0; i < 20; i++)
    rows[i] = corpus_use(malloc(100 + corpus_chance(400)), 100);
  if (n % 3 == 0) audit(rows[0]);
  for (int i = 0; i < 20; i++)
    free(rows[i]);
}

int main(void) {
  EACH_STEP(i)
    if (i / 50 % 2 == 0)
      for (unsigned k = 0; k < 20; k++)
        transaction(k);
}
