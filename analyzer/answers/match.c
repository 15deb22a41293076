#include "answers/match.h"

#include "answers/fingerprint.h"

#include <stdlib.h>
#include <string.h>

#define SEED 0xcbf29ce484222325u

static uint64_t hash_key(uint64_t hash, uint64_t key) {
  hash = (hash ^ key) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 29;
}

static int sign(uint64_t before, uint64_t after) {
  return (after > before) - (after < before);
}

int match_sign(const struct ul_amount at[MATCH_SIDES]) {
  int bytes = sign(at[0].bytes, at[1].bytes);
  return bytes ? bytes : sign(at[0].blocks, at[1].blocks);
}

/* ---- functions ----------------------------------------------------------------- */

/* All that are at any return address: each is asked for once. */
static void name_all(struct process *p, struct functions *f) {
  const struct function_call *calls;
  size_t codes = recording_count(p->recording, UL_CODES);
  for (size_t i = 0; i < codes; i++)
    functions_at_code(f, recording_code(p->recording, i), &calls);
}

static struct match_function *function_of(struct match *m, uint64_t key) {
  struct match_function *f;
  HASH_FIND(hh, m->functions, &key, sizeof key, f);
  if (f || !(f = calloc(1, sizeof *f))) return f;
  f->key = key;
  f->index = HASH_COUNT(m->functions);
  HASH_ADD(hh, m->functions, key, sizeof f->key, f);
  return f;
}

static bool know_side(struct match *m, unsigned side) {
  struct process *p = m->of[side];
  struct functions *f = process_functions(p);
  if (!f) return false;
  name_all(p, f);
  uint32_t count = m->count[side] = functions_count(f);
  m->by_number[side] = calloc(count + 1, sizeof(*m->by_number[side]));
  if (!m->by_number[side]) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (functions_kind(f, i) != FUNCTION_OWN) continue;
    struct match_function *it =
        function_of(m, fingerprint_function(p->recording, functions_frame(f, i)));
    if (!it) return false;
    if (!it->in[side]) it->number[side] = i;
    it->in[side] = true;
    m->by_number[side][i] = it;
  }
  return true;
}

/* ---- stacks -------------------------------------------------------------------- */

static bool make_room(struct match *m, size_t n) {
  if (n <= m->chain_room) return true;
  struct match_function **more = realloc(m->chain, n * sizeof(*more));
  if (!more) return false;
  m->chain = more;
  m->chain_room = n;
  return true;
}

size_t match_stack(struct match *m, unsigned side, uint32_t site,
                   struct match_function *const **out) {
  const struct function_call *calls;
  size_t n = functions_stack(m->of[side]->functions, site, &calls), kept = 0;
  uint64_t stamp = ++m->stamps;
  if (!make_room(m, n + 1)) n = 0;
  for (size_t i = 0; i < n; i++) {
    struct match_function *f = match_function(m, side, calls[i].function);
    if (!f || f->stamp == stamp) continue;
    f->stamp = stamp;
    m->chain[kept++] = f;
  }
  *out = m->chain;
  return kept;
}

/* A site without a stack is known by what stands for it. */
static uint64_t seed_of(const struct match *m, unsigned side, uint32_t site) {
  size_t frames = recording_stack(m->of[side]->recording, site, NULL, 0, NULL);
  return hash_key(SEED, frames ? UINT64_MAX : site);
}

static struct match_whole *whole_of(struct match *m, uint64_t hash) {
  struct match_whole *w;
  HASH_FIND(hh, m->wholes, &hash, sizeof hash, w);
  if (w || !(w = calloc(1, sizeof *w))) return w;
  w->hash = hash;
  HASH_ADD(hh, m->wholes, hash, sizeof w->hash, w);
  return w;
}

static struct match_group *group_of(struct match *m, uint64_t hash,
                                    struct match_function *const *chain, size_t n) {
  struct match_group *g;
  HASH_FIND(hh, m->groups, &hash, sizeof hash, g);
  if (g || !(g = calloc(1, sizeof *g))) return g;
  if (!(g->chain = malloc((n + 1) * sizeof(*g->chain)))) {
    free(g);
    return NULL;
  }
  g->hash = hash;
  for (size_t i = 0; i < n; i++)
    if (match_common(chain[i])) g->chain[g->length++] = chain[i];
  HASH_ADD(hh, m->groups, hash, sizeof g->hash, g);
  return g;
}

bool match_add(struct match *m, unsigned side, uint32_t site, struct ul_amount amount) {
  struct match_function *const *chain;
  size_t n = match_stack(m, side, site, &chain);
  uint64_t common = seed_of(m, side, site), all = common;
  for (size_t i = 0; i < n; i++) {
    all = hash_key(all, chain[i]->key);
    if (match_common(chain[i])) common = hash_key(common, chain[i]->key);
  }
  struct match_group *g = group_of(m, common, chain, n);
  struct match_whole *w = whole_of(m, all);
  struct match_part *part = g && w ? malloc(sizeof *part) : NULL;
  if (!part) return false;
  *part = (struct match_part){side, site, amount, w, g->parts};
  g->parts = part;
  ul_amount_add(&g->at[side], amount);
  ul_amount_add(&w->at[side], amount);
  return true;
}

