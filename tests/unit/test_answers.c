/* The models behind the answers, and every verb's output on a built recording: sums
 * that must balance, JSON that must parse, text that must stay on its terminal. */
#include "answers/answers.h"
#include "answers/balance.h"
#include "answers/outside.h"
#include "answers/rising.h"
#include "answers/sites.h"
#include "build_recording.h"
#include "command/verbs.h"
#include "read/blocks.h"
#include "read/timeline.h"
#include "show/json.h"
#include "show/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct recording *opened_of(struct build *b, unsigned segment_pages) {
  char message[512];
  size_t n;
  char *file = build_file(b, segment_pages, &n);
  struct recording *r = recording_open_memory(file, n, false, message, sizeof message);
  if (!r) fail_msg("%s", message);
  free(file);
  build_free(b);
  return r;
}

static struct recording *opened(struct build *b) {
  return opened_of(b, 1);
}

/* ---- models -------------------------------------------------------------------- */

static void ledger_adds_up(void **state) {
  (void)state;
  struct recording *r = opened(build_example());
  struct block_sums s = blocks_sum(r);
  assert_int_equal(s.blocks, 12);
  assert_int_equal(s.larges, 1);
  assert_int_equal(s.arena_bytes, s.pool_bytes + s.empty_bytes);
  assert_int_equal(s.pool_bytes,
                   s.small_requested + s.small_slack + s.free_bytes + s.tail_bytes);
  assert_int_equal(s.large_bytes, s.large_requested + s.large_slack);
  assert_int_equal(s.small_requested, 10 * 100 + 50000);
  recording_close(r);
}

static void sites_agree_with_counters(void **state) {
  (void)state;
  struct build *b = build_example();
  uint32_t grows = UL_SITE_RESERVED;
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  assert_int_equal(s->disagreeing, 0);
  assert_int_equal(s->sum[grows].blocks, 11);
  assert_int_equal(s->sum[grows].oldest_ms, 0);
  assert_int_equal(s->sum[grows].newest_ms, 9000);
  assert_int_equal(__builtin_popcount(s->sum[grows].generations), 10);
  sites_free(s);
  recording_close(r);
}

static void carries_are_added(void **state) {
  (void)state;
  struct build *b = build_example();
  uint32_t site = UL_SITE_RESERVED;
  for (int k = 0; k < 2; k++) {
    struct ul_carry *c = build_at(b, UL_CARRIES, build_append(b, UL_CARRIES, 1));
    *c = (struct ul_carry){.site = site, .allocations = 3, .frees = 3};
    if (k) c->allocated_bytes = c->freed_bytes = -1;
  }
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  assert_int_equal(s->disagreeing, 0);
  uint64_t frees = s->sum[site].count.frees;
  assert_int_equal(frees - (UINT64_C(6) << UL_CARRY_BITS), 0);
  assert_int_equal(s->sum[site].count.allocations - frees, 11);
  assert_int_equal((int64_t)s->sum[site].count.freed_bytes, -(INT64_C(1) << 31));
  assert_true(s->total.frees >= frees);
  sites_free(s);
  recording_close(r);
}

static struct balance balance(const struct recording *r) {
  struct unused *u = unused_load(r);
  struct balance b = balance_of(r, u);
  unused_free(u);
  return b;
}

static void balance_adds_up(void **state) {
  (void)state;
  struct recording *r = opened(build_example());
  struct balance b = balance(r);
  int64_t sum = 0;
  assert_int_equal(b.basis, BALANCE_MAPS);
  for (size_t i = 0; i < b.resident.count; i++) {
    sum += b.resident.at[i].bytes;
    assert_string_not_equal(b.resident.at[i].what, "unexplained");
    assert_true(b.resident.at[i].bytes > 0);
  }
  assert_int_equal(sum, b.rss_bytes);
  assert_int_equal(b.rss_bytes, 900000);
  recording_close(r);
}

static void disagreement_stays_visible(void **state) {
  (void)state;
  struct build *e = build_example();
  e->header.end_rss_bytes += 12345;
  struct recording *r = opened(e);
  struct balance b = balance(r);
  const struct balance_row *last = &b.resident.at[b.resident.count - 1];
  assert_string_equal(last->what, "unexplained");
  assert_int_equal(last->bytes, 12345);
  recording_close(r);
}

