#include "ledger/sample.h"

#include "base/os.h"

uint64_t sample_bytes;
uint32_t sample_site;
uint64_t sample_loader_start, sample_loader_bytes;
static uint64_t first_seed;

void sample_renew(uint32_t site) {
  sample_site = site;
}

void sample_begin(uint64_t bytes, uint64_t seed, uint32_t site) {
  sample_site = site;
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

bool sample_reached(struct book *b, size_t size) {
  struct sample *s = &b->sample;
  size |= !size;
  if (!s->random) { /* the heap's first */
    s->random = first_seed + (uint64_t)b->index * UINT64_C(0xd1342543de82ef95) + 1;
    s->left = sample_distance(&s->random, sample_bytes);
  }
  bool reached = s->left <= size;
  s->left = reached ? sample_distance(&s->random, sample_bytes) : s->left - size;
  return reached;
}
