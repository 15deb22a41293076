/* recursion.c - see recursion.h.
 *
 * Nodes are made stack by stack, the callers first. So who goes through them by number
 * goes through the trie nearly as a search in depth would: from one to the next it leaves
 * a few frames and enters a few. The *path* is the chain of the last one, outermost
 * first, with how often each code is in it; to move it costs as many steps as frames are
 * left and entered, whatever the depth.
 *
 * A number that was taken but not yet written (intern.c), or never will be, is not
 * learned; should somebody need it later, its chain is gone through. */
#include "account/recursion.h"

#include "base/meta.h"
#include "recording/table.h"

#include <string.h>

enum { DEPTH_MAX = 2048 };

/* A bit for each, and one that says that it is known. */
struct bits {
  uint64_t *known, *set;
  size_t words, seen;
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

static bool grow(void **p, size_t have, size_t want) {
  void *bigger = meta_alloc(want);
  if (!bigger) return false;
  if (have) memcpy(bigger, *p, have);
  meta_free(*p, have);
  *p = bigger;
  return true;
}

static bool bits_grow(struct bits *b, size_t n) {
  size_t words = n / 64 + 1, size = sizeof *b->set;
  if (words <= b->words) return true;
  words += words / 4;
  bool grown = grow((void **)&b->known, b->words * size, words * size) &&
               grow((void **)&b->set, b->words * size, words * size);
  if (grown) b->words = words;
  return grown;
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
 * the other. */
static void go_to(uint32_t node) {
  unsigned n = 0;
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
  while (n && depth < DEPTH_MAX)
    enter(entering[--n]);
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

bool recursion_learn(void) {
  size_t site_count = table_count(UL_SITES), node_count = table_count(UL_NODES);
  while (depth)
    leave();
  if (!bits_grow(&sites, site_count) || !bits_grow(&nodes, node_count) ||
      !codes_grow(table_count(UL_CODES)))
    return false;
  for (; nodes.seen < node_count; nodes.seen++) {
    const struct ul_node *n = node_at((uint32_t)nodes.seen);
    if (!n->code || n->code >= codes) continue;
    go_to(n->parent);
    learned(&nodes, nodes.seen, in_path[n->code]);
    if (depth < DEPTH_MAX) enter((uint32_t)nodes.seen);
  }
  for (; sites.seen < site_count; sites.seen++) {
    const struct ul_site *s = site_at((uint32_t)sites.seen);
    if (!s->code || s->code >= codes) continue;
    go_to(s->parent);
    learned(&sites, sites.seen, in_path[s->code]);
  }
  return true;
}

static bool in_chain(uint32_t code, uint32_t node) {
  for (; node >= UL_NODE_RESERVED; node = node_at(node)->parent)
    if (node_at(node)->code == code) return true;
  return false;
}

bool recursion_at_node(uint32_t i) {
  const struct ul_node *n = node_at(i);
  return is_known(&nodes, i) ? is_set(&nodes, i) : in_chain(n->code, n->parent);
}

bool recursion_at_site(uint32_t i) {
  const struct ul_site *s = site_at(i);
  return is_known(&sites, i) ? is_set(&sites, i) : in_chain(s->code, s->parent);
}
