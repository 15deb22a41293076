/* turns.c - N pairs of malloc and free, each on another stack than the one before:
 * turns coroutines N K, of K coroutines in turn | turns handler N, by turns in main and
 * in a handler on a stack of its own | turns places N, at eight places further in, which
 * move by and by (where they are decides which of them are remembered together). */
#include "common.h"

#include <alloca.h>
#include <signal.h>
#include <ucontext.h>

enum { STACK = 64 * 1024, DEPTH = 20, MOST = 8, MOVES = 25 };
static char stacks[MOST][STACK] __attribute__((aligned(4096)));
static ucontext_t outside, inside[MOST];
static int current;

static NOINLINE void pair(void) {
  free(keep(malloc(64)));
  __asm__ volatile("" : : : "memory"); /* no tail call */
}

/* Further in by K frames. */
static NOINLINE void pair_further_in(int k) {
  if (k > 0)
    pair_further_in(k - 1);
  else
    pair();
  __asm__ volatile("" : : : "memory");
}

static NOINLINE void descend(int depth, void (*f)(void)) {
  if (depth > 0)
    descend(depth - 1, f);
  else
    f();
  __asm__ volatile("" : : : "memory");
}

static void endless(void) {
  for (;;) {
    pair();
    swapcontext(&inside[current], &outside);
  }
}

static void coroutine(void) {
  descend(DEPTH, endless);
}

static void coroutines(long n, int k) {
  for (int i = 0; i < k; i++) {
    getcontext(&inside[i]);
    inside[i].uc_stack.ss_sp = stacks[i];
    inside[i].uc_stack.ss_size = STACK;
    inside[i].uc_link = &outside;
    makecontext(&inside[i], coroutine, 0);
  }
  for (long i = 0; i < n; i++) {
    current = (int)(i % k);
    swapcontext(&outside, &inside[current]);
  }
}

static long handled;

static NOINLINE void at_places_from(size_t further) {
  volatile char *room = alloca(further + 1);
  room[further] = 0;
  for (long i = 0; i < handled / MOVES; i++)
    pair_further_in((int)(i % 8));
}

static void at_places(void) {
  for (size_t i = 0; i < MOVES; i++)
    at_places_from(i * 112);
}

static void on_signal(int number) {
  (void)number;
  pair();
}

static void interrupted(void) {
  for (long i = 0; i < handled; i += 2) {
    raise(SIGUSR1);
    pair();
  }
}

static void handler(long n) {
  stack_t own = {.ss_sp = stacks[0], .ss_size = STACK};
  struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  CHECK(sigaltstack(&own, NULL) == 0 && sigaction(SIGUSR1, &a, NULL) == 0);
  handled = n;
  descend(DEPTH, interrupted);
}

static void places(long n) {
  handled = n;
  descend(DEPTH, at_places);
}

int main(int argc, char **argv) {
  CHECK(argc > 2);
  if (strcmp(argv[1], "coroutines") == 0) coroutines(atol(argv[2]), atoi(argv[3]));
  if (strcmp(argv[1], "handler") == 0) handler(atol(argv[2]));
  if (strcmp(argv[1], "places") == 0) places(atol(argv[2]));
  return 0;
}
