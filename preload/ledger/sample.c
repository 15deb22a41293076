#include "ledger/sample.h"

#include "base/os.h"
#include "base/thread.h"
#include "ledger/ledger.h"
#include "recording/recording.h"

#include <string.h>

enum { GRANTS = 32 }; /* from one point to the next, at least, on average */

_Atomic uint64_t sample_bytes;
bool sample_watches;
uint32_t sample_site;
uint64_t sample_entry;
uint64_t sample_loader_start, sample_loader_bytes;
static uint64_t first_seed;

void sample_renew(uint32_t site) {
  sample_site = site;
  sample_entry = UL_ENTRY_LIVE | site;
}

void sample_begin(uint64_t bytes, uint64_t seed, uint32_t site) {
  sample_renew(site);
  first_seed = seed ? seed : os_real_ns() ^ (uint64_t)os_pid() << 40;
  sample_bytes = bytes;
}

void sample_set_loader(uint64_t start, uint64_t end) {
  sample_loader_start = start;
  sample_loader_bytes = end - start;
}

/* splitmix64 */
static uint64_t next(uint64_t *random) {
  uint64_t x = *random += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

static double uniform(uint64_t *random) {
  return (double)(next(random) >> 11) * 0x1p-53;
}

/* Von Neumann's: a run of falling numbers that begins with u is of odd length with
 * probability exp(-u), exactly and without a logarithm. */
static double exponential(uint64_t *random) {
  for (double whole = 0;; whole++) {
    double first = uniform(random), last = first, other;
    bool odd = true;
    for (; (other = uniform(random)) < last; odd = !odd)
      last = other;
    if (odd) return whole + first;
  }
}

/* Rounded up, so that a block of s bytes is reached with probability 1 - exp(-s / bytes),
 * exactly, and what is left after it is distributed as before it. */
uint64_t sample_distance(uint64_t *random, uint64_t bytes) {
  return 1 + (uint64_t)(exponential(random) * (double)bytes);
}

/* ---- the countdown -------------------------------------------------------------- */

/* What was granted counts as gone once it is taken back, and only the owner changes it;
 * by one instruction each, for a handler may come in between. */
static void set_left(struct book *b, int64_t bytes) {
  int64_t more = bytes - b->sample.left;
  book_add(&b->live, more);
  book_add(&b->sample.left, more);
  book_subtract(&b->sample.beyond, more);
}

static void set_left_to_free(struct book *b, int64_t bytes) {
  int64_t more = bytes - b->sample.left_to_free;
  book_subtract(&b->live, more);
  book_add(&b->sample.left_to_free, more);
}

/* Bytes that pass before the next point: it lies on the one behind them. */
static int64_t draw(struct sample *s) {
  return (int64_t)sample_distance(&s->random, sample_bytes) - 1;
}

bool sample_passes(struct heap *h, size_t size) {
  struct sample *s = &book_of(h)->sample;
  int64_t bytes = (int64_t)(size | !size);
  if (UNLIKELY(!s->random)) { /* the heap's first */
    s->random =
        first_seed + (uint64_t)book_of(h)->index * UINT64_C(0xd1342543de82ef95) + 1;
    s->beyond = draw(s);
    s->slow = RECENT_BLOCKS; /* others may be among the last */
  }
  if (s->slow) s->slow--;
  s->beyond -= bytes;
  if (s->beyond < 0) set_left(book_of(h), 0); /* of what is there now, none was granted */
  if (LIKELY(s->beyond >= 0)) return true;
  s->beyond = draw(s);
  s->slow = RECENT_BLOCKS - 1;
  return false;
}

/* ---- what is granted ------------------------------------------------------------ */

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* From one to the other, but no more than is granted at once. */
static int64_t room(int64_t low, int64_t high) {
  if (high <= low) return 0;
  uint64_t bytes = (uint64_t)high - (uint64_t)low;
  int64_t most = least(SAMPLE_GRANT_MAX, (int64_t)(sample_bytes / GRANTS));
  return bytes < (uint64_t)most ? (int64_t)bytes : most;
}

/* A sampled block is temporary if it is freed while it is among the last few that were
 * allocated. These are looked at one by one until no sampled one can be among them. */
static int64_t to_allocate(struct book *b) {
  struct sample *s = &b->sample;
  if (s->slow || !s->random) return 0;
  memset(b->recent, 0, sizeof b->recent);
  return least(room(0, s->left + s->beyond), room(book_live(b), b->ceiling));
}

static struct ul_counter *light_counter(struct heap *h) {
  struct ul_counter *c = ledger_counter(h, sample_site);
  if (UNLIKELY(ledger_is_heavy_in(c) || ledger_is_heavy_out(c)))
    ledger_relieve(h, sample_site, c);
  return c;
}

/* What was granted in another epoch is taken back. false: recording was stopped just now,
 * or each free is looked at. */
static bool renew(struct heap *h) {
  struct book *b = book_of(h);
  uint32_t epoch = process_epoch();
  if (UNLIKELY((int32_t)epoch < EPOCH_FIRST)) return false;
  if (b->sample.epoch != epoch) {
    set_left(b, 0);
    set_left_to_free(b, 0);
  }
  b->sample.counter = light_counter(h);
  b->sample.epoch = epoch;
  return true;
}

bool sample_grant(struct heap *h, size_t size) {
  struct book *b = book_of(h);
  if (!renew(h)) return false;
  b->sample.word = sample_entry | b->clock.birth;
  atomic_signal_fence(memory_order_seq_cst); /* a handler may use what it finds granted */
  set_left(b, to_allocate(b));
  set_left_to_free(b, room(b->floor, book_live(b))); /* spares its own look */
  thread_state.quick = h;
  return sample_granted(b->sample.left, size);
}

bool sample_grant_to_free(struct heap *h, size_t size) {
  struct book *b = book_of(h);
  if (!renew(h)) return false;
  atomic_signal_fence(memory_order_seq_cst);
  set_left_to_free(b, room(b->floor, book_live(b)));
  return sample_granted(b->sample.left_to_free, size);
}
