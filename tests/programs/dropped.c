/* dropped.c - blocks to which nothing points but the dead part of the stack, all of it, where
 * the frames of the end come to lie. Built with and without optimization.
 *   dropped return | exit | _exit | quick_exit | abort | thread | last_thread | handler */
#include "common.h"
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

enum { BLOCKS = 13, SMEAR = 32 * 1024 / sizeof(uintptr_t) };

/* Leaves pointers to all of them in its frame, and in no register. */
static NOINLINE void smear(const uintptr_t *hidden) {
  volatile uintptr_t dead[SMEAR] __attribute__((unused));
  for (size_t i = 0; i < SMEAR; i++)
    dead[i] = (uintptr_t)unhide(hidden[i % BLOCKS]);
  __asm__ volatile("xorl %%eax, %%eax\n\txorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\t"
                   "xorl %%esi, %%esi\n\txorl %%edi, %%edi" ::
                       : "rax", "rcx", "rdx", "rsi", "rdi", "rbx", "r8", "r9", "r10", "r11",
                         "r12", "r13", "r14", "r15", "memory");
}

static NOINLINE void drop(void) {
  static uintptr_t hidden[BLOCKS];
  for (size_t i = 0; i < BLOCKS; i++)
    hidden[i] = hide(malloc(1001 + i)); /* MARK drop */
  smear(hidden);
}

static void *drop_and_exit(void *unused) {
  drop();
  exit(3);
  return unused;
}
static void *drop_and_end(void *unused) {
  drop();
  return unused;
}
static void exit_in_handler(int sig) {
  (void)sig;
  drop();
  _exit(3);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  pthread_t t;
  if (!strcmp(mode, "thread") || !strcmp(mode, "last_thread")) {
    bool last = !strcmp(mode, "last_thread");
    CHECK(pthread_create(&t, NULL, last ? drop_and_end : drop_and_exit, NULL) == 0);
    if (last) pthread_exit(NULL);
    for (;;)
      pause();
  }
  if (!strcmp(mode, "handler")) {
    signal(SIGUSR1, exit_in_handler);
    raise(SIGUSR1);
  }
  drop();
  if (!strcmp(mode, "exit")) exit(3);
  if (!strcmp(mode, "_exit")) _exit(3);
  if (!strcmp(mode, "quick_exit")) quick_exit(3);
  if (!strcmp(mode, "abort")) abort();
  return 3;
}
