/* looks.c - a server of requests to be looked at twice. Reads a number of requests from
 * each line of standard input, serves them, and answers "done"; if it is negative, replies
 * for ever. PLANTED: what the build does differently. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLANTED
#define PLANTED 0
#endif
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

struct item {
  struct item *next;
  char text[100];
};
static struct item *cache;
static char **table;
static void *volatile passed;

NOINLINE static void *pass(void *p) {
  passed = p;
  return p;
}

static struct item *item_new(int n) {
  struct item *item = pass(malloc(sizeof *item));
  memset(item->text, n, sizeof item->text);
  return item;
}

NOINLINE static void cache_insert(int n) {
  struct item *item = item_new(n);
  item->next = cache;
  cache = item;
}

NOINLINE static void lose(int n) {
  memset(pass(malloc(200)), n, 200);
}

static void reply(int n) {
  void *text = pass(malloc(300));
  memset(text, n, 300);
  free(text);
}

static void request(int n) {
  if (n % 2 == 0) cache_insert(n);
  if (PLANTED && n % 10 == 0) lose(n);
  reply(n);
}

NOINLINE static void table_load(void) {
  table = pass(malloc(1000 * sizeof *table));
  for (int i = 0; i < 1000; i++)
    table[i] = strcpy(pass(malloc(64)), "entry");
}

int main(void) {
  int n;
  setvbuf(stdout, NULL, _IONBF, 0);
  table_load();
  while (scanf("%d", &n) == 1) {
    for (int i = 0; i < n; i++)
      request(i);
    while (n < 0)
      reply(n);
    passed = NULL;
    puts("done");
  }
  return 0;
}
