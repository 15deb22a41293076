#include "answers/lost.h"

#include <stdlib.h>
#include <string.h>

/* ---- which stacks are the same -------------------------------------------------- */

/* FNV-1a, 64 bits. */
#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)
static uint64_t hash(uint64_t h, const void *data, size_t bytes) {
  for (const unsigned char *p = data, *end = p + bytes; p < end; p++)
    h = (h ^ *p) * 0x100000001b3;
  return h;
}

struct key {
  uint64_t stack;
  size_t place;
};

static uint64_t hash_module(const struct recording *r, const struct ul_module *m) {
  const char *name = recording_text(r, m->name);
  return hash(hash(HASH_BEGIN, name, strlen(name)), m->build_id, sizeof m->build_id);
}

/* By index in UL_MODULES. NULL: no memory. */
static uint64_t *hash_modules(const struct recording *r) {
  size_t count = recording_count(r, UL_MODULES);
  uint64_t *hashes = malloc((count + 1) * sizeof *hashes);
  for (size_t i = 0; hashes && i < count; i++)
    hashes[i] = hash_module(r, recording_module(r, i));
  return hashes;
}

static uint64_t hash_code(uint64_t h, uint64_t code, const uint64_t *modules) {
  uint64_t offset = ul_code_offset(code);
  unsigned module = ul_code_module(code);
  uint64_t of = module == UL_NO_MODULE ? 0 : modules[module];
  return hash(hash(h, &of, sizeof of), &offset, sizeof offset);
}

static uint64_t hash_stack(const struct process *p, const struct ul_leak *leak,
                           const uint64_t *modules) {
  enum { MOST = 1024 };
  uint64_t codes[MOST];
  const char *program = process_name(p);
  size_t n = recording_stack(p->recording, leak->site, codes, MOST, NULL);
  uint64_t h = hash(HASH_BEGIN, program, strlen(program));
  h = hash(h, &leak->verdict, sizeof leak->verdict);
  if (!n) h = hash(h, &leak->site, sizeof leak->site); /* one without a stack */
  for (size_t i = 0; i < n && i < MOST; i++)
    h = hash_code(h, codes[i], modules);
  return h;
}

