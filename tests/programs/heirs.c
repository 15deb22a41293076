/* heirs.c - a parent with 100,000 blocks of 64 bytes in a list, and children that are
 * only what they do themselves.
 *   heirs idle N     N children that allocate and free 100 blocks of 50 bytes
 *   heirs lose N     ... that hold 5 MiB for a moment and lose 99 blocks of 1 KiB
 *   heirs work 1     one that holds 5 MiB, in 5,120 blocks, where its parent has, too;
 *                    has freed the first 1,000 of the list, the last of them twice; has
 *                    lost 20 blocks of 1 KiB, and the list */
#include "common.h"
#include <sys/wait.h>

enum { BLOCKS = 100000, OWN = 5120, FREED = 1000 };

struct item {
  struct item *next;
  char rest[56];
};
static struct item *list;
static void *own[OWN];

static NOINLINE void *common(size_t bytes) {
  return keep(malloc(bytes)); /* MARK common */
}

static NOINLINE void make_list(void) {
  for (int i = 0; i < BLOCKS; i++) {
    struct item *item = common(sizeof *item);
    item->next = list;
    list = item;
  }
}

static NOINLINE void lose(int blocks) {
  for (int i = 0; i < blocks; i++)
    keep(malloc(1024)); /* MARK lose */
}

static void idle(void) {
  for (int i = 0; i < 100; i++)
    free(common(50));
}

static void hold_for_a_moment(void) {
  char *moment = common(5 << 20);
  memset(moment, 1, 5 << 20);
  free(moment);
  lose(99);
}

static void work(void) {
  struct item *last = NULL;
  for (int i = 0; i < FREED; i++) {
    last = list;
    list = list->next;
    free(last);
  }
  free(keep(last));
  last = list = NULL;
  for (int i = 0; i < OWN; i++)
    own[i] = common(1024);
  lose(20);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  void (*does)(void) = argv[1][0] == 'i'   ? idle
                       : argv[1][0] == 'l' ? hold_for_a_moment
                                           : work;
  make_list();
  for (int i = atoi(argv[2]); i > 0; i--) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
      does();
      scrub_stack();
      exit(0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
  }
  return 0;
}
