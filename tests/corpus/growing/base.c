/* kind: growth
 * culprit: remember
 * arguments: 1 | 2 | 5 | 10 | 20
 * A heap of 20 MiB is loaded at the start; what each request remembers adds so many per
 * cent of it by the end. */
#include "../corpus.h"

struct note {
  struct note *next;
  char text[84];
};
static struct note *notes;
void *base[20480]; /* seen from elsewhere: not optimized away */

static void load(void) {
  for (size_t i = 0; i < sizeof base / sizeof *base; i++)
    base[i] = corpus_use(malloc(1024), 1024);
}

static void remember(const char *text) {
  struct note *n = malloc(sizeof *n);
  strncpy(n->text, text, sizeof n->text - 1);
  n->next = notes;
  notes = n;
}

static void request(unsigned n) {
  char *text = malloc(200);
  snprintf(text, 200, "request %u", n);
  remember(text);
  free(text);
}

int main(int argc, char **argv) {
  unsigned per_cent = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
  size_t times = (sizeof base / sizeof *base) * 1024 / 100 * per_cent / sizeof(struct note);
  load();
  EACH_STEP(i) {
    for (size_t k = times * i / STEPS; k < times * (i + 1) / STEPS; k++)
      request((unsigned)k);
    for (int k = 0; k < 20; k++)
      free(corpus_use(malloc(300), 300));
  }
}
