/* Walks by rule against libunwind's own, over every shape of frame; and what a
 * walk must not do to the program. */
#include "base/thread.h"
#include "stack/module.h"
#include "stack/rule.h"
#include "stack/stack.h"
#include "stack/unwind.h"
#include "stack_shapes.h"
#include "stub_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define AFTER_CALL __asm__ volatile("" ::: "memory")

static _Thread_local uint64_t ips[WALK_DEPTH_MAX], hash;
static _Thread_local uint32_t depth, end, limit = 256;
static _Atomic uint64_t walks;

static _Thread_local struct walks kept_walks;

/* A walk, innermost first, no more than `limit` frames of it. */
static void tell(const struct walk *w) {
  depth = w->depth < limit ? w->depth : limit;
  end = depth < w->depth ? UL_NODE_CUT : w->end;
  hash = w->frames[w->depth - 1].hash;
  for (uint32_t i = 0; i < depth; i++)
    ips[i] = walk_ip(&w->frames[w->depth - 1 - i]);
}

static struct entrance here(const uint64_t *frame) {
  return (struct entrance){(uint64_t)(frame + 2), frame[0]};
}

/* Stands for the exported malloc. */
static NOINLINE void entry(void) {
  if (thread_state.busy) return;
  thread_state.busy++;
  depth = 0;
  const struct walk *w = stack_capture(here(__builtin_frame_address(0)), &kept_walks);
  if (w) tell(w);
  thread_state.busy--;
  walks++;
}

/* The questions of the walks, by --wrap; with the oracle, also its own. */
static _Thread_local uint64_t probes;
static bool with_oracle;
bool __real_os_readable(uint64_t address);
bool __wrap_os_readable(uint64_t address);
bool __wrap_os_readable(uint64_t address) {
  probes++;
  return __real_os_readable(address);
}

static uint64_t mismatches(void) {
  return stub_fallbacks(UL_FB_WALK_MISMATCH);
}

static bool came_through(void *function, uint64_t bytes) {
  for (uint32_t i = 0; i < depth; i++)
    if (ips[i] - (uint64_t)function < bytes) return true;
  return false;
}

static void assert_whole(void) {
  assert_int_equal(end, UL_NODE_ROOT);
  assert_true(depth > 2);
  assert_int_equal(mismatches(), 0);
}

/* ---- shapes -------------------------------------------------------------------- */

static NOINLINE void recurse(int n, inner *f) {
  if (n > 0)
    recurse(n - 1, f);
  else
    f();
  AFTER_CALL;
}

static void test_recursion(void **state) {
  (void)state;
  uint32_t before;
  recurse(0, entry);
  assert_whole();
  before = depth;
  recurse(100, entry);
  assert_whole();
  assert_int_equal(depth, before + 100);
  assert_true(came_through((void *)test_recursion, 512));
}

static void test_limit(void **state) {
  (void)state;
  uint64_t whole[256];
  limit = 256;
  recurse(20, entry);
  uint32_t all = depth;
  uint64_t all_hash = hash;
  memcpy(whole, ips, sizeof whole);
  for (limit = 1; limit < all; limit++) {
    recurse(20, entry);
    assert_int_equal(depth, limit);
    assert_int_equal(end, UL_NODE_CUT);
    assert_true(hash != all_hash);
    if (limit > 21) assert_memory_equal(ips + 22, whole + 22, (limit - 22) * sizeof *ips);
  }
  limit = all;
  recurse(20, entry);
  assert_int_equal(end, UL_NODE_ROOT);
  limit = 256;
  assert_int_equal(mismatches(), 0);
}

static void test_hash(void **state) {
  (void)state;
  uint64_t hashes[2][2];
  for (volatile int i = 0; i < 4; i++) { /* not unrolled: one call */
    recurse(i / 2, entry);
    hashes[i / 2][i % 2] = hash;
  }
  assert_true(hashes[0][0] == hashes[0][1] && hashes[1][0] == hashes[1][1]);
  assert_true(hashes[0][0] != hashes[1][0]);
}

