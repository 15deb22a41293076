#include "account/account.h"

#include "base/os.h"
#include "heap/arena.h"
#include "heap/large.h"
#include "ledger/book.h"
#include "recording/recording.h"

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Other threads go on, so what is live and what there is may be of two moments. What is
 * live is what the rows say; the division among pools and large blocks gives way. */
static bool divide_live(struct ul_snapshot *s, uint64_t large_requested) {
  uint64_t live = s->live_bytes, room = s->pool_bytes - s->tail_bytes;
  uint64_t in_large = least(large_requested, least(live, s->large_bytes));
  if (live - in_large > room) in_large = least(live - room, s->large_bytes);
  s->large_requested = in_large;
  s->large_slack = s->large_bytes - in_large;
  s->small_requested = least(live - in_large, room);
  s->live_bytes = s->small_requested + s->large_requested;
  return s->live_bytes == live;
}

bool account_take(struct ul_snapshot *s) {
  arena_lock();
  struct arena_totals a = arena_totals();
  struct large_totals l = large_totals();
  struct book_totals h = book_totals();
  size_t mapped_arenas = os_mapped(OS_ARENA), mapped_large = os_mapped(OS_LARGE);
  arena_unlock();
  s->arenas = (uint32_t)a.arenas;
  s->larges = (uint32_t)l.larges;
  s->arena_bytes = a.arena_bytes;
  s->large_bytes = l.mapped_bytes;
  s->cached_bytes = mapped_large > l.mapped_bytes ? mapped_large - l.mapped_bytes : 0;
  s->mapped_bytes = mapped_arenas + mapped_large;
  s->pool_bytes = a.pool_bytes;
  s->empty_bytes = a.empty_bytes;
  s->tail_bytes = least(h.tail_bytes, a.pool_bytes);
  bool fits = divide_live(s, l.requested_bytes);
  uint64_t usable = h.usable_bytes > 0 ? (uint64_t)h.usable_bytes : 0;
  usable = least(usable, s->pool_bytes - s->tail_bytes);
  s->small_slack = usable > s->small_requested ? usable - s->small_requested : 0;
  s->free_bytes = s->pool_bytes - s->tail_bytes - s->small_slack - s->small_requested;
  s->tool_bytes = os_mapped(OS_TOOL);
  s->recording_bytes = recording->file_bytes;
  return fits;
}
