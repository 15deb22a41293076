/* Symbols and frames, tested on this very program: it knows where its functions are
 * and on which line they call each other. */
#include "build_recording.h"
#include "names/demangle.h"
#include "names/frame.h"
#include "names/symbol.h"
#include "read/recording.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- something to find --------------------------------------------------------- */

static uint64_t called_address; /* where `here` returns to */
static uint64_t outer_address;  /* where `inlining` returns to */
static unsigned called_line, inlined_line, outer_line;

#ifdef __clang__
#define NOIPA __attribute__((noinline))
#else
#define NOIPA __attribute__((noinline, noipa))
#endif

NOIPA static void here(void) {
  called_address = (uint64_t)__builtin_return_address(0);
}

__attribute__((always_inline)) static inline void inlined(void) {
  called_line = __LINE__ + 1;
  here();
  __asm__ volatile(""); /* no tail call */
}

NOIPA static void inlining(void) {
  outer_address = (uint64_t)__builtin_return_address(0);
  inlined_line = __LINE__ + 1;
  inlined();
  __asm__ volatile("");
}

/* ---- this program -------------------------------------------------------------- */

static char self[PATH_MAX], directory[64];
static uint64_t bias;
static uint8_t build_id[64];
static size_t build_id_bytes;

static void read_notes(const char *at, const char *end) {
  while (at + sizeof(ElfW(Nhdr)) <= end) {
    const ElfW(Nhdr) *note = (const void *)at;
    const char *name = at + sizeof *note;
    const char *data = name + (note->n_namesz + 3u) / 4 * 4;
    if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz <= sizeof build_id) {
      build_id_bytes = note->n_descsz;
      memcpy(build_id, data, build_id_bytes);
    }
    at = data + (note->n_descsz + 3u) / 4 * 4;
  }
}

static int read_self(struct dl_phdr_info *info, size_t size, void *argument) {
  (void)size, (void)argument;
  bias = info->dlpi_addr;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const char *at = (const char *)(bias + info->dlpi_phdr[i].p_vaddr);
    if (info->dlpi_phdr[i].p_type == PT_NOTE)
      read_notes(at, at + info->dlpi_phdr[i].p_memsz);
  }
  return 1; /* the program is the first */
}

static int setup(void **state) {
  (void)state;
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  assert_true(n > 0);
  dl_iterate_phdr(read_self, NULL);
  inlining();
  outer_line = __LINE__ - 1;
  strcpy(directory, "/tmp/ullage-symbols-XXXXXX");
  assert_non_null(mkdtemp(directory));
  return 0;
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...) {
  char command[4 * PATH_MAX];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(command, sizeof command, format, arguments);
  va_end(arguments);
  assert_int_equal(system(command), 0);
}

static int teardown(void **state) {
  (void)state;
  shell("rm -rf %s", directory);
  return 0;
}

/* Good until the next call. */
static const char *in_directory(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return path;
}

/* ---- looking up ---------------------------------------------------------------- */

struct found {
  struct symbol_place places[8];
  size_t count;
};

static void remember(void *argument, const struct symbol_place *place) {
  struct found *found = argument;
  if (found->count < 8) found->places[found->count++] = *place;
}

static struct symbol_file *open_file(const char *path, bool with_id) {
  struct symbol_id id = {
      .path = path, .build_id = build_id, .build_id_bytes = with_id ? build_id_bytes : 0};
  struct symbol_file *file = symbol_file_open(&id);
  assert_non_null(file);
  return file;
}

