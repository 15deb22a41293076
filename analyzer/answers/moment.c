#include "answers/moment.h"

#include "read/estimate.h"
#include "read/rows.h"
#include "read/timeline.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- times --------------------------------------------------------------------- */

bool moment_time(const char *text, uint64_t *ms) {
  static const struct {
    const char *name;
    double ms;
  } units[] = {{"ms", 1}, {"s", 1e3}, {"", 1e3}, {"m", 6e4}, {"h", 3.6e6}};
  char *end;
  if (strspn(text, "0123456789.") == 0) return false;
  double value = strtod(text, &end);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp(end, units[i].name) == 0) {
      *ms = value < 1e12 ? (uint64_t)(value * units[i].ms + 0.5) : UINT64_MAX;
      return true;
    }
  return false;
}

static uint64_t since_start(const struct recording *r, uint64_t ms) {
  uint64_t start = timeline_start_ms(r);
  return ms > start ? ms - start : 0;
}

static uint64_t distance(uint64_t a, uint64_t b) {
  return a > b ? a - b : b - a;
}

/* The nearest that says who held what. */
static const struct ul_snapshot *at_time(const struct recording *r, uint64_t ms) {
  struct timeline t = timeline_load(r, true);
  const struct ul_snapshot *best = NULL;
  for (size_t i = 0; i < t.count; i++) {
    const struct ul_snapshot *s = t.at[i];
    if (!s->row_bytes && timeline_live_bytes(s)) continue;
    uint64_t off = distance(since_start(r, s->ms), ms);
    if (!best || off <= distance(since_start(r, best->ms), ms)) best = s;
  }
  timeline_free(&t);
  return best;
}

static bool is_within_run(const struct recording *r, const char *name, uint64_t ms,
                          char *error, size_t size) {
  uint64_t run = since_start(r, recording_duration_ms(r));
  if (ms > run)
    snprintf(error, size,
             "%s is outside of the run, which took %" PRIu64 ".%03" PRIu64 " s", name,
             run / 1000, run % 1000);
  return ms <= run;
}

static const struct ul_snapshot *find_time(const struct recording *r, const char *name,
                                           uint64_t ms, char *error, size_t size) {
  if (!is_within_run(r, name, ms, error, size)) return NULL;
  const struct ul_snapshot *s = at_time(r, ms);
  if (!s) snprintf(error, size, "it has no snapshot that says who held what");
  return s;
}

/* ---- who held what ------------------------------------------------------------- */

static bool make_room(const struct recording *r, struct moment *m) {
  m->sites = calloc(recording_count(r, UL_SITES) + 1, sizeof *m->sites);
  m->codes = calloc(recording_count(r, UL_CODES) + 1, sizeof *m->codes);
  return m->sites && m->codes;
}

static void add_rows(const struct recording *r, const struct ul_snapshot *s,
                     struct moment *m) {
  struct rows rows = rows_of(r, s);
  struct row row;
  while (rows_next(&rows, &row)) {
    struct ul_amount amount = {row.blocks, row.bytes};
    if (row.kind == UL_ROW_SITE && !estimate_is_rest(r, row.number))
      ul_amount_add(&m->sites[estimate_stack(r, row.number)], amount);
    if (row.kind == UL_ROW_CODE) m->codes[row.number] = amount;
  }
}

static struct moment *of_snapshot(const struct recording *r, const struct ul_snapshot *s,
                                  const char *name) {
  struct moment *m = calloc(1, sizeof *m);
  if (!m || !make_room(r, m)) {
    moment_free(m);
    return NULL;
  }
  snprintf(m->name, sizeof m->name, "%s", name);
  m->ms = since_start(r, s->ms);
  m->live_bytes = timeline_live_bytes(s);
  m->live_blocks = timeline_live_blocks(s);
  m->allocations = timeline_allocations(s);
  m->rss_bytes = s->rss_bytes;
  m->least_site = ul_row_least(s, UL_ROW_SITE);
  m->least_code = ul_row_least(s, UL_ROW_CODE);
  add_rows(r, s, m);
  return m;
}

/* Of a name there is one; two while the second is being made. */
static const struct ul_snapshot *find_mark(const struct recording *r, const char *name) {
  const struct ul_snapshot *best = NULL, *s;
  for (uint64_t i = 0; (s = recording_snapshot(r, i)); i++)
    if (s->kind == UL_SNAPSHOT_MARK && strcmp(recording_text(r, s->mark), name) == 0 &&
        (!best || s->ms >= best->ms))
      best = s;
  return best;
}

