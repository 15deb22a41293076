/* The reader: what a valid recording gives, and that each kind of damage is noticed,
 * with a message that says so. */
#include "build_recording.h"
#include "read/recording.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char message[512];

static struct recording *open_built(struct build *b, unsigned segment_pages) {
  size_t n;
  char *file = build_file(b, segment_pages, &n);
  struct recording *r = recording_open_memory(file, n, false, message, sizeof message);
  free(file);
  return r;
}

static void assert_refused(struct build *b, const char *part) {
  struct recording *r = open_built(b, 1);
  if (r || !strstr(message, part)) fail_msg("wanted \"%s\", got \"%s\"", part, message);
}

static void example_is_read(void **state) {
  (void)state;
  for (unsigned pages = 1; pages < 4; pages++) {
    struct build *b = build_example();
    struct recording *r = open_built(b, pages);
    if (!r) fail_msg("%s", message);
    assert_int_equal(recording_end(r), RECORDING_EXITED);
    assert_int_equal(recording_duration_ms(r), 10000);
    assert_int_equal(recording_unsettled(r), 0);
    assert_string_equal(recording_argument(r, 1), "--serve");
    assert_null(recording_argument(r, 2));
    assert_int_equal(recording_count(r, UL_SNAPSHOTS), 20);
    assert_null(recording_at(r, UL_SNAPSHOTS, 20));
    assert_string_equal(recording_text(r, 1u << 30), "");
    recording_close(r);
    build_free(b);
  }
}

static void stacks_are_walked(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t site = build_site(b, (uint64_t[]){0x401000, 0x402000, 0x403000, 0});
  uint32_t cut = build_site(b, (uint64_t[]){0x404000, 0});
  ((struct ul_site *)build_at(b, UL_SITES, cut))->parent = UL_NODE_CUT;
  struct recording *r = open_built(b, 1);
  uint64_t codes[2];
  uint32_t end;
  assert_int_equal(recording_stack(r, site, codes, 2, &end), 3);
  assert_int_equal(recording_address(r, codes[0]), 0x401000);
  assert_int_equal(recording_address(r, codes[1]), 0x402000);
  assert_int_equal(end, UL_NODE_ROOT);
  assert_int_equal(recording_stack(r, cut, NULL, 0, &end), 1);
  assert_int_equal(end, UL_NODE_CUT);
  assert_int_equal(recording_stack(r, UL_SITE_EARLY, codes, 2, &end), 0);
  assert_non_null(recording_site_note(UL_SITE_EARLY));
  assert_null(recording_site_note(site));
  recording_close(r);
  build_free(b);
}

static void refuse_bytes(const char *data, size_t n, const char *part) {
  struct recording *r = recording_open_memory(data, n, false, message, sizeof message);
  if (r || !strstr(message, part)) fail_msg("wanted \"%s\", got \"%s\"", part, message);
  assert_null(strchr(message, '\n'));
}

/* Found by the fuzzer: arguments at the empty text, then out of its bounds. */
static void arguments_stay_in_the_table(void **state) {
  (void)state;
  struct build *b = build_new();
  b->header.command = 0;
  struct recording *r = open_built(b, 1);
  assert_string_equal(recording_argument(r, 0), "");
  assert_string_equal(recording_argument(r, 1), "/usr/bin/example");
  recording_close(r);
  build_free(b);
}

static void foreign_files_are_named(void **state) {
  (void)state;
  refuse_bytes("", 0, "empty");
  refuse_bytes("#!/bin/sh\nexit\n", 15, "not a ullage recording");
  refuse_bytes("\x8b", 1, "truncated");
  refuse_bytes("\x8bULL\n\x1a\nxxxxx", 12, "text mode");
  refuse_bytes("\x28\xb5\x2f\xfd____", 8, "zstd -d");
  refuse_bytes("\x1f\x8b______", 8, "gzip");
  char zeros[70000] = "";
  refuse_bytes(zeros, sizeof zeros, "not a ullage recording");
}

static void files_are_opened(void **state) {
  (void)state;
  assert_null(recording_open("/tmp", message, sizeof message));
  assert_non_null(strstr(message, "is a directory"));
  assert_null(recording_open("/nonexistent/recording", message, sizeof message));
  assert_non_null(strstr(message, "no such file"));
  struct build *b = build_example();
  size_t n;
  char *file = build_file(b, 1, &n), name[] = "/tmp/test_recording.XXXXXX";
  int fd = mkstemp(name);
  assert_int_equal(write(fd, file, n), n);
  struct recording *r = recording_open(name, message, sizeof message);
  assert_non_null(r);
  assert_int_equal(recording_file_bytes(r), n);
  recording_close(r);
  assert_int_equal(ftruncate(fd, (off_t)n - 1), 0);
  assert_null(recording_open(name, message, sizeof message));
  assert_non_null(strstr(message, "truncated"));
  assert_non_null(strstr(message, "(1 missing)"));
  close(fd);
  unlink(name);
  free(file);
  build_free(b);
}

