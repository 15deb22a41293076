/* allow.c - a filter is asked as the kernel asks it, by running it. It is a program of
 * classic BPF without loops, whose data are the number of the call, the architecture and
 * the arguments. Who looks at arguments (or at the address of the call) may forbid some
 * of them: that is taken for no. Many filters only forbid what is dangerous, and need not
 * cost the program its last words. */
#include "process/allow.h"

#include "base/os.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

/* What base/ makes; a test compares. And a handler returns. */
// clang-format off
static const int ours[] = {
    SYS_access, SYS_arch_prctl, SYS_clock_gettime, SYS_clone, SYS_close, SYS_execve,
    SYS_exit_group, SYS_faccessat2, SYS_fchown, SYS_fstat, SYS_fstatfs, SYS_ftruncate,
    SYS_futex, SYS_getcwd, SYS_getdents64, SYS_geteuid, SYS_getpid, SYS_getppid,
    SYS_gettid, SYS_ioctl, SYS_kill, SYS_linkat, SYS_lstat, SYS_madvise, SYS_membarrier,
    SYS_mincore, SYS_mmap, SYS_mremap, SYS_munmap, SYS_nanosleep, SYS_openat,
    SYS_pidfd_open, SYS_poll, SYS_prctl, SYS_pread64, SYS_prlimit64, SYS_pwrite64,
    SYS_read, SYS_readlink, SYS_rename, SYS_restart_syscall, SYS_rt_sigaction,
    SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait,
    SYS_rt_tgsigqueueinfo, SYS_sched_getaffinity, SYS_sigaltstack, SYS_stat, SYS_tgkill,
    SYS_truncate, SYS_unlink, SYS_wait4, SYS_waitid, SYS_write,
};
// clang-format on

struct machine {
  uint32_t a, x, memory[BPF_MEMWORDS];
  uint32_t number; /* of the call */
  bool unsure;
};

static uint32_t load_data(struct machine *m, uint32_t offset) {
  if (offset == offsetof(struct seccomp_data, nr)) return m->number;
  if (offset == offsetof(struct seccomp_data, arch)) return AUDIT_ARCH_X86_64;
  m->unsure = true;
  return 0;
}

static uint32_t *word(struct machine *m, uint32_t k) {
  if (k >= BPF_MEMWORDS) m->unsure = true;
  return &m->memory[k % BPF_MEMWORDS];
}

static uint32_t load(struct machine *m, const struct sock_filter *i) {
  switch (BPF_MODE(i->code)) {
  case BPF_IMM:
    return i->k;
  case BPF_ABS:
    return load_data(m, i->k);
  case BPF_MEM:
    return *word(m, i->k);
  case BPF_LEN:
    return sizeof(struct seccomp_data);
  default:
    m->unsure = true;
    return 0;
  }
}

static uint32_t calculate(struct machine *m, const struct sock_filter *i) {
  uint32_t by = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
  switch (BPF_OP(i->code)) {
  case BPF_ADD:
    return m->a + by;
  case BPF_SUB:
    return m->a - by;
  case BPF_MUL:
    return m->a * by;
  case BPF_DIV:
    return by ? m->a / by : 0;
  case BPF_AND:
    return m->a & by;
  case BPF_OR:
    return m->a | by;
  case BPF_XOR:
    return m->a ^ by;
  case BPF_LSH:
    return by < 32 ? m->a << by : 0;
  case BPF_RSH:
    return by < 32 ? m->a >> by : 0;
  case BPF_NEG:
    return -m->a;
  default:
    m->unsure = true;
    return 0;
  }
}

/* How many instructions to skip. */
static uint32_t jump(struct machine *m, const struct sock_filter *i) {
  uint32_t with = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
  switch (BPF_OP(i->code)) {
  case BPF_JA:
    return i->k;
  case BPF_JEQ:
    return m->a == with ? i->jt : i->jf;
  case BPF_JGT:
    return m->a > with ? i->jt : i->jf;
  case BPF_JGE:
    return m->a >= with ? i->jt : i->jf;
  case BPF_JSET:
    return m->a & with ? i->jt : i->jf;
  default:
    m->unsure = true;
    return 0;
  }
}

static bool passes(uint32_t action) {
  action &= SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

static bool allows(const struct sock_fprog *filter, uint32_t number) {
  struct machine m = {.number = number};
  for (uint64_t at = 0; at < filter->len && !m.unsure; at++) {
    const struct sock_filter *i = &filter->filter[at];
    switch (BPF_CLASS(i->code)) {
    case BPF_LD:
      m.a = load(&m, i);
      break;
    case BPF_LDX:
      m.x = load(&m, i);
      break;
    case BPF_ST:
      *word(&m, i->k) = m.a;
      break;
    case BPF_STX:
      *word(&m, i->k) = m.x;
      break;
    case BPF_ALU:
      m.a = calculate(&m, i);
      break;
    case BPF_JMP:
      at += jump(&m, i);
      break;
    case BPF_MISC:
      if (BPF_MISCOP(i->code) == BPF_TAX)
        m.x = m.a;
      else
        m.a = m.x;
      break;
    case BPF_RET:
      return !m.unsure && passes(BPF_RVAL(i->code) == BPF_A ? m.a : i->k);
    }
  }
  return false;
}

static bool readable(const void *p, size_t bytes) {
  uintptr_t last = (uintptr_t)p + bytes - 1;
  for (uintptr_t at = (uintptr_t)p & ~(uintptr_t)7; at <= last;
       at = os_page_of(at) + OS_PAGE)
    if (!os_readable(at)) return false;
  return true;
}

bool allow_all(const struct sock_fprog *filter) {
  if (!readable(filter, sizeof *filter) || filter->len == 0 ||
      !readable(filter->filter, filter->len * sizeof *filter->filter))
    return false;
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (!allows(filter, (uint32_t)ours[i])) return false;
  return true;
}
