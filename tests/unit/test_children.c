/* What lies beside a recording: children's recordings and the folded ones. */
#include "answers/children.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static int setup(void **state) {
  (void)state;
  strcpy(directory, "/tmp/ullage-children-XXXXXX");
  return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", directory);
  return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void write_text(const char *name, const char *text) {
  FILE *file = fopen(name, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void tells_names_apart(void **state) {
  (void)state;
  assert_true(children_is_name("r.1", "r"));
  assert_true(children_is_name("r.123.4", "r"));
  assert_true(children_is_name("a.7.8", "a.7"));
  static const char *const others[] = {"r",       "r.",  "r.x",     "r.1x",
                                       "r.1.",    "r1",  "r.1.2.3", "r.old",
                                       "r.old-2", "s.1", "r.-1",    "r.children"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    assert_false(children_is_name(others[i], "r"));
}

static void finds_recordings_in_order(void **state) {
  (void)state;
  static const char *const names[] = {"r", "r.10", "r.9", "r.9.1", "r.old", "q.5"};
  for (size_t i = 0; i < 6; i++)
    write_text(names[i], "");
  char path[128];
  snprintf(path, sizeof path, "%s/r", directory);
  struct children *children = children_find(path);
  assert_int_equal(children->count, 3);
  assert_string_equal(strrchr(children->files[0], '/'), "/r.9");
  assert_string_equal(strrchr(children->files[1], '/'), "/r.9.1");
  assert_string_equal(strrchr(children->files[2], '/'), "/r.10");
  assert_int_equal(children->folded, 0);
  children_free(children);
  children = children_find("r");
  assert_string_equal(children->files[0], "r.9");
  children_free(children);
  children = children_find("missing/r");
  assert_int_equal(children->count, 0);
  children_free(children);
}

static void sums_up_folded_children(void **state) {
  (void)state;
  write_text("f.children", "1\t0\texited\t0\t5\t10\t1000\t7\t/bin/true a b\n"
                           "2\t0\texited\t0\t5\t20\t3000\t0\ttrue\n"
                           "\n"
                           "nonsense\n"
                           "3\t0\texited\t0\t5\t1\n"
                           "4\t0\tsignaled\t9\t5\t30\t2000\t1\tls\n"
                           "5\t0\texited\t0\t5\t40\t500\t-\t");
  struct children *children = children_find("f");
  assert_int_equal(children->folded, 4);
  assert_int_equal(children->folded_allocations, 100);
  assert_int_equal(children->folded_peak, 3000);
  assert_int_equal(children->folded_lost, 8);
  assert_int_equal(HASH_COUNT(children->programs), 3);
  assert_string_equal(children->programs->name, "true");
  assert_int_equal(children->programs->count, 2);
  children_free(children);
}

static void tells_that_the_limit_was_reached(void **state) {
  (void)state;
  write_text("g.7", "");
  write_text("g.children", "1\t0\texited\t0\t5\t10\t1000\t7\ttrue\n");
  struct children *children = children_find("g");
  assert_int_equal(children_beyond(children, 1), 0);
  assert_int_equal(children_beyond(children, 2), 1);
  children_free(children);
}

static void opens_no_fifo(void **state) {
  (void)state;
  assert_int_equal(mkfifo("p.children", 0600), 0);
  alarm(20);
  struct children *children = children_find("p");
  alarm(0);
  assert_int_equal(children->folded, 0);
  children_free(children);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tells_names_apart),
      cmocka_unit_test(finds_recordings_in_order),
      cmocka_unit_test(sums_up_folded_children),
      cmocka_unit_test(tells_that_the_limit_was_reached),
      cmocka_unit_test(opens_no_fifo),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
