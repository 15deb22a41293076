/* One pass over the trie knows of each stack what a walk along it does: over random
 * tries of own functions, the runtime's, main's, and more functions than fit in a word.
 */
#include "build_recording.h"
#include "names/through.h"
#include "read/recording.h"

#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { EXAMPLE, LIBC, SELF, MODULES };
enum { OWN_CODES = 90, RUNTIME_CODES = 5, NODES = 800, SITES = 600 };

int main(void);

static uint64_t state = 1;

static uint32_t below(uint64_t n) {
  state = state * 6364136223846793005 + 1442695040888963407;
  return (uint32_t)((state >> 33) % n);
}

static int take_first_bias(struct dl_phdr_info *info, size_t bytes, void *bias) {
  (void)bytes;
  *(uint64_t *)bias = info->dlpi_addr;
  return 1;
}

static uint64_t offset_in_main(void) {
  uint64_t bias = 0;
  dl_iterate_phdr(take_first_bias, &bias);
  return (uint64_t)(uintptr_t)main - bias + 5;
}

static void add_module(struct build *b, const char *path) {
  uint32_t name = build_text(b, path);
  uint64_t i = build_append(b, UL_MODULES, 1);
  *(struct ul_module *)build_at(b, UL_MODULES, i) =
      (struct ul_module){.start = i << 40,
                         .end = (i << 40) + (1 << 30),
                         .bias = i << 40,
                         .unloaded_ms = UINT32_MAX,
                         .name = name,
                         .loads = 1};
}

static void add_code(struct build *b, uint16_t module, uint64_t offset) {
  uint64_t i = build_append(b, UL_CODES, 1);
  *(uint64_t *)build_at(b, UL_CODES, i) = ul_code(module, offset);
}

static uint32_t any_code(const struct build *b) {
  uint64_t codes = b->tables[UL_CODES].count - UL_CODE_RESERVED;
  return below(4)
             ? UL_CODE_RESERVED + below(codes) /* ... or of the last: main's, libc's */
             : (uint32_t)(b->tables[UL_CODES].count - 1 - below(RUNTIME_CODES + 1));
}

static struct recording *random_recording(void) {
  char error[512];
  size_t bytes;
  struct build *b = build_new();
  add_module(b, "/lib/libc.so.6");
  add_module(b, "/proc/self/exe");
  for (int i = 0; i < OWN_CODES; i++)
    add_code(b, EXAMPLE, 0x1000u + (unsigned)i * 16);
  for (int i = 0; i < RUNTIME_CODES; i++)
    add_code(b, LIBC, 0x1000u + (unsigned)i * 16);
  add_code(b, SELF, offset_in_main());
  for (int i = 0; i < NODES; i++) {
    uint64_t node = build_append(b, UL_NODES, 1);
    uint32_t near = node > 40 && below(8) ? (uint32_t)node - 1 - below(3) : below(node);
    *(struct ul_node *)build_at(b, UL_NODES, node) =
        (struct ul_node){near, below(50) ? any_code(b) : 0};
  }
  for (int i = 0; i < SITES; i++) {
    uint64_t site = build_append(b, UL_SITES, 1);
    *(struct ul_site *)build_at(b, UL_SITES, site) =
        (struct ul_site){below(b->tables[UL_NODES].count), any_code(b)};
  }
  char *file = build_file(b, 1, &bytes);
  struct recording *r = recording_open_memory(file, bytes, false, error, sizeof error);
  free(file);
  build_free(b);
  assert_non_null(r);
  return r;
}

static void note(void *to, uint32_t site, struct through_set set) {
  unsigned char(*through)[OWN_CODES + RUNTIME_CODES + 1] = to;
  for (size_t i; through_next(&set, &i);)
    through[site][i]++;
}

static bool is_in(struct functions *f, uint32_t site, uint32_t function) {
  const struct function_call *stack;
  size_t n = functions_stack(f, site, &stack);
  for (size_t i = 0; i < n; i++)
    if (stack[i].function == function) return true;
  return false;
}

static void compare(struct functions *f, uint32_t sites, uint32_t within) {
  enum { MOST = OWN_CODES + RUNTIME_CODES + 1 };
  struct function_call calls[MOST];
  unsigned char(*through)[MOST] = calloc(sites, sizeof *through);
  size_t n = functions_count(f) < MOST ? functions_count(f) : MOST, in = 0;
  for (uint32_t i = 0; i < n; i++)
    calls[i] = (struct function_call){.function = i};
  assert_true(through_each(f, within, calls, n, note, through));
  for (uint32_t site = UL_SITE_RESERVED; site < sites; site++) {
    bool counts = within == THROUGH_ANY || is_in(f, site, within);
    for (uint32_t i = 0; i < n; i++) {
      assert_int_equal(through[site][i], counts && is_in(f, site, i));
      in += through[site][i];
    }
  }
  assert_true(in > 0);
  free(through);
}

static void as_a_walk_has_it(void **unused) {
  (void)unused;
  for (int round = 0; round < 20; round++) {
    const struct function_call *stack;
    struct recording *r = random_recording();
    struct symbols *symbols = symbols_new(r, &(struct symbols_options){0});
    struct functions *f = functions_new(r, symbols);
    uint32_t sites = (uint32_t)recording_count(r, UL_SITES), mains = 0;
    for (uint32_t site = UL_SITE_RESERVED; site < sites; site++) {
      size_t n = functions_stack(f, site, &stack);
      mains += n && functions_kind(f, stack[n - 1].function) == FUNCTION_START;
    }
    assert_true(mains > SITES / 50 && functions_count(f) > 64);
    compare(f, sites, THROUGH_ANY);
    for (uint32_t i = 0; i < 5; i++) {
      size_t n = functions_stack(f, UL_SITE_RESERVED + below(SITES), &stack);
      if (n) compare(f, sites, stack[below(n)].function);
    }
    functions_free(f);
    symbols_free(symbols);
    recording_close(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(as_a_walk_has_it)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
