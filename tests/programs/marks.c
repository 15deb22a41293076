/* marks.c - says what it does, by ullage.h: "loaded" after 100 blocks of 1000 bytes,
 * "served" after 50 more of 500, then frees the first ones. Prints what ullage_mark()
 * returned. Argument: how many more names to use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ullage.h>

static void *loaded[100], *served[50];

static void load(void) {
  for (int i = 0; i < 100; i++)
    loaded[i] = malloc(1000);
}

static void serve(void) {
  for (int i = 0; i < 50; i++)
    served[i] = malloc(500);
}

int main(int argc, char **argv) {
  char name[100];
  load();
  printf("%d", ullage_mark("loaded"));
  serve();
  printf(" %d", ullage_mark("served"));
  for (int i = 0; i < 100; i++)
    free(loaded[i]);
  printf(" %d", ullage_mark("at last") && ullage_mark("at last"));
  for (int i = 0; argc > 1 && i < atoi(argv[1]); i++) {
    snprintf(name, sizeof name, "more %d", i);
    printf(" %d", ullage_mark(name));
  }
  memset(name, 'x', 99);
  name[99] = 0;
  printf(" %d %d %d\n", ullage_mark(name), ullage_mark("a/b"), ullage_mark(""));
  return served[0] == NULL;
}
