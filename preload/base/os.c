/* os.c - the boundary to the operating system, and the place where failures are
 * injected: ULLAGE_FAIL=mmap:3,write:1 fails the third mmap and the first write. */
#include "base/os.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* ---- confinement ---------------------------------------------------------------- */

bool os_is_confined;

void os_confine(bool confined) {
  __atomic_store_n(&os_is_confined, confined, __ATOMIC_SEQ_CST);
}

/* The file grows by way of its mapping. */
static bool malloc_does(enum os_op op) {
  return op == OS_OP_MMAP || op == OS_OP_MREMAP || op == OS_OP_FALLOCATE ||
         op == OS_OP_BACK;
}

/* ---- fault injection ----------------------------------------------------------- */

static const char *const op_names[OS_OPS] = {
    [OS_OP_MMAP] = "mmap",
    [OS_OP_MREMAP] = "mremap",
    [OS_OP_OPEN] = "open",
    [OS_OP_FALLOCATE] = "fallocate",
    [OS_OP_WRITE] = "write",
    [OS_OP_READ] = "read",
    [OS_OP_FORK] = "fork",
    [OS_OP_PREAD] = "pread",
    [OS_OP_STAT] = "stat",
    [OS_OP_UNLINK] = "unlink",
    [OS_OP_RENAME] = "rename",
    [OS_OP_LINK] = "link",
    [OS_OP_MINCORE] = "mincore",
    [OS_OP_SIGNAL] = "signal",
    [OS_OP_MEMBARRIER] = "membarrier",
    [OS_OP_MADVISE] = "madvise",
    [OS_OP_BACK] = "back",
    [OS_OP_IOCTL] = "ioctl",
    [OS_OP_THREAD] = "thread",
};
static _Atomic long fail_after[OS_OPS]; /* 0: never; n: the n-th call from now fails */

static void inject(const char *spec) {
  for (int op = 0; op < OS_OPS; op++) {
    size_t n = strlen(op_names[op]);
    if (strncmp(spec, op_names[op], n) == 0 && spec[n] == ':')
      atomic_store(&fail_after[op], strtol(spec + n + 1, NULL, 10));
  }
}

void os_inject_faults(const char *specs) {
  for (const char *s = specs; s; s = strchr(s, ',')) {
    if (*s == ',') s++;
    inject(s);
  }
}

bool os_injected(enum os_op op) {
  if (os_confined() && !malloc_does(op)) return true;
  if (atomic_load_explicit(&fail_after[op], memory_order_relaxed) == 0) return false;
  return atomic_fetch_sub(&fail_after[op], 1) == 1;
}

/* ---- processes ----------------------------------------------------------------- */

int os_tid(void) {
  return os_confined() ? 0 : (int)os_call(SYS_gettid);
}
int os_pid(void) {
  return os_confined() ? 0 : (int)os_call(SYS_getpid);
}
unsigned os_user(void) {
  return os_confined() ? UINT32_MAX : (unsigned)os_call(SYS_geteuid);
}
int os_parent(void) {
  return os_confined() ? 0 : (int)os_call(SYS_getppid);
}

uint64_t os_limit(int resource) {
  struct rlimit limit;
  bool known = !os_confined() && os_call(SYS_prlimit64, 0, resource, NULL, &limit) == 0;
  return known ? limit.rlim_cur : UINT64_MAX;
}

/* The word that the kernel clears when the leader ends (set_tid_address), which libc has
 * in the thread's control block: its id, or from glibc 2.43 on a state that is not 0.
 * That block of the first thread of a program is never unmapped, as that of another,
 * which has forked, may be. Who has set another word, or none, lets the leader look
 * alive. */
static int leader;
static const void *first_thread;
static const volatile int *leader_word;

void os_leader_begin(void) {
  int *word = NULL;
  bool first = leader == 0;
  leader = os_pid();
  if (os_confined() || os_tid() != leader) return;
  os_call(SYS_prctl, PR_GET_TID_ADDRESS, &word);
  if (first) first_thread = __builtin_thread_pointer();
  bool stays = first_thread == __builtin_thread_pointer();
  leader_word = stays && word && *word ? word : NULL;
}

bool os_thread_alive(int tid) {
  if (os_confined()) return true;
  int pid = os_pid();
  if (tid == pid && pid == leader && leader_word) return *leader_word != 0;
  return os_call(SYS_tgkill, pid, tid, 0) != -ESRCH;
}

void os_kill_self(int sig) {
  os_call(SYS_kill, os_pid(), sig);
}

void os_exit(int status) {
  for (;;)
    os_call(SYS_exit_group, status);
}
