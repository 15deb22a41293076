/* sites.c - many call stacks: sites STACKS BLOCKS BYTES [NAME TICKS]
 *
 * BLOCKS blocks stay live at the end, allocated in turn on STACKS stacks of six to eight
 * frames. With a NAME they are marked, and the program goes on for some TICKS of the
 * clock, in the first of which is a peak, until it is killed. With fewer than none it
 * marks "next" and NAME again, and ends. */
#include "common.h"

#include <signal.h>
#include <time.h>
#include <ullage.h>

typedef void *step(unsigned long path, int depth, size_t bytes);
static step *const steps[16];
static void *volatile *kept;

#define STEP(i)                                                                          \
  static NOINLINE void *step##i(unsigned long path, int depth, size_t bytes) {           \
    void *p = depth ? steps[path & 15](path >> 4, depth - 1, bytes) : malloc(bytes);     \
    CHECK(p);                                                                            \
    return p;                                                                            \
  }
SIXTEEN(STEP)
#define PLACE(i) step##i,
static step *const steps[16] = {SIXTEEN(PLACE)};

static void go_on(int ticks, size_t peak) {
  for (int i = 0; i < ticks; i++) {
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    free(malloc(i ? 1 : peak));
    for (int k = 0; k < 100; k++)
      free(malloc(1));
  }
}

int main(int argc, char **argv) {
  CHECK(argc >= 4);
  unsigned long stacks = strtoul(argv[1], NULL, 10), blocks = strtoul(argv[2], NULL, 10);
  size_t bytes = strtoul(argv[3], NULL, 10);
  int depth = 1;
  for (unsigned long n = stacks - 1; n >= 16; n /= 16)
    depth++;
  kept = calloc(blocks, sizeof *kept);
  CHECK(kept);
  for (unsigned long i = 0; i < blocks; i++)
    kept[i] = step0(i % stacks, depth, bytes);
  if (argc == 6) {
    CHECK(ullage_mark(argv[4]));
    int ticks = atoi(argv[5]);
    if (ticks < 0) return !ullage_mark("next") || !ullage_mark(argv[4]);
    go_on(ticks, blocks * bytes / 4);
    raise(SIGKILL);
  }
  printf("done\n");
  return 0;
}
