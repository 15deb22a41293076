/* kind: leak
 * culprit: ring_push
 * A ring buffer writes over what it still holds. */
#include "../corpus.h"

static struct event {
  int kind;
  char *text;
} *ring[64];
static unsigned head;

static void ring_push(int kind, const char *text) {
  struct event *e = malloc(sizeof *e);
  e->kind = kind;
  e->text = strdup(text);
  ring[head++ % 64] = e;
}
static void trace(const char *what, unsigned n) {
  char *text = malloc(128);
  snprintf(text, 128, "%s %u", what, n);
  ring_push(1, text);
  free(text);
}

int main(void) {
  EACH_STEP(i)
    for (unsigned k = 0; k < 10; k++)
      trace(k % 2 ? "enter" : "leave", i);
}
