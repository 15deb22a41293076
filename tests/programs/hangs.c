/* hangs.c - signals, forks, threads and ends at the worst of times. Each mode goes its
 * rounds and says so; one that does not come to its end has found a deadlock.
 *   hangs fork_in_handler N  a handler that may have interrupted malloc forks
 *   hangs fork_alloc N       a handler allocates while main forks and waits
 *   hangs fork_stdio N       forks beside getline and fflush(NULL)
 *   hangs exit_alloc N       a handler allocates while a child ends
 *   hangs slow_end return|_exit   much for the scan to look at, and output in a buffer
 *   hangs handler_asks N     a handler opens a pipe and lists the libraries
 *   hangs jump N             a handler leaves malloc by siglongjmp
 *   hangs vfork N            children in the memory of threads that have no heap yet
 *   hangs clone_vm N         the same by a bare clone
 *   hangs exec_fails N       of what looks as if it could be executed
 *   hangs exec_fails_in_threads N   beside threads that cannot be stopped and go on
 *   hangs cancel exit|quick_exit|_exit|return   the end, with a cancellation pending */
#define _GNU_SOURCE
#include "common.h"
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

static long rounds;
static volatile sig_atomic_t done;
static atomic_bool stopping;

static int status_of(pid_t pid) {
  int status;
  CHECK(pid > 0);
  while (waitpid(pid, &status, __WALL) != pid)
    CHECK(errno == EINTR);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int interval_us;

/* Set anew by each handler, at its end: however slow it is, main goes on. */
static void next_alarm(void) {
  struct itimerval t = {{0, 0}, {0, interval_us}};
  CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void every_us(int us, void (*handler)(int)) {
  struct sigaction a = {.sa_handler = handler};
  CHECK(sigaction(SIGALRM, &a, NULL) == 0);
  interval_us = us;
  next_alarm();
}

/* Of all kinds: blocks of pools, spans, large ones, from ever new stacks. */
static NOINLINE void use_heap(uint64_t *random, int depth) {
  uint64_t r = next_random(random);
  size_t bytes = r % 64 == 0  ? 600000 + (r >> 40) % 100000
                 : r % 8 == 0 ? 40000 + (r >> 40) % 100000
                              : r >> 54;
  char *p = keep(malloc(bytes + 1));
  p[0] = p[bytes] = (char)r;
  if (depth > 0) {
    if (r >> 32 & 1)
      use_heap(random, depth - 1);
    else
      use_heap(random, depth - 1);
  }
  CHECK(p[0] == (char)r && p[bytes] == (char)r);
  free(p);
}

/* ---- fork ---------------------------------------------------------------------- */

static volatile sig_atomic_t in_child;

/* The child goes on with the malloc that was interrupted, or ends here. */
static void fork_here(int signal) {
  int saved = errno;
  (void)signal;
  if (in_child) return;
  pid_t pid = fork();
  if (pid == 0) {
    in_child = 1;
    if (done & 1) _exit(5);
    errno = saved;
    return;
  }
  CHECK(status_of(pid) == 5);
  if (++done < rounds) next_alarm();
  errno = saved;
}

static void run_fork_in_handler(void) {
  uint64_t random = 1;
  every_us(300, fork_here);
  while (done < rounds) {
    use_heap(&random, 10);
    if (!in_child) continue;
    for (int i = 0; i < 20; i++)
      use_heap(&random, 10);
    exit(5);
  }
}

static void allocate_here(int signal) {
  static uint64_t random = 7;
  int saved = errno;
  (void)signal;
  use_heap(&random, 3);
  next_alarm();
  errno = saved;
}

static void run_fork_alloc(void) {
  every_us(100, allocate_here);
  for (long i = 0; i < rounds; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(5);
    CHECK(status_of(pid) == 5);
  }
}

static FILE *shared_file;

static void *get_lines(void *unused) {
  while (!stopping) {
    char *line = NULL;
    size_t size = 0;
    rewind(shared_file);
    CHECK(getline(&line, &size, shared_file) == 200000);
    free(line);
  }
  return unused;
}
static void *flush_all(void *unused) {
  while (!stopping)
    fflush(NULL);
  return unused;
}

static void run_fork_stdio(void) {
  pthread_t threads[2];
  static char text[200000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\n';
  shared_file = tmpfile();
  CHECK(shared_file && fwrite(text, sizeof text, 1, shared_file) == 1);
  CHECK(pthread_create(&threads[0], NULL, get_lines, NULL) == 0);
  CHECK(pthread_create(&threads[1], NULL, flush_all, NULL) == 0);
  for (long i = 0; i < rounds; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      uint64_t random = (uint64_t)i + 1;
      use_heap(&random, 10);
      _exit(5);
    }
    CHECK(status_of(pid) == 5);
  }
  stopping = true;
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
}

/* ---- what a handler may do ----------------------------------------------------- */

static int count_library(struct dl_phdr_info *info, size_t bytes, void *n) {
  (void)info, (void)bytes;
  ++*(int *)n;
  return 0;
}
static int libraries(void) {
  int n = 0;
  dl_iterate_phdr(count_library, &n);
  return n;
}

static int libraries_before;

static void ask_here(int signal) {
  int saved = errno, ends[2];
  (void)signal;
  CHECK(pipe2(ends, 0) == 0);
  close(ends[0]);
  close(ends[1]);
  CHECK(libraries() == libraries_before);
  if (++done < rounds) next_alarm();
  errno = saved;
}

static void run_handler_asks(void) {
  uint64_t random = 3;
  free(keep(malloc(10)));
  libraries_before = libraries();
  every_us(50, ask_here);
  while (done < rounds)
    use_heap(&random, 10);
}

static sigjmp_buf back;
static volatile sig_atomic_t may_jump;

static void jump_here(int signal) {
  if (!may_jump) return;
  may_jump = 0;
  siglongjmp(back, signal);
}

static NOINLINE void *small_block(int depth, int bytes) {
  return keep(depth ? small_block(depth - 1, bytes) : malloc(bytes));
}

static NOINLINE void keep_blocks(void) {
  static void *held[100];
  for (int i = 0; i < 100; i++)
    held[i] = malloc(50); /* MARK keep_blocks */
  keep(held);
}

/* Room for all blocks that a jump may lose. */
static void make_room(void) {
  enum { BLOCKS = 8192, KEPT_EACH = 64 };
  static void *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++)
    blocks[i] = malloc(48);
  for (int i = 0; i < BLOCKS; i++)
    if (i % KEPT_EACH) free(blocks[i]);
}

/* It comes in anywhere but where malloc needs more memory: who leaves it then, with a
 * lock in its hands, is lost with any allocator. */
static void run_jump(void) {
  static uint64_t random = 5;
  make_room();
  for (volatile long i = 0; i < rounds; i++) {
    if (sigsetjmp(back, 1)) continue;
    may_jump = 1;
    every_us(100 + (int)(i % 100), jump_here);
    for (;;) {
      uint64_t r = next_random(&random);
      free(small_block(r % 16, 48));
    }
  }
  keep_blocks();
  int ends[2];
  CHECK(pipe2(ends, 0) == 0);
}

/* ---- ends ---------------------------------------------------------------------- */

static void run_exit_alloc(void) {
  void *held[64];
  for (int i = 0; i < 64; i++)
    held[i] = keep(malloc(1000)); /* worth a scan */
  for (long i = 0; i < rounds; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      every_us(100, allocate_here);
      if (i & 1) exit(5);
      _exit(5);
    }
    CHECK(status_of(pid) == 5);
  }
  for (int i = 0; i < 64; i++)
    free(held[i]);
}

