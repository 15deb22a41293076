/* fuzz_recording.c - libFuzzer target: any bytes are a recording, and whatever the
 * reader accepts must be answerable, as text and as JSON.
 *
 * A recording is mostly zeros, where blind changes find nothing: most mutations
 * here change one word among those in use. */
#include "names/frame.h"
#include "read/recording.h"
#include "show/verbs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

typedef int verb(struct recording *, const struct view_options *);

static void answer(struct recording *r, bool json) {
  static verb *const verbs[] = {report_main, growth_main, leaks_main, unused_main,
                                dump_main,   report_summary};
  /* Nothing of this machine is to be opened for the paths that a recording names. */
  struct symbols_options nowhere = {.sysroot = "/nonexistent"};
  struct symbols *symbols = symbols_new(r, &nowhere);
  FILE *out = fopen("/dev/null", "w");
  if (symbols && out)
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
      struct view_options options = {
          .out = out, .symbols = symbols, .json = json, .all = json};
      verbs[i](r, &options);
    }
  if (out) fclose(out);
  symbols_free(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char error[512];
  for (int alive = 0; alive < 2; alive++) {
    struct recording *r =
        recording_open_memory(data, size, alive, error, sizeof error);
    if (!r) continue;
    answer(r, alive);
    recording_close(r);
  }
  return 0;
}

static size_t used_word(const uint8_t *data, size_t words, uint64_t *random) {
  static const uint64_t none;
  size_t at = *random % words;
  for (size_t i = 0; i < words; i++) {
    size_t word = (at + i) % words;
    if (memcmp(data + word * 8, &none, 8)) return word;
  }
  return at;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  uint64_t random = seed * 0x9e3779b97f4a7c15u + 1;
  if (size < 64 || seed % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  /* Half of the time in the header: that is where the tables are described. */
  size_t words = size / 8;
  if (seed % 2 && words > UL_HEADER_BYTES / 8) words = UL_HEADER_BYTES / 8;
  random ^= random >> 29;
  uint8_t *word = data + 8 * used_word(data, words, &random);
  size_t part = random >> 40 & 1 ? 8 : 4;
  size_t at = part == 4 ? (random >> 41 & 1) * 4 : 0;
  LLVMFuzzerMutate(word + at, part, part);
  return size;
}