static int by_stack(const void *a, const void *b) {
  const struct key *x = a, *y = b;
  if (x->stack != y->stack) return x->stack < y->stack ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

/* In order of stacks, then places. NULL: no memory. */
static struct key *sort_stacks(const struct lost *l, size_t count) {
  struct key *keys = malloc((count + 1) * sizeof *keys);
  const struct process *of = NULL;
  uint64_t *modules = NULL;
  for (size_t i = 0; keys && i < count; i++) { /* one process after the other */
    if (l->places[i].process != of) {
      of = l->places[i].process;
      free(modules);
      if (!(modules = hash_modules(of->recording))) {
        free(keys);
        return NULL;
      }
    }
    keys[i] = (struct key){hash_stack(of, l->places[i].leak, modules), i};
  }
  free(modules);
  if (keys) qsort(keys, count, sizeof *keys, by_stack);
  return keys;
}

/* ---- groups -------------------------------------------------------------------- */

static void add_to_group(struct lost_group *g, struct lost_place *place,
                         const struct lost_place *before) {
  const struct ul_leak *leak = place->leak;
  uint64_t oldest = leaks_age_ms(place->process->recording, leak->oldest_birth);
  uint64_t newest = leaks_age_ms(place->process->recording, leak->newest_birth);
  place->group = g;
  struct ul_amount estimated = estimate_in_leak(place->process->recording, leak);
  ul_amount_add(&g->estimated, estimated);
  if (!before || place->process != before->process) g->processes++;
  if (!before) {
    g->sum = *leak;
    g->oldest_ms = oldest;
    g->newest_ms = newest;
    return;
  }
  g->sum.blocks += leak->blocks;
  g->sum.bytes += leak->bytes;
  g->sum.indirect_blocks += leak->indirect_blocks;
  g->sum.indirect_bytes += leak->indirect_bytes;
  if (oldest > g->oldest_ms) g->oldest_ms = oldest;
  if (newest < g->newest_ms) g->newest_ms = newest;
}

/* Places of one process follow each other. */
static bool group(struct lost *l, size_t count) {
  struct key *keys = sort_stacks(l, count);
  size_t groups = 0;
  l->groups = calloc(count / 2 + 1, sizeof *l->groups);
  for (size_t i = 0, n; keys && l->groups && i < count; i += n) {
    for (n = 1; i + n < count && keys[i + n].stack == keys[i].stack; n++)
      ;
    for (size_t k = 0; n > 1 && k < n; k++)
      add_to_group(&l->groups[groups], &l->places[keys[i + k].place],
                   k ? &l->places[keys[i + k - 1].place] : NULL);
    groups += n > 1;
  }
  free(keys);
  return keys && l->groups;
}

/* ---- in order ------------------------------------------------------------------ */

static uint64_t all_bytes(const struct ul_leak *leak) {
  return leak->bytes + leak->indirect_bytes;
}

static int by_verdict_and_bytes(const void *a, const void *b) {
  const struct lost_place *x = a, *y = b;
  if (x->leak->verdict != y->leak->verdict)
    return x->leak->verdict < y->leak->verdict ? -1 : 1;
  uint64_t gx = all_bytes(x->group ? &x->group->sum : x->leak);
  uint64_t gy = all_bytes(y->group ? &y->group->sum : y->leak);
  if (gx != gy) return gx > gy ? -1 : 1;
  if (x->group != y->group) return x->group < y->group ? -1 : 1;
  uint64_t sx = all_bytes(x->leak), sy = all_bytes(y->leak);
  if (sx != sy) return sx > sy ? -1 : 1;
  if (x->process != y->process) return x->process < y->process ? -1 : 1;
  return x->leak < y->leak ? -1 : x->leak > y->leak;
}

/* ---- all of it ----------------------------------------------------------------- */

/* A scan that was ended at its limit knows what it had reached by then, and what not. */
static bool is_known(const struct recording *r, enum ul_verdict verdict) {
  bool partial = recording_header(r)->scan.state == UL_SCAN_PARTIAL;
  return leaks_known(r) ||
         (partial && (verdict == UL_NO_VERDICT || verdict == UL_REACHABLE));
}

static void add_totals(struct lost *l, const struct recording *r) {
  const struct ul_scan *scan = &recording_header(r)->scan;
  for (int v = UL_NO_VERDICT; v < UL_VERDICTS; v++)
    if (is_known(r, v)) ul_amount_add(&l->totals[v], scan->totals[v]);
  l->scanned += leaks_known(r);
  if (!is_known(r, UL_REACHABLE)) return;
  for (int h = 0; h < UL_HEURISTICS; h++)
    ul_amount_add(&l->rescued[h], leaks_rescued(r, h));
  ul_amount_add(&l->of_main, leaks_of_main(r));
  ul_amount_add(&l->inherited, leaks_inherited(r));
}

static size_t count_places(const struct context *context) {
  size_t count = 0;
  for (size_t i = 0; i < context->count; i++)
    count += recording_count(context->processes[i].recording, UL_LEAKS);
  return count;
}

static bool load(struct lost *l) {
  size_t count = 0;
  struct context *context = l->context;
  l->places = malloc((count_places(context) + 1) * sizeof *l->places);
  if (!l->places) return false;
  for (size_t i = 0; i < context->count; i++) {
    struct process *p = &context->processes[i];
    const struct ul_leak *leak;
    add_totals(l, p->recording);
    for (uint64_t k = 0; (leak = recording_leak(p->recording, k)); k++)
      if (leak->blocks && is_known(p->recording, leak->verdict))
        l->places[count++] = (struct lost_place){p, leak, NULL};
  }
  if (context->count > 1 && !group(l, count)) return false;
  if (count) qsort(l->places, count, sizeof *l->places, by_verdict_and_bytes);
  for (size_t i = 0; i < count; i++)
    l->first[l->places[i].leak->verdict + 1]++;
  for (int v = 1; v <= UL_VERDICTS; v++)
    l->first[v] += l->first[v - 1];
  return (l->tree = tree_load(context)) && (l->folded = folded_load(context));
}

struct lost *lost_load(struct context *context) {
  struct lost *l = calloc(1, sizeof *l);
  if (l) l->context = context;
  if (l && load(l)) return l;
  lost_free(l);
  return NULL;
}

void lost_free(struct lost *l) {
  if (!l) return;
  tree_free(l->tree);
  folded_free(l->folded);
  free(l->places);
  free(l->groups);
  free(l);
}

enum ul_verdict lost_worst(const struct lost *l) {
  if (l->totals[UL_DEFINITE].blocks) return UL_DEFINITE;
  return l->totals[UL_POSSIBLE].blocks ? UL_POSSIBLE : UL_NO_VERDICT;
}
