/* smallstack.c - a crash handler on an alternate stack of SIZE bytes (more where the frame
 * of a signal is larger than with AVX-512), with a guard below it.
 *   smallstack exit SIZE    it calls _exit(3), as crash reporters do
 *   smallstack abort SIZE   it calls abort(), after a recursion without end
 *   smallstack coroutine SIZE   no handler: a coroutine on such a stack allocates
 * Ten blocks are lost; main's frame holds ten more. */
#include "common.h"
#include <signal.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mman.h>

enum { BLOCKS = 10, MAPPED = 65536, PAGE = 4096, FRAME = 3632 };
static bool aborts;

static void crash(int sig) {
  (void)sig;
  if (aborts) {
    signal(SIGABRT, SIG_DFL);
    abort();
  }
  _exit(3);
}

static NOINLINE void lose(void) {
  for (int i = 0; i < BLOCKS; i++)
    keep(malloc(100)); /* MARK lose */
}

static NOINLINE int recurse(volatile int *above) {
  volatile int here[64] = {*above};
  return here[0] ? recurse(here) + here[1] : 0;
}

void call_on(void *top, void (*function)(void));
__asm__(".globl call_on\ncall_on:\n\tpushq %rbp\n\tmovq %rsp, %rbp\n\tmovq %rdi, %rsp\n\t"
        "callq *%rsi\n\tleave\n\tret");

static void allocate(void) {
  char *p = malloc(40);
  p = realloc(p, 4000);
  p = realloc(p, 400000);
  free(p);
  p = calloc(1, 3000000);
  free(p);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  aborts = !strcmp(argv[1], "abort");
  char *m = mmap(NULL, MAPPED + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(m != MAP_FAILED && mprotect(m, PAGE, PROT_NONE) == 0);
  size_t frame = getauxval(AT_MINSIGSTKSZ);
  size_t more = frame > FRAME ? frame - FRAME : 0;
  if (!strcmp(argv[1], "coroutine")) {
    call_on(m + PAGE + (size_t)atol(argv[2]) + more, allocate);
    return 0;
  }
  stack_t stack = {.ss_sp = m + PAGE, .ss_size = (size_t)atol(argv[2]) + more};
  CHECK(sigaltstack(&stack, NULL) == 0);
  struct sigaction action = {.sa_handler = crash, .sa_flags = SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  lose();
  scrub_stack();
  void *volatile held[BLOCKS];
  for (int i = 0; i < BLOCKS; i++)
    held[i] = malloc(200);
  if (aborts) return recurse(&(int){1});
  *(volatile int *)(uintptr_t)(held[0] == NULL) = 0;
  return 0;
}
