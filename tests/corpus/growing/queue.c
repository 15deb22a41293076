/* kind: growth
 * culprit: enqueue
 * Three messages arrive for each two that are taken. */
#include "../corpus.h"

struct message {
  struct message *next;
  size_t length;
  char body[];
};
static struct message *first, **last = &first;

static void enqueue(const char *body) {
  size_t n = strlen(body);
  struct message *m = malloc(sizeof *m + n + 1);
  m->next = NULL;
  m->length = n;
  memcpy(m->body, body, n + 1);
  *last = m;
  last = &m->next;
}

static size_t dequeue(void) {
  struct message *m = first;
  if (!m) return 0;
  size_t n = m->length;
  if (!(first = m->next)) last = &first;
  free(m);
  return n;
}

int main(void) {
  size_t sum = 0;
  char *body = malloc(200);
  EACH_STEP(i) {
    for (int k = 0; k < 9; k++) {
      snprintf(body, 200, "message %u %0*d", i, 20 + (int)corpus_chance(100), 7);
      enqueue(body);
    }
    for (int k = 0; k < 6; k++)
      sum += dequeue();
  }
  free(body);
  return sum == 1;
}
