/* user.c - a program that uses library.c, and forgets what it got from it.
 *
 *     user N */
#include "hosted.h"

#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) int load_config(void) {
  struct record *volatile r = record_read(3);
  return r != NULL;
}

__attribute__((noinline)) int load_all(int n) {
  int volatile loaded = 0;
  while (n-- > 0)
    loaded += load_config();
  return loaded;
}

int main(int argc, char **argv) {
  printf("%d\n", load_all(argc > 1 ? atoi(argv[1]) : 10));
  return 0;
}
