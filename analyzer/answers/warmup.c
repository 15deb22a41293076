#include "answers/warmup.h"

#include "answers/moment.h"
#include "read/blocks.h"
#include "read/estimate.h"
#include "read/timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mark_ms(const struct recording *r, const char *name) {
  for (uint64_t i = 0; i < recording_count(r, UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = recording_snapshot(r, i);
    if (s->kind == UL_SNAPSHOT_MARK && strcmp(recording_text(r, s->mark), name) == 0)
      return s->ms;
  }
  return 0;
}

static void count(const struct live_block *b, void *argument) {
  struct warmup *w = argument;
  enum ul_verdict verdict = blocks_verdict(w->recording, b);
  if (verdict == UL_NO_VERDICT) return;
  w->each = true;
  if (ul_birth_ms(ul_entry_birth(b->entry)) < w->end_ms) return;
  uint32_t site = ul_entry_site(b->entry);
  uint64_t blocks = (uint64_t)llround(estimate_weight(w->recording, site, b->requested));
  struct ul_amount *late = &w->late[verdict][estimate_stack(w->recording, site)];
  late->blocks += blocks;
  late->bytes += blocks * b->requested;
}

bool warmup_load(struct warmup *w, const struct recording *r, const char *end) {
  *w = (struct warmup){.recording = r};
  if (!end) return true;
  w->start_ms = timeline_start_ms(r);
  if (moment_time(end, &w->end_ms))
    w->end_ms += w->start_ms;
  else
    w->end_ms = mark_ms(r, end);
  if (!w->end_ms) return true;
  for (int v = 0; v < UL_VERDICTS; v++) {
    w->late[v] = calloc(recording_count(r, UL_SITES) + 1, sizeof **w->late);
    if (!w->late[v]) return false;
  }
  blocks_each(r, count, w);
  return true;
}

void warmup_free(struct warmup *w) {
  for (int v = 0; v < UL_VERDICTS; v++)
    free(w->late[v]);
}

/* The rows know their oldest and newest. */
static bool leaves_row(const struct warmup *w, const struct ul_leak *leak) {
  return ul_birth_ms(leak->newest_birth) >= w->end_ms;
}

bool warmup_leaves(const struct warmup *w, struct ul_leak *leak) {
  if (!w->end_ms || ul_birth_ms(leak->oldest_birth) >= w->end_ms) return true;
  if (!w->each) return leaves_row(w, leak);
  struct ul_amount late = w->late[leak->verdict][leak->site];
  leak->blocks = late.blocks;
  leak->bytes = late.bytes;
  leak->indirect_blocks = leak->indirect_bytes = 0;
  return late.blocks;
}
