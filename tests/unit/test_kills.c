/* The kernel's counters of what it killed for memory, made up. */
#include "command/kills.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char root[64];

static int setup(void **state) {
  (void)state;
  snprintf(root, sizeof root, "/tmp/ullage-kills-XXXXXX");
  return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", root);
  return system(command) == 0 ? 0 : -1;
}

static void write_text(const char *folder, const char *name, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "mkdir -p %s%s", root, folder);
  assert_int_equal(system(path), 0);
  snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void expect(uint32_t group, uint32_t machine) {
  struct ul_kills kills = kills_count(root);
  assert_int_equal(kills.group, group);
  assert_int_equal(kills.machine, machine);
}

static void test_nothing_known(void **state) {
  (void)state;
  expect(UINT32_MAX, UINT32_MAX);
}

static void test_version_2(void **state) {
  (void)state;
  write_text("/proc/self", "cgroup", "0::/user.slice/a\n");
  write_text("/proc", "vmstat", "nr_free_pages 1\noom_kill 7\n");
  expect(UINT32_MAX, 7);
  write_text("/sys/fs/cgroup/user.slice/a", "memory.events",
             "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n");
  expect(2, 7);
}

/* Without a controller of its own, a group's memory is that of the one it lies in. */
static void test_nearest_group(void **state) {
  (void)state;
  write_text("/proc/self", "cgroup", "0::/user.slice/a/b\n");
  write_text("/sys/fs/cgroup/user.slice", "memory.events", "oom_kill 4\n");
  write_text("/sys/fs/cgroup", "memory.events", "oom_kill 5\n");
  expect(4, UINT32_MAX);
}

/* A container may be told a path that is not there from where it is. */
static void test_root_of_a_container(void **state) {
  (void)state;
  write_text("/proc/self", "cgroup", "0::/../../docker/1234\n");
  write_text("/sys/fs/cgroup", "memory.events", "oom_kill 5\n");
  expect(5, UINT32_MAX);
}

static void test_version_1(void **state) {
  (void)state;
  write_text("/proc/self", "cgroup", "9:cpu:/\n4:memory:/box\n0::/elsewhere\n");
  write_text("/sys/fs/cgroup/elsewhere", "memory.events", "oom_kill 5\n");
  write_text("/sys/fs/cgroup/memory/box", "memory.oom_control",
             "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  expect(1, UINT32_MAX);
}

/* Before Linux 4.13 there is no such line. */
static void test_no_counter(void **state) {
  (void)state;
  write_text("/proc/self", "cgroup", "4:memory:/box\n");
  write_text("/sys/fs/cgroup/memory/box", "memory.oom_control",
             "oom_kill_disable 0\nunder_oom 0\n");
  expect(UINT32_MAX, UINT32_MAX);
}

static void test_between(void **state) {
  (void)state;
  struct ul_kills none = {UINT32_MAX, UINT32_MAX}, before = {1, 10}, after = {3, 9};
  struct ul_kills kills = kills_between(before, after);
  assert_int_equal(kills.group, 2);
  assert_int_equal(kills.machine, UINT32_MAX); /* counts backwards: another one's */
  assert_int_equal(kills_between(none, after).group, UINT32_MAX);
  assert_int_equal(kills_between(before, none).group, UINT32_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_nothing_known),       TEST(test_version_2), TEST(test_nearest_group),
      TEST(test_root_of_a_container), TEST(test_version_1), TEST(test_no_counter),
      cmocka_unit_test(test_between)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
