/* hostile.c - stacks that a walk joined with the one before could get wrong: hostile MODE
 * N coroutines N K   K coroutines in turn, each deeper or shallower than the last time
 *   moved N          stacks that come and go at one place: other sizes, other functions
 *   signals N        handlers on the stack of whom they interrupt, one in another
 *   own_stack N      handlers on two stacks of their own by turns, also in a coroutine
 *   jumps N          longjmp out of handlers and of deep calls
 *   bare N           code without unwind tables, with frame pointers
 *   realigned N      frames whose place only a word on the stack tells
 *   vfork N          a child that allocates on its parent's stack
 *   timer N          handlers anywhere
 * Each allocation is made at a place and a depth that vary. */
#define _GNU_SOURCE
#include "common.h"

#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define STAY __asm__ volatile("" ::: "memory") /* no tail call */
#define USE(p) __asm__ volatile("" ::"r"(p) : "memory")
enum { STACK = 64 * 1024, COROUTINES = 16 };

static long rounds, turn;

static NOINLINE void one(void) {
  free(keep(malloc(40)));
  STAY;
}
static NOINLINE void two(void) {
  free(keep(malloc(40)));
  STAY;
}
static NOINLINE void descend(long depth, void (*f)(void)) {
  if (depth > 0)
    descend(depth - 1, f);
  else
    f();
  STAY;
}
static NOINLINE void allocate(long seed) {
  if (seed % 2)
    descend(seed % 5, seed % 3 ? one : two);
  else
    descend(seed % 3, two);
  STAY;
}

/* ---- coroutines ---------------------------------------------------------------- */

static ucontext_t outside, inside[COROUTINES];
static int current;

static char *new_stack(size_t bytes) {
  char *p = mmap(NULL, bytes + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED && mprotect(p + 4096, bytes, PROT_READ | PROT_WRITE) == 0);
  return p + 4096;
}

static void begin(int i, char *stack, size_t bytes, void (*f)(void)) {
  CHECK(getcontext(&inside[i]) == 0);
  inside[i].uc_stack.ss_sp = stack;
  inside[i].uc_stack.ss_size = bytes;
  inside[i].uc_link = &outside;
  makecontext(&inside[i], f, 0);
}

static void enter(int i) {
  current = i;
  CHECK(swapcontext(&outside, &inside[i]) == 0);
}

static NOINLINE void leave(void) {
  int i = current;
  CHECK(swapcontext(&inside[i], &outside) == 0);
}

static NOINLINE void yielding(long depth) {
  if (depth > 0) {
    yielding(depth - 1);
    allocate(depth + turn);
    return;
  }
  allocate(turn);
  leave();
  allocate(turn + 1);
}

static void endless(void) {
  for (;;)
    yielding(turn % 7);
}

static void coroutines(int n) {
  for (int i = 0; i < n; i++)
    begin(i, new_stack(STACK), STACK, endless);
  for (turn = 0; turn < rounds; turn++) {
    enter((int)(turn % n));
    if (turn % 3 == 0) allocate(turn);
  }
}

static void once(void) {
  yielding(3);
}
static void once_otherwise(void) {
  descend(2, two);
  yielding(5);
}