static void killed_processes_balance_by_their_last_snapshot(void **state) {
  (void)state;
  struct build *e = build_example();
  e->header.state = UL_STATE_RUNNING;
  e->header.end_rss_bytes = e->header.end_ms = 0;
  struct recording *r = opened(e);
  struct balance b = balance(r);
  int64_t mapped = 0;
  for (size_t i = 0; i < b.mapped.count; i++)
    mapped += b.mapped.at[i].bytes;
  assert_int_equal(b.basis, BALANCE_SNAPSHOT);
  assert_int_equal(mapped, b.mapped.bytes);
  assert_int_equal(b.resident.count, 1);
  assert_int_equal(b.resident.at[0].bytes, b.rss_bytes);
  recording_close(r);
}

static void add_snapshot(struct build *b, enum ul_snapshot_kind kind, uint64_t ms,
                         uint64_t live, uint64_t allocations) {
  uint32_t i = build_snapshot(b, kind, ms, live, live);
  ((struct ul_snapshot *)build_at(b, UL_SNAPSHOTS, i))->allocations = allocations;
}

/* Slots are in no order, and the clock's ticks are long. */
static void snapshots_of_one_tick_are_in_order(void **state) {
  (void)state;
  struct build *b = build_new();
  add_snapshot(b, UL_SNAPSHOT_PEAK, 100, 9000, 30);
  add_snapshot(b, UL_SNAPSHOT_FINAL, 100, 1000, 50);
  add_snapshot(b, UL_SNAPSHOT_TIMED, 100, 5000, 40);
  add_snapshot(b, UL_SNAPSHOT_TIMED, 100, 4000, 20);
  struct recording *r = opened(b);
  assert_int_equal(timeline_last(r)->kind, UL_SNAPSHOT_FINAL);
  assert_int_equal(timeline_peak(r)->kind, UL_SNAPSHOT_PEAK);
  struct timeline t = timeline_load(r, true);
  const uint64_t live[] = {4000, 9000, 5000, 1000};
  assert_int_equal(t.count, 4);
  for (size_t i = 0; i < t.count; i++)
    assert_int_equal(t.at[i]->live_bytes, live[i]);
  timeline_free(&t);
  recording_close(r);
}

static void growth_is_ranked(void **state) {
  (void)state;
  struct recording *r = opened(build_example());
  struct sites *s = sites_load(r);
  struct growth *g = growth_load(r, s, 0);
  assert_int_equal(g->count, 2);
  assert_int_equal(g->sites[0].site, UL_SITE_RESERVED);
  assert_int_equal(g->sites[0].trend.verdict, TREND_GROWING);
  assert_true(fabs(g->sites[0].trend.slope - 10000) < 1);
  assert_int_equal(g->sites[0].first_bytes, 10000);
  assert_int_equal(g->sites[0].last_bytes, 105000);
  assert_int_equal(g->sites[1].trend.verdict, TREND_STEADY);
  growth_free(g);
  sites_free(s);
  recording_close(r);
}

/* Of 40 snapshots a site is in every other, just above the limit; it may have been just
 * below in the others. That is no trend, and no swing either. */
static void rows_left_out_are_not_zeros(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t small = build_site(b, (uint64_t[]){0x401000, 0});
  for (uint32_t i = 0; i < 40; i++) {
    uint32_t slot = build_snapshot(b, UL_SNAPSHOT_TIMED, i * 100, 1 << 24, 1 << 25);
    ((struct ul_snapshot *)build_at(b, UL_SNAPSHOTS, slot))->least_log2[0] = 10;
    if (i % 2)
      build_row(b, small, 1, 1030);
    else
      build_node_row(b, UL_NODE_ROOT, 6, 4000);
  }
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  struct growth *g = growth_load(r, s, 0);
  assert_int_equal(g->sites[0].trend.verdict, TREND_STEADY);
  assert_true(g->sites[0].trend.low >= 1000);
  growth_free(g);
  sites_free(s);
  recording_close(r);
}

/* Of a run of a second most is start-up, and so it may be where all rises in steps; of
 * what was freed in the end a collector may have waited: there a hundredth of the peak is
 * nothing. */