static int compare(const void *a, const void *b) {
  recurse(2, entry);
  return *(const int *)a - *(const int *)b;
}

static void test_callback_from_libc(void **state) {
  (void)state;
  int numbers[] = {3, 1, 2, 5, 4};
  qsort(numbers, 5, sizeof *numbers, compare);
  assert_whole();
  assert_true(came_through((void *)test_callback_from_libc, 512));
}

static void test_shapes(void **state) {
  (void)state;
  uint64_t slow = stub_fallbacks(UL_FB_SLOW_WALK);
  for (unsigned bytes = 1; bytes < 20000; bytes = bytes * 3 + 1) {
    shape_alloca(entry, bytes);
    assert_whole();
    shape_vla(entry, bytes);
    assert_whole();
    shape_realigned_vla(entry, bytes);
    assert_whole();
  }
  shape_realigned(entry);
  assert_whole();
  shape_huge(entry);
  assert_whole();
  shape_registers(entry);
  assert_whole();
  shape_no_frame_pointer(entry, 30);
  assert_whole();
  assert_true(came_through((void *)test_shapes, 4096));
  assert_int_equal(stub_fallbacks(UL_FB_SLOW_WALK), slow);
}

static void test_only_the_tables_can_tell(void **state) {
  (void)state;
  void (*const shapes[])(inner *) = {shape_rbx, shape_rbp_above};
  for (volatile int i = 0; i < 2; i++) {
    uint64_t slow = stub_fallbacks(UL_FB_SLOW_WALK);
    shapes[i](entry);
    assert_whole();
    assert_true(stub_fallbacks(UL_FB_SLOW_WALK) > slow);
    assert_true(came_through((void *)test_only_the_tables_can_tell, 512));
  }
}

static void test_exceptions(void **state) {
  (void)state;
  for (int i = 0; i < 10; i++) {
    shape_throw(entry, i);
    assert_whole();
  }
}

static void test_table_grows(void **state) {
  (void)state;
  uint64_t before = rule_count();
  shape_everywhere(entry);
  assert_whole();
  assert_true(rule_count() >= before + 4096);
  assert_true(rule_count() < before + 4096 + 16);
}

/* From a small table, which is then replaced many times. */
static void test_a_million_rules(void **state) {
  (void)state;
  enum { ADDRESSES = 800000 };
  void *bare = dlopen(BARE, RTLD_NOW | RTLD_LOCAL);
  assert_non_null(bare);
  uint64_t code = (uint64_t)dlsym(bare, "bare_code") + 1, before = rule_count();
  for (uint64_t i = 0; i < ADDRESSES; i++)
    assert_int_equal(rule_learn(code + i), RULE_BARE);
  assert_int_equal(rule_count(), before + ADDRESSES);
  uint64_t found = 0;
  for (uint64_t i = 0; i < ADDRESSES; i++)
    found += (rule_find(rule_current(), code + i) || rule_learn(code + i)) &&
             rule_find(rule_current(), code + i) == RULE_BARE;
  assert_int_equal(found, ADDRESSES);
  assert_int_equal(rule_count(), before + ADDRESSES);
  recurse(3, entry);
  assert_whole();
  before = rule_count() - ADDRESSES;
  rule_forget(code + 5000, code + 6000);
  assert_int_equal(rule_count(), before + ADDRESSES - 1000);
  for (uint64_t i = 4900; i < 6100; i++)
    assert_int_equal(!rule_find(rule_current(), code + i), i >= 5000 && i < 6000);
  rule_forget(code, code + ADDRESSES);
  assert_int_equal(rule_count(), before);
  assert_int_equal(stub_fallbacks(UL_FB_RULES_FULL), 0);
  dlclose(bare);
}

/* By many at once, each from a place of its own on, into tables that are replaced
 * meanwhile, and with a handler that jumps out of it. */
enum { LEARNERS = 4, LEARNED = 200000, JUMPS = 200 };
static uint64_t bare_start;
static _Thread_local sigjmp_buf out_of_it;

static void jump_out(int sig) {
  (void)sig;
  siglongjmp(out_of_it, 1);
}

