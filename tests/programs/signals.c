/* signals.c - the program's signals are the program's.
 *   jump     handlers leave computations (not malloc) by siglongjmp, 2,000 times
 *   timer    a timer interrupts a program that allocates all the time
 *   mask     masks and dispositions are as they were set
 *   altstack a handler on an alternate stack allocates after a deliberate fault */
#include "common.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

static sigjmp_buf back;
static volatile sig_atomic_t may_jump, ticks;

static void jump(int signal) {
  ticks++;
  if (may_jump) {
    may_jump = 0;
    siglongjmp(back, signal);
  }
}
static void count(int signal) {
  (void)signal;
  ticks++;
}

static void handle(int signal, void (*handler)(int)) {
  struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
  CHECK(sigaction(signal, &a, NULL) == 0);
}

static void start_timer(int us) {
  struct itimerval t = {{0, us}, {0, us}};
  CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void run_jump(void) {
  handle(SIGUSR1, jump);
  for (volatile int i = 0; i < 2000; i++) {
    void *volatile p = malloc(100 + i);
    if (sigsetjmp(back, 1) == 0) {
      may_jump = 1;
      raise(SIGUSR1);
      CHECK(!"reached");
    }
    void *q = malloc(50);
    free(p);
    free(q);
  }
  puts("jumped");
}

static void run_timer(void) {
  handle(SIGALRM, count);
  start_timer(500);
  void *held[500] = {0};
  uint64_t random = 42;
  while (ticks < 300) {
    uint64_t r = next_random(&random);
    void **slot = &held[r % 500];
    free(*slot);
    *slot = malloc(r >> 20 & 0xfff);
  }
  start_timer(0);
  for (int i = 0; i < 500; i++)
    free(held[i]);
  puts("ticked");
}

static void run_mask(void) {
  for (int s = 1; s < 65; s++) {
    struct sigaction a;
    if (sigaction(s, NULL, &a)) continue;
    if (a.sa_handler != SIG_DFL) printf("signal %d has a handler\n", s);
  }
  sigset_t set, now;
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (int i = 0; i < 1000; i++)
    keep(malloc(1000 + i));
  sigprocmask(SIG_BLOCK, NULL, &now);
  for (int s = 1; s < 32; s++)
    if (s != SIGKILL && s != SIGSTOP) CHECK(sigismember(&now, s));
  sigemptyset(&set);
  sigprocmask(SIG_SETMASK, &set, NULL);
  for (int i = 0; i < 1000; i++)
    keep(malloc(1000 + i));
  sigprocmask(SIG_BLOCK, NULL, &now);
  for (int s = 1; s < 32; s++)
    CHECK(!sigismember(&now, s));
  puts("masks kept");
}

static char other_stack[64 * 1024];
static void on_fault(int signal) {
  for (int i = 0; i < 100; i++)
    free(keep(malloc(100 + i)));
  siglongjmp(back, signal);
}
static NOINLINE void fault(void) {
  *(volatile int *)8 = 1;
}
static void run_altstack(void) {
  stack_t s = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  CHECK(sigaltstack(&s, NULL) == 0);
  struct sigaction a = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
  CHECK(sigaction(SIGSEGV, &a, NULL) == 0);
  for (volatile int i = 0; i < 200; i++) {
    if (sigsetjmp(back, 1) == 0) fault();
    free(keep(malloc(10)));
  }
  puts("faults handled");
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (!strcmp(mode, "jump")) run_jump();
  else if (!strcmp(mode, "timer")) run_timer();
  else if (!strcmp(mode, "mask")) run_mask();
  else if (!strcmp(mode, "altstack")) run_altstack();
  else return 2;
  return 0;
}
