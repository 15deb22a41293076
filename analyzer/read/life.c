/* life.c - the process of a recording: does it run, how did it end, how long was it. */
#include "read/parts.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Do we see the processes that it is one of? */
static bool is_in_our_space(const struct ul_header *h) {
  struct stat space;
  return !h->pid_space || stat("/proc/self/ns/pid", &space) != 0 ||
         space.st_ino == h->pid_space;
}

/* Does the process still run: same pid and same start time (field 22 of its stat;
 * field 2, the name in parentheses, may hold anything). */
bool part_process_runs(const struct ul_header *h) {
  char name[64], line[1024];
  if (!is_in_our_space(h)) return false;
  snprintf(name, sizeof name, "/proc/%" PRId32 "/stat", h->pid);
  FILE *f = fopen(name, "re");
  if (!f) return false;
  size_t n = fread(line, 1, sizeof line - 1, f);
  fclose(f);
  line[n] = 0;
  const char *p = strrchr(line, ')');
  if (!p || p[1] == 0) return false;
  char state = p[2];
  for (int field = 2; field < 22 && p; field++)
    p = strchr(p + 1, ' ');
  return p && strtoull(p, NULL, 10) == h->pid_start && state != 'Z' && state != 'X';
}

static void later(uint64_t *ms, uint64_t other) {
  if (other > *ms) *ms = other;
}

static uint64_t last_known_ms(const struct recording *r) {
  uint64_t ms = r->header.stop_ms;
  for (uint64_t i = 0; i < r->tables[UL_SNAPSHOTS].count; i++) {
    const struct ul_snapshot *s = part_at(r, UL_SNAPSHOTS, i);
    if (s->kind != UL_SNAPSHOT_FREE) later(&ms, s->ms);
  }
  for (uint64_t i = 0; i < r->tables[UL_HEAPS].count; i++)
    later(&ms, ((const struct ul_heap_record *)part_at(r, UL_HEAPS, i))->born_ms);
  for (uint64_t i = 0; i < r->tables[UL_MODULES].count; i++)
    later(&ms, ((const struct ul_module *)part_at(r, UL_MODULES, i))->loaded_ms);
  for (uint64_t i = 0; i < r->tables[UL_LARGES].count; i++)
    later(&ms, ul_birth_ms(ul_entry_birth(
                   ((const struct ul_large *)part_at(r, UL_LARGES, i))->entry)));
  for (uint64_t i = 0; i < r->tables[UL_ARENAS].count; i++) {
    const struct ul_arena *a = part_at(r, UL_ARENAS, i);
    for (unsigned u = 0; a->base && u < UL_UNITS; u++) {
      if (a->pools[u].units == 0) continue;
      uint64_t blocks = recording_pool_blocks(r, &a->pools[u]);
      for (uint64_t k = 0; k < blocks; k++)
        later(&ms,
              ul_birth_ms(ul_entry_birth(recording_entry(r, a->pools[u].entry + k))));
    }
  }
  return ms;
}

bool recording_header_runs(const struct ul_header *h) {
  return h->state == UL_STATE_RUNNING && !h->copied_ms && part_process_runs(h);
}

uint64_t recording_header_now_ms(const struct ul_header *h) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  return ns > h->start_mono_ns ? (ns - h->start_mono_ns) / 1000000 : 0;
}

void part_find_duration(struct recording *r) {
  bool ended = r->header.end_ms || r->header.state != UL_STATE_RUNNING;
  r->duration_ms = ended ? r->header.end_ms : last_known_ms(r);
  if (ended) return;
  if (r->header.copied_ms) later(&r->duration_ms, r->header.copied_ms);
  if (r->alive) later(&r->duration_ms, recording_header_now_ms(&r->header));
}

bool recording_runs(const struct recording *r) {
  return r->alive && part_process_runs(&r->header);
}

void recording_observe(struct recording *r, struct ul_mapping *mappings, uint64_t count,
                       uint64_t rss_bytes) {
  free(r->tables[UL_MAPPINGS].data);
  r->tables[UL_MAPPINGS] = (struct table){(char *)mappings, count};
  r->header.residency = UL_EVIDENCE_PAGEMAP;
  r->header.end_rss_bytes = rss_bytes;
}

enum recording_end recording_end(const struct recording *r) {
  switch (r->header.state) {
  case UL_STATE_EXITED:
    return RECORDING_EXITED;
  case UL_STATE_SIGNALED:
    return RECORDING_SIGNALED;
  case UL_STATE_EXECED:
    return RECORDING_EXECED;
  case UL_STATE_ABORTED:
    return RECORDING_ABORTED;
  default:
    if (r->alive || r->header.copied_ms) return RECORDING_RUNNING;
    if (!is_in_our_space(&r->header)) return RECORDING_ELSEWHERE;
    return r->header.confined_ms ? RECORDING_UNSEEN : RECORDING_KILLED;
  }
}

bool recording_was_killed(const struct recording *r) {
  enum recording_end end = recording_end(r);
  return end == RECORDING_KILLED ||
         (end == RECORDING_SIGNALED && r->header.status == SIGKILL);
}

struct ul_kills recording_kills(const struct recording *r) {
  bool known = r->header.features & UL_FEATURE_KILLS;
  return known ? r->header.kills : (struct ul_kills){UINT32_MAX, UINT32_MAX};
}

bool recording_was_oom_killed(const struct recording *r) {
  uint32_t kills = recording_kills(r).group;
  return recording_was_killed(r) && kills && kills != UINT32_MAX;
}

uint64_t recording_duration_ms(const struct recording *r) {
  return r->duration_ms;
}
