/* kind: growth
 * culprit: log_append
 * One text that grows for ever: a single block, made larger in small steps. */
#include "../corpus.h"

static struct {
  char *text;
  size_t length, room;
} log_text;

static void log_append(const char *line) {
  size_t n = strlen(line);
  if (log_text.length + n + 1 > log_text.room) {
    log_text.room = log_text.length + n + 4096;
    log_text.text = realloc(log_text.text, log_text.room);
  }
  memcpy(log_text.text + log_text.length, line, n + 1);
  log_text.length += n;
}

int main(void) {
  EACH_STEP(i)
    for (int k = 0; k < 50; k++) {
      char *line = malloc(100);
      snprintf(line, 100, "step %u: something has happened, number %d\n", i, k);
      log_append(line);
      free(line);
    }
  return log_text.length == 1;
}
