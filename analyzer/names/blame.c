#include "names/blame.h"

#include "names/known.h"
#include "names/module.h"

bool frame_is_library(const struct frame *frame) {
  return (frame->function && known_is_library(frame->function)) ||
         (frame->file && known_is_library_source(frame->file));
}

bool blame_in_runtime(const struct frame *frame) {
  return frame->module && module_is_runtime(frame->module);
}

bool blame_is_wrapper(const struct frame *frame) {
  return frame->function && known_is_wrapper(frame->function);
}

bool blame_is_machine(const struct frame *frame) {
  return frame->function && known_is_machine(frame->function);
}

bool blame_is_own(const struct frame *frame) {
  return !blame_in_runtime(frame) && !frame_is_library(frame) && !blame_is_wrapper(frame);
}

/* Of a function that a runtime made while it ran, and named (jit.h)? */
bool blame_is_made(const struct frame *frame) {
  return !frame->module && frame->function && !frame->note;
}

/* What a wrapper calls is its own business, also where that has no name: frames of its
 * module up to it. */
static bool is_of_wrapper(const struct frame *frames, size_t i, size_t count) {
  for (size_t w = i + 1; w < count; w++) {
    if (!frame_same_module(&frames[i], &frames[w]) && !blame_in_runtime(&frames[w]))
      return false;
    if (blame_is_wrapper(&frames[w])) return true;
    if (frames[w].function && blame_is_own(&frames[w])) return false;
  }
  return false;
}

static bool is_guilty(const struct frame *frames, size_t i, size_t count) {
  return blame_is_own(&frames[i]) && !is_of_wrapper(frames, i, count);
}

/* Is it another module's own? The module is asked first: that is no search. */
static bool may_be_guest(const struct frame *frame, const struct frame *host) {
  return frame->module && !frame_same_module(frame, host) && !frame->by_pointer &&
         blame_is_own(frame);
}

static bool is_hosts_machine(const struct frame *frame, const struct frame *host) {
  return frame_same_module(frame, host) && blame_is_machine(frame);
}

size_t blame_guest(const void *stack, size_t i, size_t n, blame_frame_at *at) {
  const struct frame *host = at(stack, i);
  size_t guest = i + 1, caller;
  while (guest < n && !may_be_guest(at(stack, guest), host))
    guest++;
  if (guest >= n) return n;
  for (size_t k = i + 1; k < guest; k++)
    if (is_hosts_machine(at(stack, k), host)) return n;
  for (caller = guest + 1; caller < n; caller++)
    if (is_hosts_machine(at(stack, caller), host)) return guest;
  return n;
}

size_t blame_behind_machine(const void *stack, size_t n, blame_frame_at *at) {
  size_t made = 0, machine;
  while (made < n && !blame_is_made(at(stack, made)))
    made++;
  for (machine = made; machine < n && !at(stack, machine)->module;)
    machine++;
  if (machine == n) return 0;
  for (size_t i = 0; i < made; i++) {
    const struct frame *frame = at(stack, i);
    if (frame->module && blame_is_own(frame) &&
        !frame_same_module(frame, at(stack, machine)))
      return 0;
  }
  return made;
}

static const struct frame *frame_at(const void *stack, size_t i) {
  return (const struct frame *)stack + i;
}

size_t frame_guilty(const struct frame *frames, size_t count) {
  size_t first = count;
  for (size_t i = blame_behind_machine(frames, count, frame_at); i < count; i++) {
    if (frames[i].hidden || frames[i].note) continue;
    if (first == count) first = i;
    if (is_guilty(frames, i, count)) return i;
  }
  return first < count ? first : 0;
}

size_t frame_named_caller(const struct frame *frames, size_t count, size_t of) {
  size_t i = of + 1;
  while (i < count && (!frames[i].function || frames[i].hidden || frames[i].note))
    i++;
  return i < count ? i : count;
}
