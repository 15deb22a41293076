#include "stack/unwind.h"
#include "base/next.h"
#include "base/os_thread.h"
#include "base/thread.h"
#include "format.h"
#include "stack/cfi.h"
#include "stack/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <libunwind.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define OWN_FRAMES 16u /* at most, below the caller of the entry point */

/* ---- memory -------------------------------------------------------------------- */

/* What one question reads from. */
#define PAGES 8u
struct memory {
  uint64_t readable[PAGES]; /* pages, by the low bits of their number */
};

static uint64_t *known_page(struct memory *m, uint64_t page) {
  return &m->readable[page / OS_PAGE % PAGES];
}

static bool read_word(void *memory, uint64_t address, uint64_t *value) {
  struct memory *m = memory;
  uint64_t page = os_page_of(address);
  if (page == 0) return false;
  uint64_t *known = known_page(m, page);
  uint64_t last = os_page_of(address + 7);
  if (*known != page && !os_readable(address & ~(uint64_t)7)) return false;
  if (last != page && !os_readable(last)) return false;
  *known = page;
  memcpy(value, (const void *)address, 8);
  return true;
}

/* ---- the made-up frame ---------------------------------------------------
 *
 * Its registers lie so far apart, where no memory can be, that the CFA and the
 * saved RBP tell from which of them they were computed. A word read near RSP or
 * RBP tells where it was read: words that are 8 bytes apart differ by 2^24, so
 * that what is added to such a word afterwards can be told apart, too. */
#define FAKE 0x1000000000000000u
#define FAKE_RSP (1 * FAKE)
#define FAKE_RBP (2 * FAKE)
#define FAKE_OTHER (3 * FAKE) /* plus DWARF register number << 48 */
#define NEAR_RSP (4 * FAKE)   /* plus a word's distance from FAKE_RSP << 24 */
#define NEAR_RBP (5 * FAKE)
#define FAR (6 * FAKE)
#define FAKE_REACH ((int64_t)1 << 31)

static bool reaches(uint64_t base, uint64_t address, int64_t *offset) {
  *offset = (int64_t)(address - base);
  return *offset > -FAKE_REACH && *offset < FAKE_REACH;
}

static uint64_t fake_word(uint64_t address) {
  int64_t offset;
  if (reaches(FAKE_RSP, address, &offset)) return NEAR_RSP + ((uint64_t)offset << 24);
  if (reaches(FAKE_RBP, address, &offset)) return NEAR_RBP + ((uint64_t)offset << 24);
  return FAR + (address * 0x9e3779b97f4a7c15u >> 8);
}

static bool is_fake(uint64_t address) {
  return address >= FAKE / 2;
}

static bool read_made_up(void *memory, uint64_t address, uint64_t *value) {
  if (!is_fake(address)) return read_word(memory, address, value);
  *value = fake_word(address);
  return true;
}

static struct cfi_registers made_up(uint64_t ip) {
  struct cfi_registers r;
  for (uint64_t i = 0; i < CFI_REGISTERS; i++)
    r.of[i] = FAKE_OTHER + (i << 48);
  r.of[CFI_RSP] = FAKE_RSP;
  r.of[CFI_RBP] = FAKE_RBP;
  r.of[CFI_RIP] = ip;
  return r;
}

static struct unwind_frame what_it_did(const struct cfi_registers *caller,
                                       const struct cfi_frame *frame) {
  struct unwind_frame f = {.kind = UNWIND_OTHER};
  uint64_t word, cfa = caller->of[CFI_RSP];
  if (frame->rbp == CFI_ELSEWHERE || caller->of[CFI_RIP] != fake_word(cfa - 8)) return f;
  f.rbp_saved = frame->rbp == CFI_IN_MEMORY;
  f.rbp = (int64_t)(frame->rbp_at - cfa);
  f.cfa_from_rbp = reaches(FAKE_RBP, cfa, &f.cfa);
  if (f.cfa_from_rbp || reaches(FAKE_RSP, cfa, &f.cfa)) {
    f.kind = UNWIND_REGULAR;
    return f;
  }
  /* CFA = *(RBP + n), no more added, is what gcc makes of a realigned stack. */
  f.cfa = (int64_t)(cfa - NEAR_RBP) >> 24;
  word = fake_word(FAKE_RBP + (uint64_t)f.cfa);
  if (cfa == word && f.rbp_saved && reaches(FAKE_RBP, frame->rbp_at, &f.rbp))
    f.kind = UNWIND_REALIGNED;
  return f;
}

