#include "names/through.h"

#include "read/recording.h"

#include <stdlib.h>

/* A set of functions: bits of a word, and one for what is not one of them. */
#define AT_ONCE 62u
#define WITHIN (UINT64_C(1) << 62)
#define BARE (UINT64_C(1) << 63) /* all of the stack so far is the runtime's */

struct pass {
  const struct functions *functions;
  uint64_t *of_function; /* its bits */
  struct step {
    uint64_t all, own; /* of its functions; of those up to the outermost own one */
    bool ends, runtime;
  } * of_code;
  uint64_t *of_node;
};

static const struct recording *recording_of(const struct pass *p) {
  return functions_recording(p->functions);
}

static void free_pass(struct pass *p) {
  free(p->of_function);
  free(p->of_code);
  free(p->of_node);
}

static bool make_pass(struct pass *p) {
  const struct recording *r = recording_of(p);
  p->of_function = malloc((functions_count(p->functions) + 1) * sizeof *p->of_function);
  p->of_code = malloc((recording_count(r, UL_CODES) + 1) * sizeof *p->of_code);
  p->of_node =
      malloc((recording_count(r, UL_NODES) + UL_NODE_RESERVED) * sizeof *p->of_node);
  return p->of_function && p->of_code && p->of_node;
}

static uint64_t bits_of(const struct pass *p, const struct function_call *calls,
                        size_t n) {
  uint64_t bits = 0;
  for (size_t i = 0; i < n; i++)
    bits |= p->of_function[calls[i].function];
  return bits;
}

static void fill_codes(struct pass *p) {
  size_t count = recording_count(recording_of(p), UL_CODES);
  for (uint32_t i = 0; i < count; i++) {
    struct functions_shown shown = functions_shown(p->functions, i);
    p->of_code[i] = (struct step){.all = bits_of(p, shown.calls, shown.count),
                                  .own = bits_of(p, shown.calls, shown.own),
                                  .ends = shown.ends,
                                  .runtime = !shown.own};
  }
}

/* The stack that calls the step's code, with it. */
static uint64_t join(const struct step *s, uint64_t outer) {
  if (s->ends) return s->all;
  if (s->runtime || !(outer & BARE)) return s->all | outer;
  return s->own;
}

static void fill_nodes(struct pass *p) {
  const struct recording *r = recording_of(p);
  const struct ul_node *nodes = recording_node(r, 0);
  size_t count = recording_count(r, UL_NODES);
  for (uint32_t i = 0; i < UL_NODE_RESERVED; i++)
    p->of_node[i] = BARE;
  for (uint32_t i = UL_NODE_RESERVED; i < count; i++) {
    uint32_t code = nodes[i].code;
    p->of_node[i] = code ? join(&p->of_code[code], p->of_node[nodes[i].parent]) : BARE;
  }
}

static uint64_t of_site(const struct pass *p, const struct ul_site *s) {
  uint32_t code = ul_site_code(s);
  return code ? join(&p->of_code[code], p->of_node[s->parent]) : 0;
}

static void choose(struct pass *p, uint32_t within, const struct function_call *calls,
                   size_t n) {
  for (uint32_t i = 0, count = functions_count(p->functions); i < count; i++)
    p->of_function[i] = within == i || within == THROUGH_ANY ? WITHIN : 0;
  for (size_t i = 0; i < n; i++)
    p->of_function[calls[i].function] |= UINT64_C(1) << i;
}

bool through_each(const struct functions *f, uint32_t within,
                  const struct function_call *calls, size_t n, through_take *take,
                  void *to) {
  struct pass p = {.functions = f};
  const struct ul_site *sites = recording_site(functions_recording(f), 0);
  size_t count = recording_count(functions_recording(f), UL_SITES);
  bool good = make_pass(&p);
  for (size_t first = 0; good && first < n; first += AT_ONCE) {
    choose(&p, within, calls + first, n - first < AT_ONCE ? n - first : AT_ONCE);
    fill_codes(&p);
    fill_nodes(&p);
    for (uint32_t site = UL_SITE_RESERVED; site < count; site++) {
      uint64_t set = of_site(&p, &sites[site]);
      if (set & WITHIN) take(to, site, (struct through_set){set & (WITHIN - 1), first});
    }
  }
  free_pass(&p);
  return good;
}
