/* ends.c - every way to end, each after 10 blocks of 100 bytes were leaked by
 * leak_before_end(). The exit status, where there is one, is 3. */
#define _GNU_SOURCE
#include "common.h"
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static NOINLINE void leak_before_end(void) {
  for (int i = 0; i < 10; i++)
    keep(malloc(100)); /* MARK leak_before_end */
}

static int status_of(pid_t pid) {
  int status;
  CHECK(pid > 0);
  CHECK(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void on_exit_print(void) {
  keep(malloc(10));
  puts("atexit");
  fflush(stdout);
}

static void *exit_from_thread(void *unused) {
  exit(3);
  return unused;
}
static void *last_thread_out(void *unused) {
  sleep_ms(50);
  puts("last thread");
  return unused;
}

static void do_exec(void) {
  execl("/bin/sh", "sh", "-c", "echo executed; exit 3", (char *)NULL);
}
static void do_exec_failing(void) {
  for (int i = 0; i < 3; i++) {
    execl("/nonexistent/program", "program", (char *)NULL);
    CHECK(errno == ENOENT);
    leak_before_end(); /* still recorded */
  }
  puts("exec failed");
}
static void do_exec_missing(void) {
  execlp("no-such-program", "no-such-program", (char *)NULL);
  CHECK(errno == ENOENT);
  memset(keep(malloc(8 << 20)), 1, 8 << 20); /* worth a recording */
}
/* A file of `n` bytes that may be executed. */
static const char *make_file(const void *bytes, size_t n) {
  static char path[30];
  strcpy(path, "/tmp/ends.XXXXXX");
  int fd = mkstemp(path);
  CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && fchmod(fd, 0700) == 0);
  close(fd);
  return path;
}
static void must_fail(const void *bytes, size_t n, int error) {
  const char *path = make_file(bytes, n);
  execl(path, path, (char *)NULL);
  CHECK(errno == error);
  unlink(path);
}
static void must_be_too_long(size_t argument, size_t count) {
  char **arguments = calloc(count + 2, sizeof *arguments), *one = malloc(argument + 1);
  memset(one, 'x', argument);
  one[argument] = 0;
  for (size_t i = 0; i <= count; i++)
    arguments[i] = one;
  execv("/bin/true", arguments);
  CHECK(errno == E2BIG);
  free(arguments);
  free(one);
}
/* What looks executable, and can be seen not to be. */
static void do_exec_hopeless(void) {
  static char image[1 << 20];
  int fd = open("/proc/self/exe", O_RDONLY);
  ssize_t n = read(fd, image, sizeof image);
  CHECK(n > 0);
  close(fd);
  must_fail("\177ELF", 4, ENOEXEC);
  must_fail("echo no program\n", 16, ENOEXEC);
  must_fail("#!/nonexistent/sh\n", 18, ENOENT);
  must_fail("#!/tmp\n", 7, EACCES);
  char *loader = memmem(image, (size_t)n, "/ld-linux-x86-64", 16);
  CHECK(loader);
  loader[1] = 'X';
  must_fail(image, (size_t)n, ENOENT);
  must_be_too_long(150000, 1);
  must_be_too_long(100000, 70);
  puts("all failed");
}
/* ... but libc gives it to a shell. */
static void do_exec_text(void) {
  const char *path = make_file("rm $0; echo by a shell; exit 3\n", 31);
  execlp(path, path, (char *)NULL);
}
static void do_vfork(void) {
  for (int i = 0; i < 20; i++) {
    pid_t pid = vfork();
    if (pid == 0) {
      execl("/bin/sh", "sh", "-c", "exit 4", (char *)NULL);
      _exit(9);
    }
    CHECK(status_of(pid) == 4);
    pid = vfork();
    if (pid == 0) {
      execl("/nonexistent/program", "program", (char *)NULL);
      _exit(9);
    }
    CHECK(status_of(pid) == 9);
    free(keep(malloc(100)));
  }
  puts("vforked");
}
static void do_spawn(void) {
  char *argv[] = {"sh", "-c", "exit 5", NULL};
  for (int i = 0; i < 20; i++) {
    pid_t pid;
    CHECK(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
    CHECK(status_of(pid) == 5);
  }
  puts("spawned");
}
static void do_system(void) {
  CHECK(WEXITSTATUS(system("exit 6")) == 6);
  FILE *f = popen("echo piped", "r");
  char line[20];
  CHECK(f && fgets(line, sizeof line, f));
  CHECK(pclose(f) == 0);
  fputs(line, stdout);
}
/* Children of which no atfork handler knows. */
static void do_raw_fork(void) {
  char *before = malloc(500);
  strcpy(before, "before");
  for (int i = 0; i < 20; i++) {
    pid_t pid = (pid_t)syscall(i % 2 ? SYS_fork : SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
      for (int k = 0; k < 1000; k++) {
        char *p = malloc(100 + k);
        memset(p, k, 100 + k);
        if (k % 3) free(p);
      }
      free(before);
      _exit(7);
    }
    CHECK(status_of(pid) == 7);
    CHECK(!strcmp(before, "before"));
    free(keep(malloc(100)));
  }
  free(before);
  puts("raw forks");
}
static void do_fork(void) {
  for (int i = 0; i < 5; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      for (int k = 0; k <= i; k++)
        leak_before_end();
      exit(8);
    }
    CHECK(status_of(pid) == 8);
  }
  puts("forked");
}
static void do_fork_large(void) { /* a child that allocates once, and is killed */
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    memset(keep(malloc(32 << 20)), 1, 32 << 20);
    raise(SIGKILL);
  }
  CHECK(waitpid(child, NULL, 0) == child);
}
static void do_daemon(void) { /* a child that outlives its parent */
  pid_t pid = fork();
  if (pid == 0) {
    sleep_ms(200);
    leak_before_end();
    _exit(0);
  }
  puts("parent leaves");
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IONBF, 0);
  leak_before_end();
  scrub_stack();
  if (!strcmp(mode, "return")) return 3;
  if (!strcmp(mode, "exit")) exit(3);
  if (!strcmp(mode, "atexit")) {
    atexit(on_exit_print);
    exit(3);
  }
  if (!strcmp(mode, "_exit")) _exit(3);
  if (!strcmp(mode, "_Exit")) _Exit(3);
  if (!strcmp(mode, "syscall")) syscall(SYS_exit_group, 3);
  if (!strcmp(mode, "bare")) /* as Go does */
    __asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(3));
  if (!strcmp(mode, "quick_exit")) quick_exit(3);
  if (!strcmp(mode, "abort")) abort();
  if (!strcmp(mode, "assert")) assert(!"true");
  if (!strcmp(mode, "segv")) *(volatile int *)8 = 1;
  if (!strcmp(mode, "term")) raise(SIGTERM);
  if (!strcmp(mode, "kill")) raise(SIGKILL);
  if (!strcmp(mode, "exec")) do_exec();
  if (!strcmp(mode, "exec_failing")) do_exec_failing();
  if (!strcmp(mode, "exec_missing")) do_exec_missing();
  if (!strcmp(mode, "exec_hopeless")) do_exec_hopeless();
  if (!strcmp(mode, "exec_text")) do_exec_text();
  if (!strcmp(mode, "vfork")) do_vfork();
  if (!strcmp(mode, "spawn")) do_spawn();
  if (!strcmp(mode, "system")) do_system();
  if (!strcmp(mode, "raw_fork")) do_raw_fork();
  if (!strcmp(mode, "fork")) do_fork();
  if (!strcmp(mode, "fork_large")) do_fork_large();
  if (!strcmp(mode, "daemon")) do_daemon();
  if (!strcmp(mode, "thread")) {
    pthread_t t;
    pthread_create(&t, NULL, exit_from_thread, NULL);
    for (;;)
      pause();
  }
  if (!strcmp(mode, "last_thread")) {
    pthread_t t;
    pthread_create(&t, NULL, last_thread_out, NULL);
    pthread_exit(NULL); /* the process ends with status 0 */
  }
  if (!strcmp(mode, "wait")) { /* until killed, having said so */
    puts("waiting");
    for (;;)
      pause();
  }
  return 3;
}
