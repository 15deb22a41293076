/* site.c - from a stack to its site.
 *
 * Two tables. The *cache* maps the hash of a whole stack to its site and is read
 * without a lock; nearly every allocation ends here. A slot is one word,
 *
 *     63..24 the upper bits of the stack's hash     23..0 the site
 *
 * so that a reader never sees half of it. Two stacks of one process are confused
 * only if their hashes agree in these 40 bits and they land in one run of
 * slots: with a million sites the chance is about one in 10^6.
 *
 * The *trie* is the truth: nodes (parent, address, module) in the recording, and
 * an index to find a child, both under the site lock. A node keeps its module,
 * so when another object is loaded where one was unloaded, the same address is
 * another node, and when the old object comes back, its nodes serve again. The
 * cache does not know modules: it is emptied whenever something was unloaded.
 *
 * Modules are looked up before the lock is taken: that may go through the loader,
 * whose lock another thread can hold while it waits for ours in its malloc. */
#include "ledger/site.h"

#include "base/lock.h"
#include "base/meta.h"
#include "base/thread.h"
#include "ledger/book.h"
#include "recording/recording.h"
#include "recording/table.h"
#include "stack/hash.h"
#include "stack/module.h"
#include "stack/stack.h"

#include <string.h>

struct cache {
  uint64_t mask; /* slots - 1 */
  uint64_t used;
  _Atomic uint64_t slots[];
};
enum { CACHE_FIRST = 1024, INDEX_FIRST = 4096 };
#define SITE_BITS UINT64_C(0xffffff)

uint32_t site_depth_limit = WALK_DEPTH_MAX;

static struct lock lock;
static struct cache *_Atomic cache;
static uint64_t cache_generation;
static uint32_t *node_index; /* open addressing; node numbers, 0: empty */
static uint64_t node_index_mask;

/* ---- the cache ----------------------------------------------------------------- */

static uint32_t cache_find(uint64_t hash) {
  struct cache *c = atomic_load_explicit(&cache, memory_order_acquire);
  if (UNLIKELY(!c)) return 0;
  for (uint64_t i = hash & c->mask;; i = (i + 1) & c->mask) {
    uint64_t slot = atomic_load_explicit(&c->slots[i], memory_order_relaxed);
    if (!slot) return 0;
    if (!((slot ^ hash) & ~SITE_BITS)) return slot & SITE_BITS;
  }
}

static void cache_put(struct cache *c, uint64_t slot, uint64_t hash) {
  uint64_t i = hash & c->mask;
  while (atomic_load_explicit(&c->slots[i], memory_order_relaxed))
    i = (i + 1) & c->mask;
  atomic_store_explicit(&c->slots[i], slot, memory_order_release);
  c->used++;
}

static struct cache *cache_new(uint64_t slots) {
  struct cache *c = meta_alloc(sizeof *c + slots * sizeof c->slots[0]);
  if (c) c->mask = slots - 1;
  return c;
}

/* A slot has lost the hash's lower bits, so a larger cache begins empty and is filled
 * again from the trie. The old one stays: somebody may be reading it, and all
 * the old ones together are no larger than the new one. */
static struct cache *cache_with_room(void) {
  struct cache *c = atomic_load_explicit(&cache, memory_order_relaxed);
  if (c && c->used * 2 <= c->mask) return c;
  struct cache *bigger = cache_new(c ? (c->mask + 1) * 2 : CACHE_FIRST);
  if (!bigger) return NULL;
  atomic_store_explicit(&cache, bigger, memory_order_release);
  return bigger;
}

static void cache_empty(void) {
  struct cache *c = atomic_load_explicit(&cache, memory_order_relaxed);
  if (!c) return;
  for (uint64_t i = 0; i <= c->mask; i++)
    atomic_store_explicit(&c->slots[i], 0, memory_order_relaxed);
  c->used = 0;
}

/* ---- the trie ------------------------------------------------------------------ */

static uint64_t mix(uint64_t a, uint64_t b) {
  __uint128_t product = (__uint128_t)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b | 1);
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t node_hash(uint32_t parent, uint64_t address, uint16_t module) {
  return mix(address ^ (uint64_t)module << 48, (uint64_t)parent << 1) *
         UINT64_C(0x9fb21c651e98df25);
}

static struct ul_node *node_at(uint32_t i) {
  return table_at(UL_NODES, i);
}

static void index_put(uint32_t node) {
  const struct ul_node *n = node_at(node);
  uint64_t i = node_hash(n->parent, n->address, n->module) >> 20;
  while (node_index[i & node_index_mask])
    i++;
  node_index[i & node_index_mask] = node;
}

static bool index_grow(void) {
  uint64_t size = node_index ? (node_index_mask + 1) * 2 : INDEX_FIRST;
  uint32_t *old = node_index, *bigger = meta_alloc(size * sizeof *bigger);
  if (!bigger) return false;
  if (old) meta_free(old, (node_index_mask + 1) * sizeof *old);
  node_index = bigger;
  node_index_mask = size - 1;
  for (uint32_t n = UL_NODE_RESERVED; n < table_count(UL_NODES); n++)
    index_put(n);
  return true;
}

/* The child of `parent`; 0 when there is no room for it. */
static uint32_t child(uint32_t parent, uint64_t address, uint16_t module) {
  if (table_count(UL_NODES) * 2 >= node_index_mask && !index_grow()) return 0;
  for (uint64_t i = node_hash(parent, address, module) >> 20;; i++) {
    uint32_t n = node_index[i & node_index_mask];
    if (!n) break;
    const struct ul_node *node = node_at(n);
    if (node->parent == parent && node->address == address && node->module == module)
      return n;
  }
  uint32_t n = table_append(UL_NODES, 1);
  if (n == TABLE_NONE) return 0;
  struct ul_node *node = node_at(n);
  node->parent = parent;
  node->address = address;
  node->module = module;
  index_put(n);
  return n;
}

