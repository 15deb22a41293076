#include "answers/branches.h"

#include "read/recording.h"

#include <stdlib.h>
#include <string.h>

#define NEARLY_ALL 100 /* but one part in so many */
#define DEEPEST 256u   /* functions on a path */
/* Places that are gone out from. Where a million stacks differ only far out, the tree is
 * cut after a step or two. */
#define STEPS_MOST (UINT32_C(1) << 20)

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
  size_t most, steps;
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
  for (size_t i = 0; i < n; i++)
    if (kept && by_place(&places[kept - 1], &places[i]) == 0)
      ul_amount_add(&places[kept - 1].of, places[i].of);
    else
      places[kept++] = places[i];
  return kept;
}

/* Places of one function, beside each other. */
struct group {
  struct place *places;
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

static struct group group_at(const struct walk *w, struct place *places, size_t n) {
  struct group g = {.places = places, .function = places->function};
  const struct place *most = places;
  for (; g.count < n && places[g.count].function == g.function; g.count++) {
    const struct place *p = &places[g.count];
    ul_amount_add(&g.of, p->of);
    if (p->of.bytes > most->of.bytes) most = p;
  }
  g.frame = call_at(w, most)->frame;
  return g;
}

/* Most bytes first; to be freed. NULL: there are none. */
static struct group *group_all(struct walk *w, struct place *places, size_t n,
                               size_t *count) {
  size_t functions = 0;
  for (size_t i = 0; i < n; i++)
    functions += !i || places[i].function != places[i - 1].function;
  struct group *groups = functions ? malloc(functions * sizeof *groups) : NULL;
  w->failed = w->failed || (functions && !groups);
  *count = groups ? functions : 0;
  for (size_t i = 0, at = 0; at < *count; i += groups[at++].count)
    groups[at] = group_at(w, places + i, n - i);
  if (groups) qsort(groups, functions, sizeof *groups, by_bytes);
  return groups;
}

/* From the places to those that call them; how many there are. */
static size_t to_callers(struct walk *w, struct place *places, size_t n) {
  size_t kept = 0;
  w->steps += n;
  for (size_t i = 0; i < n; i++)
    if (to_caller(w, &places[i])) places[kept++] = places[i];
  return merge(places, kept);
}

static void grow(struct walk *w, struct place *places, size_t n, uint64_t bytes,
                 unsigned depth, struct branch *in);

static void enter(struct walk *w, struct branch *b, const struct group *g) {
  if (b->frame_count < BRANCH_FRAMES) b->frames[b->frame_count++] = g->frame;
  w->path[w->length++] = g->function;
}

/* A branch for each group that is large enough. Their places, which they are part of, are
 * freed before they are gone out from. */
static void fork_off(struct walk *w, struct place *places, struct group *groups, size_t n,
                     unsigned depth, size_t *others) {
  struct branches *t = w->tree;
  size_t told = 0;
  while (told < n && groups[told].of.bytes >= w->total / BRANCH_SMALL)
    told++;
  *others = n - told;
  for (size_t i = 0; i < told; i++) {
    size_t size = groups[i].count * sizeof *places;
    struct place *own = malloc(size);
    if (own) memcpy(own, groups[i].places, size);
    w->failed = w->failed || !own;
    groups[i].places = own;
  }
  free(places);
  for (size_t i = 0; i < told; i++) {
    struct group *g = &groups[i];
    if (w->failed || t->count == w->most) {
      free(g->places);
      continue;
    }
    struct branch *b = &t->at[t->count++];
    b->depth = depth;
    b->of = g->of;
    enter(w, b, g);
    grow(w, g->places, g->count, g->of.bytes, depth + 1, b);
    w->length--;
  }
}

/* What leads to these places, of `bytes`, in the branch `in` (NULL: the cause itself).
 * The places are freed. */
static void grow(struct walk *w, struct place *places, size_t n, uint64_t bytes,
                 unsigned depth, struct branch *in) {
  size_t before = w->length, count = 0;
  struct group *groups = NULL;
  for (;;) {
    bool cut = n && (w->length == DEEPEST || w->steps + n > STEPS_MOST);
    if (in) in->cut = cut;
    n = cut ? 0 : to_callers(w, places, n);
    groups = group_all(w, places, n, &count);
    if (!in || !count || groups->of.bytes < bytes - bytes / NEARLY_ALL) break;
    enter(w, in, groups);
    n = groups->count;
    bytes = groups->of.bytes;
    memmove(places, groups->places, n * sizeof *places);
    free(groups);
  }
  fork_off(w, places, groups, count, depth, in ? &in->others : &w->tree->others);
  free(groups);
  w->length = before;
}

static size_t sites_of(const struct causes *c, size_t cause) {
  size_t count = 0;
  for (size_t i = 0; i < c->sites; i++)
    count += c->of_site[i] == cause;
  return count;
}

/* Where the stacks of a cause's sites have its function. */
static size_t places_of(const struct walk *w, const struct causes *c, size_t cause,
                        struct place *places) {
  size_t count = 0;
  uint32_t function = c->at[cause].function;
  for (uint32_t i = UL_SITE_RESERVED; i < c->sites; i++) {
    const struct ul_site *s = recording_site(w->recording, i);
    if (c->of_site[i] != cause || !ul_site_code(s)) continue;
    struct place p = {.node = s->parent, .code = ul_site_code(s), .of = c->amount[i]};
    if (!find(w, &p, function)) continue;
    p.function = function;
    if (count && by_place(&places[count - 1], &p) == 0)
      ul_amount_add(&places[count - 1].of, p.of);
    else
      places[count++] = p;
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
  struct place *places = malloc((sites_of(c, cause) + 1) * sizeof *places);
  if (t) t->at = calloc(most + 1, sizeof *t->at);
  w.failed = !t || !places || !t->at;
  w.path[w.length++] = c->at[cause].function;
  if (w.failed)
    free(places);
  else
    grow(&w, places, places_of(&w, c, cause, places), w.total, 0, NULL);
  if (!w.failed) return t;
  branches_free(t);
  return NULL;
}

void branches_free(struct branches *t) {
  if (!t) return;
  free(t->at);
  free(t);
}
