/* fuzz_recording.c - libFuzzer target: any bytes are a recording, and whatever the
 * reader accepts must be answerable, as text and as JSON.
 *
 * A recording is mostly zeros, where blind changes find nothing: most mutations
 * here change one word among those in use. */
#include "answers/models.h"
#include "command/verbs.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Nothing of this machine is to be opened for the paths that a recording names. */
static const struct context_options nowhere = {.symbols.sysroot = "/nonexistent"};
static const struct context_options raw = {.symbols.sysroot = "/nonexistent",
                                           .raw = true};

static struct context *open_context(const uint8_t *data, size_t size, bool alive,
                                    const struct context_options *options) {
  char error[512];
  struct recording *r = recording_open_memory(data, size, alive, error, sizeof error);
  return r ? context_of(r, options) : NULL;
}

/* Of a verb of two recordings, both are this one; at first of its peak, then its end. */
static void answer(const struct verb *verb, const uint8_t *data, size_t size, bool alive,
                   FILE *out) {
  struct context *of[RECORDINGS_MOST] = {NULL};
  bool good = true;
  for (unsigned i = 0; i < verb->recordings; i++)
    good = (of[i] = open_context(data, size, alive, verb->raw ? &raw : &nowhere)) && good;
  if (good && alive && verb->takes & TAKES_MOMENTS) {
    char error[512];
    of[0]->at = moment_find(of[0]->processes[0].recording, "peak", error, sizeof error);
  }
  void *model = good ? verb->model(of) : NULL;
  if (model) verb->text(model, &(struct view_options){.out = out, .all = alive});
  if (model) verb->json(model, &(struct view_options){.out = out, .all = alive});
  if (model && verb->forget) verb->forget(model);
  for (unsigned i = 0; i < verb->recordings; i++)
    context_free(of[i]);
}

static void summary(const uint8_t *data, size_t size, bool alive, FILE *out) {
  static const struct context_options brief = {.nameless = true};
  struct context *of = open_context(data, size, alive, &brief);
  struct overview *all = of ? overview_load(of) : NULL;
  if (all) report_summary(all, &(struct view_options){.out = out});
  report_forget(all);
  context_free(of);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  FILE *out = fopen("/dev/null", "w");
  for (int alive = 0; out && alive < 2; alive++) {
    for (size_t i = 0; i < verbs_count; i++)
      if (verbs[i].model) answer(&verbs[i], data, size, alive, out);
    summary(data, size, alive, out);
  }
  if (out) fclose(out);
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

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed) {
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