static void *learn_all(void *data) {
  static const uint64_t step = LEARNED / LEARNERS;
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < LEARNED; i++)
    wrong += rule_learn(bare_start + ((uint64_t)data * step + i) % LEARNED) != RULE_BARE;
  return (void *)wrong;
}

static void learn_with_jumps(void) {
  const struct itimerval soon = {.it_value.tv_usec = 50}, never = {0};
  volatile int jumps = 0;
  struct sigaction action = {.sa_handler = jump_out}, before;
  sigaction(SIGPROF, &action, &before);
  if (sigsetjmp(out_of_it, 1)) jumps++;
  if (jumps < JUMPS) setitimer(ITIMER_PROF, &soon, NULL);
  for (uint64_t i = 0; jumps < JUMPS; i++)
    (void)rule_learn(bare_start + LEARNED + i % LEARNED);
  setitimer(ITIMER_PROF, &never, NULL);
  sigaction(SIGPROF, &before, NULL);
}

static void test_rules_at_once(void **state) {
  (void)state;
  void *bare = dlopen(BARE, RTLD_NOW | RTLD_LOCAL), *wrong;
  pthread_t t[LEARNERS];
  assert_non_null(bare);
  bare_start = (uint64_t)dlsym(bare, "bare_code") + 1;
  uint64_t before = rule_count(), kept = 0;
  sigset_t profile, mask;
  sigemptyset(&profile);
  sigaddset(&profile, SIGPROF);
  pthread_sigmask(SIG_BLOCK, &profile, &mask);
  for (uint64_t i = 0; i < LEARNERS; i++)
    assert_int_equal(pthread_create(&t[i], NULL, learn_all, (void *)i), 0);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  learn_with_jumps();
  for (int i = 0; i < LEARNERS; i++) {
    pthread_join(t[i], &wrong);
    assert_null(wrong);
  }
  for (uint64_t i = 0; i < 2 * LEARNED; i++) {
    assert_int_equal(rule_learn(bare_start + i), RULE_BARE);
    kept += rule_find(rule_current(), bare_start + i) == RULE_BARE;
  }
  assert_int_equal(kept, 2 * LEARNED);
  /* Of what went into a table that was just being replaced some may be counted twice. */
  assert_in_range(rule_count(), before + 2 * LEARNED, before + 2 * LEARNED + 1000);
  recurse(3, entry);
  assert_whole();
  rule_forget(bare_start, bare_start + 2 * LEARNED);
  assert_int_equal(rule_find(rule_current(), bare_start + 7), 0);
  assert_int_equal(stub_fallbacks(UL_FB_RULES_FULL), 0);
  dlclose(bare);
}

/* ---- signals ------------------------------------------------------------------- */

static void on_signal(int number) {
  (void)number;
  int saved = errno;
  recurse(1, entry);
  errno = saved;
}

static void handle(int number, int flags) {
  struct sigaction a = {.sa_handler = on_signal, .sa_flags = flags};
  assert_int_equal(sigaction(number, &a, NULL), 0);
}

static void test_signal_frame(void **state) {
  (void)state;
  handle(SIGUSR1, 0);
  raise(SIGUSR1);
  assert_whole();
  assert_true(came_through((void *)test_signal_frame, 512));
}

static void test_alternate_stack(void **state) {
  (void)state;
  stack_t alternate = {.ss_size = 64 * 1024, .ss_sp = malloc(64 * 1024)}, old;
  assert_int_equal(sigaltstack(&alternate, &old), 0);
  handle(SIGUSR1, SA_ONSTACK);
  raise(SIGUSR1);
  assert_whole();
  assert_true(came_through((void *)test_alternate_stack, 512));
  assert_int_equal(sigaltstack(&old, NULL), 0);
  free(alternate.ss_sp);
}