static void every_truncation_is_noticed(void **state) {
  (void)state;
  struct build *b = build_example();
  size_t n;
  char *file = build_file(b, 1, &n);
  for (size_t cut = 8; cut < n; cut += 509)
    refuse_bytes(file, cut, "truncated");
  free(file);
  build_free(b);
}

static void headers_are_checked(void **state) {
  (void)state;
  struct build *b = build_example();
  b->header.version = UL_VERSION + 1;
  assert_refused(b, "newer ullage (format 3, this one reads 2); use that version");
  b->header.version = 1;
  assert_refused(b, "ullage 0.1 (format 1, this one reads 2); read it with ullage 0.1");
  b->header.version = 0;
  assert_refused(b, "format 0");
  b->header.version = UL_VERSION;
  b->header.byte_order = 0x04030201;
  assert_refused(b, "byte order");
  b->header.byte_order = UL_BYTE_ORDER;
  b->header.arena_bytes = 0;
  assert_refused(b, "geometry");
  b->header.arena_bytes = UL_ARENA_BYTES;
  b->header.class_bytes[3] = 0;
  assert_refused(b, "size class 3");
  b->header.class_bytes[3] = 48;
  b->header.command = 1 << 20;
  assert_refused(b, "text 1");
  b->header.command = 0;
  b->header.command_count = 1000;
  assert_refused(b, "argument");
  b->header.command_count = 0;
  b->header.peak_slot = 20;
  assert_refused(b, "peak");
  b->header.peak_slot = UINT32_MAX;
  b->header.waste_slot = 20;
  assert_refused(b, "most waste");
  build_free(b);
}

/* Damage in the directory, done in the file because build_file() makes it. */
static void directory_is_checked(void **state) {
  (void)state;
  struct build *b = build_example();
  size_t n;
  char *file = build_file(b, 1, &n);
  struct ul_header *h = (struct ul_header *)file, good = *h;
  h->segment_count = UL_SEGMENTS + 1;
  refuse_bytes(file, n, "segments");
  h->segment_count = good.segment_count;
  h->segments[1].file_offset = h->segments[0].file_offset;
  refuse_bytes(file, n, "overlaps");
  h->segments[1].file_offset = UINT64_MAX - 4095;
  refuse_bytes(file, n, "impossible");
  h->segments[1] = good.segments[1];
  h->segments[0].bytes = 1ull << 40;
  refuse_bytes(file, n, "overlaps");
  h->segments[0] = good.segments[0];
  h->segments[2].table = 32;
  refuse_bytes(file, n, "impossible");
  h->segments[2].table = 31; /* of a later version: ignored, but the table is short */
  refuse_bytes(file, n, "in segments for");
  h->segments[2] = good.segments[2];
  h->table[UL_ROWS].count = UINT64_MAX;
  refuse_bytes(file, n, "table rows");
  h->table[UL_ROWS] = good.table[UL_ROWS];
  h->table[UL_SITES].element_bytes = 0;
  refuse_bytes(file, n, "elements of table sites");
  free(file);
  build_free(b);
}

