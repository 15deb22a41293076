/* The model of unused: sums that are exact to the byte. */
#include "answers/answers.h"
#include "build_recording.h"
#include "show/verbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct recording *opened(struct build *b) {
  char message[512];
  size_t n;
  char *file = build_file(b, 1, &n);
  struct recording *r = recording_open_memory(file, n, false, message, sizeof message);
  if (!r) fail_msg("%s", message);
  free(file);
  build_free(b);
  return r;
}

static struct unused_site of_site(const struct unused *u, uint32_t site) {
  for (size_t i = 0; i < u->count; i++)
    if (u->sites[i].site == site) return u->sites[i];
  return (struct unused_site){0};
}

#define PAGES_OF_UNIT (UL_UNIT_BYTES / UL_PAGE_BYTES)
static uint32_t site_of(struct build *b, uint64_t address) {
  return build_site(b, (uint64_t[]){address, 0x403000, 0});
}

/* 128-byte blocks, 128 to the pool; three survivors of two sites in one pool, one of
 * the first site in another; the arena's other 62 units are empty but resident. */
static void survivors_share_what_they_pin(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t one = site_of(b, 0x401000), two = site_of(b, 0x402000);
  uint32_t arena = build_arena(b);
  build_pool(b, arena, 0, 8, 1);
  build_pool(b, arena, 1, 8, 1);
  build_block(b, arena, 0, 5, one, 1, 120);
  build_block(b, arena, 0, 6, two, 1, 128);
  build_block(b, arena, 0, 99, one, 1, 100);
  build_block(b, arena, 1, 0, one, 1, 128);
  build_resident(b, arena, 0, UL_ARENA_PAGES);
  struct recording *r = opened(b);
  struct unused *u = unused_load(r);
  struct unused_site s1 = of_site(u, one), s2 = of_site(u, two);
  uint64_t shared = 125 * 128, empty = 62 * UL_UNIT_BYTES;
  assert_int_equal(s1.pinned_pool + s2.pinned_pool, shared + 127 * 128);
  assert_in_range(s2.pinned_pool, shared / 3, shared / 3 + 1);
  assert_int_equal(s1.pinned_arena + s2.pinned_arena, empty);
  assert_int_equal(s2.pinned_arena, empty / 4);
  assert_int_equal(s1.sole, 127 * 128);
  assert_int_equal(s2.sole, 0);
  assert_int_equal(s1.slack, 8 + 28);
  assert_int_equal(u->empty_pool_bytes, empty);
  assert_int_equal(u->unpinned_bytes, 0);
  assert_int_equal(u->total.pinned_pool + u->total.pinned_arena,
                   shared + 127 * 128 + empty);
  unused_free(u);
  recording_close(r);
}

static void what_was_never_touched_pins_nothing(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t one = site_of(b, 0x401000);
  uint32_t arena = build_arena(b), empty = build_arena(b);
  build_pool(b, arena, 0, 8, 1);
  build_block(b, arena, 0, 0, one, 1, 128);
  build_resident(b, arena, 0, 1);
  build_resident(b, empty, 10, 3);
  struct recording *r = opened(b);
  struct unused *u = unused_load(r);
  assert_int_equal(of_site(u, one).pinned_pool, UL_PAGE_BYTES - 128);
  assert_int_equal(of_site(u, one).pinned_arena, 0);
  assert_int_equal(of_site(u, one).sole, UL_PAGE_BYTES - 128);
  assert_int_equal(u->unpinned_bytes, 3 * UL_PAGE_BYTES);
  unused_free(u);
  recording_close(r);
}

