/* kind: leak
 * culprit: list_words
 * Nine commands quote words; the one that runs copies what was quoted for it, and forgets
 * that. */
#include "../corpus.h"

/* What all commands ask for. */
static __attribute__((noinline)) char *quote(const char *word) {
  size_t n = strlen(word);
  char *quoted = malloc(n + 3);
  quoted[0] = quoted[n + 1] = '\'';
  memcpy(quoted + 1, word, n);
  quoted[n + 2] = 0;
  return quoted;
}

static __attribute__((noinline)) char *list_words(const char *word) {
  char *line = malloc(64), *quoted = quote(word);
  snprintf(line, 64, "word=%s", quoted);
  return line;
}

#define COMMAND(name)                                                                    \
  static __attribute__((noinline)) char *name(const char *word) {                        \
    char *quoted = quote(word);                                                          \
    size_t n = strlen(quoted) + sizeof #name + 1;                                        \
    char *line = malloc(n);                                                              \
    snprintf(line, n, "%s %s", #name, quoted);                                           \
    free(quoted);                                                                        \
    return line;                                                                         \
  }
COMMAND(alias)
COMMAND(bind)
COMMAND(declare)
COMMAND(export)
COMMAND(hash)
COMMAND(local)
COMMAND(set)
COMMAND(trap)

static char *(*const commands[])(const char *) = {
    list_words, alias, bind, declare, export, hash, local, set, trap};

int main(int argc, char **argv) {
  char *(*run)(const char *) = commands[argc > 1 ? atoi(argv[1]) : 0];
  EACH_STEP(i)
  for (unsigned k = 0; k < 20; k++) {
    char word[24];
    snprintf(word, sizeof word, "word%u", i % 100 + k);
    free(run(word));
  }
}