static void little_growth_of_short_runs_is_nothing(void **state) {
  (void)state;
  struct trend rises = {.verdict = TREND_GROWING, .reason = TREND_RISES};
  struct trend steps = {.verdict = TREND_UNSURE, .reason = TREND_STEPS};
  for (uint64_t ms = 1000; ms <= 3000; ms += 2000) {
    struct build *b = build_new();
    b->header.end_ms = ms;
    struct recording *r = opened(b);
    assert_int_equal(growth_matters(r, &rises, 100, 100, 10000), ms >= 2000);
    assert_false(growth_matters(r, &rises, 100, 0, 10000));
    assert_false(growth_matters(r, &rises, 10, 10, 10000));
    assert_true(growth_matters(r, &rises, 1000, 1000, 10000));
    assert_true(growth_matters(r, &rises, 1000, 0, 10000));
    assert_false(growth_matters(r, &steps, 100, 100, 10000));
    assert_true(growth_matters(r, &steps, 1000, 1000, 10000));
    recording_close(r);
  }
}

/* A long start with many measurements, then few of what was loaded: 46 MB a second, freed
 * in the end. All together grows; `part` of 4 of that at one site. */
static struct build *loads(uint32_t *site, unsigned part) {
  static const struct {
    uint32_t ms, allocations, kb;
  } later[] = {{1908, 225055, 34000},
               {2436, 227100, 80000},
               {2824, 229152, 126000},
               {4252, 236429, 286000},
               {4652, 238572, 0}};
  struct build *b = build_new();
  b->header.end_ms = 4660;
  uint32_t start = build_site(b, (uint64_t[]){0x401000, 0});
  *site = build_site(b, (uint64_t[]){0x402000, 0});
  struct ul_counter *counter = build_counter(b, *site);
  counter->allocations = counter->frees = 3150;
  for (uint32_t i = 0; i < 20; i++) {
    add_snapshot(b, UL_SNAPSHOT_TIMED, i * 77, i * 640000 + 1000, i * 11500);
    build_row(b, start, i * 600 + 1, i * 640000 + 1000);
  }
  for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
    uint64_t kb = later[i].kb, base = kb ? 12700000 : 1600000;
    add_snapshot(b, kb ? UL_SNAPSHOT_TIMED : UL_SNAPSHOT_FINAL, later[i].ms,
                 base + kb * 1000, later[i].allocations);
    build_row(b, start, 11000, base + kb * 1000 / 4 * (4 - part));
    if (kb) build_row(b, *site, kb / 2000, kb * 1000 / 4 * part);
  }
  return b;
}

/* By itself it has too few measurements. */
static void what_has_all_growth_grows(void **state) {
  (void)state;
  for (unsigned part = 2; part <= 4; part += 2) {
    uint32_t site;
    struct recording *r = opened(loads(&site, part));
    struct sites *s = sites_load(r);
    struct growth *g = growth_load(r, s, 0);
    const struct growth_site *it = &g->sites[g->sites[0].site == site ? 0 : 1];
    assert_int_equal(g->all.verdict, TREND_GROWING);
    assert_int_equal(it->site, site);
    assert_int_equal(it->trend.verdict == TREND_GROWING, part == 4);
    if (part == 4) assert_int_equal(it->added.bytes, 286000000);
    growth_free(g);
    sites_free(s);
    recording_close(r);
  }
}

/* A service loads 3 MB within 400 ms, and waits 1.6 s for its first request, which brings
 * 300 kB more. */
static void what_loads_and_waits_for_a_request_does_not_grow(void **state) {
  (void)state;
  enum { STEPS = 20 };
  struct build *b = build_new();
  b->header.end_ms = 2000;
  uint32_t site = build_site(b, (uint64_t[]){0x401000, 0});
  for (uint32_t i = 1; i <= STEPS; i++)
    build_large(b, site, i * 20, 150000);
  build_large(b, site, 2000, 300000);
  struct ul_counter *counter = build_counter(b, site);
  counter->allocations = 20400;
  counter->frees = counter->allocations - STEPS - 1;
  for (uint32_t i = 0; i <= STEPS + 1; i++) {
    bool last = i > STEPS;
    uint64_t bytes = last ? 3300000 : i * 150000;
    add_snapshot(b, last ? UL_SNAPSHOT_FINAL : UL_SNAPSHOT_TIMED, last ? 2000 : i * 20,
                 bytes, last ? 20400 : i * 1000);
    if (bytes) build_row(b, site, bytes / 150000, bytes);
  }
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  struct growth *g = growth_load(r, s, 0);
  assert_int_not_equal(g->all.verdict, TREND_GROWING);
  assert_int_not_equal(g->sites[0].trend.verdict, TREND_GROWING);
  growth_free(g);
  sites_free(s);
  recording_close(r);
}