static int run_cancel(const char *how) {
  CHECK(pthread_cancel(pthread_self()) == 0);
  if (!strcmp(how, "exit")) exit(3);
  if (!strcmp(how, "quick_exit")) quick_exit(3);
  if (!strcmp(how, "_exit")) _exit(3);
  return 3;
}

static int run_slow_end(const char *how) {
  static void **last;
  for (int i = 0; i < 1000000; i++) {
    void **block = keep(malloc(64));
    block[0] = block[4] = last;
    last = block;
  }
  printf("result: 42\n");
  if (!strcmp(how, "return")) return 3;
  fflush(stdout);
  _exit(3);
}

/* ---- children in our memory ---------------------------------------------------- */

static int child_body(void *random) {
  use_heap(random, 3);
  return 6;
}

static void by_vfork(uint64_t *random) {
  pid_t pid = vfork();
  if (pid == 0) _exit(child_body(random));
  CHECK(status_of(pid) == 6);
}

static void by_clone(uint64_t *random) {
  static _Thread_local char stack[256 * 1024] __attribute__((aligned(16)));
  pid_t pid = clone(child_body, stack + sizeof stack, CLONE_VM | SIGCHLD, random);
  CHECK(status_of(pid) == 6);
}

static void (*multiply)(uint64_t *random);

