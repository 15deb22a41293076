/* rights.c - gives something up that a file may need to be made or to grow, then
 * allocates what needs a recording of some MiB.
 *
 *   rights main WHAT     by system calls that no wrapper sees
 *   rights child WHAT    in a forked child that has lived for no time, as a server's
 *                        worker does, by libc's functions
 *   rights exec WHAT     by libc's functions, and then by `rights main nothing`, executed
 *   rights init WHAT     the same in a forked child
 *   rights daemon WHAT   by libc's functions, then in a child that outlives it */
#include "common.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { NOBODY = 65534, BLOCKS = 300000 };

int capset(void *header, const void *data);

static void main_setuid(void) {
  CHECK(syscall(SYS_setuid, NOBODY) == 0);
}
static void child_setuid(void) {
  CHECK(setuid(NOBODY) == 0);
}
static void main_setresgid(void) {
  CHECK(syscall(SYS_setgroups, 0, NULL) == 0);
  CHECK(syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0);
  main_setuid();
}
static void child_setresgid(void) {
  CHECK(setgroups(0, NULL) == 0);
  CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0);
  CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}
static struct __user_cap_header_struct cap_header = {_LINUX_CAPABILITY_VERSION_3, 0};
static struct __user_cap_data_struct no_caps[2];
static void main_capset(void) {
  CHECK(syscall(SYS_capset, &cap_header, no_caps) == 0);
}
static void child_capset(void) {
  CHECK(capset(&cap_header, no_caps) == 0);
}
static void main_chroot(void) {
  CHECK(syscall(SYS_chroot, "/proc") == 0 && chdir("/") == 0);
}
static void child_chroot(void) {
  CHECK(chroot("/proc") == 0 && chdir("/") == 0);
}
static void main_unshare(void) {
  CHECK(syscall(SYS_unshare, CLONE_NEWNS) == 0);
}
static void child_unshare(void) {
  CHECK(unshare(CLONE_NEWNS) == 0);
}
static void full(void) {
  int fd;
  struct rlimit limit = {32, 32};
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  while ((fd = open("/dev/null", O_RDONLY)) >= 0)
    continue;
  CHECK(errno == EMFILE);
}
/* For longer than it takes until the file is made. */
static void full_for_a_while(void) {
  full();
  for (int i = 0; i < 10; i++) {
    sleep_ms(10);
    free(keep(malloc(16)));
  }
  for (int fd = 3; fd < 32; fd++)
    close(fd);
}
/* The folder of the recording is elsewhere (argv[3], argv[4]). */
static char **arguments;
static void moved(void) {
  CHECK(rename(arguments[3], arguments[4]) == 0);
}

static void nothing(void) {}

static const struct {
  const char *name;
  void (*in_main)(void), (*in_child)(void);
} ways[] = {
    {"setuid", main_setuid, child_setuid},
    {"setresgid", main_setresgid, child_setresgid},
    {"capset", main_capset, child_capset},
    {"chroot", main_chroot, child_chroot},
    {"unshare", main_unshare, child_unshare},
    {"full", full, full_for_a_while},
    {"moved", moved, NULL},
    {"nothing", nothing, nothing},
};

static void *all[BLOCKS];

static NOINLINE void allocate(void) {
  for (int i = 0; i < BLOCKS; i++)
    all[i] = keep(malloc(16)); /* MARK allocate */
}

static void in_next_program(void (*give_up)(void)) {
  give_up();
  execl(arguments[0], arguments[0], "main", "nothing", NULL);
  CHECK(false);
}

static void in_child(void (*give_up)(void), bool executes) {
  pid_t pid = fork();
  if (pid == 0) {
    if (executes) in_next_program(give_up);
    give_up();
    allocate();
    _exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* The parent ends as daemon(3)'s does, and what it says is at an end when both are. */
static void as_daemon(void (*give_up)(void)) {
  give_up();
  if (fork()) return;
  sleep_ms(100);
  allocate();
  exit(0);
}

int main(int argc, char *argv[]) {
  CHECK(argc >= 3);
  arguments = argv;
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    if (strcmp(argv[2], ways[i].name)) continue;
    bool executes = !strcmp(argv[1], "init");
    if (executes || !strcmp(argv[1], "child")) {
      in_child(ways[i].in_child, executes);
    } else if (!strcmp(argv[1], "daemon")) {
      as_daemon(ways[i].in_child);
    } else if (!strcmp(argv[1], "exec")) {
      in_next_program(ways[i].in_child);
    } else {
      ways[i].in_main();
      allocate();
    }
  }
  return 0;
}