/* Of 20 measurements, of which all together grows, five say who has it: a function has
 * `part` of 4. */
static bool grows_by_few_rows(unsigned part) {
  struct build *b = build_new();
  uint32_t other = build_site(b, (uint64_t[]){0x401000, 0});
  uint32_t site = build_site(b, (uint64_t[]){0x402000, 0});
  for (uint32_t i = 0; i < 20; i++) {
    uint64_t kb = i * 1000, its = kb / 4 * part;
    add_snapshot(b, i < 19 ? UL_SNAPSHOT_TIMED : UL_SNAPSHOT_FINAL, i * 500, kb * 1000,
                 i * 1000);
    if (i % 6 != 1 && i != 19) continue;
    if (part < 4) build_row(b, other, i, (kb - its) * 1000);
    build_row(b, site, i, its * 1000);
    const struct ul_site *s = build_at(b, UL_SITES, site);
    build_code_row(b, ul_site_code(s), i, its * 1000);
  }
  struct growth_codes grown;
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  bool *codes = calloc(recording_count(r, UL_CODES), sizeof *codes);
  codes[ul_site_code(recording_site(r, site))] = true;
  struct growth *g = growth_load(r, s, 0);
  assert_true(growth_of_codes(r, s, &g->all, codes, UINT16_MAX, &grown));
  growth_free(g);
  free(codes);
  sites_free(s);
  recording_close(r);
  return grown.trend.verdict == TREND_GROWING;
}

static void what_has_all_growth_grows_by_few_rows(void **state) {
  (void)state;
  assert_true(grows_by_few_rows(4));
  assert_false(grows_by_few_rows(2));
}

/* 20 MB are there at once, and 4 MB come, evenly: they grow, not what was loaded. */
static void what_was_loaded_does_not_grow_by_what_does(void **state) {
  (void)state;
  struct build *b = build_new();
  uint32_t loaded = build_site(b, (uint64_t[]){0x401000, 0});
  uint32_t grows = build_site(b, (uint64_t[]){0x402000, 0});
  build_counter(b, loaded)->allocations = 20000;
  build_counter(b, grows)->allocations = 40000;
  for (uint32_t i = 0; i < 40; i++) {
    uint64_t base = i ? 20000000 : 0, more = i * 100000;
    add_snapshot(b, i < 39 ? UL_SNAPSHOT_TIMED : UL_SNAPSHOT_FINAL, i * 250, base + more,
                 i ? 20000 + i * 2700 : 0);
    if (base) build_row(b, loaded, base / 1000, base);
    if (more) build_row(b, grows, more / 100, more);
  }
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  struct growth *g = growth_load(r, s, 0);
  assert_int_equal(g->all.verdict, TREND_GROWING);
  assert_int_equal(g->verdicts[TREND_GROWING], 1);
  assert_int_equal(g->sites[0].site, grows);
  growth_free(g);
  sites_free(s);
  recording_close(r);
}

/* The same call site loads 50 MB within 150 ms, then leaks 500 kB in 6 s. By the
 * program's work it leaks as it has loaded, by the seconds, by which it grows, it does
 * not. */
static void what_the_same_site_loaded_is_not_its_growth(void **state) {
  (void)state;
  struct build *b = build_new();
  b->header.end_ms = 6000;
  uint32_t site = build_site(b, (uint64_t[]){0x401000, 0});
  for (uint32_t i = 0; i < 20; i++)
    build_large(b, site, 100 + i * 300, i ? 25000 : 50025000);
  build_counter(b, site)->allocations = 505000;
  build_counter(b, site)->frees = 505000 - 20;
  for (uint32_t i = 0; i <= 40; i++) {
    uint64_t bytes = i ? 50000000 + i * 12500 : 0;
    add_snapshot(b, i < 40 ? UL_SNAPSHOT_TIMED : UL_SNAPSHOT_FINAL, i * 150, bytes,
                 i ? 500000 + i * 200 : 0);
    if (bytes) build_row(b, site, bytes / 100, bytes);
  }
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  struct growth *g = growth_load(r, s, 0);
  assert_int_equal(g->sites[0].trend.verdict, TREND_GROWING);
  assert_in_range(g->sites[0].added.bytes, 400000, 600000);
  growth_free(g);
  sites_free(s);
  recording_close(r);
}