static void moved(void) {
  char *place = new_stack(STACK);
  for (turn = 0; turn < rounds; turn++) {
    /* Its upper end, and sometimes the lower one, lies elsewhere than the last time. */
    size_t bytes = STACK - (size_t)(turn % 4) * 8192;
    CHECK(mmap(place, STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
          place);
    CHECK(mprotect(place, bytes, PROT_READ | PROT_WRITE) == 0);
    begin(0, place, bytes, turn % 2 ? once : once_otherwise);
    enter(0);
    if (turn % 3) allocate(turn);
    enter(0);
  }
}

/* ---- signals ------------------------------------------------------------------- */

static void on_inner(int number) {
  (void)number;
  allocate(turn);
}

static void on_signal(int number) {
  (void)number;
  allocate(turn + 1);
  if (turn % 4 == 0) raise(SIGUSR2);
  allocate(turn);
}

static void handle(int number, void (*f)(int), int flags) {
  struct sigaction a = {.sa_handler = f, .sa_flags = flags};
  CHECK(sigaction(number, &a, NULL) == 0);
}

/* From two places of one frame. */
static NOINLINE void signal_myself(void) {
  long result, thread = gettid();
  if (turn / 2 % 2)
    __asm__ volatile("syscall; nop"
                     : "=a"(result)
                     : "0"(SYS_tkill), "D"(thread), "S"(SIGUSR1)
                     : "rcx", "r11", "memory");
  else
    __asm__ volatile("nop; syscall"
                     : "=a"(result)
                     : "0"(SYS_tkill), "D"(thread), "S"(SIGUSR1)
                     : "rcx", "r11", "memory");
  CHECK(result == 0);
}

/* So far in that the words of the stack as it was then remain, when the next signal comes
 * further out. */
static NOINLINE void signal_myself_further_in(void) {
  char far[48 * 1024];
  USE(far);
  signal_myself();
  USE(far);
}

static NOINLINE void interrupted(long depth) {
  static void (*const ways[])(void) = {signal_myself, signal_myself_further_in};
  if (depth > 0)
    interrupted(depth - 1);
  else
    ways[(turn + 1) / 2 % 2]();
  allocate(depth);
}

static void signals(int flags) {
  handle(SIGUSR1, on_signal, flags);
  handle(SIGUSR2, on_inner, flags);
  for (turn = 0; turn < rounds; turn++)
    interrupted(turn / 8 % 6);
}

static void interrupted_inside(void) {
  for (;;) {
    interrupted(turn / 8 % 3);
    leave();
  }
}

static void own_stack(void) {
  stack_t alternate[2];
  for (int i = 0; i < 2; i++)
    alternate[i] = (stack_t){.ss_sp = new_stack(STACK), .ss_size = STACK};
  handle(SIGUSR1, on_signal, SA_ONSTACK);
  handle(SIGUSR2, on_inner, SA_ONSTACK);
  begin(0, new_stack(STACK), STACK, interrupted_inside);
  for (turn = 0; turn < rounds; turn++) {
    CHECK(sigaltstack(&alternate[turn / 32 % 2], NULL) == 0);
    if (turn / 8 % 3)
      interrupted(turn / 8 % 6);
    else
      enter(0);
  }
}

static jmp_buf out;

static void on_signal_out(int number) {
  (void)number;
  allocate(turn);
  siglongjmp(out, 1);
}

static NOINLINE void jump(void) {
  allocate(turn);
  longjmp(out, 1);
}

static void jumps(void) {
  handle(SIGUSR1, on_signal_out, SA_NODEFER);
  for (volatile long i = 0; i < rounds; i++) {
    turn = i;
    if (sigsetjmp(out, 0) == 0) {
      if (i % 2)
        interrupted(i % 5);
      else
        descend(i % 9, jump);
    }
    allocate(i);
  }
}

static void timer(void) {
  struct itimerval every = {{0, 100}, {0, 100}}, never = {0};
  handle(SIGALRM, on_inner, SA_RESTART);
  setitimer(ITIMER_REAL, &every, NULL);
  for (turn = 0; turn < rounds; turn++)
    allocate(turn);
  setitimer(ITIMER_REAL, &never, NULL);
}

/* ---- frames -------------------------------------------------------------------- */

typedef void caller(void (*)(void));

static caller *code(const unsigned char *bytes, size_t n) {
  void *page =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  memcpy(page, bytes, n);
  CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
  caller *f;
  memcpy(&f, &page, sizeof f);
  return f;
}

static caller *framed;

static NOINLINE void through(void) {
  framed(turn % 3 ? one : two);
  STAY;
}

static void bare(void) {
  /* push rbp; mov rbp, rsp; call rdi; pop rbp; ret, and with 32 bytes more */
  static const unsigned char a[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
  static const unsigned char b[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83,
                                    0xec, 0x20, 0xff, 0xd7, 0xc9, 0xc3};
  caller *f[] = {code(a, sizeof a), code(b, sizeof b)};
  for (turn = 0; turn < rounds; turn++) {
    framed = f[turn % 2];
    f[turn / 2 % 2](through);
    if (turn % 5 == 0) allocate(turn);
  }
}

static NOINLINE void realigned_below(long depth, size_t bytes) {
  _Alignas(64) char here[64];
  char *more = alloca(bytes);
  USE(here);
  USE(more);
  if (depth > 0)
    realigned_below(depth - 1, bytes % 977 + 16);
  else
    allocate(turn);
  USE(here);
}

static NOINLINE void realigned_here(void) {
  _Alignas(64) char here[64];
  char *more = alloca((size_t)(turn % 2 + 1));
  USE(here);
  USE(more);
  one();
  USE(here);
}

/* By turns from these, whose return addresses lie 16 bytes apart, and remain. */
static NOINLINE void lower(void) {
  char pad[24];
  USE(pad);
  realigned_here();
  STAY;
}
static NOINLINE void upper(void) {
  char pad[40];
  USE(pad);
  realigned_here();
  STAY;
}

static NOINLINE void shifted(size_t bytes) {
  static void (*const ways[])(void) = {lower, upper};
  char *shift = alloca(bytes);
  USE(shift);
  for (volatile int i = 0; i < 4; i++)
    ways[i % 2]();
}

static void realigned(void) {
  for (turn = 0; turn < rounds; turn++) {
    realigned_below(turn % 4, (size_t)(turn * 37 % 900) + 1);
    shifted((size_t)(turn % 4) * 16);
  }
}

static void vforks(void) {
  for (turn = 0; turn < rounds; turn++) {
    allocate(turn);
    pid_t child = vfork();
    if (child == 0) {
      allocate(turn + 1);
      _exit(0);
    }
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
    allocate(turn);
  }
}

int main(int argc, char **argv) {
  CHECK(argc >= 3);
  const char *mode = argv[1];
  rounds = atol(argv[2]);
  if (strcmp(mode, "coroutines") == 0) coroutines(argc > 3 ? atoi(argv[3]) : 2);
  if (strcmp(mode, "moved") == 0) moved();
  if (strcmp(mode, "signals") == 0) signals(0);
  if (strcmp(mode, "own_stack") == 0) own_stack();
  if (strcmp(mode, "jumps") == 0) jumps();
  if (strcmp(mode, "timer") == 0) timer();
  if (strcmp(mode, "bare") == 0) bare();
  if (strcmp(mode, "realigned") == 0) realigned();
  if (strcmp(mode, "vfork") == 0) vforks();
  printf("done\n");
  return 0;
}
