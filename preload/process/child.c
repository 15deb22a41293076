#include "process/child.h"

#include "base/os.h"
#include "base/text.h"
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "process/file.h"
#include "process/settings.h"
#include "recording/recording.h"
#include "recording/tree.h"

#include <fcntl.h>
#include <string.h>

/* A process that lived for less than a second, never held 4 MiB, lost less than 16 KiB
 * and freed nothing wrongly: not what anybody looks for in a build's thousand children.
 */
enum { TELL_PEAK = 4 << 20, TELL_LOST = 16 << 10, TELL_MS = 1000 };

/* ---- the line ------------------------------------------------------------------ */

/* Not of others. */
static uint64_t largest_live(int kind) {
  uint64_t most = 0;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    bool counts = kind < 0 ? s->kind != UL_SNAPSHOT_FREE : s->kind == (uint32_t)kind;
    if (counts && s->live_bytes > most + s->other_bytes)
      most = s->live_bytes - s->other_bytes;
  }
  return most;
}

static uint64_t most_of_others(void) {
  uint64_t most = 0;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    if (s->kind != UL_SNAPSHOT_FREE && s->other_bytes > most) most = s->other_bytes;
  }
  return most;
}

static uint64_t peak(void) {
  uint64_t seen = largest_live(-1), missed = recording->missed_bytes;
  return missed > seen + most_of_others() ? missed - most_of_others() : seen;
}

static bool is_mine(uint32_t site) {
  return site != UL_SITE_ULLAGE && !ul_is_inherited(recording, site);
}

static bool lived_for(uint64_t end_ms) {
  return end_ms - recording->forked_ms >= TELL_MS;
}

bool child_has_nothing_to_tell(void) {
  if (recording_stopped() || misuse_any() || peak() >= TELL_PEAK ||
      lived_for(recording_ms()))
    return false;
  return ledger_live(is_mine).bytes < TELL_LOST;
}

bool child_has_something_to_tell(void) {
  if (recording->state == UL_STATE_ABORTED || recording_stopped()) return true;
  if (misuse_any()) return true;
  return peak() >= TELL_PEAK || lived_for(recording->end_ms) ||
         recording->scan.totals[UL_DEFINITE].bytes >= TELL_LOST;
}

bool child_might_have_leaks_to_tell(void) {
  return largest_live(UL_SNAPSHOT_FINAL) >= TELL_LOST;
}

bool child_may_keep(void) {
  return !tree || __atomic_fetch_add(&tree->children_kept, 1, __ATOMIC_RELAXED) <
                      settings.children_max;
}

static void put_field(struct text *line, uint64_t value) {
  text_put_number(line, value);
  text_put(line, "\t");
}

/* As much of it as tells which program it is. */
static void put_command(struct text *line) {
  char room[200];
  struct text command = TEXT_IN(room);
  const char *s = table_at(UL_TEXT, recording->command);
  for (uint32_t i = 0; i < recording->command_count && !command.cut; i++) {
    if (i) text_put(&command, " ");
    text_put_shown(&command, s);
    s += strlen(s) + 1;
  }
  text_put(line, room);
}

bool child_fold(void) {
  static const char *const kinds[] = {"running", "exited", "signaled", "execed",
                                      "aborted"};
  char path[PATH_MAX], room[512];
  file_find_main();
  if (!file_name(path, settings.file, ".children")) return false;
  struct text line = TEXT_IN(room);
  put_field(&line, (uint64_t)recording->pid);
  put_field(&line, (uint64_t)recording->ppid);
  text_put(&line, kinds[recording->state]);
  text_put(&line, "\t");
  put_field(&line, (uint64_t)(uint32_t)recording->status);
  put_field(&line, recording->end_ms - recording->forked_ms);
  put_field(&line, ledger_allocated(is_mine).blocks);
  put_field(&line, peak());
  if (recording->scan.state == UL_SCAN_DONE)
    put_field(&line, recording->scan.totals[UL_DEFINITE].bytes);
  else
    text_put(&line, "-\t");
  put_command(&line);
  text_put(&line, "\n");
  int fd = os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
                   settings.mode);
  if (fd < 0) return false;
  /* Is it what we opened, and not what another thread has put there since (dup2)? */
  struct os_file opened, named;
  bool written = os_identify_at(path, &named) == 0 && named.regular &&
                 os_identify(fd, &opened) == 0 && os_same_file(&opened, &named) &&
                 os_append(fd, room, line.n) == 0;
  os_close(fd);
  return written;
}
