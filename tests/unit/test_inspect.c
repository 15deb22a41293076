/* Programs that cannot be recorded, made up byte by byte. */
#include "command/inspect.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GLIBC "/lib64/ld-linux-x86-64.so.2"

static char directory[64], old_path[4096];
static struct inspection result;

static int setup(void **state) {
  (void)state;
  snprintf(old_path, sizeof old_path, "%s", getenv("PATH") ? getenv("PATH") : "");
  strcpy(directory, "/tmp/ullage-inspect-XXXXXX");
  return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  setenv("PATH", old_path, 1);
  snprintf(command, sizeof command, "rm -rf %s", directory);
  return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void write_file(const char *name, const void *data, size_t bytes, mode_t mode) {
  FILE *file = fopen(name, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, bytes, file), bytes);
  fclose(file);
  assert_int_equal(chmod(name, mode), 0);
}

static void write_text(const char *name, const char *text) {
  write_file(name, text, strlen(text), 0755);
}

struct image {
  Elf64_Ehdr header;
  Elf64_Phdr segment;
  char loader[64];
};

/* A program that names this loader; NULL: none, as if static. */
static struct image make_image(const char *loader) {
  struct image image;
  memset(&image, 0, sizeof image);
  memcpy(image.header.e_ident, ELFMAG, SELFMAG);
  image.header.e_ident[EI_CLASS] = ELFCLASS64;
  image.header.e_ident[EI_DATA] = ELFDATA2LSB;
  image.header.e_ident[EI_VERSION] = EV_CURRENT;
  image.header.e_type = ET_DYN;
  image.header.e_machine = EM_X86_64;
  image.header.e_version = EV_CURRENT;
  image.header.e_ehsize = sizeof image.header;
  image.header.e_phentsize = sizeof image.segment;
  image.header.e_phoff = offsetof(struct image, segment);
  image.header.e_phnum = 1;
  image.segment.p_type = loader ? PT_INTERP : PT_NOTE;
  image.segment.p_offset = offsetof(struct image, loader);
  if (loader) {
    strcpy(image.loader, loader);
    image.segment.p_filesz = strlen(loader) + 1;
  }
  return image;
}

static void expect(const char *name, enum inspect_status status, const char *word) {
  assert_int_equal(inspect_program(name, &result), status);
  assert_int_equal(result.status, status);
  if (!word) return;
  if (!strstr(result.reason, word)) fail_msg("'%s' lacks '%s'", result.reason, word);
  assert_null(strchr(result.reason, '\n'));
}

static void expect_image(const struct image *image, enum inspect_status status,
                         const char *word) {
  write_file("image", image, sizeof *image, 0755);
  expect("./image", status, word);
}

static void accepts_programs_of_glibc(void **state) {
  (void)state;
  struct image image = make_image(GLIBC);
  expect_image(&image, INSPECT_FINE, NULL);
  assert_string_equal(result.program, "./image");
  assert_false(result.python);
  image.header.e_type = ET_EXEC;
  expect_image(&image, INSPECT_FINE, NULL);
}

static void refuses_other_programs(void **state) {
  (void)state;
  struct image image = make_image(NULL);
  expect_image(&image, INSPECT_UNUSABLE, "static");
  image = make_image("/lib/ld-musl-x86_64.so.1");
  expect_image(&image, INSPECT_UNUSABLE, "musl");
  image = make_image("/system/bin/linker64");
  expect_image(&image, INSPECT_UNUSABLE, "linker64");
  image = make_image("/nowhere/ld-linux-x86-64.so.2");
  expect_image(&image, INSPECT_UNUSABLE, "/nowhere/");
  image = make_image(GLIBC);
  image.header.e_machine = EM_AARCH64;
  expect_image(&image, INSPECT_UNUSABLE, "another machine");
  image = make_image(GLIBC);
  image.header.e_type = ET_CORE;
  expect_image(&image, INSPECT_UNUSABLE, "not a program");
}

static void refuses_32_bit(void **state) {
  (void)state;
  Elf32_Ehdr header;
  memset(&header, 0, sizeof header);
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  write_file("i386", &header, sizeof header, 0755);
  expect("./i386", INSPECT_UNUSABLE, "32-bit");
}

static void refuses_damaged_headers(void **state) {
  (void)state;
  struct image good = make_image(GLIBC), image = good;
  write_file("short", &good, 20, 0755);
  assert_int_equal(inspect_program("./short", &result), INSPECT_UNUSABLE);
  image.header.e_phoff = UINT64_MAX - 8;
  expect_image(&image, INSPECT_UNUSABLE, NULL);
  image = good;
  image.segment.p_offset = UINT64_MAX / 2;
  expect_image(&image, INSPECT_UNUSABLE, NULL);
  image = good;
  image.segment.p_filesz = UINT64_MAX;
  inspect_program("./image", &result); /* no matter what, but no crash */
}