bool moment_marked(const struct recording *r, const char *name) {
  return find_mark(r, name);
}

struct recording *moment_copy(const struct recording *r, const char *name) {
  const struct ul_snapshot *mark = find_mark(r, name);
  struct recording *copy = NULL;
  char *path, error[256];
  if (asprintf(&path, "%s@%s", recording_path(r), name) < 0) return NULL;
  if (access(path, F_OK) == 0) copy = recording_open(path, error, sizeof error);
  free(path);
  if (!copy || !mark || recording_header(copy)->copied_ms >= mark->ms) return copy;
  recording_close(copy);
  return NULL;
}

static void add_copy(char ***names, size_t *count, const char *name) {
  char **more = reallocarray(*names, *count + 1, sizeof *more);
  if (!more) return;
  *names = more;
  if ((more[*count] = strdup(name))) ++*count;
}

char **moment_copies(const char *path, size_t *count) {
  const char *base = basename(path);
  char *directory = strndup(path, (size_t)(base - path)), **names = NULL;
  DIR *d = directory ? opendir(*directory ? directory : ".") : NULL;
  size_t length = strlen(base);
  struct dirent *entry;
  *count = 0;
  while (d && (entry = readdir(d)))
    if (strncmp(entry->d_name, base, length) == 0 && entry->d_name[length] == '@' &&
        ul_mark_is_name(entry->d_name + length + 1))
      add_copy(&names, count, entry->d_name + length + 1);
  if (d) closedir(d);
  free(directory);
  return names;
}

static void say_marks(const struct recording *r, const char *name, char *error,
                      size_t size) {
  FILE *f = fmemopen(error, size, "w");
  const char *before = "; there are: ";
  const struct ul_snapshot *s;
  size_t count;
  char **copies = moment_copies(recording_path(r), &count);
  if (f) fprintf(f, "no mark is called '%s', and it is no time (12s)", name);
  for (uint64_t i = 0; f && (s = recording_snapshot(r, i)); i++)
    if (s->kind == UL_SNAPSHOT_MARK) {
      fprintf(f, "%s%s", before, recording_text(r, s->mark));
      before = ", ";
    }
  for (size_t i = 0; i < count; i++) {
    if (f) fprintf(f, "%s%s", before, copies[i]);
    before = ", ";
    free(copies[i]);
  }
  free(copies);
  if (f) fclose(f);
  error[size - 1] = 0;
}

/* A mark goes first, whatever else its name might mean. */
static const struct ul_snapshot *find(const struct recording *r, const char *name,
                                      char *error, size_t size) {
  const struct ul_snapshot *s = find_mark(r, name);
  uint64_t ms;
  if (s) return s;
  if (moment_time(name, &ms)) return find_time(r, name, ms, error, size);
  if (strcmp(name, "peak") != 0) {
    say_marks(r, name, error, size);
    return NULL;
  }
  s = timeline_pictured(r);
  if (!s) s = timeline_peak(r);
  if (!s) snprintf(error, size, "it has no snapshot");
  return s;
}

struct moment *moment_find(const struct recording *r, const char *name, char *error,
                           size_t error_bytes) {
  const struct ul_snapshot *s = find(r, name, error, error_bytes);
  struct moment *m = s ? of_snapshot(r, s, name) : NULL;
  if (s && !m) snprintf(error, error_bytes, "not enough memory");
  if (m) m->is_peak = strcmp(name, "peak") == 0 && !moment_marked(r, name);
  return m;
}

bool moment_when(const struct recording *r, const char *name, uint64_t *ms, char *error,
                 size_t error_bytes) {
  struct recording *copy = moment_copy(r, name);
  if (copy) {
    *ms = recording_header(copy)->copied_ms;
    recording_close(copy);
    return true;
  }
  if (!find_mark(r, name) && moment_time(name, ms)) {
    if (!is_within_run(r, name, *ms, error, error_bytes)) return false;
    *ms += timeline_start_ms(r);
    return true;
  }
  const struct ul_snapshot *s = find(r, name, error, error_bytes);
  if (s) *ms = s->ms;
  return s;
}

void moment_free(struct moment *m) {
  if (!m) return;
  free(m->sites);
  free(m->codes);
  free(m);
}