/* ---- teaching ------------------------------------------------------------------ */

/* The loader's first instructions have no unwind information, and nothing above them:
 * there the stacks of libraries' constructors end. */
static bool in_loader(uint64_t ip) {
  struct module_unwind m;
  return module_find(ip, &m) && m.start == module_loader();
}

/* By which a signal handler returns. */
static bool is_trampoline(struct memory *m, uint64_t ip) {
  static const uint8_t sigreturn[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
  uint64_t code[2];
  return read_word(m, ip, code) && read_word(m, ip + 8, code + 1) &&
         memcmp(code, sigreturn, sizeof sigreturn) == 0;
}

struct unwind_frame unwind_learn(uint64_t ip) {
  struct memory m = {0};
  struct cfi_registers registers = made_up(ip);
  struct unwind_frame frame = {.kind = UNWIND_OTHER};
  struct cfi_frame did;
  *known_page(&m, os_page_of(ip)) = os_page_of(ip); /* it runs */
  if (is_trampoline(&m, ip + 1)) { /* the address before is what its callee returns to */
    frame.kind = UNWIND_SIGNAL;
    return frame;
  }
  switch (cfi_step_for_rule(&registers, ip, read_made_up, &m, &did)) {
  case CFI_STEPPED:
    return what_it_did(&registers, &did);
  case CFI_OUTERMOST:
    frame.kind = UNWIND_END;
    break;
  case CFI_NONE:
    frame.kind = in_loader(ip) ? UNWIND_END : UNWIND_BARE;
    break;
  case CFI_BAD:
    break;
  }
  return frame;
}

/* ---- walking ------------------------------------------------------------------- */

struct walker {
  struct memory memory;
  struct cfi_registers registers;
  bool exact;   /* RIP is where it goes on, not behind a call */
  bool guessed; /* by the frame pointer */
};

static struct walker walker_at(const struct unwind_registers *r) {
  struct walker w = {.exact = true};
  w.registers.of[CFI_RIP] = r->rip;
  w.registers.of[CFI_RSP] = r->rsp;
  w.registers.of[CFI_RBP] = r->rbp;
  w.registers.of[CFI_RBX] = r->rbx;
  w.registers.of[CFI_R12] = r->r12;
  w.registers.of[CFI_R13] = r->r13;
  w.registers.of[CFI_R14] = r->r14;
  w.registers.of[CFI_R15] = r->r15;
  return w;
}

static struct unwind_registers where(const struct walker *w) {
  const uint64_t *of = w->registers.of;
  return (struct unwind_registers){of[CFI_RIP], of[CFI_RSP], of[CFI_RBP], of[CFI_RBX],
                                   of[CFI_R12], of[CFI_R13], of[CFI_R14], of[CFI_R15]};
}

static bool step_signal(struct walker *w) {
  static const struct {
    int greg, number;
  } all[] = {{REG_RIP, CFI_RIP}, {REG_RSP, CFI_RSP}, {REG_RBP, CFI_RBP},
             {REG_RBX, CFI_RBX}, {REG_R12, CFI_R12}, {REG_R13, CFI_R13},
             {REG_R14, CFI_R14}, {REG_R15, CFI_R15}};
  const ucontext_t *interrupted = (const void *)w->registers.of[CFI_RSP];
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (!read_word(&w->memory, (uint64_t)&interrupted->uc_mcontext.gregs[all[i].greg],
                   &w->registers.of[all[i].number]))
      return false;
  w->exact = true;
  return true;
}

/* How far a frame pointer may lead. */
enum { GUESS_BYTES = 0x4000 };

static enum cfi_outcome guess(struct walker *w) {
  uint64_t *of = w->registers.of, rbp = of[CFI_RBP];
  if (rbp < of[CFI_RSP] || rbp - of[CFI_RSP] > GUESS_BYTES ||
      !read_word(&w->memory, rbp + 8, &of[CFI_RIP]) ||
      !read_word(&w->memory, rbp, &of[CFI_RBP]))
    return CFI_NONE;
  of[CFI_RSP] = rbp + 16;
  w->exact = false;
  w->guessed = true;
  return CFI_STEPPED;
}

static enum cfi_outcome step(struct walker *w) {
  struct cfi_frame frame;
  uint64_t ip = w->registers.of[CFI_RIP], rsp = w->registers.of[CFI_RSP];
  w->guessed = false;
  if (is_trampoline(&w->memory, ip)) return step_signal(w) ? CFI_STEPPED : CFI_BAD;
  enum cfi_outcome outcome =
      cfi_step(&w->registers, ip - !w->exact, read_word, &w->memory, &frame);
  if (outcome == CFI_NONE) return in_loader(ip) ? CFI_OUTERMOST : guess(w);
  if (outcome != CFI_STEPPED) return outcome;
  w->exact = frame.signal;
  return frame.signal || w->registers.of[CFI_RSP] > rsp ? CFI_STEPPED : CFI_BAD;
}

uint32_t unwind_walk(const struct unwind_registers *from, uint64_t cfa, uint64_t *ips,
                     uint32_t limit, uint32_t *end) {
  struct walker w = walker_at(from);
  uint32_t depth = 0, own = 0;
  *end = UL_NODE_BROKEN;
  while (own < OWN_FRAMES) {
    enum cfi_outcome outcome = step(&w);
    uint64_t ip = w.registers.of[CFI_RIP];
    if (outcome != CFI_STEPPED || ip == 0) {
      bool told = outcome == CFI_OUTERMOST || (outcome == CFI_STEPPED && !w.guessed);
      *end = told ? UL_NODE_ROOT : UL_NODE_BROKEN;
      break;
    }
    if (depth == 0 && w.registers.of[CFI_RSP] < cfa) {
      own++;
      continue;
    }
    if (depth == limit) {
      *end = UL_NODE_CUT;
      break;
    }
    ips[depth++] = ip;
  }
  return depth;
}

bool unwind_outwards(const struct unwind_registers *from, unwind_visit *visit,
                     void *arg) {
  struct walker w = walker_at(from);
  for (;;) {
    struct unwind_registers frame = where(&w);
    if (frame.rip == 0) return true;
    if (!visit(&frame, is_trampoline(&w.memory, frame.rip), arg)) return false;
    enum cfi_outcome outcome = step(&w);
    if (outcome != CFI_STEPPED) return outcome == CFI_OUTERMOST;
  }
}

/* ---- the oracle ---------------------------------------------------------------- */

static int (*oracle)(void **, int);

/* It checks addresses by its pipe, which pipe2() below denies it; like it, this remembers
 * pages, but for one walk only: stacks go. */
static _Thread_local struct memory oracle_memory
    __attribute__((tls_model("initial-exec")));

static int access_local(unw_addr_space_t as, unw_word_t address, unw_word_t *value,
                        int writing, void *arg) {
  uint64_t word;
  (void)as, (void)arg;
  if (writing) { /* to its own copy of the registers */
    memcpy((void *)address, value, sizeof *value);
    return 0;
  }
  if (!read_word(&oracle_memory, address, &word)) return -UNW_EINVAL;
  *value = word;
  return 0;
}

static bool module_was_new(void *const *ips, int n) {
  static _Atomic uint32_t seen;
  for (int i = 0; i < n; i++) {
    struct module_unwind at;
    (void)module_find((uint64_t)ips[i] - 1, &at);
  }
  uint32_t now = module_count(), before = seen;
  seen = now;
  return now != before;
}

uint32_t unwind_oracle(uint64_t caller, uint64_t *ips, uint32_t limit, uint32_t *end) {
  void *all[limit + OWN_FRAMES + 1];
  int n, first = 0, wanted = (int)(limit + OWN_FRAMES + 1);
  oracle_memory = (struct memory){0};
  do
    n = oracle(all, wanted);
  while (module_was_new(all, n));
  while (first < n && (uint64_t)all[first] != caller)
    first++;
  uint32_t depth = (uint32_t)(n - first);
  *end = UL_NODE_ROOT;
  if (depth > limit) {
    depth = limit;
    *end = UL_NODE_CUT;
  }
  memcpy(ips, all + first, depth * sizeof *ips);
  return depth;
}

/* ---- what it asks of the system ------------------------------------------------- */

static int answer(long result) {
  if (result >= 0) return 0;
  errno = (int)-result;
  return -1;
}

/* It opens a pipe when it is first used, to keep, for a check of addresses that is not
 * used here. */
__attribute__((visibility("default"))) int pipe2(int fds[2], int flags) {
  if (thread_state.busy & BUSY_UNWIND) {
    errno = EMFILE;
    return -1;
  }
  return answer(os_call(SYS_pipe2, fds, flags));
}

/* ---- loading ------------------------------------------------------------------- */

typedef int visit_module(struct dl_phdr_info *, size_t, void *);
typedef int iterate_modules(visit_module *, void *);

static iterate_modules *next_iterate_phdr(void) {
  static iterate_modules *_Atomic next;
  if (!next) next = (iterate_modules *)symbol_of(RTLD_NEXT, "dl_iterate_phdr");
  return next;
}

/* The loader's stand-in while libunwind is at work: it would otherwise hold its
 * own lock while it waits for the loader's, whose owner may be in malloc. The
 * loader looks at who calls it (dlmopen): hence the jump, as it were a return. */
__attribute__((visibility("default"))) int dl_iterate_phdr(visit_module *visit,
                                                           void *data) {
  if (thread_state.busy & BUSY_UNWIND) return module_iterate(visit, data);
  return next_iterate_phdr()(visit, data);
}

uint64_t unwind_coroutine_end;

static void returns_nowhere(void) {}

/* makecontext() leaves the address on the stack it prepares. */
static void find_coroutine_end(void) {
  uint64_t stack[64] __attribute__((aligned(16))) = {0};
  ucontext_t u;
  if (getcontext(&u) != 0) return;
  u.uc_stack.ss_sp = stack;
  u.uc_stack.ss_size = sizeof stack;
  u.uc_link = NULL;
  makecontext(&u, returns_nowhere, 0);
  memcpy(&unwind_coroutine_end, (void *)u.uc_mcontext.gregs[REG_RSP], 8);
}

struct symbol {
  void *variable;
  const char *name;
};

static bool resolve(const char *library, const struct symbol *symbols) {
  NEXT(dlopen);
  void *handle = real ? real(library, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!handle) return false;
  for (; symbols->name; symbols++) {
    void *address = symbol_of(handle, symbols->name);
    if (!address) return false;
    memcpy(symbols->variable, &address, sizeof address);
  }
  return true;
}

static int meet_module(struct dl_phdr_info *info, size_t bytes, void *data) {
  struct module_unwind at;
  (void)bytes, (void)data;
  for (unsigned i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_LOAD) {
      (void)module_find(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, &at);
      break;
    }
  return 0;
}

static bool start_oracle(void) {
  static unw_addr_space_t *local_space;
  static unw_accessors_t *(*get_accessors)(unw_addr_space_t);
  const struct symbol symbols[] = {
      {&oracle, "unw_backtrace"},
      {&local_space, "_ULx86_64_local_addr_space"},
      {&get_accessors, "_Ux86_64_get_accessors"},
      {0},
  };
  if (!resolve("libunwind.so.8", symbols)) return false;
  get_accessors(*local_space)->access_mem = access_local;
  /* It remembers for ever, as untraceable, frames whose module it could not find. */
  next_iterate_phdr()(meet_module, NULL);
  return true;
}

bool unwind_start(bool with_oracle) {
  find_coroutine_end();
  return !with_oracle || start_oracle();
}
