/* confined.c - programs that put themselves under a filter of system calls, which kills
 * for any that malloc, stdio and the mode itself do not need. argv[1]: the mode. */
#include "common.h"
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ALLOW(n)                                                                         \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##n, 0, 1),                                    \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define OUTPUT LOAD_NUMBER, ALLOW(write), ALLOW(exit), ALLOW(exit_group)
#define MALLOC                                                                           \
  ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(futex)

static struct sock_filter output[] = {OUTPUT, KILL};
static struct sock_filter allocating[] = {OUTPUT, MALLOC, ALLOW(rt_sigreturn), KILL};
static struct sock_filter threads[] = {OUTPUT,
                                       MALLOC,
                                       ALLOW(mprotect),
                                       ALLOW(clone),
                                       ALLOW(clone3),
                                       ALLOW(set_robust_list),
                                       ALLOW(rseq),
                                       ALLOW(rt_sigprocmask),
                                       ALLOW(wait4),
                                       ALLOW(rt_sigaction),
                                       ALLOW(sched_getaffinity),
                                       ALLOW(openat),
                                       ALLOW(close),
                                       ALLOW(read),
                                       ALLOW(newfstatat),
                                       KILL};
/* Two that forbid something only: what nobody uses, and what a program may start without.
 */
#define FORBID(n)                                                                        \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##n, 0, 1),                                    \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define ALLOW_OTHERS BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static struct sock_filter dangers[] = {LOAD_NUMBER, FORBID(ptrace), FORBID(mount),
                                       FORBID(reboot), ALLOW_OTHERS};
static struct sock_filter rarities[] = {
    LOAD_NUMBER,    FORBID(membarrier), FORBID(getcwd),  FORBID(linkat),
    FORBID(gettid), FORBID(ftruncate),  FORBID(fstatfs), ALLOW_OTHERS};
#define PROGRAM(filter)                                                                  \
  { sizeof filter / sizeof *filter, filter }

static int confine_to(struct sock_fprog filter, bool by_number) {
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (by_number) return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* In turn by one of the two ways that there are. */
static void confine(struct sock_fprog filter) {
  static bool by_number;
  by_number = !by_number;
  CHECK(confine_to(filter, by_number) == 0);
}

static NOINLINE void *confined_block(size_t bytes) {
  return keep(malloc(bytes)); /* MARK confined_block */
}

static void grow(long blocks) {
  void **list = NULL;
  for (long i = 0; i < blocks; i++) {
    void **block = confined_block(1000);
    CHECK(block);
    *block = list;
    list = block;
  }
  for (void **next; list; list = next) {
    next = *list;
    free(list);
  }
}

/* ---- threads -------------------------------------------------------------------- */

enum { SLOTS = 4096 };
static void *_Atomic slots[SLOTS];

static void *work(void *seed) {
  uint64_t random = 1 + (uintptr_t)seed;
  for (int i = 0; i < 20000; i++) {
    void *_Atomic *slot = &slots[next_random(&random) % SLOTS];
    free(__atomic_exchange_n((void **)slot, confined_block(next_random(&random) % 2000),
                             __ATOMIC_ACQ_REL));
  }
  return NULL;
}

static void in_threads(void) {
  for (int round = 0; round < 10; round++) {
    pthread_t t[4];
    for (size_t i = 0; i < 4; i++)
      CHECK(pthread_create(&t[i], NULL, work, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < 4; i++)
      pthread_join(t[i], NULL);
  }
}

/* ---- children ------------------------------------------------------------------- */

static void say(const char *what, int status) {
  printf("%s: %s %d\n", what, WIFSIGNALED(status) ? "killed by" : "exited",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  fflush(stdout);
}

static void child(const char *what, void (*body)(void)) {
  int status;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    void *volatile had = malloc(100);
    confine((struct sock_fprog)PROGRAM(output));
    free(had);
    body();
    _exit(3);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  say(what, status);
}

static void nothing(void) {}
static void leave(void) {
  exit(3);
}
static void bare_exit(void) {
  syscall(SYS_exit_group, 3);
}
static void some_blocks(void) {
  for (int i = 0; i < 200; i++)
    confined_block(100);
}

static void children(void) {
  child("_exit", nothing);
  child("exit", leave);
  child("exit_group", bare_exit);
  child("blocks", some_blocks);
}

/* Of a process that is confined already. */
static void forks_later(void) {
  int status;
  confine((struct sock_fprog)PROGRAM(threads));
  pid_t pid = fork();
  if (pid == 0) {
    grow(3000);
    _exit(3);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  say("child", status);
}

/* ---- handlers ------------------------------------------------------------------- */

static volatile sig_atomic_t ticks;
static void tick(int sig) {
  (void)sig;
  ticks++;
  free(confined_block(100));
}

static void in_handlers(void) {
  const struct itimerval often = {{0, 500}, {0, 500}};
  signal(SIGALRM, tick);
  setitimer(ITIMER_REAL, &often, NULL);
  confine((struct sock_fprog)PROGRAM(allocating));
  while (ticks < 100) /* (a handler may not interrupt glibc's malloc) */
    continue;
}

/* ---- no files ------------------------------------------------------------------- */

/* 77: the kernel has no Landlock. */
static void forbid_files(void) {
  struct landlock_ruleset_attr all = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE |
                                                           LANDLOCK_ACCESS_FS_READ_DIR};
  int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (rules < 0 || syscall(SYS_landlock_restrict_self, rules, 0) != 0) exit(77);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  void *had = malloc(10);
  puts(mode);
  fflush(stdout);
  if (!strcmp(mode, "grow") || !strcmp(mode, "grow by number")) {
    CHECK(confine_to((struct sock_fprog)PROGRAM(allocating), mode[4] != 0) == 0);
    grow(argc > 2 ? atol(argv[2]) : 0);
  }
  if (!strcmp(mode, "threads")) {
    confine((struct sock_fprog)PROGRAM(threads));
    in_threads();
  }
  if (!strcmp(mode, "landlock")) forbid_files();
  if (!strcmp(mode, "chroot") && (chroot(argv[2]) != 0 || chdir("/") != 0)) exit(77);
  if (!strcmp(mode, "children")) children();
  if (!strcmp(mode, "fork")) forks_later();
  if (!strcmp(mode, "handlers")) in_handlers();
  if (!strcmp(mode, "dangers")) {
    confine((struct sock_fprog)PROGRAM(dangers));
    confine((struct sock_fprog)PROGRAM(dangers));
    grow(10);
  }
  if (!strcmp(mode, "exec")) {
    confine((struct sock_fprog)PROGRAM(rarities));
    execl("/bin/sh", "sh", "-c", "/bin/true; exit 7", NULL);
  }
  if (!strcmp(mode, "refused")) { /* a filter without instructions */
    CHECK(confine_to((struct sock_fprog){0, output}, false) == -1 && errno == EINVAL);
    CHECK(confine_to((struct sock_fprog){0, output}, true) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1);
    CHECK(syscall(SYS_getpid) == getpid() && syscall(-1) == -1 && errno == ENOSYS);
    grow(10);
  }
  free(had);
  return 7;
}
