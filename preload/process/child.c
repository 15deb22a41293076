#include "process/child.h"

#include "base/os.h"
#include "base/text.h"
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

/* The program's own. */
static uint64_t largest_live(int kind) {
  uint64_t most = 0;
  for (uint64_t i = 0; i < table_count(UL_SNAPSHOTS); i++) {
    const struct ul_snapshot *s = table_at(UL_SNAPSHOTS, i);
    bool counts = kind < 0 ? s->kind != UL_SNAPSHOT_FREE : s->kind == (uint32_t)kind;
    if (counts && s->live_bytes > most + s->own_bytes)
      most = s->live_bytes - s->own_bytes;
  }
  return most;
}

static uint64_t peak(void) {
  return largest_live(-1);
}

static uint64_t allocations(void) {
  uint64_t n = 0;
  for (uint64_t i = 0; i < table_count(UL_COUNTERS); i++) {
    const struct ul_chunk *chunk = table_at(UL_CHUNKS, i / UL_CHUNK_SITES);
    if (chunk->first_site + i % UL_CHUNK_SITES != UL_SITE_ULLAGE)
      n += ((const struct ul_counter *)table_at(UL_COUNTERS, i))->allocations;
  }
  return n;
}

static uint64_t lived_ms(void) {
  return recording->end_ms - recording->forked_ms;
}

bool child_has_something_to_tell(void) {
  if (recording->state == UL_STATE_ABORTED || recording_stopped()) return true;
  if (misuse_any()) return true;
  return peak() >= TELL_PEAK || lived_ms() >= TELL_MS ||
         recording->scan.totals[UL_DEFINITE].bytes >= TELL_LOST;
}

bool child_might_have_leaks_to_tell(void) {
  return largest_live(UL_SNAPSHOT_FINAL) >= TELL_LOST;
}

bool child_may_keep(void) {
  return !tree || __atomic_fetch_add(&tree->children_kept, 1, __ATOMIC_RELAXED) <
                      settings.children_max;
}

struct line {
  char text[1024];
  size_t n;
};

static void put(struct line *l, const char *s, size_t most) {
  for (; *s && most && l->n + 2 < sizeof l->text; s++, most--)
    l->text[l->n++] = (unsigned char)*s < ' ' || *s == 127 ? '?' : *s;
}

static void put_field(struct line *l, uint64_t value) {
  char digits[TEXT_DIGITS];
  put(l, text_number(digits, value), sizeof digits);
  l->text[l->n++] = '\t';
}

static void put_command(struct line *l) {
  const char *s = table_at(UL_TEXT, recording->command);
  size_t begin = l->n;
  for (uint32_t i = 0; i < recording->command_count && l->n - begin < 200; i++) {
    if (i) put(l, " ", 1);
    put(l, s, 200 - (l->n - begin));
    s += strlen(s) + 1;
  }
}

bool child_fold(void) {
  static const char *const kinds[] = {"running", "exited", "signaled", "execed",
                                      "aborted"};
  char path[PATH_MAX];
  file_find_main();
  strcpy(path, settings.file);
  if (!file_name_append(path, ".children")) return false;
  struct line l = {.n = 0};
  put_field(&l, (uint64_t)recording->pid);
  put_field(&l, (uint64_t)recording->ppid);
  put(&l, kinds[recording->state], 16);
  l.text[l.n++] = '\t';
  put_field(&l, (uint64_t)(uint32_t)recording->status);
  put_field(&l, lived_ms());
  put_field(&l, allocations());
  put_field(&l, peak());
  if (recording->scan.state == UL_SCAN_DONE)
    put_field(&l, recording->scan.totals[UL_DEFINITE].bytes);
  else
    put(&l, "-", 1), l.text[l.n++] = '\t';
  put_command(&l);
  l.text[l.n++] = '\n';
  int fd = os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
                   settings.mode);
  if (fd < 0) return false;
  /* Is it what we opened, and not what another thread has put there since (dup2)? */
  struct os_file opened, named;
  bool written = os_identify_at(path, &named) == 0 && named.regular &&
                 os_identify(fd, &opened) == 0 && os_same_file(&opened, &named) &&
                 os_append(fd, l.text, l.n) == 0;
  os_close(fd);
  return written;
}