static struct found find(struct symbol_file *file, uint64_t address) {
  struct found found = {.count = 0};
  symbol_file_find(file, address - bias - 1, remember, &found);
  assert_true(found.count > 0);
  return found;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = text ? strlen(text) : 0, m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static void assert_place(const struct symbol_place *place, const char *function,
                         unsigned line, bool is_inlined) {
  assert_non_null(place->function);
  assert_string_equal(place->function, function);
  assert_true(ends_with(place->file, "test_symbol.c"));
  assert_int_equal(place->line, line);
  assert_int_equal(place->inlined, is_inlined);
}

static void assert_all_found(struct symbol_file *file) {
  assert_int_equal(symbol_file_state(file), SYMBOL_FOUND);
  struct found found = find(file, called_address);
  assert_int_equal(found.count, 2);
  assert_place(&found.places[0], "inlined", called_line, true);
  assert_place(&found.places[1], "inlining", inlined_line, false);
  assert_true(symbol_file_has_lines(file));
}

static void finds_functions_lines_and_inlined(void **state) {
  (void)state;
  assert_true(build_id_bytes > 0);
  struct symbol_file *file = open_file(self, true);
  assert_all_found(file);
  struct found found = find(file, outer_address);
  assert_place(&found.places[0], "setup", outer_line, false);
  symbol_file_close(file);
}

static void finds_separate_debug_information(void **state) {
  (void)state;
  char stripped[128];
  snprintf(stripped, sizeof stripped, "%s", in_directory("linked"));
  shell("cd %s && objcopy --only-keep-debug %s linked.debug && "
        "objcopy --strip-debug --add-gnu-debuglink=linked.debug %s linked",
        directory, self, self);
  struct symbol_file *file = open_file(stripped, true);
  assert_all_found(file);
  symbol_file_close(file);

  /* Without it: the function by its ELF symbol, no line. */
  shell("rm %s/linked.debug", directory);
  file = open_file(stripped, true);
  struct found found = find(file, called_address);
  assert_int_equal(found.count, 1);
  assert_string_equal(found.places[0].function, "inlining");
  assert_null(found.places[0].file);
  assert_int_equal(found.places[0].offset, called_address - 1 - (uint64_t)inlining);
  assert_false(symbol_file_has_lines(file));
  symbol_file_close(file);

  /* A FIFO in its place must not be opened: nobody would ever write. */
  assert_int_equal(mkfifo(in_directory("linked.debug"), 0600), 0);
  alarm(20);
  file = open_file(stripped, true);
  assert_int_equal(find(file, called_address).count, 1);
  alarm(0);
  symbol_file_close(file);
}

static void gives_offsets_without_symbols(void **state) {
  (void)state;
  char stripped[128];
  snprintf(stripped, sizeof stripped, "%s", in_directory("stripped"));
  shell("strip -o %s %s", stripped, self);
  struct symbol_file *file = open_file(stripped, true);
  struct found found = find(file, called_address);
  assert_null(found.places[0].function);
  assert_int_equal(found.places[0].offset, called_address - bias - 1);
  symbol_file_close(file);
}

static void expect_state(const char *path, bool with_id, enum symbol_state state) {
  struct symbol_file *file = open_file(path, with_id);
  assert_int_equal(symbol_file_state(file), state);
  struct found found = find(file, called_address);
  assert_int_equal(found.count, 1);
  if (state != SYMBOL_FOUND) {
    assert_null(found.places[0].function);
    assert_int_equal(found.places[0].offset, called_address - bias - 1);
  }
  symbol_file_close(file);
}

static void refuses_what_it_must_not_read(void **state) {
  (void)state;
  alarm(20);
  expect_state(in_directory("missing"), true, SYMBOL_ABSENT);
  expect_state("[vdso]", true, SYMBOL_ABSENT);
  expect_state("", true, SYMBOL_ABSENT);
  expect_state(directory, true, SYMBOL_ABSENT);
  expect_state("/dev/zero", true, SYMBOL_ABSENT);
  assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
  expect_state(in_directory("fifo"), true, SYMBOL_ABSENT);
  shell("echo text > %s/text; : > %s/empty", directory, directory);
  expect_state(in_directory("text"), false, SYMBOL_NOT_ELF);
  expect_state(in_directory("empty"), false, SYMBOL_NOT_ELF);
  alarm(0);
}

static void notices_a_changed_file(void **state) {
  (void)state;
  struct symbol_id id = {.path = self, .build_id = build_id};
  id.build_id_bytes = build_id_bytes;
  build_id[0] ^= 1;
  expect_state(self, true, SYMBOL_CHANGED);
  build_id[0] ^= 1;
  id.build_id_bytes = 0;
  id.recorded_ns = 1; /* 1970 */
  struct symbol_file *file = symbol_file_open(&id);
  assert_int_equal(symbol_file_state(file), SYMBOL_CHANGED);
  symbol_file_close(file);
}

/* ---- damage -------------------------------------------------------------------- */

static char *read_whole(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  *bytes = (size_t)ftell(file);
  rewind(file);
  char *data = malloc(*bytes);
  assert_int_equal(fread(data, 1, *bytes, file), *bytes);
  fclose(file);
  return data;
}

static void write_whole(const char *path, const char *data, size_t bytes) {
  FILE *file = fopen(path, "w");
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  fclose(file);
}

/* Whatever the bytes, there is an answer. */
static void survives_damage(void **state) {
  (void)state;
  size_t bytes;
  char path[128], *good = read_whole(self, &bytes), *bad = malloc(bytes);
  snprintf(path, sizeof path, "%s", in_directory("damaged"));
  srand(20);
  for (unsigned round = 0; round < 60; round++) {
    size_t kept = round % 4 ? bytes : bytes * (round % 64 + 1) / 65;
    memcpy(bad, good, bytes);
    for (unsigned i = 0; i < 1u << round % 12; i++) {
      size_t reach = i % 2 ? bytes : 4096; /* headers deserve more */
      bad[(size_t)rand() % reach] = (char)rand();
    }
    memcpy(bad, good, 16); /* or it is no ELF file at all */
    write_whole(path, bad, kept);
    struct symbol_file *file = open_file(path, false);
    find(file, called_address);
    find(file, outer_address);
    for (uint64_t a = bias; a < bias + bytes; a += bytes / 64)
      find(file, a + 1);
    symbol_file_close(file);
  }
  free(bad);
  free(good);
}

/* ---- names --------------------------------------------------------------------- */

static void demangles(void **state) {
  (void)state;
  static const char *const names[][2] = {
      {"main", "main"},
      {"_start", "_start"},
      {"", ""},
      {"_Z", "_Z"},
      {"_ZN2ns1W4growEi", "ns::W::grow"},
      {"_Znwm", "operator new"},
      {"_ZNSt6vectorIiSaIiEE9push_backEOi",
       "std::vector<int, std::allocator<int> >::push_back"},
      {"_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"},
      {"_RNvC7mycrate3foo", "mycrate::foo"},
      {"_D3std5stdio7writelnFZv", "std.stdio.writeln()"},
      {"copy.constprop.0", "copy"},
      {"_ZN1a1bEv.cold", "a::b"},
      {"memcpy@@GLIBC_2.14", "memcpy"},
      {".hidden", ".hidden"},
      {"F6c6f61642d66696c65_load_file_0", "load-file"},
      {"F636c2d2d736574702f6e_cl__setpn_12", "cl--setp/n"},
      {"F6c6f6164_loads_0", "F6c6f6164_loads_0"},
      {"F6c6f6164_load", "F6c6f6164_load"},
      {"F6c6f616_load_0", "F6c6f616_load_0"},
      {"F0a_0", "F0a_0"},
      {"F_0", "F_0"},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *name = demangle(names[i][0]);
    assert_string_equal(name, names[i][1]);
    free(name);
  }
}

/* ---- frames -------------------------------------------------------------------- */

static struct build *build_self(void) {
  struct build *b = build_new();
  uint32_t name = build_text(b, self);
  struct ul_module *module = build_at(b, UL_MODULES, 0);
  module->bias = bias;
  module->start = bias;
  module->end = bias + (1 << 30);
  module->name = name;
  module->build_id_bytes = (uint8_t)build_id_bytes;
  memcpy(module->build_id, build_id,
         build_id_bytes < sizeof module->build_id ? build_id_bytes
                                                  : sizeof module->build_id);
  return b;
}

static struct recording *open_built(struct build *b) {
  char error[256];
  size_t bytes;
  char *data = build_file(b, 1, &bytes);
  struct recording *r = recording_open_memory(data, bytes, false, error, sizeof error);
  if (!r) fail_msg("%s", error);
  free(data);
  build_free(b);
  return r;
}

int main(int argc, char *argv[]);

static void hides_what_is_below_main(void **state) {
  (void)state;
  struct build *b = build_self();
  uint64_t in_main = (uint64_t)main + 8;
  uint32_t site = build_site(
      b, (uint64_t[]){called_address, outer_address, in_main, outer_address, 0});
  uint32_t cut = build_site(b, (uint64_t[]){called_address, 0});
  ((struct ul_site *)build_at(b, UL_SITES, cut))->parent = UL_NODE_CUT;
  uint32_t jit = build_site(b, (uint64_t[]){0x123456789, 0});
  uint32_t code = ((struct ul_site *)build_at(b, UL_SITES, jit))->code;
  *(uint64_t *)build_at(b, UL_CODES, code) = ul_code(UL_NO_MODULE, 0x123456789);
  struct recording *r = open_built(b);
  struct symbols *symbols = symbols_new(r, NULL);

  const struct frame *frames;
  assert_int_equal(frame_stack(symbols, site, &frames), 5);
  assert_string_equal(frames[0].function, "inlined");
  assert_true(frames[0].inlined);
  assert_int_equal(frames[0].line, called_line);
  assert_string_equal(frames[1].function, "inlining");
  assert_string_equal(frames[2].function, "setup");
  assert_string_equal(frames[3].function, "main");
  assert_false(frames[3].hidden);
  assert_true(frames[4].hidden);
  assert_int_equal(frame_guilty(frames, 5), 0);
  uint32_t number = frames[2].number;
  const char *name = frames[2].function;
  assert_int_equal(frame_stack(symbols, cut, &frames), 3);
  assert_int_equal(frame_stack(symbols, site, &frames), 5);
  assert_int_equal(frames[2].number, number); /* the place was remembered */
  assert_ptr_equal(frames[2].function, name);

  char text[128], expected[128];
  snprintf(expected, sizeof expected, "inlined (test_symbol.c:%u)", called_line);
  assert_int_equal(frame_text(&frames[0], text, sizeof text), strlen(expected));
  assert_string_equal(text, expected);

  size_t count = frame_stack(symbols, cut, &frames);
  assert_int_equal(count, 3);
  assert_true(frames[2].note);
  assert_int_equal(frame_stack(symbols, jit, &frames), 1);
  frame_text(&frames[0], text, sizeof text);
  assert_string_equal(text, "0x123456789 (no module)");
  assert_int_equal(frame_stack(symbols, UL_SITE_EARLY, &frames), 1);
  assert_true(frames[0].note);
  assert_null(symbols_hint(symbols, 0));
  symbols_free(symbols);
  recording_close(r);
}

static void says_that_a_file_changed(void **state) {
  (void)state;
  struct build *b = build_self();
  ((struct ul_module *)build_at(b, UL_MODULES, 0))->build_id[0] ^= 1;
  uint32_t site = build_site(b, (uint64_t[]){called_address, 0});
  struct recording *r = open_built(b);
  struct symbols *symbols = symbols_new(r, NULL);
  const struct frame *frames;
  char text[128];
  assert_int_equal(frame_stack(symbols, site, &frames), 1);
  assert_null(frames[0].function);
  assert_int_equal(frames[0].offset, called_address - bias);
  frame_text(&frames[0], text, sizeof text);
  assert_non_null(strstr(text, "test_symbol+0x"));
  assert_null(symbols_hint(symbols, 0)); /* asked for, but not shown */
  symbols_note_shown(symbols, frames, 1);
  assert_non_null(strstr(symbols_hint(symbols, 0), "changed"));
  assert_null(symbols_hint(symbols, 1));
  symbols_free(symbols);
  recording_close(r);
}

static void blames_the_program(void **state) {
  (void)state;
  struct frame frames[] = {
      {.function = "operator new", .module = "/usr/bin/p", .hidden = true},
      {.function = "std::__new_allocator<int>::allocate", .module = "/usr/bin/p"},
      {.function = "_M_invoke",
       .file = "/usr/include/c++/12/x.h",
       .module = "/usr/bin/p"},
      {.function = "strdup", .module = "/lib/x86_64-linux-gnu/libc.so.6"},
      {.function = "xstrdup", .module = "/usr/bin/p"},
      {.function = "leak_by_xstrdup", .module = "/usr/bin/p"},
      {.function = "main", .module = "/usr/bin/p"},
  };
  assert_int_equal(frame_guilty(frames, 7), 5);
  assert_int_equal(frame_guilty(frames, 4), 1); /* nobody else: the innermost shown */
  assert_int_equal(frame_guilty(frames, 1), 0);
  frames[1] = (struct frame){.module = "/usr/bin/p", .offset = 1}; /* no name ... */
  assert_int_equal(frame_guilty(frames, 7), 5); /* ... but it is xstrdup's */
  frames[4].function = "own_strdup";
  assert_int_equal(frame_guilty(frames, 7), 1);
}

static void blames_nobody_for_having_a_name(void **state) {
  (void)state;
  struct frame frames[] = {
      {.module = "/lib/libsqlite3.so.0", .offset = 0xa70f1},
      {.module = "/lib/libsqlite3.so.0", .offset = 0xa8000},
      {.function = "sqlite3_malloc", .module = "/lib/libsqlite3.so.0"},
      {.module = "/lib/libsqlite3.so.0", .offset = 0xb0000},
      {.function = "sqlite3_step", .module = "/lib/libsqlite3.so.0"},
      {.function = "query", .module = "/usr/bin/p"},
      {.function = "main", .module = "/usr/bin/p"},
  };
  assert_int_equal(frame_guilty(frames, 7), 3); /* inside is all of the wrapper */
  assert_int_equal(frame_named_caller(frames, 7, 3), 4);
  assert_int_equal(frame_named_caller(frames, 4, 3), 4); /* there is none */
  frames[2].function = "sqlite3_prepare";
  assert_int_equal(frame_guilty(frames, 7), 0);
  frames[2].function = "sqlite3_malloc";
  frames[0].module = "/lib/libother.so.1"; /* not the wrapper's own */
  assert_int_equal(frame_guilty(frames, 7), 0);
}

int main(int argc, char *argv[]) {
  (void)argc, (void)argv;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_functions_lines_and_inlined),
      cmocka_unit_test(finds_separate_debug_information),
      cmocka_unit_test(gives_offsets_without_symbols),
      cmocka_unit_test(refuses_what_it_must_not_read),
      cmocka_unit_test(notices_a_changed_file),
      cmocka_unit_test(survives_damage),
      cmocka_unit_test(demangles),
      cmocka_unit_test(hides_what_is_below_main),
      cmocka_unit_test(says_that_a_file_changed),
      cmocka_unit_test(blames_the_program),
      cmocka_unit_test(blames_nobody_for_having_a_name),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