static int by_value(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

/* Signals anywhere in a function: rows for addresses that follow no call. */
static void test_signal_anywhere(void **state) {
  (void)state;
  struct itimerval every = {{0, 200}, {0, 200}}, never = {0};
  handle(SIGALRM, SA_RESTART);
  uint64_t before = walks;
  char text[64];
  setitimer(ITIMER_REAL, &every, NULL);
  for (time_t stop = time(NULL) + 2; time(NULL) < stop;) {
    int numbers[] = {3, 1, 2, 5, 4};
    snprintf(text, sizeof text, "%d %f %s", numbers[0], 3.5, "x");
    shape_registers((inner *)getpid);
    shape_realigned((inner *)getppid);
    qsort(numbers, 5, sizeof *numbers, by_value);
  }
  setitimer(ITIMER_REAL, &never, NULL);
  signal(SIGALRM, SIG_DFL);
  print_message("%lu walks from signals, %lu differ from libunwind\n", walks - before,
                mismatches());
  assert_true(walks > before + 100);
  assert_int_equal(mismatches(), 0);
}

/* ---- threads, coroutines, code without tables ---------------------------------- */

static void *one_thread(void *data) {
  (void)data;
  for (int i = 0; i < 200; i++) {
    recurse(i % 30, entry);
    shape_realigned(entry);
    shape_no_frame_pointer(entry, i % 7);
  }
  return (void *)(uintptr_t)(end == UL_NODE_ROOT && depth > 3);
}

static void test_threads(void **state) {
  (void)state;
  for (int round = 0; round < 10; round++) {
    pthread_t t[4];
    rule_forget(0, UINT64_MAX);
    for (int i = 0; i < 4; i++)
      assert_int_equal(pthread_create(&t[i], NULL, one_thread, NULL), 0);
    for (int i = 0; i < 4; i++) {
      void *good;
      pthread_join(t[i], &good);
      assert_non_null(good);
    }
  }
  assert_int_equal(mismatches(), 0);
}

static ucontext_t outside, inside;
static uint32_t depth_inside, end_inside;

static void coroutine(void) {
  for (;;) {
    recurse(3, entry);
    depth_inside = depth;
    end_inside = end;
    swapcontext(&inside, &outside);
  }
}

static void test_coroutine(void **state) {
  (void)state;
  size_t bytes = 64 * 1024;
  char *stack = mmap(NULL, bytes + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_int_equal(mprotect(stack + 4096, bytes, PROT_READ | PROT_WRITE), 0);
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack + 4096;
  inside.uc_stack.ss_size = bytes;
  inside.uc_link = &outside;
  makecontext(&inside, coroutine, 0);
  for (int i = 0; i < 20; i++) {
    swapcontext(&outside, &inside);
    assert_int_equal(end_inside, UL_NODE_ROOT);
    assert_true(depth_inside >= 5 && depth_inside <= 7);
    recurse(3, entry);
    assert_whole();
  }
  munmap(stack, bytes + 8192);
}

/* Coroutines in turn, each on a stack of its own between guard pages. */
#define STACKS 8
#define STACK_BYTES ((size_t)64 * 1024)
static ucontext_t routines[STACKS];
static int routine;

static void in_turn(void) {
  for (;;) {
    recurse(40, entry);
    swapcontext(&routines[routine], &outside);
  }
}

static void make_routines(char *stacks) {
  for (int i = 0; i < STACKS; i++) {
    char *stack = stacks + (size_t)i * (STACK_BYTES + 4096) + 4096;
    assert_int_equal(mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE), 0);
    getcontext(&routines[i]);
    routines[i].uc_stack.ss_sp = stack;
    routines[i].uc_stack.ss_size = STACK_BYTES;
    routines[i].uc_link = &outside;
    makecontext(&routines[i], in_turn, 0);
  }
}

static void take_turns(int rounds) {
  for (int i = 0; i < rounds; i++) {
    routine = i % STACKS;
    swapcontext(&outside, &routines[routine]);
    assert_int_equal(end, UL_NODE_ROOT);
    assert_true(depth > 40);
  }
}

static void test_coroutines_in_turn(void **state) {
  (void)state;
  size_t bytes = STACKS * (STACK_BYTES + 4096) + 4096;
  char *stacks = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  make_routines(stacks);
  take_turns(STACKS);
  uint64_t before = probes;
  take_turns(10000);
  print_message("%lu probes\n", probes - before);
  assert_true(with_oracle || probes - before < 100);
  assert_int_equal(mismatches(), 0);
  munmap(stacks, bytes);
}

static inner *code(const unsigned char *bytes, size_t n) {
  void *page =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(page, bytes, n);
  mprotect(page, 4096, PROT_READ | PROT_EXEC);
  inner *f;
  memcpy(&f, &page, sizeof f);
  return f;
}

static void test_code_without_tables(void **state) {
  (void)state;
  /* push rbp; mov rbp, rsp; call rdi; pop rbp; ret */
  static const unsigned char framed[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
  void (*f)(inner *) = (void (*)(inner *))code(framed, sizeof framed);
  uint64_t before = stub_fallbacks(UL_FB_FRAME_POINTER);
  recurse(0, entry);
  f(entry);
  assert_whole();
  assert_int_equal(stub_fallbacks(UL_FB_FRAME_POINTER), before + 1);
  assert_true(came_through((void *)test_code_without_tables, 512));
}

static void test_lost(void **state) {
  (void)state;
  /* push rbp; xor ebp, ebp; call rdi; pop rbp; ret - and with rbp = rsp + 1M, and -1 */
  static const unsigned char zero[] = {0x55, 0x31, 0xed, 0xff, 0xd7, 0x5d, 0xc3};
  static const unsigned char high[] = {0x55, 0x48, 0x8d, 0xac, 0x24, 0,   0,
                                       0,    0x40, 0xff, 0xd7, 0x5d, 0xc3};
  static const unsigned char wild[] = {0x55, 0x48, 0x83, 0xcd, 0xff,
                                       0xff, 0xd7, 0x5d, 0xc3};
  void (*f[])(inner *) = {(void (*)(inner *))code(zero, sizeof zero),
                          (void (*)(inner *))code(high, sizeof high),
                          (void (*)(inner *))code(wild, sizeof wild)};
  for (int i = 0; i < 3; i++) {
    f[i](entry);
    assert_int_equal(end, UL_NODE_BROKEN);
    assert_int_equal(depth, 1);
  }
}

/* ---- modules ------------------------------------------------------------------- */

static void test_modules(void **state) {
  (void)state;
  recurse(0, entry);
  uint16_t own = ul_code_module(module_code((uint64_t)test_modules + 4));
  uint16_t libc = ul_code_module(module_code((uint64_t)dlsym(RTLD_DEFAULT, "qsort") + 4));
  assert_true(own != UL_NO_MODULE && libc != UL_NO_MODULE && own != libc);
  assert_int_equal(ul_code_module(module_code((uint64_t)state)), UL_NO_MODULE);
  struct ul_module *m = table_at(UL_MODULES, own);
  char path[4096];
  path[readlink("/proc/self/exe", path, sizeof path - 1)] = '\0';
  assert_string_equal(table_at(UL_TEXT, m->name), path);
  assert_true(m->build_id_bytes >= 8);
  m = table_at(UL_MODULES, libc);
  assert_non_null(strstr(table_at(UL_TEXT, m->name), "/libc.so.6"));
}

static void plugin_round(const char *path) {
  void *handle = dlopen(path, RTLD_NOW);
  assert_non_null(handle);
  void (*call)(inner *) = (void (*)(inner *))dlsym(handle, "plugin_call");
  assert_non_null(call);
  call(entry);
  assert_whole();
  assert_true(came_through((void *)call, 256));
  assert_true(came_through((void *)plugin_round, 1024));
  dlclose(handle);
}

static void test_plugins_come_and_go(void **state) {
  (void)state;
  uint64_t generation = stack_generation();
  plugin_round(PLUGIN_1);
  plugin_round(PLUGIN_2);
  uint64_t before = table_count(UL_MODULES);
  for (int i = 0; i < 300; i++)
    plugin_round(i % 2 ? PLUGIN_1 : PLUGIN_2);
  assert_true(table_count(UL_MODULES) <= before + 4);
  assert_true(stack_generation() >= generation + 302);
}

/* ---- what must not happen to the program --------------------------------------- */

static int descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = 0;
  while (readdir(d))
    n++;
  closedir(d);
  return n;
}

static int descriptors_at_start;

static void test_leaves_no_trace(void **state) {
  (void)state;
  sigset_t before, after;
  assert_int_equal(descriptors(), descriptors_at_start);
  sigprocmask(SIG_SETMASK, NULL, &before);
  rule_forget(0, UINT64_MAX);
  errno = 4711;
  recurse(5, entry);
  shape_rbx(entry);
  assert_int_equal(errno, 4711);
  sigprocmask(SIG_SETMASK, NULL, &after);
  assert_memory_equal(&before, &after, 8);
  sigset_t one, now;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR2);
  assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, &after), 0);
  assert_memory_equal(&before, &after, 8);
  assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &one, &now), 0);
  assert_true(sigismember(&now, SIGUSR2));
  assert_int_equal(pthread_sigmask(4711, &one, NULL), EINVAL);
  int fds[2];
  assert_int_equal(pipe2(fds, 0), 0);
  close(fds[0]);
  close(fds[1]);
}

