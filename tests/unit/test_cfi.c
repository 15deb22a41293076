/* test_cfi.c - the reader of unwind tables against libunwind's, over whole libraries, and
 * on tables that are damaged. */
#include "stack/unwind.h"

#include <dlfcn.h>
#include <libunwind.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* ---- libunwind, asked about one frame ------------------------------------------------
 *
 * With the registers where no memory is, twice: what moves with one of them was computed
 * from it. */
#define FAR_APART ((uint64_t)1 << 60)
struct question {
  uint64_t ip, rsp, rbp;
};

static unw_addr_space_t space;

static int find_table(struct dl_phdr_info *info, size_t bytes, void *arg) {
  unw_dyn_info_t *d = arg;
  uint64_t header = 0;
  bool here = false;
  (void)bytes;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    uint64_t at = info->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_GNU_EH_FRAME) header = at;
    if (p->p_type == PT_LOAD && d->start_ip - at < p->p_memsz) here = true;
  }
  if (!here || !header) return 0;
  d->start_ip = 0;
  d->end_ip = UINT64_MAX;
  d->format = UNW_INFO_FORMAT_REMOTE_TABLE;
  d->u.rti.segbase = header;
  d->u.rti.table_len = *(const uint32_t *)(header + 8) * UINT64_C(8) / sizeof(unw_word_t);
  d->u.rti.table_data = header + 12;
  return 1;
}

extern int search_table(unw_addr_space_t, unw_word_t, unw_dyn_info_t *, unw_proc_info_t *,
                        int, void *) __asm__("_Ux86_64_dwarf_search_unwind_table");

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *info,
                          int wanted, void *arg) {
  unw_dyn_info_t table = {.start_ip = ip};
  if (!dl_iterate_phdr(find_table, &table)) return -UNW_ENOINFO;
  return search_table(as, ip, &table, info, wanted, arg);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *info, void *arg) {
  (void)as, (void)info, (void)arg;
}

static int no_list(unw_addr_space_t as, unw_word_t *address, void *arg) {
  (void)as, (void)address, (void)arg;
  return -UNW_ENOINFO;
}

/* A word of the stack says where it is from. */
static int access_mem(unw_addr_space_t as, unw_word_t address, unw_word_t *value,
                      int writing, void *arg) {
  (void)as, (void)arg;
  if (writing) return -UNW_EINVAL;
  if (address >= FAR_APART / 2)
    *value = ~address;
  else
    memcpy(value, (const void *)address, sizeof *value);
  return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t number, unw_word_t *value,
                      int writing, void *arg) {
  const struct question *q = arg;
  (void)as;
  if (writing) return -UNW_EBADREG;
  *value = number == UNW_X86_64_RIP   ? q->ip
           : number == UNW_X86_64_RSP ? q->rsp
           : number == UNW_X86_64_RBP ? q->rbp
                                      : 8 * FAR_APART + ((uint64_t)number << 40);
  return 0;
}

struct reply {
  bool stepped, rbp_saved;
  uint64_t cfa, rbp_at;
};

static struct reply ask(uint64_t ip, uint64_t rsp, uint64_t rbp) {
  struct question q = {ip, rsp, rbp};
  struct reply r = {0};
  unw_cursor_t cursor;
  unw_word_t caller, value;
  unw_save_loc_t at;
  assert_int_equal(unw_init_remote(&cursor, space, &q), 0);
  r.stepped = unw_step(&cursor) > 0 && unw_get_reg(&cursor, UNW_REG_SP, &r.cfa) == 0 &&
              unw_get_reg(&cursor, UNW_REG_IP, &caller) == 0 && caller == ~(r.cfa - 8) &&
              unw_get_save_loc(&cursor, UNW_X86_64_RBP, &at) == 0 &&
              (at.type == UNW_SLT_MEMORY ||
               (unw_get_reg(&cursor, UNW_X86_64_RBP, &value) == 0 && value == rbp));
  if (!r.stepped) return r;
  r.rbp_saved = at.type == UNW_SLT_MEMORY;
  r.rbp_at = r.rbp_saved ? at.u.addr : 0;
  return r;
}

/* ---- whole libraries ------------------------------------------------------------- */

static struct { unsigned long regular, other, differ; } seen;

/* A frame that is regular to both is the same to both; what libunwind steps plainly, we
 * do. (It does not read rows that name vector registers.) */
