/* What of a stack is in its fingerprint, and that the value is the same for ever: people
 * keep them in files. */
#include "answers/fingerprint.h"
#include "build_recording.h"
#include "names/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

static struct recording *recording;

static int open_example(void **state) {
  (void)state;
  char error[512];
  size_t bytes;
  struct build *b = build_example();
  char *file = build_file(b, 1, &bytes);
  recording = recording_open_memory(file, bytes, false, error, sizeof error);
  free(file);
  build_free(b);
  return !recording;
}

static int close_example(void **state) {
  (void)state;
  recording_close(recording);
  return 0;
}

#define IN(path, ...)                                                                    \
  { .module = path, .of_module = UL_NO_MODULE, __VA_ARGS__ }
#define OWN(name) IN("/opt/lib/libown.so.1.2", .function = name)

static struct fingerprint of(const struct frame *frames, size_t n) {
  const struct frame *chain[16];
  for (size_t i = 0; i < n; i++)
    chain[i] = &frames[i];
  return fingerprint_of_frames(recording, chain, n, UL_FAMILY_MALLOC);
}
#define OF(...)                                                                          \
  of((struct frame[]){__VA_ARGS__},                                                      \
     sizeof((struct frame[]){__VA_ARGS__}) / sizeof(struct frame))

static void assert_same(struct fingerprint a, struct fingerprint b) {
  assert_int_equal(a.exact, b.exact);
  assert_int_equal(a.loose, b.loose);
}

static void value_is_for_ever(void **state) {
  (void)state;
  struct fingerprint f = OF(OWN("inner"), OWN("outer"));
  assert_int_equal(f.exact, 0x266ea9cd01520c7);
  assert_int_equal(f.loose, 0x2c8a468c51d3954c);
}

static void what_does_not_count(void **state) {
  (void)state;
  struct fingerprint f = OF(OWN("inner"), OWN("outer"));
  assert_same(f, OF(IN("/usr/lib/libc.so.6", .function = "strdup"), OWN("xmalloc"),
                    OWN("inner"), OWN("outer"), OWN("main")));
  assert_same(f, OF(IN("/opt/lib/libown.so.1.2", .function = "small", .inlined = true),
                    OWN("inner"), OWN("outer")));
  assert_same(f, OF(OWN("inner"), OWN("inner"), OWN("outer"), OWN("inner")));
  assert_same(f, OF(IN("/elsewhere/libown.so.1.4", .function = "inner", .line = 7,
                       .file = "a.c", .address = 99, .offset = 3, .start = 9),
                    OWN("outer")));
}

static void what_counts(void **state) {
  (void)state;
  struct fingerprint f = OF(OWN("inner"), OWN("outer"));
  struct fingerprint other = OF(OWN("inner"), OWN("farther"));
  assert_int_not_equal(f.exact, other.exact);
  assert_int_equal(f.loose, other.loose);
  assert_int_not_equal(f.loose, OF(OWN("outer"), OWN("inner")).loose);
  assert_int_not_equal(f.loose, OF(IN("/opt/lib/libelse.so", .function = "inner")).loose);
}

static void main_counts_where_it_is_alone(void **state) {
  (void)state;
  assert_int_equal(OF(OWN("main")).loose,
                   fingerprint_function(recording, &(struct frame)OWN("main")));
  assert_int_not_equal(OF(IN("/usr/lib/libc.so.6", .function = "setenv")).loose, 0);
}

static void nameless_functions_are_known_by_their_start(void **state) {
  (void)state;
  const struct ul_module *m = recording_module(recording, 0);
  const char *path = recording_text(recording, m->name);
  struct frame one = {.module = path, .of_module = 0, .start = 0x100, .offset = 0x120};
  struct frame same = one, other = one;
  same.offset = 0x180;
  other.start = 0x200;
  assert_int_equal(fingerprint_function(recording, &one),
                   fingerprint_function(recording, &same));
  assert_int_not_equal(fingerprint_function(recording, &one),
                       fingerprint_function(recording, &other));
}

static void code_without_a_module_is_one_function(void **state) {
  (void)state;
  struct frame a = {.address = 1, .offset = 1}, b = {.address = 2, .offset = 2};
  assert_int_equal(fingerprint_function(recording, &a),
                   fingerprint_function(recording, &b));
}

/* Of each project one, from all of the list: it is searched by halves. */
static void wrappers_are_known(void **state) {
  (void)state;
  static const char *const names[] = {
      "CRYPTO_malloc",  "PyMem_RawMalloc", "_emalloc",      "g_malloc", "jv_mem_alloc",
      "jv_mem_realloc", "ngx_alloc",       "sqlite3Malloc", "xmalloc",  "zmalloc"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    assert_true(known_is_wrapper(names[i]));
  assert_false(known_is_wrapper("jv_array_sized"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrappers_are_known),
      cmocka_unit_test(value_is_for_ever),
      cmocka_unit_test(what_does_not_count),
      cmocka_unit_test(what_counts),
      cmocka_unit_test(main_counts_where_it_is_alone),
      cmocka_unit_test(nameless_functions_are_known_by_their_start),
      cmocka_unit_test(code_without_a_module_is_one_function),
  };
  return cmocka_run_group_tests(tests, open_example, close_example);
}
