#include "process/child.h"

#include "account/snapshot.h"
#include "base/os.h"
#include "base/text.h"
#include "ledger/ledger.h"
#include "ledger/misuse.h"
#include "pattern.h"
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
static uint64_t largest_live(void) {
  uint64_t most = 0;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    if (s->kind != UL_SNAPSHOT_FREE && s->live_bytes > most + s->other_bytes)
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
  uint64_t seen = largest_live(), missed = recording->missed_bytes;
  return missed > seen + most_of_others() ? missed - most_of_others() : seen;
}

static bool is_mine(uint32_t site) {
  return site != UL_SITE_ULLAGE && !ul_is_inherited(recording, site);
}

static bool lived_for(uint64_t end_ms) {
  return end_ms - recording->forked_ms >= TELL_MS;
}

/* Where verdicts are asked for (ULLAGE_KEEP), however little it is. */
static bool is_worth_telling(struct ul_amount lost) {
  return lost.blocks && (settings.keep != KEEP_TELLING || lost.bytes >= TELL_LOST);
}

static bool was_large(uint64_t end_ms) {
  return settings.keep == KEEP_TELLING && (peak() >= TELL_PEAK || lived_for(end_ms));
}

static bool tells_anyway(void) {
  return recording_stopped() || misuse_any() || snapshot_marks() ||
         settings.keep == KEEP_ALL;
}

bool child_has_nothing_to_tell(void) {
  if (tells_anyway() || was_large(recording_ms())) return false;
  return !child_might_have_leaks_to_tell();
}

/* That a scan did not come to its end is a verdict, too. */
static bool has_lost(void) {
  const struct ul_scan *scan = &recording->scan;
  if (settings.keep != KEEP_TELLING && scan->state != UL_SCAN_NONE &&
      scan->state != UL_SCAN_DONE)
    return true;
  return is_worth_telling(scan->totals[UL_DEFINITE]);
}

bool child_has_something_to_tell(void) {
  if (recording->state == UL_STATE_ABORTED || tells_anyway()) return true;
  return was_large(recording->end_ms) || has_lost();
}

bool child_might_have_leaks_to_tell(void) {
  return is_worth_telling(ledger_live(is_mine));
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

/* Is it what we opened, and not what another thread has put there since (dup2)? */
static bool append(const char *path, const struct text *line) {
  struct os_file opened, named;
  int fd = os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
                   settings.mode);
  if (fd < 0) return false;
  bool written = os_identify_at(path, &named) == 0 && named.regular &&
                 os_identify(fd, &opened) == 0 && os_same_file(&opened, &named) &&
                 os_append(fd, line->room, line->n) == 0;
  os_close(fd);
  return written;
}

/* A child of the main process, which is recorded whatever its program is. */
static bool is_of_programs(void) {
  return pattern_of_path(settings.programs, table_at(UL_TEXT, recording->program));
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
  text_put(&line, is_of_programs() ? kinds[recording->state] : "other");
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
  return append(path, &line);
}

/* ---- programs without us --------------------------------------------------------- */

static void put_absolute(struct text *to, const char *path) {
  char directory[PATH_MAX];
  if (*path != '/' && os_directory(directory, sizeof directory) == 0) {
    text_put(to, directory);
    text_put(to, "/");
  }
  text_put(to, path);
}

void child_note_unfit(const char *program) {
  char path[PATH_MAX], room[PATH_MAX + 64], name[PATH_MAX];
  struct text absolute = TEXT_IN(name), line = TEXT_IN(room);
  if (settings.keep == KEEP_TELLING || !file_name(path, settings.file, ".children"))
    return;
  put_absolute(&absolute, program);
  if (!pattern_of_path(settings.programs, name)) return;
  text_put(&line, "0\t");
  put_field(&line, (uint64_t)os_pid());
  text_put(&line, "unfit\t0\t0\t0\t0\t-\t");
  text_put_shown(&line, name);
  text_put(&line, "\n");
  append(path, &line);
}
