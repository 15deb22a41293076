/* reach.c - the scan's frozen copy of the process, and what comes back from it.
 *
 * The copy. A raw clone without an exit signal: no SIGCHLD, no atfork handlers,
 * invisible to the program's wait(); with CLONE_FILES, so that the copy's end closes no
 * file of the program. The recording is shared and goes on changing when the program's
 * threads run again, so the copy first takes a copy of the ledger (found.c), and
 * reach_begin returns only then. What it marks (mark.c) comes back in a shared mapping,
 * and the program's process stores it: the copy takes no lock (its holder may not exist
 * here).
 *
 * Memory that cannot be read (PROT_NONE pages inside a block, a file that was cut)
 * faults; our handler puts zero pages in its place, in the copy, and the load is tried
 * again. */
#include "reach/reach.h"

#include "account/mapping.h"
#include "base/os.h"
#include "base/say.h"
#include "reach/found.h"
#include "reach/mark.h"
#include "reach/roots.h"
#include "reach/scratch.h"
#include "recording/table.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

enum phase { PHASE_COPYING, PHASE_SCANNING, PHASE_DONE, PHASE_FAILED };

/* Shared between the program and the copy. */
struct result {
  _Atomic uint32_t phase; /* a futex */
  int error;
  struct ul_scan scan;
  int pagemap; /* of the copy; < 0: none. The original closes it, even if the copy dies */
  uint32_t rows_used, rows_capacity;
  struct ul_leak rows[];
};

/* In the program: the scan under way. */
static struct {
  struct result *result;
  size_t bytes;
  uint64_t begun_ns;
} job;

bool reach_scan_slack;

/* In the copy: the scan. What it has from the program is filled in before. */
static struct {
  struct result *result;
  struct mark_from from;
  uint32_t *row_of; /* by site and verdict: index of its row + 1 */
} scan;

static _Noreturn void give_up(int error) {
  scan.result->error = error;
  atomic_store(&scan.result->phase, PHASE_FAILED);
  os_exit(1);
}

/* ---- verdicts ------------------------------------------------------------------ */

static struct ul_leak *row_for(uint32_t site, enum ul_verdict verdict) {
  if (site >= scan.from.sites) site = UL_SITE_NO_STACK;
  struct result *r = scan.result;
  uint32_t *index = &scan.row_of[site * (UL_VERDICTS - 1) + verdict - 1];
  if (*index == 0) {
    if (r->rows_used == r->rows_capacity) give_up(ENOSPC);
    *index = ++r->rows_used;
    r->rows[*index - 1].site = site;
    r->rows[*index - 1].verdict = verdict;
  }
  return &r->rows[*index - 1];
}

static void tell_leader(const struct found *f, uint64_t blocks, uint64_t bytes) {
  struct ul_leak *row = row_for(ul_entry_site(*f->entry), UL_DEFINITE);
  row->indirect_blocks += blocks;
  row->indirect_bytes += bytes;
}

static void tell(const struct found *f) {
  enum ul_verdict verdict = mark_verdict(f);
  struct ul_scan *s = &scan.result->scan;
  struct ul_leak *row = row_for(ul_entry_site(*f->entry), verdict);
  uint32_t birth = ul_entry_birth(*f->entry);
  if (row->blocks == 0 || birth < row->oldest_birth) {
    row->oldest_birth = birth;
    row->example = f->start;
  }
  if (birth > row->newest_birth) row->newest_birth = birth;
  row->blocks++;
  row->bytes += f->requested;
  s->heap_bytes += f->requested;
  s->totals[verdict].blocks++;
  s->totals[verdict].bytes += f->requested;
  enum ul_heuristic by = mark_rescuer(f);
  if (by == UL_HEURISTICS) return;
  s->rescued[by].blocks++;
  s->rescued[by].bytes += f->requested;
}

/* ---- the copy ------------------------------------------------------------------ */

/* A load that faults finds zeros when it is tried again: up to the end of the mapping if
 * all of that is unreadable, else one page. */
