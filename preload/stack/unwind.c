#include "stack/unwind.h"
#include "base/next.h"
#include "base/os_thread.h"
#include "base/thread.h"
#include "format.h"
#include "stack/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <libunwind.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define OWN_FRAMES 16u /* at most, below the caller of the entry point */

/* ---- memory -------------------------------------------------------------------- */

/* What one conversation with libunwind reads from. */
#define PAGES 8u
struct memory {
  const struct unwind_registers *registers; /* NULL: a made-up frame */
  uint64_t ip;                              /* of the made-up frame */
  bool informed;                            /* unwind information was found */
  /* What is readable around the unwind table of the module asked about last: words begin
   * below table + room. */
  uint64_t table, room;
  uint64_t readable[PAGES]; /* pages, by the low bits of their number */
};

static uint64_t *known_page(struct memory *m, uint64_t page) {
  return &m->readable[page / OS_PAGE % PAGES];
}

static bool read_table(const struct memory *m, uint64_t address, uint64_t *value) {
  if (address - m->table >= m->room) return false;
  memcpy(value, (const void *)address, 8);
  return true;
}

static bool read_word(struct memory *m, uint64_t address, uint64_t *value) {
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

static struct unwind_frame what_it_did(uint64_t cfa, uint64_t ip, int rbp_in_memory,
                                       uint64_t rbp_at) {
  struct unwind_frame f = {.kind = UNWIND_OTHER};
  uint64_t word;
  if (ip != fake_word(cfa - 8)) return f;
  f.rbp_saved = rbp_in_memory;
  f.rbp = (int64_t)(rbp_at - cfa);
  f.cfa_from_rbp = reaches(FAKE_RBP, cfa, &f.cfa);
  if (f.cfa_from_rbp || reaches(FAKE_RSP, cfa, &f.cfa)) {
    f.kind = UNWIND_REGULAR;
    return f;
  }
  /* CFA = *(RBP + n), no more added, is what gcc makes of a realigned stack. */
  f.cfa = (int64_t)(cfa - NEAR_RBP) >> 24;
  word = fake_word(FAKE_RBP + (uint64_t)f.cfa);
  if (cfa == word && rbp_in_memory && reaches(FAKE_RBP, rbp_at, &f.rbp))
    f.kind = UNWIND_REALIGNED;
  return f;
}

/* ---- accessors ----------------------------------------------------------------- */

static unw_addr_space_t space;
static unw_addr_space_t (*create_addr_space)(unw_accessors_t *, int);
static int (*init_remote)(unw_cursor_t *, unw_addr_space_t, void *);
static int (*step)(unw_cursor_t *);
static int (*get_reg)(unw_cursor_t *, unw_regnum_t, unw_word_t *);
static int (*get_save_loc)(unw_cursor_t *, int, unw_save_loc_t *);
static int (*search_unwind_table)(unw_addr_space_t, unw_word_t, unw_dyn_info_t *,
                                  unw_proc_info_t *, int, void *);
static int (*oracle)(void **, int);

/* The header of a sorted table of (code, unwind entry), both relative to the
 * header: the one form that linkers make. */
struct eh_frame_hdr {
  uint8_t version, eh_frame_encoding, count_encoding, table_encoding;
  int32_t eh_frame;
  uint32_t count;
};
#define PCREL_SDATA4 0x1b
#define UDATA4 0x03
#define DATAREL_SDATA4 0x3b

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *info,
                          int wanted, void *arg) {
  struct memory *m = arg;
  struct module_unwind at;
  if (!module_find(ip, &at) || !at.eh_frame_hdr) return -UNW_ENOINFO;
  uint64_t bytes = at.table_end - at.table_start;
  m->table = at.table_start; /* its code is on the stack, so it stays mapped */
  m->room = bytes >= 8 ? bytes - 7 : 0;
  const struct eh_frame_hdr *h = (const void *)at.eh_frame_hdr;
  if (h->version != 1 || h->eh_frame_encoding != PCREL_SDATA4 ||
      h->count_encoding != UDATA4 || h->table_encoding != DATAREL_SDATA4)
    return -UNW_ENOINFO;
  unw_dyn_info_t table = {
      .start_ip = at.start,
      .end_ip = at.end,
      .format = UNW_INFO_FORMAT_REMOTE_TABLE,
      .u.rti = {.segbase = at.eh_frame_hdr,
                .table_len = (uint64_t)h->count * 8 / sizeof(unw_word_t),
                .table_data = at.eh_frame_hdr + sizeof *h},
  };
  int r = search_unwind_table(as, ip, &table, info, wanted, m);
  if (r >= 0) m->informed = true;
  return r;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *info, void *arg) {
  (void)as, (void)info, (void)arg;
}