/* A span of 4 units asked for 50,000 bytes: pages 0..11 are full, 12 begins. */
static void untouched_bytes_are_exact(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t span = site_of(b, 0x401000), large = site_of(b, 0x402000);
  uint32_t half = site_of(b, 0x403000), arena = build_arena(b);
  build_pool(b, arena, 4, UL_SPAN, 4);
  build_block(b, arena, 4, 0, span, 1, 50000);
  build_resident(b, arena, 4 * PAGES_OF_UNIT, 2);
  build_resident(b, arena, 4 * PAGES_OF_UNIT + 12, 1);
  build_pool(b, arena, 8, UL_SPAN, 4);
  build_block(b, arena, 8, 0, half, 1, 50000);
  build_resident(b, arena, 8 * PAGES_OF_UNIT + 1, 4);
  struct ul_large *l = build_at(b, UL_LARGES, build_large(b, large, 1, 10000000));
  l->resident_bytes = l->resident_end = 100 * UL_PAGE_BYTES;
  struct ul_large *whole = build_at(b, UL_LARGES, build_large(b, large, 1, 1000001));
  assert_true(whole->resident_end > 1000001);
  struct recording *r = opened(b);
  struct unused *u = unused_load(r);
  unused_sort(u);
  assert_int_equal(of_site(u, span).untouched, 10 * UL_PAGE_BYTES);
  assert_int_equal(of_site(u, span).tail, 0);
  assert_int_equal(of_site(u, half).untouched, 50000 - 4 * UL_PAGE_BYTES);
  assert_int_equal(of_site(u, half).tail, 50000 - 5 * UL_PAGE_BYTES);
  assert_int_equal(of_site(u, span).slack, 13 * UL_PAGE_BYTES - 50000);
  assert_int_equal(of_site(u, large).untouched, 10000000 - 100 * UL_PAGE_BYTES);
  assert_int_equal(of_site(u, large).tail, 10000000 - 100 * UL_PAGE_BYTES);
  assert_int_equal(u->sites[0].site, large);
  unused_free(u);
  recording_close(r);
}

static void without_evidence_nothing_is_untouched(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t one = site_of(b, 0x401000);
  uint32_t arena = build_arena(b);
  build_pool(b, arena, 0, 8, 1);
  build_block(b, arena, 0, 0, one, 1, 128);
  build_large(b, one, 1, 1 << 20);
  ((struct ul_large *)build_at(b, UL_LARGES, 0))->resident_bytes = 0;
  ((struct ul_large *)build_at(b, UL_LARGES, 0))->resident_end = 0;
  struct recording *r = opened(b);
  struct unused *u = unused_load(r);
  assert_int_equal(u->residency, UL_EVIDENCE_NONE);
  assert_int_equal(of_site(u, one).untouched, 0);
  assert_int_equal(of_site(u, one).pinned_pool, 127 * 128);
  assert_int_equal(of_site(u, one).pinned_arena, 63 * UL_UNIT_BYTES);
  unused_free(u);
  recording_close(r);
}

static void old_blocks_without_writes_are_found(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t old = site_of(b, 0x401000), new = site_of(b, 0x402000);
  uint32_t arena = build_arena(b);
  build_pool(b, arena, 0, 56, 2); /* 32 KiB: one block */
  build_pool(b, arena, 2, 56, 2);
  build_block(b, arena, 0, 0, old, 10, 32768);
  build_block(b, arena, 2, 0, new, 9000, 32768);
  build_resident(b, arena, 0, 16);
  ((struct ul_arena *)build_at(b, UL_ARENAS, arena))->written[0] = 1 << 3;
  b->header.writes = UL_EVIDENCE_PAGEMAP;
  b->header.writes_ms = 5000;
  struct recording *r = opened(b);
  struct unused *u = unused_load(r);
  assert_int_equal(of_site(u, old).unwritten, 7 * UL_PAGE_BYTES);
  assert_int_equal(of_site(u, new).unwritten, 0);
  unused_free(u);
  recording_close(r);
}

static bool brief_says(struct recording *r, const char *what) {
  char *text = NULL;
  size_t n;
  struct view_options options = {.out = open_memstream(&text, &n)};
  struct process process = {.recording = r, .unused = unused_load(r)};
  unused_brief(&(struct context){.processes = &process, .count = 1}, &options);
  unused_free(process.unused);
  fclose(options.out);
  bool said = strstr(text, what) != NULL;
  free(text);
  return said;
}

/* As after threads that ended: the empty arena is most of what is free. */
static void free_space_without_a_survivor_is_told(void **state) {
  (void)state;
  static const char *const what = ", 1.0 MiB free, in arenas without any live block";
  for (unsigned pages = 0; pages <= UL_ARENA_PAGES; pages += UL_ARENA_PAGES) {
    struct build *b = build_new();
    uint32_t one = site_of(b, 0x401000), arena = build_arena(b), empty = build_arena(b);
    build_pool(b, arena, 0, 8, 1);
    build_block(b, arena, 0, 0, one, 1, 128);
    build_resident(b, arena, 0, 1);
    build_resident(b, empty, 0, pages);
    struct recording *r = opened(b);
    assert_int_equal(brief_says(r, what), pages > 0);
    recording_close(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(survivors_share_what_they_pin),
      cmocka_unit_test(what_was_never_touched_pins_nothing),
      cmocka_unit_test(untouched_bytes_are_exact),
      cmocka_unit_test(without_evidence_nothing_is_untouched),
      cmocka_unit_test(old_blocks_without_writes_are_found),
      cmocka_unit_test(free_space_without_a_survivor_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