static void unreadable(int sig, siginfo_t *info, void *context) {
  (void)context;
  uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);
  const struct region *r = roots_region(page);
  uintptr_t end = page + PAGE;
  if (sig == SIGSEGV && r && !r->read) end = r->end;
  long at = syscall(SYS_mmap, page, end - page, PROT_READ,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (at == -1) give_up(EFAULT);
  scan.result->scan.unreadable_pages += (end - page) / PAGE;
}

static void *scratch_or_give_up(size_t bytes) {
  void *p = scratch(bytes);
  if (!p) give_up(ENOMEM);
  return p;
}

static void catch_faults(void) {
  enum { STACK_BYTES = 64 * 1024 };
  stack_t stack = {.ss_sp = scratch_or_give_up(STACK_BYTES), .ss_size = STACK_BYTES};
  uint64_t blocked = ~(UINT64_C(1) << (SIGSEGV - 1) | UINT64_C(1) << (SIGBUS - 1));
  syscall(SYS_sigaltstack, &stack, NULL);
  freeze_handle(SIGSEGV, unreadable);
  freeze_handle(SIGBUS, unreadable);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked);
}

/* The program may have used up its descriptors; the limit is the copy's own. */
static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void wake(void) {
  syscall(SYS_futex, &scan.result->phase, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Only other threads can change the ledger while we look. */
static bool ledger_moves(void) {
  return scan.from.threads->count > 0 || !scan.from.threads->complete;
}

/* What must be done before the program's threads may run on. */
static void copy_state(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  catch_faults();
  raise_file_limit();
  scan.result->pagemap = scan.from.pagemaps.copy = mapping_pagemap_open();
  if (!roots_load()) give_up(EIO);
  if (!found_prepare(ledger_moves())) give_up(ENOMEM);
  atomic_store(&scan.result->phase, PHASE_SCANNING);
  wake();
}

/* Not inlined: its own variables must lie below the stack pointer that was captured. */
static _Noreturn __attribute__((noinline)) void run_scan(void) {
  copy_state();
  size_t rows = (size_t)scan.from.sites * (UL_VERDICTS - 1);
  scan.row_of = scratch_or_give_up(rows * sizeof *scan.row_of);
  scan.from.slack = reach_scan_slack;
  if (!mark_blocks(&scan.from, tell_leader, &scan.result->scan.root_bytes))
    give_up(ENOMEM);
  found_each(tell);
  atomic_store(&scan.result->phase, PHASE_DONE);
  os_exit(0);
}

/* ---- the program --------------------------------------------------------------- */

static void fail(int error) {
  recording->scan.error = error;
  recording->scan.state = UL_SCAN_FAILED;
}

/* Address space for all rows there can be; the pages come as they are used. */
static bool map_result(uint32_t sites) {
  size_t rows = (size_t)sites * (UL_VERDICTS - 1);
  job.bytes = (sizeof *job.result + rows * sizeof(struct ul_leak) + PAGE - 1) &
              ~(size_t)(PAGE - 1);
  if (os_injected(OS_OP_MMAP)) return false;
  void *p = mmap(NULL, job.bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return false;
  job.result = p;
  job.result->rows_capacity = (uint32_t)rows;
  job.result->pagemap = -1;
  return true;
}

/* The copy shares our descriptors (CLONE_FILES): not before it has ended. */
static void let_go(void) {
  int *original = &scan.from.pagemaps.original;
  if (*original >= 0) os_close(*original);
  *original = -1;
  if (job.result->pagemap >= 0) os_close(job.result->pagemap);
  munmap(job.result, job.bytes);
}

static bool has_ended(int child) {
  siginfo_t info = {0};
  int r = waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);
  return r != 0 || info.si_pid == child;
}

/* Until the copy no longer looks at what the program shares with it, or is dead. */
static void wait_for_copy(int child) {
  const struct timespec slice = {.tv_nsec = 20 * 1000000};
  while (atomic_load(&job.result->phase) == PHASE_COPYING && !has_ended(child))
    syscall(SYS_futex, &job.result->phase, FUTEX_WAIT, PHASE_COPYING, &slice, NULL, 0);
}

struct registers {
  uintptr_t rbx, rbp, r12, r13, r14, r15, sp;
};

/* What the caller keeps in registers over a call; the others it has saved itself. */
#define CAPTURE(r)                                                                       \
  __asm__ volatile("movq %%rbx, %0\n\tmovq %%rbp, %1\n\tmovq %%r12, %2\n\t"              \
                   "movq %%r13, %3\n\tmovq %%r14, %4\n\tmovq %%r15, %5\n\t"              \
                   "movq %%rsp, %6"                                                      \
                   : "=m"((r).rbx), "=m"((r).rbp), "=m"((r).r12), "=m"((r).r13),         \
                     "=m"((r).r14), "=m"((r).r15), "=m"((r).sp))

static uintptr_t thread_pointer(void) {
  uintptr_t tcb = 0;
  syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &tcb);
  return tcb;
}

/* The clone's pid, or -errno. In the copy it does not return. */
static __attribute__((noinline)) long clone_and_scan(const struct thread_set *threads,
                                                     uint32_t sites) {
  volatile struct registers registers;
  CAPTURE(registers);
  scan.result = job.result;
  scan.from = (struct mark_from){
      .threads = threads,
      .sp = registers.sp,
      .tcb = thread_pointer(),
      .pagemaps = {.copy = -1, .original = mapping_pagemap_open()},
      .sites = sites,
  };
  if (os_injected(OS_OP_FORK)) return -EAGAIN;
  long child = syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);
  if (child == 0) run_scan();
  long result = child < 0 ? -errno : child;
  return result;
}