static void compare(uint64_t ip) {
  struct unwind_frame f = unwind_learn(ip);
  const uint64_t rsp = 2 * FAR_APART, rbp = 4 * FAR_APART;
  struct reply r = ask(ip, rsp, rbp);
  bool same, plain = r.stepped && (r.cfa - rsp < 1 << 20 || r.cfa - rbp < 1 << 20);
  if (f.kind == UNWIND_REGULAR && r.stepped) {
    uint64_t cfa = (f.cfa_from_rbp ? rbp : rsp) + (uint64_t)f.cfa;
    same = r.cfa == cfa && r.rbp_saved == f.rbp_saved &&
           (!f.rbp_saved || r.rbp_at == cfa + (uint64_t)f.rbp);
    seen.regular++;
  } else {
    same = !plain || f.kind != UNWIND_OTHER;
    seen.other++;
  }
  if (!same && seen.differ++ < 10) print_message("%#lx differs\n", (unsigned long)ip);
}

struct table {
  uint64_t header;
  uint32_t count;
  const int32_t *entries;
};

/* The length of the code that an entry is of, as all linkers here write it. */
static void visit_functions(struct table t, unsigned step, void (*visit)(uint64_t)) {
  for (uint32_t i = 0; i < t.count; i += step) {
    uint64_t start = t.header + (uint64_t)(int64_t)t.entries[2 * i];
    uint64_t record = t.header + (uint64_t)(int64_t)t.entries[2 * i + 1];
    uint32_t bytes;
    memcpy(&bytes, (const void *)(record + 12), sizeof bytes);
    for (uint64_t ip = start; ip < start + bytes; ip += ip < start + 32 ? 1 : 13)
      visit(ip);
  }
}

static struct table table_of(const char *symbol) {
  struct dl_find_object o;
  assert_int_equal(_dl_find_object(dlsym(RTLD_DEFAULT, symbol), &o), 0);
  uint64_t header = (uint64_t)o.dlfo_eh_frame;
  return (struct table){header, *(const uint32_t *)(header + 8),
                        (const int32_t *)(header + 12)};
}

static void test_libraries(void **state) {
  (void)state;
  static const char *const symbols[] = {"printf", "sin", "_ZSt9terminatev"};
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    if (dlsym(RTLD_DEFAULT, symbols[i]))
      visit_functions(table_of(symbols[i]), 3, compare);
  print_message("%lu regular, %lu other, %lu differ\n", seen.regular, seen.other,
                seen.differ);
  assert_true(seen.regular > 50000);
  assert_int_equal(seen.differ, 0);
}

/* ---- damage ---------------------------------------------------------------------- */

static void learn(uint64_t ip) {
  (void)unwind_learn(ip);
}

/* The table of a library that nobody calls, of which bytes are changed. */
static void test_damaged_tables(void **state) {
  (void)state;
  struct table t = table_of("sin");
  uint64_t first = (uint64_t)-1, last = 0;
  for (uint32_t i = 0; i < t.count; i++) {
    uint64_t record = t.header + (uint64_t)(int64_t)t.entries[2 * i + 1];
    if (record < first) first = record;
    if (record > last) last = record;
  }
  uint64_t page = first & ~(uint64_t)4095;
  assert_int_equal(mprotect((void *)page, last - page, PROT_READ | PROT_WRITE), 0);
  uint32_t random = 1;
  for (int round = 0; round < 200; round++) {
    uint8_t was[8], *at[8];
    for (int i = 0; i < 8; i++) {
      random = random * 1664525 + 1013904223;
      at[i] = (uint8_t *)first + (random >> 4) % (last - first);
      was[i] = *at[i];
      *at[i] = (uint8_t)(random >> 24);
    }
    for (uint32_t i = 0; i < t.count; i++)
      learn(t.header + (uint64_t)(int64_t)t.entries[2 * i] + 5);
    for (int i = 8; i-- > 0;)
      *at[i] = was[i];
  }
}

int main(void) {
  static unw_accessors_t accessors = {
      .find_proc_info = find_proc_info,
      .put_unwind_info = put_unwind_info,
      .get_dyn_info_list_addr = no_list,
      .access_mem = access_mem,
      .access_reg = access_reg,
  };
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_libraries),
      cmocka_unit_test(test_damaged_tables),
  };
  if (!dlopen("libm.so.6", RTLD_NOW | RTLD_GLOBAL)) return 1;
  (void)dlopen("libstdc++.so.6", RTLD_NOW | RTLD_GLOBAL);
  space = unw_create_addr_space(&accessors, 0);
  unwind_start(false);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
