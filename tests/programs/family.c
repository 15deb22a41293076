/* family.c - what processes of a tree have to answer for. `family MODE [N]`:
 *
 * - daemon: a master keeps 32 MiB; its worker loses 10 MiB
 * - suite: three children lose, each 20 blocks of 1 KiB; the parent nothing
 * - many N: N children do so
 * - chain N: a child keeps 32 KiB and loses the head of N blocks of 64 B
 * - exec: loses 1 MiB, then executes itself as `family idle`
 * - wrong N: N children free a block twice
 * - grows: a child grows for 200 snapshots of 10 ms; the parent waits
 * - killed N: N children keep 2 MiB each, and are killed; the parent loses 1 KiB
 * - high MIB: a child holds as much for a moment, and loses 20 blocks of 1 KiB
 * - idle: does next to nothing */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static volatile uintptr_t sink;
static char *kept[32], *grown[1 << 16];

/* Nothing of it stays in registers or on the stack. */
NOINLINE static void lose(size_t bytes) {
  char *p = malloc(bytes); /* MARK lose */
  memset(p, 1, bytes);
  sink += (uintptr_t)p >> 60;
}

NOINLINE static void serve_request(void) {
  lose(10 << 10);
}

NOINLINE static void wipe(void) {
  volatile char room[4096];
  for (size_t i = 0; i < sizeof room; i++)
    room[i] = 0;
}

NOINLINE static void free_twice(void) {
  char *p = malloc(100);
  free(p);
  free(p); /* MARK twice */
}

NOINLINE static void remember(size_t i) {
  grown[i] = malloc(1000); /* MARK grow */
}

static void worker(void) {
  for (int i = 0; i < 1024; i++)
    serve_request();
  wipe();
}

NOINLINE static void hoard(void) {
  for (size_t i = 0; i < 2000; i++)
    grown[i] = malloc(1000); /* MARK hoard */
}

/* A child has a file from its first snapshot on. */
static void be_killed(void) {
  usleep(30000);
  hoard();
  raise(SIGKILL);
}

static void suite(void) {
  for (int i = 0; i < 20; i++)
    lose(1 << 10);
  wipe();
}

NOINLINE static void chain(int n) {
  void **head = NULL;
  for (int i = 0; i < n; i++) {
    void **next = calloc(1, 64); /* MARK chain */
    *next = head;
    head = next;
  }
  sink += (uintptr_t)head >> 60;
}

/* In blocks of 16 KiB, then none of it. */
static size_t highest;
static void rise_and_fall(void) {
  for (size_t i = 0; i < highest; i += 16 << 10)
    memset(grown[i >> 14] = malloc(16 << 10), 1, 16 << 10);
  for (size_t i = 0; i < highest; i += 16 << 10)
    free(grown[i >> 14]);
  memset(grown, 0, sizeof grown);
  suite();
}

static void grow(void) {
  for (size_t i = 0; i < 20000; i++) {
    remember(i);
    free(malloc(50));
    if (i % 100 == 0) usleep(10000);
  }
}

static void have_children(int n, void (*work)(void)) {
  for (int i = 0; i < n; i++)
    if (fork() == 0) {
      work();
      exit(0);
    }
  while (wait(NULL) > 0)
    ;
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  int n = argc > 2 ? atoi(argv[2]) : 1;
  if (strcmp(mode, "daemon") == 0) {
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
      memset(kept[i] = malloc(1 << 20), 1, 1 << 20); /* MARK keep */
    have_children(1, worker);
  } else if (strcmp(mode, "suite") == 0) {
    have_children(3, suite);
  } else if (strcmp(mode, "many") == 0) {
    have_children(n, suite);
  } else if (strcmp(mode, "chain") == 0) {
    if (fork() == 0) {
      kept[0] = malloc(32 << 10);
      chain(n);
      wipe();
      exit(0);
    }
    wait(NULL);
  } else if (strcmp(mode, "exec") == 0) {
    for (int i = 0; i < 1024; i++)
      lose(1 << 10);
    wipe();
    execl(argv[0], argv[0], "idle", (char *)NULL);
    return 1;
  } else if (strcmp(mode, "wrong") == 0) {
    have_children(n, free_twice);
  } else if (strcmp(mode, "grows") == 0) {
    have_children(1, grow);
  } else if (strcmp(mode, "killed") == 0) {
    have_children(n, be_killed);
    lose(1 << 10);
    wipe();
  } else if (strcmp(mode, "high") == 0) {
    highest = (size_t)n << 20;
    have_children(1, rise_and_fall);
  } else if (strcmp(mode, "idle") == 0) {
    free(malloc(10));
  } else {
    fprintf(stderr, "usage: family MODE [N]\n");
    return 2;
  }
  return 0;
}