static int begin(const struct thread_set *threads) {
  uint32_t sites = (uint32_t)table_count(UL_SITES);
  if (sites < UL_SITE_RESERVED) sites = UL_SITE_RESERVED;
  job.begun_ns = os_monotonic_ns();
  recording->scan = (struct ul_scan){
      .state = UL_SCAN_RUNNING,
      .at_ms = (job.begun_ns - recording->start_mono_ns) / 1000000,
  };
  if (!map_result(sites)) {
    fail(ENOMEM);
    return 0;
  }
  long child = clone_and_scan(threads, sites);
  if (child > 0) wait_for_copy((int)child);
  if (child > 0) return (int)child;
  fail((int)-child);
  let_go();
  return 0;
}

/* No signal handler of the program may run in the copy. */
int reach_begin(const struct thread_set *threads) {
  if (!recording) return 0;
  int saved = errno;
  uint64_t all = ~UINT64_C(0), mask = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof mask);
  int child = begin(threads);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
  if (child) {
    recording->scan.threads = 1 + threads->stopped + threads->unstopped;
    recording->scan.threads_unstopped = threads->unstopped;
  }
  errno = saved;
  return child;
}

static void store_results(void) {
  const struct result *r = job.result;
  struct ul_leak *rows = table_replace_rows(UL_LEAKS, r->rows_used);
  if (!rows && r->rows_used) return fail(ENOSPC);
  if (r->rows_used) memcpy(rows, r->rows, r->rows_used * sizeof *rows);
  struct ul_scan *s = &recording->scan;
  s->root_bytes = r->scan.root_bytes;
  s->heap_bytes = r->scan.heap_bytes;
  s->unreadable_pages = r->scan.unreadable_pages;
  memcpy(s->totals, r->scan.totals, sizeof s->totals);
  memcpy(s->rescued, r->scan.rescued, sizeof s->rescued);
  s->took_us = (os_monotonic_ns() - job.begun_ns) / 1000;
  __atomic_store_n(&s->state, UL_SCAN_DONE, __ATOMIC_RELEASE);
}

enum { PATIENCE_MS = 3000 };

/* The program is otherwise done, so whoever waits for it should know what for. */
static void say_if_it_takes_long(int child) {
  static bool said;
  struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
  if (end.fd < 0) return;
  if (poll(&end, 1, PATIENCE_MS) == 0)
    say_once(
        &said,
        "the program has ended; still looking for leaks (ULLAGE_SCAN=no does without)");
  os_close(end.fd);
}

void reach_end(int child) {
  if (!child) return;
  int saved = errno;
  say_if_it_takes_long(child);
  while (syscall(SYS_wait4, child, NULL, __WALL, NULL) < 0 && errno == EINTR)
    ;
  if (atomic_load(&job.result->phase) == PHASE_DONE)
    store_results();
  else
    fail(job.result->error ? job.result->error : ECHILD);
  let_go();
  errno = saved;
}
