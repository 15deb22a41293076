#include "answers/flow.h"

#include <stdlib.h>
#include <string.h>

static bool make_room(struct flow *flow, uint32_t count) {
  if (count <= flow->room) return true;
  uint32_t room = count + count / 2 + 64;
  struct flow_function *more = realloc(flow->at, room * sizeof *more);
  if (!more) return false;
  memset(more + flow->room, 0, (room - flow->room) * sizeof *more);
  flow->at = more;
  flow->room = room;
  return true;
}

static void note_caller(struct flow_function *f, uint32_t caller) {
  for (size_t i = 0; i < FLOW_CALLERS; i++) {
    if (f->callers[i] == caller + 1) return;
    if (f->callers[i]) continue;
    f->callers[i] = caller + 1;
    return;
  }
}

/* Adds what goes through a site's stack, or takes it out; a function counts once. */
static void walk(struct flow *flow, const struct function_call *stack, size_t n,
                 uint64_t allocated, const struct ul_amount *of, bool out) {
  uint64_t sign = out ? UINT64_MAX : 1;
  flow->walks++;
  for (size_t i = 0; i < n; i++) {
    struct flow_function *f = &flow->at[stack[i].function];
    if (i + 1 < n && stack[i + 1].function != stack[i].function)
      note_caller(f, stack[i + 1].function);
    if (f->stamp == flow->walks) continue;
    f->stamp = flow->walks;
    f->allocated += sign * allocated;
    f->bytes += sign * of->bytes;
    f->blocks += sign * of->blocks;
    if (!stack[i].by_pointer) f->direct += sign * of->blocks;
  }
}

uint64_t flow_allocated(const struct sites *sites, const struct cause_measure *m,
                        uint32_t site) {
  uint64_t allocated = sites->sum[site].count.allocated_bytes;
  return allocated > m->amount[site].bytes ? allocated : m->amount[site].bytes;
}

bool flow_load(struct flow *flow, struct functions *functions, const struct sites *sites,
               const struct cause_measure *m) {
  const struct function_call *stack;
  *flow = (struct flow){.at = NULL};
  for (uint32_t i = UL_SITE_RESERVED; i < m->count; i++) {
    uint64_t allocated = flow_allocated(sites, m, i);
    if (!allocated && !m->amount[i].blocks) continue; /* (blocks of no bytes count) */
    size_t n = functions_stack(functions, i, &stack);
    if (!make_room(flow, functions_count(functions))) return false;
    walk(flow, stack, n, allocated, &m->amount[i], false);
  }
  return true;
}

bool flow_copy(struct flow *flow, const struct flow *of) {
  *flow = *of;
  flow->at = malloc((of->room + 1) * sizeof *flow->at);
  if (!flow->at) return false;
  if (of->room) memcpy(flow->at, of->at, of->room * sizeof *flow->at);
  return true;
}

void flow_take(struct flow *flow, struct functions *functions, const struct sites *sites,
               const struct cause_measure *m, uint32_t site) {
  const struct function_call *stack;
  size_t n = functions_stack(functions, site, &stack);
  walk(flow, stack, n, flow_allocated(sites, m, site), &m->amount[site], true);
}

void flow_free(struct flow *flow) {
  free(flow->at);
}

double flow_retention(const struct flow *flow, uint32_t function) {
  const struct flow_function *f = &flow->at[function];
  return f->allocated ? (double)f->bytes / (double)f->allocated : 0;
}

bool flow_makes_little(const struct flow *flow, uint32_t function) {
  enum { LITTLE = 10 };
  const struct flow_function *f = &flow->at[function];
  return f->direct * LITTLE <= f->blocks;
}

bool flow_hands_on(const struct flow *flow, const struct function_call *call) {
  return call->by_pointer && flow_makes_little(flow, call->function);
}

bool flow_serves_others(const struct flow *flow, uint32_t inner, uint64_t allocated,
                        uint64_t bytes) {
  const struct flow_function *f = &flow->at[inner];
  bool many = f->callers[FLOW_CALLERS - 1], several = f->callers[1];
  double rest = (double)(f->allocated - allocated), kept = (double)(f->bytes - bytes);
  if (!several || kept * 2 * (double)allocated > rest * (double)bytes) return false;
  bool serves = many || f->bytes < f->allocated / 2;
  return allocated < f->allocated / 100 * (serves ? 99 : 80);
}
