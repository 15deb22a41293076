#include "answers/fingerprint.h"

#include "names/blame.h"
#include "names/module.h"
#include "read/blocks.h"
#include "read/estimate.h"

#include <stdlib.h>
#include <string.h>

/* ---- hashes: FNV-1a, 64 bits --------------------------------------------------- */

#define SEED 0xcbf29ce484222325u

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ at[i]) * 0x100000001b3;
  return hash;
}

/* The byte 0xff is in no text: where one ends is told. */
static uint64_t hash_text(uint64_t hash, const char *text, size_t n) {
  return hash_bytes(hash_bytes(hash, text, n), "\xff", 1);
}

static uint64_t hash_number(uint64_t hash, uint64_t number) {
  unsigned char bytes[sizeof number];
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (unsigned char)(number >> 8 * i);
  return hash_bytes(hash, bytes, sizeof bytes);
}

/* ---- one function -------------------------------------------------------------- */

static uint64_t hash_module(const struct recording *r, uint64_t hash, const char *path) {
  if (strcmp(path, recording_text(r, recording_header(r)->program)) == 0)
    return hash_text(hash, "", 0);
  const char *name = basename(path), *version = strstr(name, ".so.");
  return hash_text(hash, name, version ? (size_t)(version - name) : strlen(name));
}

/* In the module of a build; two of one build are the same. */
static uint64_t hash_place(const struct recording *r, uint64_t hash,
                           const struct frame *frame) {
  const struct ul_module *m = recording_module(r, frame->of_module);
  if (m) hash = hash_bytes(hash, m->build_id, m->build_id_bytes);
  return hash_number(hash, frame->start ? frame->start : frame->offset);
}

uint64_t fingerprint_function(const struct recording *r, const struct frame *frame) {
  uint64_t hash = SEED;
  if (frame->note) return hash_text(hash, frame->function, strlen(frame->function));
  if (!frame->module) return hash_text(hash, "(no module)", strlen("(no module)"));
  hash = hash_module(r, hash, frame->module);
  if (frame->function) return hash_text(hash, frame->function, strlen(frame->function));
  return hash_place(r, hash, frame);
}

/* ---- a chain ------------------------------------------------------------------- */

static bool is_main(const struct frame *frame) {
  return frame->function && strcmp(frame->function, "main") == 0;
}

/* By what is known with and without debug information. */
static bool counts(const struct frame *frame) {
  struct frame named = *frame;
  named.file = NULL;
  return !frame->inlined && !frame->hidden && !frame->note && blame_is_own(&named);
}

struct chain {
  const struct recording *recording;
  uint64_t *keys;
  size_t count;
};

static bool has(const struct chain *c, uint64_t key) {
  for (size_t i = 0; i < c->count; i++)
    if (c->keys[i] == key) return true;
  return false;
}

static void add(struct chain *c, const struct frame *frame) {
  uint64_t key = fingerprint_function(c->recording, frame);
  if (!has(c, key)) c->keys[c->count++] = key;
}

static void add_own(struct chain *c, const struct frame *const *frames, size_t n,
                    bool main) {
  for (size_t i = 0; i < n; i++)
    if (counts(frames[i]) && is_main(frames[i]) == main) add(c, frames[i]);
}

struct fingerprint fingerprint_of_frames(const struct recording *r,
                                         const struct frame *const *frames, size_t n,
                                         enum ul_family family) {
  struct chain c = {r, malloc((n + 1) * sizeof *c.keys), 0};
  if (!c.keys) return (struct fingerprint){0, 0};
  add_own(&c, frames, n, false);
  if (!c.count) add_own(&c, frames, n, true);
  if (!c.count && n) add(&c, frames[0]); /* of the runtime alone */
  struct fingerprint f = {hash_number(SEED, family), c.count ? c.keys[0] : 0};
  for (size_t i = 0; i < c.count; i++)
    f.exact = hash_number(f.exact, c.keys[i]);
  free(c.keys);
  return f;
}

/* No chain has such a hash. */
static uint64_t as_blamed(uint64_t key, enum ul_family family) {
  return hash_number(hash_number(hash_text(SEED, "blamed", 6), family), key);
}

uint64_t fingerprint_of_blamed(const struct recording *r,
                               const struct frame *const *frames, size_t n,
                               enum ul_family family) {
  return as_blamed(fingerprint_of_frames(r, frames, n, family).loose, family);
}

/* ---- sites and findings -------------------------------------------------------- */

struct fingerprints {
  const struct recording *recording;
  struct symbols *symbols;
  uint8_t *families; /* by site: enum ul_family of a live block; 0: none lives */
};

static void note_family(const struct live_block *b, void *argument) {
  const struct fingerprints *f = argument;
  uint8_t *of_site = f->families + estimate_stack(f->recording, ul_entry_site(b->entry));
  if (!*of_site) *of_site = (uint8_t)ul_entry_family(b->entry);
}

struct fingerprints *fingerprints_new(const struct recording *r,
                                      struct symbols *symbols) {
  struct fingerprints *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  *f = (struct fingerprints){r, symbols, calloc(recording_count(r, UL_SITES) + 1, 1)};
  if (f->families) {
    blocks_each(r, note_family, f);
    return f;
  }
  fingerprints_free(f);
  return NULL;
}

void fingerprints_free(struct fingerprints *f) {
  if (!f) return;
  free(f->families);
  free(f);
}

enum ul_family fingerprint_family(const struct fingerprints *f, uint32_t site) {
  return f->families[site];
}

/* To be freed; NULL: no memory. */
static const struct frame **frames_of(struct fingerprints *f, uint32_t site, size_t *n) {
  const struct frame *frames;
  *n = frame_stack(f->symbols, site, &frames);
  const struct frame **chain = malloc(*n * sizeof *chain);
  for (size_t i = 0; chain && i < *n; i++)
    chain[i] = &frames[i];
  return chain;
}

size_t fingerprint_functions(struct fingerprints *f, uint32_t site, uint64_t *to,
                             size_t max) {
  size_t n, kept = 0;
  const struct frame **frames = frames_of(f, site, &n);
  struct chain c = {f->recording, malloc((n + 1) * sizeof *c.keys), 0};
  if (frames && c.keys) {
    add_own(&c, frames, n, false);
    add_own(&c, frames, n, true);
  }
  for (; kept < c.count && kept < max; kept++)
    to[kept] = as_blamed(c.keys[kept], f->families[site]);
  free(frames);
  free(c.keys);
  return kept;
}

struct fingerprint fingerprint_of_site(struct fingerprints *f, uint32_t site) {
  size_t n;
  const struct frame **chain = frames_of(f, site, &n);
  if (!chain) return (struct fingerprint){0, 0};
  struct fingerprint found =
      fingerprint_of_frames(f->recording, chain, n, f->families[site]);
  free(chain);
  return found;
}

struct fingerprint fingerprint_of_cause(struct fingerprints *f,
                                        struct functions *functions,
                                        const struct causes *causes, size_t cause) {
  enum { MOST = 64 };
  const struct cause *c = &causes->at[cause];
  const struct frame *frames[MOST + 1];
  frames[0] = causes_frame(functions, c);
  if (!frames[0]) return fingerprint_of_site(f, c->site);
  size_t n = causes_common(functions, causes, cause, frames + 1, MOST);
  return fingerprint_of_frames(f->recording, frames, 1 + (n < MOST ? n : MOST),
                               f->families[c->site]);
}

struct fingerprint fingerprint_of_finding(struct fingerprints *f,
                                          const struct findings *all,
                                          const struct finding *finding) {
  return fingerprint_of_cause(f, all->functions, finding->causes, finding->cause);
}
