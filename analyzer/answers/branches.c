#include "answers/branches.h"

#include "read/recording.h"

#include <stdlib.h>

#define NEARLY_ALL 100 /* but one part in so many */
#define DEEPEST 256u   /* functions on a path */

/* Stacks that go on alike: where in the trie their function is. */
struct place {
  uint32_t function;
  uint32_t node, code; /* of the recording; the node's, or a site's */
  uint32_t call;       /* of those at the code */
  struct ul_amount of;
};
struct walk {
  struct functions *functions;
  const struct recording *recording;
  uint64_t total;
  size_t most;
  struct branches *tree;
  uint32_t path[DEEPEST]; /* the cause's function, and those that lead to it */
  size_t length;
  bool failed;
};

static bool is_on_path(const struct walk *w, uint32_t function) {
  for (size_t i = 0; i < w->length; i++)
    if (w->path[i] == function) return true;
  return false;
}

static const struct function_call *call_at(const struct walk *w, const struct place *p) {
  struct functions_shown shown = functions_shown(w->functions, p->code);
  return p->call < shown.count ? &shown.calls[p->call] : NULL;
}

/* To the next call outwards, `from` the function itself; false: there is none. */
static bool step(const struct walk *w, struct place *p) {
  struct functions_shown shown = functions_shown(w->functions, p->code);
  if (++p->call < shown.count) return true;
  if (shown.ends || p->node < UL_NODE_RESERVED) return false;
  const struct ul_node *n = recording_node(w->recording, p->node);
  if (!n->code) return false;
  *p = (struct place){.node = n->parent, .code = n->code, .of = p->of};
  return call_at(w, p) != NULL;
}

/* Out to the innermost call of the function. */
static bool find(const struct walk *w, struct place *p, uint32_t function) {
  do {
    const struct function_call *c = call_at(w, p);
    if (c && c->function == function) return true;
  } while (step(w, p));
  return false;
}

/* Out to the next caller that is told. */
static bool to_caller(const struct walk *w, struct place *p) {
  while (step(w, p)) {
    uint32_t function = p->function = call_at(w, p)->function;
    if (functions_kind(w->functions, function) != FUNCTION_RUNTIME &&
        !is_on_path(w, function))
      return true;
  }
  return false;
}

static int by_place(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  if (x->function != y->function) return x->function < y->function ? -1 : 1;
  if (x->node != y->node) return x->node < y->node ? -1 : 1;
  if (x->code != y->code) return x->code < y->code ? -1 : 1;
  return (x->call > y->call) - (x->call < y->call);
}

/* Sorted, those at one place as one; how many are left. */
static size_t merge(struct place *places, size_t n) {
  size_t kept = 0;
  if (n) qsort(places, n, sizeof *places, by_place);
  for (size_t i = 0; i < n; i++) {
    struct place *last = kept ? &places[kept - 1] : NULL;
    if (last && by_place(last, &places[i]) == 0) {
      last->of.blocks += places[i].of.blocks;
      last->of.bytes += places[i].of.bytes;
    } else {
      places[kept++] = places[i];
    }
  }
  return kept;
}

/* Places of one function, beside each other. */
struct group {
  const struct place *places;
  size_t count;
  uint32_t function;
  const struct frame *frame;
  struct ul_amount of;
};

static int by_bytes(const void *a, const void *b) {
  const struct group *x = a, *y = b;
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  return (x->function > y->function) - (x->function < y->function);
}

static struct group group_at(const struct walk *w, const struct place *places, size_t n) {
  struct group g = {.places = places, .function = places->function};
  const struct place *most = places;
  for (; g.count < n && places[g.count].function == g.function; g.count++) {
    const struct place *p = &places[g.count];
    g.of.blocks += p->of.blocks;
    g.of.bytes += p->of.bytes;
    if (p->of.bytes > most->of.bytes) most = p;
  }
  g.frame = call_at(w, most)->frame;
  return g;
}

/* The callers of what is at these places, most bytes first. `*callers`: their places.
 * Both are to be freed. */