/* Its first block is its child's. */
static void *borrow_and_use(void *number) {
  uint64_t random = (uintptr_t)number + 1;
  multiply(&random);
  for (int i = 0; i < 300; i++)
    use_heap(&random, 10);
  return NULL;
}

static void run_in_our_memory(void) {
  enum { AT_ONCE = 8 };
  pthread_t threads[AT_ONCE];
  for (long i = 0; i < rounds; i++) {
    pthread_t *t = &threads[i % AT_ONCE];
    if (i >= AT_ONCE) CHECK(pthread_join(*t, NULL) == 0);
    CHECK(pthread_create(t, NULL, borrow_and_use, (void *)(uintptr_t)i) == 0);
  }
  for (long i = 0; i < rounds && i < AT_ONCE; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

static void run_vfork(void) {
  multiply = by_vfork;
  run_in_our_memory();
}
static void run_clone_vm(void) {
  multiply = by_clone;
  run_in_our_memory();
}

static void *use_heap_on(void *number) {
  uint64_t random = (uintptr_t)number + 1;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  while (!stopping)
    use_heap(&random, 10);
  return NULL;
}

/* Of what may be executed, and cannot. */
/* A program that is being written. */
static void fail_to_exec(void) {
  static char image[1 << 20];
  char path[] = "/tmp/hangs.XXXXXX";
  int fd = mkstemp(path), from = open("/proc/self/exe", O_RDONLY);
  ssize_t n = read(from, image, sizeof image);
  CHECK(fd >= 0 && n > 0 && write(fd, image, (size_t)n) == n && fchmod(fd, 0700) == 0);
  for (long i = 0; i < rounds; i++) {
    execl(path, path, (char *)NULL);
    CHECK(errno == ETXTBSY);
  }
  close(from);
  close(fd);
  unlink(path);
}

static void run_exec_fails_in_threads(void) {
  enum { THREADS = 3 };
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, use_heap_on, (void *)i) == 0);
  fail_to_exec();
  stopping = true;
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

static const struct mode {
  const char *name;
  void (*run)(void);
} modes[] = {
    {"fork_in_handler", run_fork_in_handler},
    {"fork_alloc", run_fork_alloc},
    {"fork_stdio", run_fork_stdio},
    {"handler_asks", run_handler_asks},
    {"jump", run_jump},
    {"exit_alloc", run_exit_alloc},
    {"vfork", run_vfork},
    {"clone_vm", run_clone_vm},
    {"exec_fails", fail_to_exec},
    {"exec_fails_in_threads", run_exec_fails_in_threads},
};

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  rounds = atol(argv[2]);
  if (!strcmp(argv[1], "cancel")) return run_cancel(argv[2]);
  if (!strcmp(argv[1], "slow_end")) return run_slow_end(argv[2]);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (!strcmp(argv[1], modes[i].name)) {
      modes[i].run();
      printf("%ld rounds\n", rounds);
      return 0;
    }
  return 2;
}