static uint32_t site_of_node(uint32_t n, uint32_t depth) {
  struct ul_node *node = node_at(n);
  if (node->site) return node->site;
  if (table_count(UL_SITES) >= UL_SITES_MAX) return 0;
  uint32_t site = table_append(UL_SITES, 1);
  if (site == TABLE_NONE) return 0;
  struct ul_site *s = table_at(UL_SITES, site);
  s->node = n;
  s->depth = (uint16_t)depth;
  s->first_ms = ul_ms32(recording_ms());
  node->site = site;
  return site;
}

/* The part of a walk that is interned: all of it, or its innermost frames. */
struct part {
  struct walk *walk;
  uint32_t from; /* outermost frame */
  uint32_t end;
  uint64_t hash;
};

/* Frames of a whole walk keep their node, so that only new ones are looked for. */
static uint32_t first_without_node(const struct part *p) {
  uint32_t i = p->walk->depth;
  while (i > p->from && !(p->from == 0 && p->walk->frames[i - 1].node))
    i--;
  return i;
}

static uint32_t insert(const struct part *p, uint32_t first, const uint16_t *modules) {
  struct walk_frame *frames = p->walk->frames;
  uint32_t node = first > p->from ? frames[first - 1].node : p->end;
  for (uint32_t i = first; i < p->walk->depth; i++) {
    node = child(node, walk_ip(&frames[i]), modules[i - first]);
    if (!node) return 0;
    if (p->from == 0) frames[i].node = node;
  }
  return site_of_node(node, p->walk->depth - p->from);
}

static uint32_t intern(const struct part *p) {
  uint32_t first = first_without_node(p), depth = p->walk->depth;
  uint16_t modules[depth - first + 1];
  uint64_t generation = stack_generation();
  for (uint32_t i = first; i < depth; i++)
    modules[i - first] = module_of(walk_ip(&p->walk->frames[i]));
  uint64_t signals;
  lock_take_masked(&lock, &signals);
  if (cache_generation != generation) cache_empty();
  cache_generation = generation;
  uint32_t site = cache_find(p->hash);
  if (!site) {
    site = insert(p, first, modules);
    struct cache *c = site ? cache_with_room() : NULL;
    if (c) cache_put(c, (p->hash & ~SITE_BITS) | site, p->hash);
  }
  lock_give_masked(&lock, signals);
  if (site) return site;
  fallback(UL_FB_SITES_FULL);
  return UL_SITE_OVERFLOW;
}

static uint32_t find(const struct part *p) {
  uint32_t site =
      LIKELY(stack_generation() == cache_generation) ? cache_find(p->hash) : 0;
  return LIKELY(site) ? site : intern(p);
}

/* A stack deeper than the user wants to know. */
static __attribute__((noinline)) uint32_t find_innermost(struct walk *w) {
  struct part p = {w, w->depth - site_depth_limit, UL_NODE_CUT, HASH_SEED};
  for (uint32_t i = p.from; i < w->depth; i++)
    p.hash = hash_mix(p.hash, walk_ip(&w->frames[i]));
  fallback(UL_FB_STACK_CUT);
  return find(&p);
}

static void make_walk(struct book *b) {
  uint64_t signals;
  os_hold_signals(&signals);
  b->walk = meta_alloc(sizeof *b->walk);
  os_release_signals(signals);
}

static uint32_t capture(struct heap *h, const void *frame_address) {
  struct book *b = book_of(h);
  if (UNLIKELY(!b->walk)) make_walk(b);
  struct walk *w = b->walk;
  if (UNLIKELY(!w || !stack_capture(frame_address, w))) {
    fallback(UL_FB_NO_STACK);
    return UL_SITE_NO_STACK;
  }
  if (UNLIKELY(w->depth > site_depth_limit)) return find_innermost(w);
  if (UNLIKELY(w->end != UL_NODE_ROOT))
    fallback(w->end == UL_NODE_CUT ? UL_FB_STACK_CUT : UL_FB_STACK_BROKEN);
  struct walk_frame *leaf = &w->frames[w->depth - 1];
  if (!leaf->site) leaf->site = find(&(struct part){w, 0, w->end, leaf->hash});
  w->site = leaf->site;
  return leaf->site;
}

/* Called from within a capture of this thread's, by a handler? Its frame lies further in
 * than the one whose stack was being captured, or on the signals' own stack; else that
 * one is gone, because a handler left by longjmp, and what it did is half done. */
static __attribute__((noinline)) bool is_nested(struct heap *h, const char *frame) {
  if (thread_state.busy) return true;
  if (frame < (const char *)thread_state.capturing || os_on_signal_stack()) return true;
  if (book_of(h)->walk) walk_forget(book_of(h)->walk);
  return false;
}

uint32_t site_capture(struct heap *h, const void *frame_address) {
  if (UNLIKELY(thread_state.busy || thread_state.capturing) &&
      is_nested(h, frame_address)) {
    fallback(UL_FB_NESTED);
    return UL_SITE_ULLAGE;
  }
  struct walk *w = book_of(h)->walk;
  if (LIKELY(w && w->site) && stack_is_same(frame_address, w)) return w->site;
  thread_state.capturing = frame_address;
  atomic_signal_fence(memory_order_seq_cst);
  uint32_t site = capture(h, frame_address);
  atomic_signal_fence(memory_order_seq_cst);
  thread_state.capturing = NULL;
  return site;
}

void site_fork_prepare(void) {
  lock_take(&lock);
}
void site_fork_parent(void) {
  lock_give(&lock);
}
void site_fork_child(void) {
  lock_renew(&lock);
}