static size_t group_callers(struct walk *w, const struct place *places, size_t n,
                            struct place **callers, struct group **groups) {
  size_t count = 0, group_count = 0;
  *callers = malloc((n + 1) * sizeof **callers);
  *groups = malloc((n + 1) * sizeof **groups);
  w->failed = w->failed || !*callers || !*groups;
  for (size_t i = 0; !w->failed && w->length < DEEPEST && i < n; i++) {
    (*callers)[count] = places[i];
    if (to_caller(w, &(*callers)[count])) count++;
  }
  count = merge(*callers, count);
  for (size_t i = 0; i < count; i += (*groups)[group_count++].count)
    (*groups)[group_count] = group_at(w, *callers + i, count - i);
  if (group_count) qsort(*groups, group_count, sizeof **groups, by_bytes);
  return group_count;
}

/* What leads to these places, of `bytes`, in the branch `in` (NULL: the cause itself). */
static void grow(struct walk *w, const struct place *places, size_t n, uint64_t bytes,
                 unsigned depth, struct branch *in);

static void grow_caller(struct walk *w, const struct group *g, unsigned depth,
                        struct branch *in) {
  if (in->frame_count < BRANCH_FRAMES) in->frames[in->frame_count++] = g->frame;
  w->path[w->length++] = g->function;
  grow(w, g->places, g->count, g->of.bytes, depth, in);
  w->length--;
}

static void fork_off(struct walk *w, const struct group *groups, size_t n, unsigned depth,
                     size_t *others) {
  struct branches *t = w->tree;
  size_t told = 0;
  while (told < n && groups[told].of.bytes >= w->total / BRANCH_SMALL)
    told++;
  *others = n - told;
  for (size_t i = 0; i < told && t->count < w->most; i++) {
    struct branch *b = &t->at[t->count++];
    b->depth = depth;
    b->of = groups[i].of;
    grow_caller(w, &groups[i], depth + 1, b);
  }
}

static void grow(struct walk *w, const struct place *places, size_t n, uint64_t bytes,
                 unsigned depth, struct branch *in) {
  struct place *callers;
  struct group *groups;
  size_t count = group_callers(w, places, n, &callers, &groups);
  if (w->failed) count = 0;
  if (in && count && groups[0].of.bytes >= bytes - bytes / NEARLY_ALL)
    grow_caller(w, &groups[0], depth, in);
  else
    fork_off(w, groups, count, depth, in ? &in->others : &w->tree->others);
  free(callers);
  free(groups);
}

/* Where the stacks of a cause's sites have its function. */
static size_t places_of(const struct walk *w, const struct causes *c, size_t cause,
                        struct place *places) {
  size_t count = 0;
  uint32_t function = c->at[cause].function;
  for (uint32_t i = UL_SITE_RESERVED; i < c->sites; i++) {
    const struct ul_site *s = recording_site(w->recording, i);
    if (c->of_site[i] != cause || !ul_site_code(s)) continue;
    struct place *p = &places[count];
    *p = (struct place){.node = s->parent, .code = ul_site_code(s), .of = c->amount[i]};
    if (find(w, p, function)) count++;
    p->function = function;
  }
  return merge(places, count);
}

struct branches *branches_load(struct functions *f, const struct causes *c, size_t cause,
                               size_t most) {
  struct walk w = {.functions = f,
                   .recording = functions_recording(f),
                   .total = c->at[cause].of.bytes,
                   .most = most};
  struct branches *t = w.tree = calloc(1, sizeof *t);
  struct place *places = malloc((c->sites + 1) * sizeof *places);
  if (t) t->at = calloc(most + 1, sizeof *t->at);
  w.failed = !t || !places || !t->at;
  w.path[w.length++] = c->at[cause].function;
  if (!w.failed) {
    size_t n = places_of(&w, c, cause, places);
    grow(&w, places, n, w.total, 0, NULL);
  }
  free(places);
  if (!w.failed) return t;
  branches_free(t);
  return NULL;
}

void branches_free(struct branches *t) {
  if (!t) return;
  free(t->at);
  free(t);
}
