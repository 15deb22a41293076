/* libFuzzer target: any bytes at all as a recording. What the reader accepts, every
 * element of it must be readable and every verb must get through. */
#include "frame.h"
#include "recording.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file of only a few KiB reaches more per second: the unused part of the header
 * (after the 20 first segments) is left out of the input. */
#define SEGMENTS 40u
#define SHORT                                                                            \
  (offsetof(struct ul_header, segments) + SEGMENTS * sizeof(struct ul_segment))

static FILE *nowhere;

static void ask(struct recording *r, struct symbols *symbols, bool json) {
  const struct view_options options = {
      .out = nowhere, .symbols = symbols, .json = json, .all = json, .bytes = !json};
  report_main(r, &options);
  growth_main(r, &options);
  leaks_main(r, &options);
  unused_main(r, &options);
  dump_main(r, &options);
  if (!json) report_summary(r, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!nowhere && !(nowhere = fopen("/dev/null", "w"))) abort();
  if (size < SHORT + 1) return -1;
  size_t whole = size - 1 - SHORT + UL_HEADER_BYTES;
  char *file = calloc(1, whole), error[256];
  if (!file) abort();
  bool alive = data[0] & 1;
  memcpy(file, data + 1, SHORT);
  memcpy(file + UL_HEADER_BYTES, data + 1 + SHORT, whole - UL_HEADER_BYTES);
  struct recording *r = recording_open_memory(file, whole, alive, error, sizeof error);
  if (r) {
    struct symbols *symbols = symbols_new(r, NULL);
    ask(r, symbols, false);
    ask(r, symbols, true);
    symbols_free(symbols);
  }
  recording_close(r);
  free(file);
  return 0;
}