static int no_dynamic_info(unw_addr_space_t as, unw_word_t *address, void *arg) {
  (void)as, (void)address, (void)arg;
  return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t as, unw_word_t address, unw_word_t *value,
                      int writing, void *arg) {
  struct memory *m = arg;
  uint64_t word;
  (void)as;
  if (writing) return -UNW_EINVAL;
  if (read_table(m, address, &word))
    *value = word;
  else if (!m->registers && is_fake(address))
    *value = fake_word(address);
  else if (read_word(m, address, &word))
    *value = word;
  else
    return -UNW_EINVAL;
  return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t number, unw_word_t *value,
                      int writing, void *arg) {
  const struct memory *m = arg;
  const struct unwind_registers *r = m->registers;
  (void)as;
  if (writing || number < 0 || number > UNW_X86_64_RIP) return -UNW_EBADREG;
  if (!r) {
    *value = number == UNW_X86_64_RIP   ? m->ip
             : number == UNW_X86_64_RSP ? FAKE_RSP
             : number == UNW_X86_64_RBP ? FAKE_RBP
                                        : FAKE_OTHER + ((uint64_t)number << 48);
    return 0;
  }
  switch (number) {
  case UNW_X86_64_RIP:
    *value = r->rip;
    return 0;
  case UNW_X86_64_RSP:
    *value = r->rsp;
    return 0;
  case UNW_X86_64_RBP:
    *value = r->rbp;
    return 0;
  case UNW_X86_64_RBX:
    *value = r->rbx;
    return 0;
  case UNW_X86_64_R12:
    *value = r->r12;
    return 0;
  case UNW_X86_64_R13:
    *value = r->r13;
    return 0;
  case UNW_X86_64_R14:
    *value = r->r14;
    return 0;
  case UNW_X86_64_R15:
    *value = r->r15;
    return 0;
  default: /* not preserved over calls: nobody needs it */
    *value = 0;
    return 0;
  }
}

/* The local library checks addresses by its pipe, which pipe2() below denies it;
 * like it, this remembers pages, but for one walk only: stacks go. */
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

/* ---- teaching and walking ------------------------------------------------------ */

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

/* The library needs 4 KiB of stack, and a coroutine may have no more: it has a stack of
 * its own. One will do, for it is asked by one thread at a time. */
static char library_stack[32 * 1024] __attribute__((aligned(16)));

static void ask(void (*question)(void *), void *argument) {
  os_on_stack(library_stack + sizeof library_stack, question, argument);
}

static struct unwind_frame learn(uint64_t ip) {
  struct memory m = {.ip = ip};
  struct unwind_frame frame = {.kind = UNWIND_BARE};
  unw_cursor_t cursor;
  unw_word_t cfa, caller;
  unw_save_loc_t rbp;
  *known_page(&m, os_page_of(ip)) = os_page_of(ip); /* it runs */
  if (init_remote(&cursor, space, &m) < 0) return frame;
  if (is_trampoline(&m, ip + 1)) { /* the address before is what its callee returns to */
    frame.kind = UNWIND_SIGNAL;
    return frame;
  }
  int r = step(&cursor);
  if (!m.informed) {
    if (in_loader(ip)) frame.kind = UNWIND_END;
    return frame;
  }
  frame.kind = r == 0 ? UNWIND_END : UNWIND_OTHER;
  if (r <= 0 || get_reg(&cursor, UNW_REG_SP, &cfa) < 0 ||
      get_reg(&cursor, UNW_REG_IP, &caller) < 0 ||
      get_save_loc(&cursor, UNW_X86_64_RBP, &rbp) < 0 || rbp.type == UNW_SLT_NONE)
    return frame;
  return what_it_did(cfa, caller, rbp.type == UNW_SLT_MEMORY, rbp.u.addr);
}

struct learning {
  uint64_t ip;
  struct unwind_frame frame;
};

static void learn_there(void *argument) {
  struct learning *l = argument;
  l->frame = learn(l->ip);
}

struct unwind_frame unwind_learn(uint64_t ip) {
  struct learning l = {.ip = ip};
  ask(learn_there, &l);
  return l.frame;
}

uint32_t unwind_walk(const struct unwind_registers *from, uint64_t cfa, uint64_t *ips,
                     uint32_t limit, uint32_t *end) {
  struct memory m = {.registers = from};
  unw_cursor_t cursor;
  unw_word_t ip, sp;
  uint32_t depth = 0;
  *end = UL_NODE_BROKEN;
  if (init_remote(&cursor, space, &m) < 0) return 0;
  for (;;) {
    m.informed = false;
    int r = step(&cursor);
    if (r <= 0 || get_reg(&cursor, UNW_REG_IP, &ip) < 0 ||
        get_reg(&cursor, UNW_REG_SP, &sp) < 0 || ip == 0) {
      *end = r >= 0 && m.informed ? UL_NODE_ROOT : UL_NODE_BROKEN;
      return depth;
    }
    if (depth == 0 && sp < cfa) continue; /* frames of ours */
    if (depth == limit) {
      *end = UL_NODE_CUT;
      return depth;
    }
    ips[depth++] = ip;
  }
}

