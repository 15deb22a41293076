/* dispatched.c - takes system calls that are not libc's own for its business (system call
 * user dispatch), and says which of them these are: "own" for one by an instruction of
 * the program, and nothing for those by libc's syscall and prctl. */
#include "common.h"
#include <link.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif

static volatile char take; /* 1: dispatch, 0: let pass */
static volatile int taken;
static uintptr_t start, size; /* libc's code */

static int find(struct dl_phdr_info *info, size_t length, void *address) {
  (void)length;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    uintptr_t from = info->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_LOAD && (uintptr_t)address - from < p->p_memsz)
      start = from, size = p->p_memsz;
  }
  return 0;
}

static void handler(int number) {
  (void)number;
  take = 0;
  taken++;
}

static long own_getppid(void) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"((long)SYS_getppid)
                   : "rcx", "r11", "memory");
  return result;
}

int main(void) {
  struct sigaction action = {.sa_handler = handler};
  CHECK(sigaction(SIGSYS, &action, NULL) == 0);
  dl_iterate_phdr(find, (void *)(uintptr_t)getppid);
  if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, start, size, &take)) {
    puts("not here");
    return 0;
  }
  take = 1;
  long parent = syscall(SYS_getppid);
  int by_syscall = taken;
  take = 1;
  int dumpable = prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);
  int by_prctl = taken - by_syscall;
  take = 1;
  own_getppid();
  take = 0;
  CHECK(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0L, 0L, 0L) == 0);
  CHECK(parent == getppid() && dumpable == 1);
  printf("%d by syscall, %d by prctl, %d own\n", by_syscall, by_prctl,
         taken - by_syscall - by_prctl);
  return 0;
}
