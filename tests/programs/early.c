/* early.c - a library whose constructor, which runs before all others' but libc's, starts
 * a thread that no wrapper hears of: it allocates and frees while whatever is preloaded
 * comes up, and its last blocks stay.
 *
 * main waits for it, prints "done" and ends.
 *
 *   early child    the same by a thread of a forked child that has no recording yet */
#include "common.h"
#include <sys/wait.h>
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
  (void)argv, (void)envp;
  if (argc > 1) return;
  CHECK(thrd_create(&thread, allocate, NULL) == thrd_success);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **,
                                                                        char **) = begin;

static void in_child(void) {
  pid_t pid = fork();
  int status;
  if (pid == 0) {
    CHECK(thrd_create(&thread, allocate, NULL) == thrd_success);
    for (int i = 0; i < 50; i++) { /* long enough for a file */
      sleep_ms(1);
      free(keep(malloc(16)));
    }
    CHECK(thrd_join(thread, NULL) == thrd_success);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char *argv[]) {
  (void)argv;
  if (argc > 1)
    in_child();
  else
    CHECK(thrd_join(thread, NULL) == thrd_success);
  puts("done");
  return 0;
}