static bool growth_says(struct recording *r, const char *what) {
  char *text = NULL;
  size_t n;
  struct context *context = context_of(r, &(struct context_options){.nameless = true});
  struct rising *all = rising_load(context);
  struct view_options options = {.out = open_memstream(&text, &n)};
  growth_brief(all, &options);
  fclose(options.out);
  bool said = strstr(text, what);
  free(text);
  rising_free(all);
  context_free(context);
  return said;
}

/* Of two sites, beside a third that is large or not: 1,000,000 (1 - exp(-2.5 t)). */
static void saturation_is_said_where_it_matters(void **state) {
  (void)state;
  for (uint64_t large = 0; large <= 1u << 30; large += 1u << 30) {
    struct build *b = build_new();
    uint32_t fills = build_site(b, (uint64_t[]){0x401000, 0});
    uint32_t base = build_site(b, (uint64_t[]){0x402000, 0});
    for (uint32_t i = 0; i < 64; i++) {
      uint64_t bytes = (uint64_t)(1e6 * (1 - exp(-2.5 * i / 63)));
      uint32_t slot = build_snapshot(b, i < 63 ? UL_SNAPSHOT_TIMED : UL_SNAPSHOT_FINAL,
                                     i * 150, bytes + large, 1 << 25);
      struct ul_snapshot *s = build_at(b, UL_SNAPSHOTS, slot);
      s->allocations = 1000 * i;
      if (bytes) build_row(b, fills, bytes / 100, bytes);
      if (large) build_row(b, base, 1, large);
    }
    assert_int_equal(
        growth_says(opened(b), "nothing grows; 1 call site saturates at about 9"),
        !large);
  }
}

/* ---- text ---------------------------------------------------------------------- */

static void sizes_are_readable(void **state) {
  (void)state;
  struct view_options human = {0}, exact = {.bytes = true};
  assert_string_equal(text_size(&human, 0), "0 B");
  assert_string_equal(text_size(&human, 1023), "1023 B");
  assert_string_equal(text_size(&human, 1024), "1.0 KiB");
  assert_string_equal(text_size(&human, 1048575), "1.0 MiB");
  assert_string_equal(text_size(&human, UINT64_MAX), "16.0 EiB");
  assert_string_equal(text_size(&exact, 1234567), "1,234,567");
  assert_string_equal(text_size_signed(&human, -2048), "-2.0 KiB");
  assert_string_equal(text_size_signed(&exact, INT64_MIN), "-9,223,372,036,854,775,808");
  assert_string_equal(text_time(999), "999 ms");
  assert_string_equal(text_time(61000), "61.00 s");
  assert_string_equal(text_time(3600000), "60 min 00 s");
  assert_string_equal(text_time(7380000), "2 h 03 min");
  assert_string_equal(text_plural(1, "block", "blocks"), "1 block");
}

