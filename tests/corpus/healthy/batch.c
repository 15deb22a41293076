/* Reads all, works on it for most of the time, writes, frees all. */
#include "../corpus.h"

static char *lines[20000];

static char *read_line(unsigned n) {
  char *line = malloc(120);
  snprintf(line, 120, "line %u of the input", n);
  return line;
}
static size_t transform(const char *line) {
  char *out = malloc(240);
  size_t n = (size_t)snprintf(out, 240, "<%s>", line);
  free(out);
  return n;
}

int main(void) {
  size_t sum = 0;
  EACH_STEP(i) {
    for (unsigned k = 0; i < 200 && k < 100; k++)
      lines[i * 100 + k] = read_line(i * 100 + k);
    for (unsigned k = 0; i >= 200 && k < 25; k++)
      sum += transform(lines[(i - 200) * 25 + k]);
  }
  for (unsigned k = 0; k < 20000; k++)
    free(lines[k]);
  return sum == 1;
}
