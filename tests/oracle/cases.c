/* cases.c - see cases.h. */
#include "cases.h"

void *volatile held[64];
int main_holds;
static struct oracle_case *cases;

void oracle_add(struct oracle_case *c) {
  c->next = cases;
  cases = c;
}

NOINLINE void scrub(void) {
  volatile char dead[64 * 1024];
  for (size_t i = 0; i < sizeof dead; i++)
    dead[i] = 0;
  __asm__ volatile("" : : : "rbx", "r12", "r13", "r14", "r15", "memory");
}

int main(int argc, char **argv) {
  const char *name = argc == 2 ? argv[1] : "";
  for (struct oracle_case *c = cases; c; c = c->next) {
    if (!strcmp(name, "--list")) puts(c->name);
    if (strcmp(name, c->name)) continue;
    c->run();
    if (main_holds) {
      void *volatile mine = calloc(1, 100);
      exit(0);
      keep(mine);
    }
    scrub();
    return 0;
  }
  return strcmp(name, "--list") ? 2 : 0;
}