/* Inside dl_iterate_phdr, holding the loader's lock, one thread walks; another
 * has everything to learn; a third loads and unloads. */
static _Atomic bool done;

static int visit(struct dl_phdr_info *info, size_t bytes, void *data) {
  (void)info, (void)bytes, (void)data;
  entry();
  return 0;
}

static void *iterate(void *data) {
  while (!done)
    dl_iterate_phdr(visit, data);
  return NULL;
}

static void *load(void *data) {
  while (!done) {
    void *handle = dlopen(PLUGIN_1, RTLD_NOW);
    void (*call)(inner *) = (void (*)(inner *))dlsym(handle, "plugin_call");
    call(entry);
    dlclose(handle);
  }
  return data;
}

static void test_loader_lock(void **state) {
  (void)state;
  pthread_t t[2];
  uint64_t before = mismatches();
  alarm(60);
  done = false;
  pthread_create(&t[0], NULL, iterate, NULL);
  pthread_create(&t[1], NULL, load, NULL);
  for (int i = 0; i < 1000; i++) {
    rule_forget(0, UINT64_MAX);
    recurse(i % 10, entry);
  }
  done = true;
  pthread_join(t[0], NULL);
  pthread_join(t[1], NULL);
  alarm(0);
  assert_int_equal(mismatches(), before);
}

