/* peak.c - a peak that is known, and what stays.
 *   peak spike     24 MB held steadily, a spike of 64 MB in the middle
 *   peak never     50 MB, nothing is ever freed
 *   peak churn     100,000 temporary blocks
 *   peak large     a few blocks of many MB, grown by realloc
 * Prints "peak BYTES live BYTES". stdout is unbuffered: its buffer is not to count. */
#include "common.h"

static void *base[24000], *spikes[64000];

static NOINLINE void hold_base(void) {
  for (int i = 0; i < 24000; i++)
    base[i] = malloc(1000); /* MARK hold_base */
}
static NOINLINE void spike(void) {
  for (int i = 0; i < 64000; i++)
    spikes[i] = malloc(1000); /* MARK spike */
  for (int i = 0; i < 64000; i++)
    free(spikes[i]);
}
static NOINLINE void never_free(void) {
  for (int i = 0; i < 50000; i++)
    keep(malloc(1000)); /* MARK never_free */
}
static NOINLINE void churn(void) {
  for (int i = 0; i < 100000; i++)
    free(keep(malloc(48))); /* MARK churn */
}
static NOINLINE void grow_large(void) {
  char *p = NULL;
  for (int mb = 1; mb <= 60; mb++)
    p = realloc(p, (size_t)mb * 1000000); /* MARK grow_large */
  p = realloc(p, 7000000);                /* MARK shrink_large */
  base[0] = p;
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IONBF, 0);
  if (!strcmp(mode, "spike")) {
    hold_base();
    spike();
    sleep_ms(100);
    printf("peak 88000000 live 24000000\n");
  } else if (!strcmp(mode, "never")) {
    never_free();
    printf("peak 50000000 live 50000000\n");
  } else if (!strcmp(mode, "churn")) {
    churn();
    printf("peak 48 live 0\n");
  } else if (!strcmp(mode, "large")) {
    grow_large();
    printf("peak 60000000 live 7000000\n");
  } else {
    return 2;
  }
  return 0;
}
