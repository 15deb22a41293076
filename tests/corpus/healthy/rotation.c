/* A log in memory grows to 64 KiB, then is cut to a quarter. */
#include "../corpus.h"

static char *text;
static size_t length;

static void append(const char *line) {
  size_t n = strlen(line);
  text = realloc(text, length + n + 1);
  memcpy(text + length, line, n + 1);
  length += n;
  if (length < 65536) return;
  memmove(text, text + length * 3 / 4, length / 4 + 1);
  length /= 4;
  text = realloc(text, length + 1);
}

int main(void) {
  EACH_STEP(i) {
    char line[100];
    for (int k = 0; k < 12; k++) {
      snprintf(line, sizeof line, "step %u, line %d of the log\n", i, k);
      append(line);
    }
  }
}
