/* kind: leak
 * culprit: config_load
 * Each reload of the configuration forgets the one before, of many blocks. */
#include "../corpus.h"

struct option {
  struct option *next;
  char *name, *value;
};
struct config {
  struct option *options;
  char *path;
};
static struct config *config;

static struct option *option_new(const char *name, unsigned value) {
  struct option *o = malloc(sizeof *o);
  o->name = strdup(name);
  o->value = malloc(20);
  snprintf(o->value, 20, "%u", value);
  return o;
}
__attribute__((noinline)) static struct config *config_load(const char *path,
                                                            unsigned version) {
  struct config *c = calloc(1, sizeof *c);
  c->path = strdup(path);
  for (unsigned i = 0; i < 10; i++) {
    struct option *o = option_new("an option with a name", version + i);
    o->next = c->options;
    c->options = o;
  }
  return c;
}
static void set_option(void) {
  struct option *o = option_new("temporary", 1);
  free(o->name);
  free(o->value);
  free(o);
}

int main(void) {
  EACH_STEP(i) {
    if (i % 2 == 0) config = config_load("/etc/program.conf", i);
    for (int k = 0; k < 40; k++)
      set_option();
  }
}
