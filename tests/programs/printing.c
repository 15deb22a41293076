/* printing.c - what is written at the end, by exit() and beside it.
 *   printing late      main returns when more waits in a buffer than a pipe can hold
 *   printing flush     main returns while one thread prints and one flushes all streams
 *   printing input     main returns while one thread prints and one waits for input */
#include "common.h"
#include <pthread.h>
#include <stdbool.h>

static volatile int at_work;

static void *print(void *unused) {
  FILE *f = fopen("/dev/null", "w");
  CHECK(f);
  for (;; at_work |= 1) {
    fprintf(f, "%d\n", at_work);
    fflush(f);
    fprintf(stderr, "%s", "");
  }
  return unused;
}
static void *write_all_out(void *unused) {
  for (;; at_work |= 2)
    fflush(NULL);
  return unused;
}
static void *wait_for_input(void *unused) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  FILE *f = fdopen(ends[0], "r");
  at_work |= 2;
  getc(f);
  return unused;
}

int main(int argc, char **argv) {
  CHECK(argc > 1);
  if (!strcmp(argv[1], "late")) {
    static char buffer[1 << 20];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    for (int i = 0; i < 100000; i++)
      printf("%9d\n", i);
    return 0;
  }
  pthread_t t;
  CHECK(pthread_create(&t, NULL, print, NULL) == 0);
  bool flush = !strcmp(argv[1], "flush");
  CHECK(pthread_create(&t, NULL, flush ? write_all_out : wait_for_input, NULL) == 0);
  while (at_work != 3)
    sleep_ms(1);
  sleep_ms(10);
  printf("result: 42\n");
  return 0;
}