static bool registers_of(unw_cursor_t *cursor, struct unwind_registers *r) {
  const struct {
    unw_regnum_t number;
    uint64_t *value;
  } all[] = {{UNW_X86_64_RIP, &r->rip}, {UNW_X86_64_RSP, &r->rsp},
             {UNW_X86_64_RBP, &r->rbp}, {UNW_X86_64_RBX, &r->rbx},
             {UNW_X86_64_R12, &r->r12}, {UNW_X86_64_R13, &r->r13},
             {UNW_X86_64_R14, &r->r14}, {UNW_X86_64_R15, &r->r15}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    unw_word_t value;
    if (get_reg(cursor, all[i].number, &value) < 0) return false;
    *all[i].value = value;
  }
  return true;
}

bool unwind_outwards(const struct unwind_registers *from, unwind_visit *visit,
                     void *arg) {
  struct memory m = {.registers = from};
  struct unwind_registers frame = *from;
  unw_cursor_t cursor;
  if (init_remote(&cursor, space, &m) < 0) return false;
  for (;;) {
    if (!visit(&frame, is_trampoline(&m, frame.rip), arg)) return false;
    m.informed = false;
    int r = step(&cursor);
    if (r <= 0) return r == 0 && m.informed;
    if (!registers_of(&cursor, &frame)) return false;
    if (frame.rip == 0) return true;
  }
}

/* ---- the oracle ---------------------------------------------------------------- */

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

/* ---- what the library asks of the system ---------------------------------------- */

/* The library that teaches and walks. */
static uintptr_t library_start, library_end;

static void find_library(void) {
  struct dl_find_object o;
  if (_dl_find_object((void *)(uintptr_t)step, &o) != 0) return;
  library_start = (uintptr_t)o.dlfo_map_start;
  library_end = (uintptr_t)o.dlfo_map_end;
}

static int answer(long result) {
  if (result >= 0) return 0;
  errno = (int)-result;
  return -1;
}

/* 32 and 33, which libc lets nobody block. */
#define LIBC_SIGNALS (UINT64_C(3) << 31)

/* It blocks all signals around its lock, twice a frame, with one of the next two (which,
 * depends on its version). While it is asked, either they are blocked already (rule.h),
 * or the process is confined and may not block them. Others get what libc does, not by
 * another name of libc's: who stands in front of that may come back here. */
static long set_mask(uintptr_t caller, int how, const sigset_t *set, sigset_t *before) {
  if (caller - library_start < library_end - library_start) return 0;
  uint64_t wanted = 0;
  if (set) memcpy(&wanted, set, sizeof wanted);
  wanted &= ~LIBC_SIGNALS;
  return os_call(SYS_rt_sigprocmask, how, set ? &wanted : NULL, before, sizeof wanted);
}

__attribute__((visibility("default"))) int sigprocmask(int how, const sigset_t *set,
                                                       sigset_t *before) {
  return answer(set_mask((uintptr_t)__builtin_return_address(0), how, set, before));
}

__attribute__((visibility("default"))) int pthread_sigmask(int how, const sigset_t *set,
                                                           sigset_t *before) {
  return -(int)set_mask((uintptr_t)__builtin_return_address(0), how, set, before);
}

/* Either library opens a pipe when it is first used, to keep, for a check of
 * addresses that is not used here. */
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
  static unw_accessors_t accessors = {
      .find_proc_info = find_proc_info,
      .put_unwind_info = put_unwind_info,
      .get_dyn_info_list_addr = no_dynamic_info,
      .access_mem = access_mem,
      .access_reg = access_reg,
  };
  int (*set_caching_policy)(unw_addr_space_t, unw_caching_policy_t);
  const struct symbol symbols[] = {
      {&create_addr_space, "_Ux86_64_create_addr_space"},
      {&init_remote, "_Ux86_64_init_remote"},
      {&step, "_Ux86_64_step"},
      {&get_reg, "_Ux86_64_get_reg"},
      {&get_save_loc, "_Ux86_64_get_save_loc"},
      {&search_unwind_table, "_Ux86_64_dwarf_search_unwind_table"},
      {&set_caching_policy, "_Ux86_64_set_caching_policy"},
      {0},
  };
  if (!resolve("libunwind-x86_64.so.8", symbols)) return false;
  space = create_addr_space(&accessors, 0);
  if (!space) return false;
  set_caching_policy(space, UNW_CACHE_NONE);
  find_library();
  find_coroutine_end();
  return !with_oracle || start_oracle();
}
