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

static bool add_stack(struct flow *flow, struct functions *functions, uint32_t site,
                      uint64_t allocated, uint64_t bytes) {
  const struct function_call *stack;
  size_t n = functions_stack(functions, site, &stack);
  if (!make_room(flow, functions_count(functions))) return false;
  for (size_t i = 0; i < n; i++) {
    struct flow_function *f = &flow->at[stack[i].function];
    if (i + 1 < n && stack[i + 1].function != stack[i].function)
      note_caller(f, stack[i + 1].function);
    if (f->stamp == site + 1) continue;
    f->stamp = site + 1;
    f->allocated += allocated > bytes ? allocated : bytes;
    f->bytes += bytes;
  }
  return true;
}

bool flow_load(struct flow *flow, struct functions *functions, const struct sites *sites,
               const struct cause_measure *measure) {
  *flow = (struct flow){NULL, 0};
  for (uint32_t i = UL_SITE_RESERVED; i < measure->count; i++) {
    uint64_t allocated = sites->sum[i].count.allocated_bytes;
    uint64_t bytes = measure->amount[i].bytes;
    if ((allocated || bytes) && !add_stack(flow, functions, i, allocated, bytes))
      return false;
  }
  return true;
}

void flow_free(struct flow *flow) {
  free(flow->at);
}

double flow_retention(const struct flow *flow, uint32_t function) {
  const struct flow_function *f = &flow->at[function];
  return f->allocated ? (double)f->bytes / (double)f->allocated : 0;
}

bool flow_serves_others(const struct flow *flow, uint32_t inner, uint32_t outer) {
  const struct flow_function *f = &flow->at[inner];
  uint64_t less = flow->at[outer].allocated;
  bool many = f->callers[FLOW_CALLERS - 1], several = f->callers[1];
  if (many || (several && f->bytes < f->allocated / 2))
    return less < f->allocated / 100 * 99;
  return several && less < f->allocated / 100 * 80;
}
