/* early.c - a library whose constructor, which runs before all others' but libc's, starts
 * a thread that no wrapper hears of: it allocates and frees while whatever is preloaded
 * comes up, and its last blocks stay.
 *
 * main waits for it, prints "done" and ends. */
#include "common.h"
#include <sched.h>
#include <sys/syscall.h>
#include <threads.h>

enum { BLOCKS = 200000, ROUNDS = 4 };
static void *blocks[BLOCKS];
static thrd_t thread;

static NOINLINE int allocate(void *unused) {
  (void)unused;
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < BLOCKS; i++) {
      free(blocks[i]);
      blocks[i] = keep(malloc(32)); /* MARK allocate */
    }
  return 0;
}

/* Before libullage's constructor, and before its first allocation by anybody but the
 * loader. */
static void begin(int argc, char **argv, char **envp) {
  (void)argc, (void)argv, (void)envp;
  CHECK(thrd_create(&thread, allocate, NULL) == thrd_success);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **,
                                                                        char **) = begin;

int main(void) {
  CHECK(thrd_join(thread, NULL) == thrd_success);
  puts("done");
  return 0;
}
