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

static bool is_mine(uint32_t site) {
  return site != UL_SITE_ULLAGE && !ul_is_inherited(recording, site);
}

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
  uint64_t most = recording->inherited.bytes;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    if (s->kind != UL_SNAPSHOT_FREE && s->other_bytes > most) most = s->other_bytes;
  }
  return most;
}

/* Of what lives now there may be no snapshot. */
static uint64_t peak(void) {
  uint64_t seen = largest_live(), missed = recording->missed_bytes;
  uint64_t now = ledger_live(is_mine).bytes;
  if (seen < now) seen = now;
  return missed > seen + most_of_others() ? missed - most_of_others() : seen;
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

/* With what that drags along: of a tree that has lost its root all is lost. */
static struct ul_amount all_lost(void) {
  struct ul_amount sum = recording->scan.totals[UL_DEFINITE];
  sum.blocks += recording->scan.totals[UL_INDIRECT].blocks;
  sum.bytes += recording->scan.totals[UL_INDIRECT].bytes;
  return sum;
}

/* That a scan did not come to its end is a verdict, too. */
static bool has_lost(void) {
  const struct ul_scan *scan = &recording->scan;
  if (settings.keep != KEEP_TELLING && scan->state != UL_SCAN_NONE &&
      scan->state != UL_SCAN_DONE)
    return true;
  return is_worth_telling(all_lost());
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

/* ---- what it lost, and freed wrongly ----------------------------------------------
 *
 * A line for each of a few places, so that somebody can say where it was when there is no
 * recording: counts, the command, and the call stack as modules, their build ids and
 * addresses in their files. Of a stack that a line has no room for, the outermost frames
 * are left out. */

enum { TOLD_PLACES = 4, TOLD_BYTES = 2048 };

static void put_build_id(struct text *line, const struct ul_module *m) {
  static const char digits[] = "0123456789abcdef";
  char hex[2 * sizeof m->build_id + 1];
  size_t n = 0;
  for (; n < 2u * m->build_id_bytes; n++)
    hex[n] = digits[m->build_id[n / 2] >> (n % 2 ? 0 : 4) & 15];
  hex[n] = 0;
  text_put(line, hex);
}

/* "\tPATH@BUILDID+ADDRESS"; in the module of the frame before only "\t+ADDRESS". false:
 * there is no room for it. */
static bool put_frame(struct text *line, uint64_t code, uint32_t *before) {
  struct text whole = *line;
  uint32_t module = ul_code_module(code);
  text_put(line, "\t");
  if (module != *before && module != UL_NO_MODULE) {
    const struct ul_module *m = table_at(UL_MODULES, module);
    text_put_shown(line, table_at(UL_TEXT, m->name));
    text_put(line, "@");
    put_build_id(line, m);
  } else if (module != *before) {
    text_put(line, "@");
  }
  text_put(line, "+");
  text_put_number(line, ul_code_offset(code));
  *before = module;
  if (!line->cut && line->size - line->n > 2) return true;
  *line = whole;
  line->room[line->n] = 0;
  return false;
}

static void put_stack(struct text *line, uint32_t site) {
  const struct ul_site *s = table_at(UL_SITES, site);
  uint32_t node = s->parent, code = ul_site_code(s), module = UINT32_MAX;
  while (code && put_frame(line, *(const uint64_t *)table_at(UL_CODES, code), &module)) {
    const struct ul_node *caller = table_at(UL_NODES, node);
    code = node < UL_NODE_RESERVED ? 0 : caller->code;
    node = node < UL_NODE_RESERVED ? node : caller->parent;
  }
}

struct place {
  const char *kind;
  uint32_t status, site;
  uint64_t count, bytes;
};

static void tell_place(const char *path, const struct place *p) {
  char room[TOLD_BYTES];
  struct text line = TEXT_IN(room);
  put_field(&line, (uint64_t)recording->pid);
  put_field(&line, (uint64_t)recording->ppid);
  text_put(&line, p->kind);
  text_put(&line, "\t");
  put_field(&line, p->status);
  put_field(&line, 0);
  put_field(&line, p->count);
  put_field(&line, 0);
  put_field(&line, p->bytes);
  put_command(&line);
  put_stack(&line, p->site);
  text_put(&line, "\n");
  append(path, &line);
}

static uint64_t bytes_of(const struct ul_leak *leak) {
  return leak->bytes + leak->indirect_bytes;
}

/* The next one by bytes; TABLE_NONE: there is none. */
static uint32_t next_loss(uint32_t told) {
  const struct ul_leak *before = told == TABLE_NONE ? NULL : table_at(UL_LEAKS, told);
  uint32_t found = TABLE_NONE;
  uint64_t most = 0;
  for (uint32_t i = 0; i < table_count(UL_LEAKS); i++) {
    const struct ul_leak *leak = table_at(UL_LEAKS, i);
    uint64_t bytes = bytes_of(leak);
    if (leak->verdict != UL_DEFINITE || !leak->blocks || bytes <= most) continue;
    if (before && (bytes > bytes_of(before) || (bytes == bytes_of(before) && i <= told)))
      continue;
    found = i;
    most = bytes;
  }
  return found;
}

static void tell_losses(const char *path) {
  uint32_t i = TABLE_NONE;
  for (int n = 0; n < TOLD_PLACES && (i = next_loss(i)) != TABLE_NONE; n++) {
    const struct ul_leak *leak = table_at(UL_LEAKS, i);
    struct place p = {.kind = "lost", .site = leak->site, .bytes = bytes_of(leak)};
    p.count = leak->blocks + leak->indirect_blocks;
    tell_place(path, &p);
  }
}

static void tell_misuses(const char *path) {
  unsigned told = 0;
  for (unsigned i = 0; i < UL_MISUSES * UL_MISUSE_PLACES && told < TOLD_PLACES; i++) {
    const struct ul_misuse *m = &recording->misuses[i];
    if (!m->count) continue;
    enum ul_misuse_kind kind = i / UL_MISUSE_PLACES;
    struct place p = {.kind = "freed", .status = kind, .count = m->count};
    p.site = ul_misuse_place(kind, m);
    tell_place(path, &p);
    told++;
  }
}

/* ---- its line -------------------------------------------------------------------- */

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
    put_field(&line, all_lost().bytes);
  else
    text_put(&line, "-\t");
  put_command(&line);
  text_put(&line, "\n");
  if (!append(path, &line)) return false;
  if (recording->scan.state == UL_SCAN_DONE) tell_losses(path);
  if (misuse_any()) tell_misuses(path);
  return true;
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

void child_note_without_us(const char *program, bool unfit) {
  char path[PATH_MAX], room[PATH_MAX + 64], name[PATH_MAX];
  struct text absolute = TEXT_IN(name), line = TEXT_IN(room);
  if (settings.keep == KEEP_TELLING || !file_name(path, settings.file, ".children"))
    return;
  put_absolute(&absolute, program);
  if (!pattern_of_path(settings.programs, name)) return;
  text_put(&line, "0\t");
  put_field(&line, (uint64_t)os_pid());
  text_put(&line, unfit ? "unfit" : "bare");
  text_put(&line, "\t0\t0\t0\t0\t-\t");
  text_put_shown(&line, name);
  text_put(&line, "\n");
  append(path, &line);
}
