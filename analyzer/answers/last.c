#include "answers/last.h"

#include "read/timeline.h"

/* The live bytes of the last snapshot before the last seconds; of a run that was shorter,
 * its start. */
static uint64_t bytes_before(const struct recording *r, uint64_t end, uint64_t *ms) {
  const struct ul_snapshot *s, *best = NULL;
  for (uint64_t i = 0; (s = recording_snapshot(r, i)); i++)
    if (s->kind != UL_SNAPSHOT_FREE && s->ms + LAST_MS <= end &&
        (!best || s->ms > best->ms))
      best = s;
  *ms = best ? best->ms : timeline_start_ms(r);
  return best ? timeline_live_bytes(best) : 0;
}

uint64_t last_limit(const struct ul_header *h, const char **of) {
  uint64_t lowest = UINT64_MAX;
  const struct {
    uint64_t bytes;
    const char *of;
  } limits[] = {{h->limits.group, "for its control group"},
                {h->limits.address_space, "of address space"},
                {h->limits.data, "of data"}};
  if (!(h->features & UL_FEATURE_LIMITS)) return lowest;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    if (limits[i].bytes >= lowest) continue;
    lowest = limits[i].bytes;
    *of = limits[i].of;
  }
  return lowest;
}

/* Who came to its end otherwise did not want for memory. */
static bool failed(const struct recording *r) {
  switch (recording_end(r)) {
  case RECORDING_EXITED:
    return recording_header(r)->status != 0;
  case RECORDING_KILLED:
  case RECORDING_SIGNALED:
  case RECORDING_ABORTED:
    return true;
  default:
    return false;
  }
}

bool last_failed_at(const struct recording *r, uint64_t bytes) {
  const char *of;
  return failed(r) && bytes >= last_limit(recording_header(r), &of) / 2;
}

struct last last_of(const struct process *p) {
  enum { NOTHING = 100 }; /* of what lives */
  const struct recording *r = p->recording;
  struct last l = {0};
  uint64_t end = recording_duration_ms(r), live = p->sites->bytes, since;
  uint64_t peak = process_peak_bytes(p);
  l.to_peak = live < peak / 2 && last_failed_at(r, peak);
  if (l.to_peak) {
    live = p->sites->peak_bytes;
    end = p->sites->peak_ms;
  }
  uint64_t before = bytes_before(r, end, &since);
  l.ms = end > since ? end - since : 0;
  l.bytes = (int64_t)(live - before);
  uint64_t size = live > before ? live - before : before - live;
  l.rose = size && size >= live / NOTHING;
  l.limit = last_limit(recording_header(r), &l.limit_of);
  l.matters = l.ms && (recording_was_killed(r) || last_failed_at(r, live));
  return l;
}
