#include "heap/retain.h"

enum { WINDOW = 8192 }; /* additions and takings */

static uint64_t kept, extra;
static uint64_t regretted; /* given back and fetched again since extra was raised */
static uint64_t gone;      /* given back since then, and not fetched again */
static uint64_t low;       /* least kept in this window */
static unsigned events;

uint64_t retain_limit(uint64_t used) {
  return RETAIN_BASE + used / 8 + extra;
}

static void end_window(void) {
  uint64_t unused = low < extra ? low : extra;
  if (unused >= extra / 4) extra -= unused / 2; /* less is play */
  if (extra < RETAIN_BASE / 2) extra = 0;
  low = kept;
  events = 0;
}

static void count_event(void) {
  if (kept < low) low = kept;
  if (++events >= WINDOW) end_window();
}

static void learn_from_regret(void) {
  if (regretted < (RETAIN_BASE + extra) / 4) return;
  uint64_t at_once = regretted <= RETAIN_MOST / 4 ? extra + regretted + regretted / 4 : 0;
  extra = extra ? extra * 2 : RETAIN_BASE;
  if (extra < at_once) extra = at_once;
  if (extra > RETAIN_MOST) extra = RETAIN_MOST;
  gone = regretted = low = 0;
}

static bool exceeds(uint64_t bytes, uint64_t used) {
  if (bytes <= retain_limit(used)) return false;
  if (regretted) learn_from_regret();
  return bytes > retain_limit(used);
}

bool retain_too_much(uint64_t used) {
  return exceeds(kept, used);
}
bool retain_too_many(uint64_t mapped, uint64_t used) {
  return exceeds(mapped, used);
}

void retain_add(uint64_t bytes) {
  kept += bytes;
  count_event();
}

void retain_take(uint64_t bytes) {
  kept -= bytes < kept ? bytes : kept;
  count_event();
}

void retain_gave(uint64_t bytes) {
  kept -= bytes < kept ? bytes : kept;
  gone += bytes;
}

void retain_fetched(uint64_t bytes) {
  uint64_t again = bytes < gone ? bytes : gone;
  gone -= again;
  regretted += again;
}

uint64_t retain_bytes(void) {
  return kept;
}

void retain_reset(void) {
  kept = extra = gone = regretted = low = 0;
  events = 0;
}