static void terminals_are_safe(void **state) {
  (void)state;
  assert_string_equal(text_escaped("a\033[2Jb\n"), "a\\x1b[2Jb\\x0a");
  assert_string_equal(text_escaped("\xc2\x9b"), "\\xc2\\x9b"); /* CSI, as UTF-8 ... */
  assert_string_equal(text_escaped("a\x9b"
                                   "b\xff"),
                      "a\\x9bb\\xff"); /* ... and not */
  assert_string_equal(text_escaped("\u202egpj.exe"), "\\xe2\\x80\\xaegpj.exe");
  assert_string_equal(text_escaped("J\u00f6rg \u4f60 \U0001f377"),
                      "J\u00f6rg \u4f60 \U0001f377");
  char longer[5000];
  memset(longer, 1, sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  assert_in_range(strlen(text_escaped(longer)), 396, 404);
}

static void json_is_utf8(void **state) {
  (void)state;
  static const char *const bad[] = {"\xff",
                                    "a\xc3",
                                    "\xed\xa0\x80",
                                    "\xc0\x80",
                                    "\xf5\x80\x80\x80",
                                    "\xf0\x80\x80\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    json_t *text = json_text(bad[i]);
    assert_non_null(text);
    assert_non_null(strstr(json_string_value(text), "\xef\xbf\xbd"));
    json_decref(text);
  }
  json_t *good = json_text("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8d\xb7");
  assert_null(strstr(json_string_value(good), "\xef\xbf\xbd"));
  json_decref(good);
}

/* Good until the next call. */
static const char *printed(const struct frame *frames, size_t n, bool all) {
  static char text[8192];
  struct view_options options = {.out = fmemopen(text, sizeof text, "w"), .all = all};
  text_frames(&options, frames, n);
  fclose(options.out);
  return text;
}

static void standard_library_is_one_line(void **state) {
  (void)state;
  static const struct frame frames[] = {
      {.function = "operator new", .hidden = true},
      {.function = "std::__new_allocator<int>::allocate", .inlined = true},
      {.function = "std::allocator_traits<int>::allocate", .inlined = true},
      {.function = "std::vector<int>::_M_realloc_insert"},
      {.function = "collect", .module = "/bin/x"},
      {.function = "std::function<void ()>::operator()", .module = "/bin/x"},
      {.function = "main", .module = "/bin/x"}};
  const char *text = printed(frames, 7, false);
  assert_string_equal(text, "       ... 3 frames of the standard library\n"
                            "       at collect+0x0 (x)\n"
                            "       by std::function<void ()>::operator()+0x0 (x)\n"
                            "       by main+0x0 (x)\n");
  text = printed(frames, 7, true);
  assert_non_null(strstr(text, "at operator new"));
  assert_null(strstr(text, "..."));
}

/* Whatever the depth, and wherever the guilty frame is. */
static void no_line_says_that_one_frame_is_left_out(void **state) {
  (void)state;
  for (size_t n = 1; n < 24; n++)
    for (size_t wrappers = 0; wrappers < n; wrappers++) {
      struct frame frames[24];
      for (size_t i = 0; i < n; i++)
        frames[i] = (struct frame){.function = i < wrappers ? "xmalloc" : "work"};
      const char *text = printed(frames, n, false), *more = strstr(text, "... ");
      size_t lines = 0, hidden = 0;
      for (; more; more = strstr(more + 1, "... ")) {
        unsigned long count = strtoul(more + 4, NULL, 10);
        assert_true(count > 1);
        hidden += count - 1;
      }
      for (const char *c = text; *c; c++)
        lines += *c == '\n';
      assert_int_equal(lines + hidden, n);
      assert_true(lines <= 11);
    }
}

/* ---- verbs --------------------------------------------------------------------- */

/* Takes the recordings, as many as the verb does. */
static char *answer_of(const struct verb *verb, bool json, struct recording *const r[],
                       struct view_options options) {
  char *text = NULL;
  size_t n;
  struct context_options nowhere = {.symbols.sysroot = "/nonexistent", .raw = verb->raw};
  struct context *of[RECORDINGS_MOST];
  for (unsigned i = 0; i < verb->recordings; i++)
    of[i] = context_of(r[i], &nowhere);
  void *model = verb->model(of);
  options.out = open_memstream(&text, &n);
  assert_int_equal((json ? verb->json : verb->text)(model, &options), 0);
  fclose(options.out);
  if (verb->forget) verb->forget(model);
  for (unsigned i = 0; i < verb->recordings; i++)
    context_free(of[i]);
  return text;
}

static char *answer(const char *name, bool json, struct recording *r,
                    struct view_options options) {
  return answer_of(verbs_find(name), json, &r, options);
}

static struct recording *example(bool killed) {
  struct build *b = build_example();
  if (killed) {
    b->header.state = UL_STATE_RUNNING;
    b->header.scan.state = UL_SCAN_NONE;
    b->header.end_ms = b->header.end_rss_bytes = 0;
  }
  return opened(b);
}

static void every_verb_answers(void **state) {
  (void)state;
  for (int killed = 0; killed < 2; killed++)
    for (size_t i = 0; i < verbs_count; i++) {
      if (!verbs[i].model) continue;
      bool two = verbs[i].recordings > 1;
      struct recording *looks[] = {example(killed), two ? example(false) : NULL};
      char *text = answer_of(&verbs[i], false, looks, (struct view_options){0});
      assert_true(strlen(text) > 100);
      assert_null(strchr(text, '\033'));
      free(text);
      struct recording *again[] = {example(false), two ? example(killed) : NULL};
      char *all = answer_of(&verbs[i], true, again, (struct view_options){.all = true});
      json_error_t error;
      json_t *root = json_loads(all, 0, &error);
      if (!root) fail_msg("%s: %s at line %d", verbs[i].name, error.text, error.line);
      json_decref(root);
      free(all);
    }
}

static void empty_recordings_have_answers(void **state) {
  (void)state;
  for (size_t i = 0; i < verbs_count; i++) {
    for (int json = 0; json < 2 && verbs[i].model; json++) {
      struct recording *r[] = {opened(build_new()),
                               verbs[i].recordings > 1 ? opened(build_new()) : NULL};
      free(answer_of(&verbs[i], json, r, (struct view_options){0}));
    }
  }
}

static void leaks_without_a_scan_are_not_called_leaks(void **state) {
  (void)state;
  struct build *b = build_example();
  b->header.scan.state = UL_SCAN_FAILED;
  b->header.scan.error = 12;
  char *text = answer("leaks", false, opened(b), (struct view_options){0});
  assert_non_null(strstr(text, "the scan failed: Cannot allocate memory"));
  assert_non_null(strstr(text, "not leaks"));
  assert_null(strstr(text, "LOST"));
  free(text);
}

static bool says(const char *verb, struct build *b, bool alive, const char *what) {
  char message[512];
  size_t n;
  char *file = build_file(b, 1, &n);
  struct recording *r = recording_open_memory(file, n, alive, message, sizeof message);
  if (!r) fail_msg("%s", message);
  char *text = answer(verb, false, r, (struct view_options){0});
  bool said = strstr(text, what) != NULL;
  free(text);
  free(file);
  build_free(b);
  return said;
}

static struct build *unfinished(uint32_t state) {
  struct build *b = build_example();
  b->header.state = state;
  b->header.scan.state = UL_SCAN_NONE;
  b->header.end_ms = b->header.end_rss_bytes = 0;
  return b;
}

static void what_is_live_is_live_at_a_moment(void **state) {
  (void)state;
  struct build *b = unfinished(UL_STATE_EXITED);
  b->header.end_ms = 10000;
  assert_true(says("leaks", b, false, "STILL LIVE AT THE END"));
  assert_true(says("leaks", unfinished(UL_STATE_RUNNING), true, "STILL LIVE NOW"));
  assert_true(says("leaks", unfinished(UL_STATE_RUNNING), false,
                   "STILL LIVE WHEN IT WAS KILLED"));
  assert_true(
      says("report", unfinished(UL_STATE_RUNNING), false, "LIVE WHEN IT WAS KILLED"));
}

static void few_definite_leaks_do_not_hide_many_possible(void **state) {
  (void)state;
  static const char *const what = "; possibly lost: 6.6 MiB in 70,000 blocks";
  struct build *b = build_example();
  build_leak(b, UL_SITE_RESERVED, UL_POSSIBLE, 70000, 6920602);
  assert_true(says("leaks", b, false, what));
  b = build_example();
  build_leak(b, UL_SITE_RESERVED, UL_POSSIBLE, 1, 100);
  assert_false(says("leaks", b, false, "; possibly lost"));
}

/* Two sites that only few measurements are of: one of the start, and one that added
 * blocks since; small or not. */
static struct build *idle(uint64_t added) {
  struct build *b = build_new();
  uint32_t start = build_site(b, (uint64_t[]){0x401000, 0});
  uint32_t later = build_site(b, (uint64_t[]){0x402000, 0});
  b->header.state = UL_STATE_RUNNING;
  b->header.end_ms = 0;
  build_large(b, start, 100, 1 << 20);
  build_large(b, later, 9900, added);
  for (uint32_t i = 0; i < 4; i++) {
    build_snapshot(b, UL_SNAPSHOT_TIMED, i < 3 ? i * 100 : 10000, 1 << 20, 1 << 22);
    build_row(b, start, 1, 1 << 20);
    if (i == 3) build_row(b, later, 1, added);
  }
  return b;
}

/* Also if `run` has written when and how it ended. */
static void killed_processes_end_with_their_ledger(void **state) {
  (void)state;
  struct build *b = idle(1000);
  b->header.state = UL_STATE_SIGNALED;
  b->header.end_ms = 60000;
  struct recording *r = opened(b);
  struct sites *s = sites_load(r);
  struct growth *g = growth_load(r, s, 0);
  assert_int_equal(g->measurements, 5);
  assert_int_equal(g->count, 2);
  for (size_t i = 0; i < 2; i++)
    assert_int_equal(g->sites[i].blocks, 1);
  growth_free(g);
  sites_free(s);
  recording_close(r);
}

static void data_of_the_start_does_not_drown_the_headline(void **state) {
  (void)state;
  assert_true(says("growth", idle(1000), false, "nothing grows\n"));
  assert_true(says("growth", idle(1000), false, "0 growing, 1 unsure, 0 shrinking, 1"));
  assert_true(says("growth", idle(100000), false, "what grows is not known: only 4"));
}

/* However many there are in one expression. */
/* Of a million nodes the rows of a snapshot take 32 MiB, which are in no snapshot. */
static void what_rows_are_made_in_is_not_the_programs(void **state) {
  (void)state;
  for (uint64_t nodes = 0; nodes <= 1 << 20; nodes += 1 << 20) {
    struct build *b = build_new();
    b->header.most_rss_bytes = 40 << 20;
    build_snapshot(b, UL_SNAPSHOT_FINAL, 9000, 1 << 20, 2 << 20);
    build_append(b, UL_NODES, nodes);
    struct recording *r = opened_of(b, 4096);
    assert_int_equal(outside_of(r).matters, !nodes);
    recording_close(r);
  }
}

static void test_texts_do_not_share(void **state) {
  (void)state;
  char all[256];
  snprintf(all, sizeof all, "%s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s ",
           text_count(1000), text_count(2000), text_count(3000), text_count(4000),
           text_count(5000), text_count(6000), text_count(7000), text_count(8000),
           text_count(9000), text_count(10000), text_count(11000), text_count(12000),
           text_count(13000), text_count(14000), text_count(15000), text_count(16000),
           text_count(17000), text_count(18000));
  assert_string_equal(all, "1,000 2,000 3,000 4,000 5,000 6,000 7,000 8,000 9,000 10,000 "
                           "11,000 12,000 13,000 14,000 15,000 16,000 17,000 18,000 ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_rows_are_made_in_is_not_the_programs),
      cmocka_unit_test(test_texts_do_not_share),
      cmocka_unit_test(ledger_adds_up),
      cmocka_unit_test(sites_agree_with_counters),
      cmocka_unit_test(carries_are_added),
      cmocka_unit_test(balance_adds_up),
      cmocka_unit_test(disagreement_stays_visible),
      cmocka_unit_test(killed_processes_balance_by_their_last_snapshot),
      cmocka_unit_test(snapshots_of_one_tick_are_in_order),
      cmocka_unit_test(growth_is_ranked),
      cmocka_unit_test(rows_left_out_are_not_zeros),
      cmocka_unit_test(little_growth_of_short_runs_is_nothing),
      cmocka_unit_test(what_has_all_growth_grows),
      cmocka_unit_test(what_has_all_growth_grows_by_few_rows),
      cmocka_unit_test(what_loads_and_waits_for_a_request_does_not_grow),
      cmocka_unit_test(what_was_loaded_does_not_grow_by_what_does),
      cmocka_unit_test(what_the_same_site_loaded_is_not_its_growth),
      cmocka_unit_test(saturation_is_said_where_it_matters),
      cmocka_unit_test(sizes_are_readable),
      cmocka_unit_test(terminals_are_safe),
      cmocka_unit_test(json_is_utf8),
      cmocka_unit_test(standard_library_is_one_line),
      cmocka_unit_test(no_line_says_that_one_frame_is_left_out),
      cmocka_unit_test(every_verb_answers),
      cmocka_unit_test(empty_recordings_have_answers),
      cmocka_unit_test(leaks_without_a_scan_are_not_called_leaks),
      cmocka_unit_test(killed_processes_end_with_their_ledger),
      cmocka_unit_test(data_of_the_start_does_not_drown_the_headline),
      cmocka_unit_test(what_is_live_is_live_at_a_moment),
      cmocka_unit_test(few_definite_leaks_do_not_hide_many_possible),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