/* ---- missing links ------------------------------------------------------------- */

#define LOOKED_AT 512u /* groups: more than anybody reads */

static bool is_within(const struct match_group *inner, const struct match_group *outer) {
  size_t k = 0;
  for (size_t i = 0; i < outer->length && k < inner->length; i++)
    k += outer->chain[i] == inner->chain[k];
  return k == inner->length;
}

static bool differ_by_links(const struct match_group *a, const struct match_group *b) {
  return a->length < b->length ? is_within(a, b) : is_within(b, a);
}

static bool cancel(const struct match_group *a, const struct match_group *b) {
  return a->at[0].bytes + b->at[0].bytes == a->at[1].bytes + b->at[1].bytes &&
         a->at[0].blocks + b->at[0].blocks == a->at[1].blocks + b->at[1].blocks;
}

static bool begin_alike(const struct match_group *a, const struct match_group *b) {
  return a->length && b->length && a->chain[0] == b->chain[0];
}

/* The longer chain stays: it has all the links. */
static void join(struct match *m, struct match_group *to, struct match_group *from) {
  struct match_part **last = &to->parts;
  while (*last)
    last = &(*last)->next;
  *last = from->parts;
  for (unsigned side = 0; side < MATCH_SIDES; side++)
    ul_amount_add(&to->at[side], from->at[side]);
  if (from->length > to->length) {
    struct match_function **chain = to->chain;
    to->chain = from->chain;
    to->length = from->length;
    from->chain = chain;
  }
  HASH_DEL(m->groups, from);
  free(from->chain);
  free(from);
}

static uint64_t difference(const struct match_group *g) {
  uint64_t before = g->at[0].bytes, after = g->at[1].bytes;
  return after > before ? after - before : before - after;
}

static int by_difference(const void *a, const void *b) {
  const struct match_group *x = *(struct match_group *const *)a;
  const struct match_group *y = *(struct match_group *const *)b;
  uint64_t dx = difference(x), dy = difference(y);
  if (dx != dy) return dx > dy ? -1 : 1;
  return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Those that differ, the most first; to be freed. NULL: no memory. */
static struct match_group **changed(struct match *m, size_t *n) {
  struct match_group **list = malloc((HASH_COUNT(m->groups) + 1) * sizeof(*list));
  *n = 0;
  for (struct match_group *g = m->groups; list && g; g = g->hh.next)
    if (match_sign(g->at)) list[(*n)++] = g;
  if (*n) qsort(list, *n, sizeof(*list), by_difference);
  if (*n > LOOKED_AT) *n = LOOKED_AT;
  return list;
}

typedef bool are_one(const struct match_group *, const struct match_group *);
static void join_all(struct match *m, struct match_group **list, size_t n,
                     are_one *test) {
  for (size_t i = 0; i < n; i++)
    for (size_t k = i + 1; k < n && list[i]; k++) {
      if (!list[k] || match_sign(list[i]->at) * match_sign(list[k]->at) >= 0 ||
          !differ_by_links(list[i], list[k]) || !test(list[i], list[k]))
        continue;
      join(m, list[i], list[k]);
      list[k] = NULL;
    }
}

void match_reconcile(struct match *m) {
  size_t n;
  struct match_group **list = changed(m, &n);
  if (!list) return;
  join_all(m, list, n, cancel);
  join_all(m, list, n, begin_alike);
  free(list);
}

/* ---- life ---------------------------------------------------------------------- */

struct match *match_new(struct process *const of[MATCH_SIDES]) {
  struct match *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  for (unsigned side = 0; side < MATCH_SIDES; side++) {
    m->of[side] = of[side];
    if (know_side(m, side)) continue;
    match_free(m);
    return NULL;
  }
  return m;
}

void match_clear(struct match *m) {
  struct match_group *g, *next_group;
  struct match_whole *w, *next_whole;
  HASH_ITER(hh, m->groups, g, next_group) {
    HASH_DEL(m->groups, g);
    for (struct match_part *p = g->parts, *next; p; p = next) {
      next = p->next;
      free(p);
    }
    free(g->chain);
    free(g);
  }
  HASH_ITER(hh, m->wholes, w, next_whole) {
    HASH_DEL(m->wholes, w);
    free(w);
  }
}

void match_free(struct match *m) {
  struct match_function *f, *next;
  if (!m) return;
  match_clear(m);
  HASH_ITER(hh, m->functions, f, next) {
    HASH_DEL(m->functions, f);
    free(f);
  }
  for (unsigned side = 0; side < MATCH_SIDES; side++)
    free(m->by_number[side]);
  free(m->chain);
  free(m);
}