static void *learn(void *data) {
  while (!done) {
    rule_forget(0, UINT64_MAX);
    recurse(3, entry);
  }
  return data;
}

static void test_fork(void **state) {
  (void)state;
  pthread_t t;
  done = false;
  pthread_create(&t, NULL, learn, NULL);
  for (int i = 0; i < 100; i++) {
    stack_fork_prepare();
    pid_t pid = fork();
    if (pid == 0) {
      stack_fork_parent();
      stack_fork_child();
      alarm(10);
      rule_forget(0, UINT64_MAX);
      recurse(3, entry);
      _exit(end == UL_NODE_ROOT && depth > 5 ? 0 : 1);
    }
    stack_fork_parent();
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
  }
  done = true;
  pthread_join(t, NULL);
}

/* ---- memory that goes from under a walk ------------------------------------------
 *
 * Without the oracle, which reads what it likes. */

/* Calls `f` with the stack pointer at `top`. Its table knows nothing of that: a walk
 * finds the return address 8 bytes above `top`. */
void on_stack(char *top, inner *f);
__asm__(".text\n"
        ".type on_stack, @function\n"
        "on_stack:\n"
        "  .cfi_startproc\n"
        "  push %rbx\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  mov %rsp, %rbx\n"
        "  mov %rdi, %rsp\n"
        "  call *%rsi\n"
        "  mov %rbx, %rsp\n"
        "  pop %rbx\n"
        "  .cfi_adjust_cfa_offset -8\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size on_stack, .-on_stack\n");

static char *map_stack(void *at, size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0);
  char *p = mmap(at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  assert_true(p != MAP_FAILED);
  return p;
}