static void elements_are_checked(void **state) {
  (void)state;
#define REFUSE(table, i, type, field, bad, part)                                         \
  do {                                                                                   \
    struct build *b = build_example();                                                   \
    ((type *)build_at(b, table, i))->field = bad;                                        \
    assert_refused(b, part);                                                             \
    build_free(b);                                                                       \
  } while (0)
  REFUSE(UL_MODULES, 0, struct ul_module, end, 1, "module 0");
  REFUSE(UL_MODULES, 0, struct ul_module, name, 1 << 20, "module 0");
  REFUSE(UL_MODULES, 0, struct ul_module, build_id_bytes, 25, "module 0");
  REFUSE(UL_NODES, 4, struct ul_node, parent, 4, "later node 4");
  REFUSE(UL_NODES, 4, struct ul_node, code, 7, "code 7 of");
  REFUSE(
      UL_CODES, 2, struct { uint64_t word; }, word, ul_code(7, 1), "module 7");
  REFUSE(UL_SITES, 6, struct ul_site, parent, 1000, "node 1000");
  REFUSE(UL_SITES, 6, struct ul_site, code, 1000, "code 1000");
  REFUSE(UL_CHUNKS, 0, struct ul_chunk, heap, 9, "heap 9");
  REFUSE(UL_CHUNKS, 0, struct ul_chunk, first_site, 640, "site 640");
  REFUSE(UL_CARRIES, 0, struct ul_carry, heap, 9, "carry 0 counts for heap 9");
  REFUSE(UL_CARRIES, 0, struct ul_carry, site, 640, "site 640");
  REFUSE(UL_SNAPSHOTS, 3, struct ul_snapshot, kind, 9, "kind 9");
  REFUSE(UL_SNAPSHOTS, 3, struct ul_snapshot, row, UINT64_MAX, "snapshot 3");
  REFUSE(UL_SNAPSHOTS, 3, struct ul_snapshot, row_bytes, UINT32_MAX, "snapshot 3");
  REFUSE(UL_SNAPSHOTS, 3, struct ul_snapshot, row_bytes, 5, "snapshot 3");
  REFUSE(UL_SNAPSHOTS, 3, struct ul_snapshot, rows[UL_ROW_SITE], 3, "snapshot 3");
  REFUSE(UL_SNAPSHOTS, 3, struct ul_snapshot, rows[UL_ROW_NODE], 1, "snapshot 3");
  REFUSE(UL_SNAPSHOTS, 3, struct ul_snapshot, rows[UL_ROW_WASTE], 1, "snapshot 3");
  REFUSE(
      UL_ROWS, 0, struct { uint8_t number; }, number, 99, "snapshot 0");
  REFUSE(
      UL_ROWS, 0, struct { uint8_t number; }, number, 0x80 | 5, "snapshot 0");
  REFUSE(UL_LEAKS, 0, struct ul_leak, verdict, 5, "verdict 5");
  REFUSE(UL_LEAKS, 0, struct ul_leak, site, 99, "site 99");
  REFUSE(UL_LEAKS, 0, struct ul_leak, newest_birth, 1u << 24, "leak 0");
  REFUSE(UL_FILLS, 6, struct ul_fill, never_written, 1001, "fill 6");
  REFUSE(UL_MAPPINGS, 0, struct ul_mapping, end, 0, "mapping 0");
  REFUSE(UL_MAPPINGS, 0, struct ul_mapping, rss, 1 << 30, "mapping 0");
  REFUSE(UL_ARENAS, 0, struct ul_arena, base, 4096, "arena 0");
  REFUSE(UL_ARENAS, 0, struct ul_arena, pools[0].class, 60, "class 60");
  REFUSE(UL_ARENAS, 0, struct ul_arena, pools[0].units, 2, "overlaps");
  REFUSE(UL_ARENAS, 0, struct ul_arena, pools[0].units, 17, "17 units");
  REFUSE(UL_ARENAS, 0, struct ul_arena, pools[63].units, 2, "unit 63");
  REFUSE(UL_ARENAS, 0, struct ul_arena, pools[0].entry, UINT32_MAX, "entry 4294967295");
  REFUSE(UL_ARENAS, 0, struct ul_arena, pools[1].entry, 0, "overlap");
  REFUSE(UL_LARGES, 0, struct ul_large, base, 1, "large block 0");
  REFUSE(UL_LARGES, 0, struct ul_large, mapped_bytes, 4096, "large block 0");
  REFUSE(UL_LARGES, 0, struct ul_large, base, BUILD_HEAP, "overlap");
  REFUSE(UL_LARGES, 0, struct ul_large, entry, 99 | 1ull << 63, "large block 0");
  REFUSE(
      UL_ENTRIES, 0, struct { uint64_t e; }, e, 99 | 1ull << 63, "entry 0");
  REFUSE(
      UL_ENTRIES, 0, struct { uint64_t e; }, e, 6 | 0x1fffull << 48 | 1ull << 63, "entry 0");
#undef REFUSE
}

/* The same damage while the process runs is a moment of the writer. */
static void running_recordings_are_forgiven(void **state) {
  (void)state;
  struct build *b = build_example();
  b->header.state = UL_STATE_RUNNING;
  b->header.end_ms = 0;
  *(uint64_t *)build_at(b, UL_ENTRIES, 0) = 99 | UL_ENTRY_LIVE;
  ((struct ul_arena *)build_at(b, UL_ARENAS, 0))->pools[1].units = 60;
  ((struct ul_snapshot *)build_at(b, UL_SNAPSHOTS, 3))->sequence = 3;
  struct recording *r = open_built(b, 1);
  if (!r) fail_msg("%s", message);
  assert_int_equal(recording_end(r), RECORDING_KILLED);
  assert_int_equal(recording_entry(r, 0), 0);
  assert_int_equal(recording_arena(r, 0)->pools[1].units, 0);
  assert_int_equal(recording_snapshot(r, 3)->kind, UL_SNAPSHOT_FREE);
  assert_int_equal(recording_unsettled(r), 3);
  assert_int_equal(recording_duration_ms(r), 9500);
  recording_close(r);
  build_free(b);
}

/* As one thread ends the process others go on: two elements each may be half-done. */
static void threads_at_the_end_are_forgiven(void **state) {
  (void)state;
  struct build *b = build_example();
  build_append(b, UL_HEAPS, 1);
  for (unsigned i = 0; i < 3; i++) {
    struct recording *r = open_built(b, 1);
    if (!r) fail_msg("%s", message);
    assert_int_equal(recording_unsettled(r), i);
    recording_close(r);
    *(uint64_t *)build_at(b, UL_ENTRIES, i * 3) = 99 | UL_ENTRY_LIVE;
  }
  assert_refused(b, "entry 6");
  build_free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(example_is_read),
      cmocka_unit_test(stacks_are_walked),
      cmocka_unit_test(arguments_stay_in_the_table),
      cmocka_unit_test(foreign_files_are_named),
      cmocka_unit_test(files_are_opened),
      cmocka_unit_test(every_truncation_is_noticed),
      cmocka_unit_test(headers_are_checked),
      cmocka_unit_test(directory_is_checked),
      cmocka_unit_test(elements_are_checked),
      cmocka_unit_test(running_recordings_are_forgiven),
      cmocka_unit_test(threads_at_the_end_are_forgiven),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
