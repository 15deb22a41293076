/* recursion.c - see recursion.h.
 *
 * Nodes are made stack by stack, the callers first. So who goes through them by number,
 * up or down, goes through the trie nearly as a search in depth would: from one to the
 * next it leaves a few frames and enters a few. The *path* is the chain of the last one,
 * outermost first, with how often each code is in it; to move it costs as many steps as
 * frames are left and entered, whatever the depth. What was found of a node stays. */
#include "account/recursion.h"

#include "base/meta.h"
#include "recording/table.h"

#include <string.h>

enum { DEPTH_MAX = 2048 };

/* A bit for each, and one that says that it is known. */
struct bits {
  uint64_t *known, *set;
  size_t words;
};
static struct bits nodes, sites;
static uint16_t *in_path; /* [code] */
static size_t codes;
static uint32_t path[DEPTH_MAX], entering[DEPTH_MAX];
static unsigned depth;

/* Chains lead all over the table. */
static const struct ul_node *node_at(uint32_t i) {
  enum { RUNS = 256, NEXT_TO_EACH_OTHER = 1024 };
  static struct table_run runs[RUNS];
  struct table_run *run = &runs[i / NEXT_TO_EACH_OTHER % RUNS];
  return table_in(run, UL_NODES, i, sizeof(struct ul_node));
}
static const struct ul_site *site_at(uint32_t i) {
  static struct table_run run;
  return table_in(&run, UL_SITES, i, sizeof(struct ul_site));
}

/* ---- memory -------------------------------------------------------------------- */

static void *copy(const void *old, size_t have, size_t want) {
  void *bigger = meta_alloc(want);
  if (bigger && have) memcpy(bigger, old, have);
  return bigger;
}

static bool grow(void **p, size_t have, size_t want) {
  void *bigger = copy(*p, have, want);
  if (!bigger) return false;
  meta_free(*p, have);
  *p = bigger;
  return true;
}

/* Both or none, for they have one size. */
static bool bits_grow(struct bits *b, size_t n) {
  size_t words = n / 64 + 1, have = b->words * sizeof *b->set;
  if (words <= b->words) return true;
  words += words / 4;
  uint64_t *known = copy(b->known, have, words * sizeof *known);
  if (!known) return false;
  if (!grow((void **)&b->set, have, words * sizeof *b->set)) {
    meta_free(known, words * sizeof *known);
    return false;
  }
  meta_free(b->known, have);
  b->known = known;
  b->words = words;
  return true;
}

static bool codes_grow(size_t n) {
  if (n <= codes) return true;
  n += n / 4;
  if (!grow((void **)&in_path, codes * sizeof *in_path, n * sizeof *in_path))
    return false;
  codes = n;
  return true;
}

/* ---- the path ------------------------------------------------------------------ */

/* What is newer than the table was when it was made is counted as code 0. */
static uint16_t *times(uint32_t code) {
  return &in_path[code < codes ? code : 0];
}

static void leave(void) {
  --*times(node_at(path[--depth])->code);
}

static void enter(uint32_t node) {
  path[depth++] = node;
  ++*times(node_at(node)->code);
}

/* Ancestors have smaller numbers: of the path's end and the chain's the larger is not in
 * the other. Returns how many frames it has left and entered. */
static unsigned go_to(uint32_t node) {
  unsigned n = 0, before = depth;
  while (node >= UL_NODE_RESERVED && (!depth || path[depth - 1] != node)) {
    if (depth && path[depth - 1] > node) {
      leave();
    } else {
      if (n == DEPTH_MAX) break;
      entering[n++] = node;
      node = node_at(node)->parent;
    }
  }
  while (node < UL_NODE_RESERVED && depth)
    leave();
  unsigned moves = before - depth + n;
  while (n && depth < DEPTH_MAX)
    enter(entering[--n]);
  return moves;
}

/* ---- bits ---------------------------------------------------------------------- */

static void learned(struct bits *b, size_t i, bool set) {
  uint64_t bit = UINT64_C(1) << i % 64;
  b->known[i / 64] |= bit;
  if (set) b->set[i / 64] |= bit;
}

static bool is_known(const struct bits *b, size_t i) {
  return i / 64 < b->words && b->known[i / 64] >> i % 64 & 1;
}

static bool is_set(const struct bits *b, size_t i) {
  return b->set[i / 64] >> i % 64 & 1;
}

bool recursion_begin(size_t site_count, size_t node_count, size_t code_count) {
  while (depth)
    leave();
  return bits_grow(&sites, site_count) && bits_grow(&nodes, node_count) &&
         codes_grow(code_count);
}

static bool is_above(uint32_t code, uint32_t parent, int64_t *steps) {
  *steps -= go_to(parent);
  return *times(code) != 0;
}

bool recursion_at_node(uint32_t i, int64_t *steps) {
  const struct ul_node *n = node_at(i);
  if (!is_known(&nodes, i)) learned(&nodes, i, is_above(n->code, n->parent, steps));
  return is_set(&nodes, i);
}

bool recursion_at_site(uint32_t i, int64_t *steps) {
  const struct ul_site *s = site_at(i);
  if (!is_known(&sites, i))
    learned(&sites, i, is_above(ul_site_code(s), s->parent, steps));
  return is_set(&sites, i);
}
