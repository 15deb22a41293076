/* What a stripped file says of its functions, and how calls are told apart. */
#include "names/callers.h"
#include "names/code.h"
#include "names/derived.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct file {
  int fd;
  Elf *elf;
  struct code *code;
  struct derived *derived;
};

static struct file look(const char *path) {
  struct file f = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
  elf_version(EV_CURRENT);
  f.elf = elf_begin(f.fd, ELF_C_READ, NULL);
  f.code = code_of(f.elf);
  f.derived = derived_of(f.elf, f.code);
  return f;
}

static void look_away(struct file *f) {
  derived_free(f->derived);
  code_free(f->code);
  elf_end(f->elf);
  close(f->fd);
}

/* The functions of derived_module.cc, by what derived_address() calls them. */
static const char *const names[] = {
    "shapes::Base [virtual 2]",
    "shapes::Derived [virtual 3]",
    "shapes::Base [virtual 3]",
    "shapes::Derived [virtual 4]",
    "shapes::Derived [virtual 5]",
    "\"add\"",
    "\"remove-all\"",
    "\"alias\" or \"shared\"",
    "\"last\"",
    NULL, /* no table */
    "\"generate\"",
    "\"parse\"",
    "\"dump\"",
    NULL, /* three texts */
    NULL, /* two are too few */
    NULL,
    NULL, /* the same text for all: it says nothing */
    NULL,
    NULL,
    "\"text.__new__\"",
    "\"text.__mul__\"",
    "\"lists.Pair.__new__\" or \"lists.Triple.__new__\"",
    "\"lists.List.__init__\"",
    NULL, /* of three types */
    NULL, /* it is none: too many refer to it for what is made before the start */
    "\"kept\" or \"kept-too\"",
};

static void finds_names(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  assert_non_null(library);
  const void *(*address)(int);
  *(void **)&address = dlsym(library, "derived_address");
  struct link_map *map;
  assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
  struct file f = look(path);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    uint64_t at = (uint64_t)address((int)i) - map->l_addr, start;
    assert_true(code_function(f.code, at + 1, &start));
    assert_int_equal(start, at);
    char *name = derived_name(f.derived, start);
    if (names[i])
      assert_string_equal(name, names[i]);
    else
      assert_null(name);
    free(name);
  }
  look_away(&f);
  dlclose(library);
}

static void finds_classes_tables_and_calls(void **state) {
  (void)state;
  finds_names(DERIVED_MODULE);
}

static void reads_packed_relocations(void **state) {
  (void)state;
#ifdef DERIVED_MODULE_RELR
  finds_names(DERIVED_MODULE_RELR);
#else
  skip(); /* the linker cannot make them */
#endif
}

/* What functions say of themselves, in order of itself_address(); then an exported one.
 */
static void finds_own_names(void **state) {
  (void)state;
  static const char *const own[] = {"'traced'", NULL, /* another one's */
                                    NULL,             /* of two that say so */
                                    NULL, NULL};      /* two texts */
  enum { FIRST = sizeof own / sizeof *own, EACH = 8, KINDS = 3 };
  void *library = dlopen(ITSELF_MODULE, RTLD_NOW);
  assert_non_null(library);
  const void *(*address)(int);
  *(void **)&address = dlsym(library, "itself_address");
  struct link_map *map;
  assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
  struct file f = look(ITSELF_MODULE);
  for (int i = 0; address(i); i++) {
    char *name = derived_name(f.derived, (uint64_t)address(i) - map->l_addr), text[16];
    int kind = (i - FIRST) / EACH, letter = 'a' + (i - FIRST) % EACH;
    const char *expected = i < FIRST ? own[i] : NULL;
    if (i >= FIRST &&
        kind < KINDS - 1) { /* what asks for options says nothing of itself */
      snprintf(text, sizeof text, "'%s_%c'", kind ? "logs" : "fails", letter);
      expected = text;
    }
    if (expected && name)
      assert_string_equal(name, expected);
    else
      assert_true(!expected == !name);
    free(name);
  }
  look_away(&f);
  dlclose(library);
}

static uint64_t address_in(void *library, const char *symbol) {
  struct link_map *map;
  assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
  return (uint64_t)dlsym(library, symbol) - map->l_addr;
}

static void counts_callers(void **state) {
  (void)state;
  void *library = dlopen(DERIVED_MODULE, RTLD_NOW);
  assert_non_null(library);
  struct file f = look(DERIVED_MODULE);
  struct callers *callers = callers_of(f.elf, f.code);
  uint64_t served = address_in(library, "derived_served");
  assert_int_equal(callers_count(callers, served), 3);
  assert_int_equal(callers_count(callers, served + 1), 0);
  assert_int_equal(callers_count(callers, address_in(library, "derived_last_call")), 0);
  assert_int_equal(callers_count(callers, UINT64_MAX), 0);
  callers_free(callers);
  look_away(&f);
  dlclose(library);
}

/* ---- calls --------------------------------------------------------------------- */