static void refuses_privileges(void **state) {
  (void)state;
  struct image image = make_image(GLIBC);
  if (getuid() != 0) skip();
  write_file("image", &image, sizeof image, 0755);
  assert_int_equal(chown("image", 65534, 65534), 0);
  chmod("image", 04755);
  expect("./image", INSPECT_UNUSABLE, "setuid");
  chmod("image", 02755);
  expect("./image", INSPECT_UNUSABLE, "setgid");
  chmod("image", 0755);
  expect("./image", INSPECT_FINE, NULL);
  assert_int_equal(chown("image", 0, 0), 0);
  chmod("image", 04755); /* root's own: nothing is gained */
  expect("./image", INSPECT_FINE, NULL);
}

static void refuses_what_is_no_program(void **state) {
  (void)state;
  expect("", INSPECT_NOT_FOUND, "empty");
  expect("./missing", INSPECT_NOT_FOUND, "./missing");
  expect("no-such-program-anywhere", INSPECT_NOT_FOUND, "PATH");
  expect("/", INSPECT_UNUSABLE, "directory");
  expect("/dev/null", INSPECT_UNUSABLE, "regular");
  assert_int_equal(mkfifo("fifo", 0755), 0);
  expect("./fifo", INSPECT_UNUSABLE, "regular");
  write_file("plain", "#!/bin/sh\n", 10, 0644);
  expect("./plain", INSPECT_UNUSABLE, "not executable");
  write_text("blank", "");
  expect("./blank", INSPECT_UNUSABLE, "empty");
  write_file("binary", "\1\2\0\3\n", 5, 0755);
  expect("./binary", INSPECT_UNUSABLE, "neither ELF");
}

static void follows_scripts(void **state) {
  (void)state;
  struct image image = make_image(GLIBC), lonely = make_image(NULL);
  write_file("tool", &image, sizeof image, 0755);
  write_file("python3.11", &image, sizeof image, 0755);
  write_file("lonely", &lonely, sizeof lonely, 0755);
  write_text("one", "#! ./tool -x\n");
  expect("./one", INSPECT_FINE, NULL);
  assert_string_equal(result.path, "./one");
  assert_string_equal(result.program, "./tool");
  write_text("two", "#!./one\n");
  expect("./two", INSPECT_FINE, NULL);
  write_text("static", "#!./lonely\n");
  expect("./static", INSPECT_UNUSABLE, "./lonely is static");
  write_text("orphan", "#!/nowhere/perl\n");
  expect("./orphan", INSPECT_NOT_FOUND, "/nowhere/perl");
  write_text("endless", "#!./endless\n");
  expect("./endless", INSPECT_UNUSABLE, "too many");
  write_text("text", "echo no first line\n");
  expect("./text", INSPECT_FINE, NULL);
  assert_string_equal(result.program, "/bin/sh");
}

static void recognises_python(void **state) {
  (void)state;
  struct image image = make_image(GLIBC);
  write_file("python3.11", &image, sizeof image, 0755);
  write_file("pythonic", &image, sizeof image, 0755);
  expect("./python3.11", INSPECT_FINE, NULL);
  assert_true(result.python);
  expect("./pythonic", INSPECT_FINE, NULL);
  assert_false(result.python);
  assert_int_equal(symlink("python3.11", "snake"), 0);
  expect("./snake", INSPECT_FINE, NULL);
  assert_true(result.python);
  setenv("PATH", directory, 1);
  write_text("script", "#!/usr/bin/env -S A=1 python3.11 -I\n");
  expect("./script", INSPECT_FINE, NULL);
  assert_true(result.python);
}

static void searches_path_as_execvp(void **state) {
  (void)state;
  struct image image = make_image(GLIBC);
  char path[256];
  mkdir("first", 0755);
  mkdir("second", 0755);
  mkdir("first/found", 0755); /* a directory is passed over */
  write_file("second/found", &image, sizeof image, 0755);
  write_file("first/denied", &image, sizeof image, 0644);
  snprintf(path, sizeof path, "%s/first:%s/second", directory, directory);
  setenv("PATH", path, 1);
  expect("found", INSPECT_FINE, NULL);
  snprintf(path, sizeof path, "%s/second/found", directory);
  assert_string_equal(result.path, path);
  expect("denied", INSPECT_UNUSABLE, "not executable");
  write_file("here", &image, sizeof image, 0755);
  setenv("PATH", "/nowhere::/nowhere", 1); /* empty: the current directory */
  expect("here", INSPECT_FINE, NULL);
  setenv("PATH", "", 1);
  expect("here", INSPECT_FINE, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_programs_of_glibc),
      cmocka_unit_test(refuses_other_programs),
      cmocka_unit_test(refuses_32_bit),
      cmocka_unit_test(refuses_damaged_headers),
      cmocka_unit_test(refuses_privileges),
      cmocka_unit_test(refuses_what_is_no_program),
      cmocka_unit_test(follows_scripts),
      cmocka_unit_test(recognises_python),
      cmocka_unit_test(searches_path_as_execvp),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