static NOINLINE void entry_deep(void) {
  recurse(100, entry);
  AFTER_CALL;
}

static void neighbour_goes(int byte) {
  size_t bytes = 32 * 1024;
  char *stack = map_stack(NULL, 2 * bytes), *top = stack + bytes;
  memset(top, byte, bytes);
  for (int i = 0; i < 4; i++) {
    on_stack(top, i % 2 ? entry_deep : entry);
    assert_int_equal(end, byte ? UL_NODE_BROKEN : UL_NODE_ROOT);
  }
  assert_int_equal(munmap(top, bytes), 0);
  for (int i = 0; i < 4; i++) {
    on_stack(top, i % 2 ? entry_deep : entry);
    assert_int_equal(end, UL_NODE_BROKEN);
    assert_true(depth >= 1);
  }
  munmap(stack, bytes);
}

static void test_neighbour_goes(void **state) {
  (void)state;
  neighbour_goes(0);
  neighbour_goes(0x55);
}

static void whole_once(void) {
  recurse(200, entry);
  depth_inside = depth;
  end_inside = end;
}

/* The large stack is walked whole; the small one in its place has no end. */
static void test_stack_shrinks(void **state) {
  (void)state;
  size_t large = 64 * 1024, small = 16 * 1024;
  for (int round = 0; round < 3; round++) {
    char *stack = map_stack(NULL, large);
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = large;
    inside.uc_link = &outside;
    makecontext(&inside, whole_once, 0);
    swapcontext(&outside, &inside);
    assert_int_equal(end_inside, UL_NODE_ROOT);
    assert_true(depth_inside > 200);
    entry();
    assert_int_equal(munmap(stack, large), 0);
    stack = map_stack(stack + large - (size_t)(round + 2) * small, small);
    on_stack(stack + small, entry);
    on_stack(stack + small, entry_deep);
    assert_int_equal(end, UL_NODE_BROKEN);
    munmap(stack, small);
  }
}

/* What could not be read is asked for again. */
static void test_stack_grows(void **state) {
  (void)state;
  size_t bytes = 32 * 1024;
  char *stack = map_stack(NULL, 2 * bytes), *top = stack + bytes;
  assert_int_equal(munmap(top, bytes), 0);
  on_stack(top, entry);
  assert_int_equal(end, UL_NODE_BROKEN);
  entry();
  map_stack(top, bytes);
  on_stack(top, entry);
  assert_int_equal(end, UL_NODE_ROOT);
  munmap(stack, 2 * bytes);
}

/* ---- main ---------------------------------------------------------------------- */

static int run_without_oracle(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_coroutines_in_turn),
      cmocka_unit_test(test_neighbour_goes),
      cmocka_unit_test(test_stack_shrinks),
      cmocka_unit_test(test_stack_grows),
  };
  unsetenv("ULLAGE_UNWIND");
  stack_start();
  return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) return run_without_oracle();

  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_recursion),
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_hash),
      cmocka_unit_test(test_callback_from_libc),
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_only_the_tables_can_tell),
      cmocka_unit_test(test_exceptions),
      cmocka_unit_test(test_table_grows),
      cmocka_unit_test(test_signal_frame),
      cmocka_unit_test(test_alternate_stack),
      cmocka_unit_test(test_signal_anywhere),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_coroutine),
      cmocka_unit_test(test_coroutines_in_turn),
      cmocka_unit_test(test_code_without_tables),
      cmocka_unit_test(test_modules),
      cmocka_unit_test(test_plugins_come_and_go),
      cmocka_unit_test(test_leaves_no_trace),
      cmocka_unit_test(test_loader_lock),
      cmocka_unit_test(test_fork),
      cmocka_unit_test(test_lost),
      cmocka_unit_test(test_rules_at_once),
      cmocka_unit_test(test_a_million_rules), /* last: it leaves a large table */
  };
  descriptors_at_start = descriptors();
  with_oracle = true;
  setenv("ULLAGE_UNWIND", "check", 1);
  stack_start();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