static void (*volatile pointer)(void);
static uint64_t returns_to;

__attribute__((noinline)) static void callee(void) {
  returns_to = (uint64_t)__builtin_return_address(0);
}
/* Where only one function can be meant, gcc 15 calls that one. */
__attribute__((noinline)) static void another(void) {
  returns_to = (uint64_t)__builtin_return_address(0) + 1;
}
__attribute__((noinline)) static uint64_t by_pointer(void) {
  pointer();
  return returns_to;
}
__attribute__((noinline)) static uint64_t direct(void) {
  callee();
  return returns_to;
}
struct object {
  long many[64];
  void (*call)(void);
};
__attribute__((noinline)) static uint64_t by_member(struct object *o, size_t i) {
  o[i].call();
  return returns_to;
}

static void *volatile kept;
__attribute__((noinline)) static void *made(void) {
  returns_to = (uint64_t)__builtin_return_address(0);
  return kept; /* nobody knows what: clang makes a known result by itself */
}
__attribute__((noinline)) static uint64_t taken(void) {
  kept = made();
  return returns_to;
}
__attribute__((noinline)) static uint64_t left(void) {
  made();
  return returns_to;
}

#define CALLS "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc"
/* As gcc 16 calls by a pointer in memory, and by the GOT with -fno-plt: two slots. */
__attribute__((noinline)) static uint64_t by_variable(void) {
  __asm__ volatile("call *%0" : : "m"(pointer) : CALLS);
  return returns_to;
}
__attribute__((noinline)) static uint64_t by_got(void) {
  uint64_t at;
  __asm__ volatile("call *getppid@GOTPCREL(%%rip)\n0: lea 0b(%%rip), %0"
                   : "=b"(at)
                   :
                   : CALLS);
  return at;
}

static uint64_t base_of_self(void) {
  Dl_info info;
  struct link_map *map;
  assert_true(dladdr1((void *)callee, &info, (void **)&map, RTLD_DL_LINKMAP));
  return map->l_addr;
}

static void tells_calls_apart(void **state) {
  (void)state;
  struct file f = look("/proc/self/exe");
  uint64_t base = base_of_self();
  struct object objects[2] = {{.call = another}, {.call = callee}};
  pointer = callee;
  assert_int_equal(code_call_before(f.code, by_pointer() - base), CODE_CALL_BY_POINTER);
  assert_int_equal(code_call_before(f.code, by_variable() - base), CODE_CALL_BY_POINTER);
  assert_int_equal(code_call_before(f.code, direct() - base), CODE_CALL_DIRECT);
  assert_int_equal(code_call_before(f.code, by_got() - base), CODE_CALL_DIRECT);
  assert_int_equal(code_call_before(f.code, by_member(objects, 1) - base),
                   CODE_CALL_BY_POINTER);
  assert_int_equal(code_call_before(f.code, 1), CODE_CALL_UNKNOWN);
  assert_int_equal(code_call_before(f.code, UINT64_MAX), CODE_CALL_UNKNOWN);
  look_away(&f);
}

static void tells_what_is_taken(void **state) {
  (void)state;
  struct file f = look("/proc/self/exe");
  uint64_t base = base_of_self();
  assert_true(code_takes_result(f.code, taken() - base));
  assert_false(code_takes_result(f.code, left() - base));
  assert_false(code_takes_result(f.code, 1));
  assert_false(code_takes_result(f.code, UINT64_MAX));
  look_away(&f);
}

/* ---- damage -------------------------------------------------------------------- */

static uint32_t random_state = 1;
static uint32_t next_random(void) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state >> 8;
}

static void survives_damage(void **state) {
  (void)state;
  FILE *in = fopen(DERIVED_MODULE, "rb");
  assert_non_null(in);
  static char good[1 << 20], bad[1 << 20];
  size_t n = fread(good, 1, sizeof good, in);
  fclose(in);
  for (int round = 0; round < 300; round++) {
    memcpy(bad, good, n);
    for (int i = 0; i < 40; i++)
      bad[64 + next_random() % (n - 64)] = (char)next_random();
    Elf *elf = elf_memory(bad, round % 3 ? n : n - n / 4);
    if (!elf) continue;
    struct code *code = code_of(elf);
    struct derived *derived = derived_of(elf, code);
    struct callers *callers = callers_of(elf, code);
    for (uint64_t at = 0; at < n; at += 64) {
      uint64_t start = at;
      code_call_before(code, at);
      code_takes_result(code, at);
      callers_count(callers, at);
      code_function(code, at, &start);
      free(derived_name(derived, start));
    }
    callers_free(callers);
    derived_free(derived);
    code_free(code);
    elf_end(elf);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_classes_tables_and_calls),
      cmocka_unit_test(reads_packed_relocations),
      cmocka_unit_test(finds_own_names),
      cmocka_unit_test(counts_callers),
      cmocka_unit_test(tells_calls_apart),
      cmocka_unit_test(tells_what_is_taken),
      cmocka_unit_test(survives_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
