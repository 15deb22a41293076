/* kind: leak
 * culprit: parse_header
 * One in twenty headers is bad, and then the path of errors forgets what was read. */
#include "../corpus.h"

struct header {
  char *name, *value;
};

static struct header *parse_header(const char *line) {
  struct header *h = malloc(sizeof *h);
  const char *colon = strchr(line, ':');
  h->name = strdup(line);
  if (!colon) return NULL;
  h->value = strdup(colon + 1);
  return h;
}
static void header_free(struct header *h) {
  free(h->name);
  free(h->value);
  free(h);
}
static void *read_line(unsigned n) {
  char *line = malloc(256);
  snprintf(line, 256, corpus_chance(20) ? "Header-%u: some value of it" : "Broken-%u", n);
  return line;
}

int main(void) {
  int bad = 0;
  EACH_STEP(i)
    for (unsigned k = 0; k < 30; k++) {
      char *line = read_line(i + k);
      struct header *h = parse_header(line);
      if (h)
        header_free(h);
      else
        bad++;
      free(line);
    }
  return bad == 1;
}
