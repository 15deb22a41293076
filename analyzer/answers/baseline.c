#include "answers/baseline.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

static const char magic[] = "# ullage baseline 1";
static const char *const kinds[SUITE_KINDS] = SUITE_KIND_NAMES;

struct work {
  struct baseline baseline;
  struct obstack memory;
  size_t room;
};

static const char *keep(struct baseline *b, const char *text, size_t n) {
  return obstack_copy0(b->memory, text, n);
}

static struct baseline_line *add(struct baseline *b) {
  struct work *w = (struct work *)b;
  if (b->count == w->room) {
    size_t room = w->room ? w->room * 2 : 64;
    struct baseline_line *larger = reallocarray(b->lines, room, sizeof *larger);
    if (!larger) return NULL;
    b->lines = larger;
    w->room = room;
  }
  b->lines[b->count] = (struct baseline_line){.program = ""};
  return &b->lines[b->count++];
}

struct baseline *baseline_new(void) {
  struct work *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  obstack_init(&w->memory);
  w->baseline.memory = &w->memory;
  return &w->baseline;
}

void baseline_free(struct baseline *b) {
  if (!b) return;
  obstack_free(b->memory, NULL);
  free(b->lines);
  free(b);
}

/* ---- order ------------------------------------------------------------------------ */

static int by_program(const void *a, const void *b) {
  const struct baseline_line *x = a, *y = b;
  int order = strcmp(x->program, y->program);
  if (order) return order;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->exact != y->exact) return x->exact < y->exact ? -1 : 1;
  return 0;
}

static void sort(struct baseline *b) {
  if (b->count) qsort(b->lines, b->count, sizeof *b->lines, by_program);
}

static uint64_t larger(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

/* Two branches may both have accepted it. */
static void unite(struct baseline *b) {
  size_t kept = 0;
  sort(b);
  for (size_t i = 0; i < b->count; i++) {
    struct baseline_line *line = &b->lines[i], *last = &b->lines[kept - !!kept];
    if (kept && by_program(last, line) == 0) {
      last->of.blocks = larger(last->of.blocks, line->of.blocks);
      last->of.bytes = larger(last->of.bytes, line->of.bytes);
    } else {
      b->lines[kept++] = *line;
    }
  }
  b->count = kept;
}

/* ---- names of programs: without blanks --------------------------------------------- */

static bool is_plain(char c) {
  return (unsigned char)c > ' ' && c != 127 && c != '%' && c != '#';
}

static void put_program(const char *name, FILE *out) {
  for (; *name; name++)
    fprintf(out, is_plain(*name) ? "%c" : "%%%02X", (unsigned char)*name);
}

static const char *keep_program(struct baseline *b, const char *text) {
  for (; *text; text++) {
    unsigned code;
    bool coded = *text == '%' && isxdigit((unsigned char)text[1]) &&
                 isxdigit((unsigned char)text[2]) && sscanf(text + 1, "%2x", &code) == 1;
    obstack_1grow(b->memory, coded ? (char)code : *text);
    if (coded) text += 2;
  }
  obstack_1grow(b->memory, 0);
  return obstack_finish(b->memory);
}

/* ---- read ------------------------------------------------------------------------- */

static bool kind_of(const char *name, enum suite_kind *kind) {
  for (int k = 0; k < SUITE_KINDS; k++) {
    if (strcmp(kinds[k], name) != 0) continue;
    *kind = (enum suite_kind)k;
    return true;
  }
  return false;
}

static bool read_line(struct baseline *b, char *text) {
  char *comment = strstr(text, "  # "), *program = strsep(&text, " ");
  char *kind = strsep(&text, " ");
  struct baseline_line *line = add(b);
  int end = 0;
  if (comment) *comment = 0;
  if (!line || !kind || !text || !kind_of(kind, &line->kind)) return false;
  int fields =
      sscanf(text, "%16" SCNx64 " %16" SCNx64 " %20" SCNu64 " %20" SCNu64 "%n",
             &line->exact, &line->loose, &line->of.blocks, &line->of.bytes, &end);
  if (fields != 4 || text[end]) return false;
  line->program = keep_program(b, program);
  line->where = comment ? keep(b, comment + 4, strlen(comment + 4)) : NULL;
  return true;
}

static bool is_conflict(const char *text) {
  return !strncmp(text, "<<<<<<<", 7) || !strncmp(text, "=======", 7) ||
         !strncmp(text, ">>>>>>>", 7);
}

static bool read_lines(struct baseline *b, FILE *in, const char *path, char *error,
                       size_t size) {
  char *text = NULL;
  size_t room = 0;
  unsigned number = 0;
  bool fine = true;
  for (ssize_t n; fine && (n = getline(&text, &room, in)) >= 0;) {
    text[strcspn(text, "\r\n")] = 0;
    if (!number++ && strcmp(text, magic) != 0) {
      snprintf(error, size,
               strncmp(text, magic, sizeof magic - 2)
                   ? "%s is not a baseline: choose another file, or remove it and make "
                     "one by --update-baseline"
                   : "%s was made by another version of ullage: make it anew by "
                     "--update-baseline",
               path);
      fine = false;
    } else if (is_conflict(text)) {
      snprintf(error, size, "%s:%u: a conflict of a merge: keep the lines of both sides",
               path, number);
      fine = false;
    } else if (*text && *text != '#' && !read_line(b, text)) {
      snprintf(
          error, size,
          "%s:%u: 'PROGRAM KIND EXACT LOOSE BLOCKS BYTES' expected; remove the line, "
          "or make the baseline anew by --update-baseline",
          path, number);
      fine = false;
    }
  }
  if (fine && (ferror(in) || !number)) {
    snprintf(error, size, "%s is %s", path,
             ferror(in) ? strerror(errno)
                        : "empty, and no baseline: --update-baseline makes one");
    fine = false;
  }
  free(text);
  return fine;
}

struct baseline *baseline_read(const char *path, char *error, size_t size) {
  FILE *in = fopen(path, "re");
  if (!in) {
    snprintf(error, size, "%s: %s%s", path, strerror(errno),
             errno == ENOENT ? "; --update-baseline makes one" : "");
    return NULL;
  }
  struct baseline *b = baseline_new();
  snprintf(error, size, "not enough memory");
  if (b && !read_lines(b, in, path, error, size)) {
    baseline_free(b);
    b = NULL;
  }
  fclose(in);
  if (b) unite(b);
  return b;
}

/* ---- compare ---------------------------------------------------------------------- */

static struct ul_amount amount_of(const struct suite_finding *f) {
  if (f->kind == SUITE_BUDGET) return (struct ul_amount){f->value, 0};
  return f->times ? (struct ul_amount){f->times, 0} : f->of;
}

static const char *program_of(const struct suite *s, const struct suite_finding *f) {
  return basename(s->processes[f->process].program);
}

static bool is_open(const struct suite_finding *f) {
  return f->state != SUITE_SUPPRESSED && f->state != SUITE_FOREIGN;
}

static struct baseline_line *find_exact(const struct baseline *b, const struct suite *s,
                                        const struct suite_finding *f) {
  const struct baseline_line key = {
      .program = program_of(s, f), .kind = f->kind, .exact = f->exact};
  return b->count ? bsearch(&key, b->lines, b->count, sizeof key, by_program) : NULL;
}

/* One that no finding has by all of its stack. */
static struct baseline_line *find_loose(const struct baseline *b, const struct suite *s,
                                        const struct suite_finding *f) {
  for (size_t i = 0; i < b->count; i++) {
    struct baseline_line *line = &b->lines[i];
    bool taken = line->found.blocks && !line->moved;
    if (!taken && line->kind == f->kind && line->loose == f->loose && f->loose &&
        strcmp(line->program, program_of(s, f)) == 0)
      return line;
  }
  return NULL;
}

static void match(struct suite_finding *f, struct baseline_line *line) {
  struct ul_amount now = amount_of(f);
  line->found.blocks += now.blocks;
  line->found.bytes += now.bytes;
  f->known = line;
}

static bool has_grown(const struct baseline_line *line, struct baseline_slack slack) {
  uint64_t was = line->of.blocks, now = line->found.blocks;
  if (now <= was || now - was < slack.blocks) return false;
  return (double)(now - was) * 100 > (double)was * slack.percent;
}

static bool was_judged(const struct suite *s, const char *program) {
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    if (p->standing == SUITE_JUDGED && strcmp(basename(p->program), program) == 0)
      return true;
  }
  return suite_is_silent(s, program);
}

void baseline_compare(struct baseline *b, struct suite *s, struct baseline_slack slack) {
  for (size_t i = 0; i < s->count; i++) {
    struct suite_finding *f = &s->findings[i];
    struct baseline_line *line = is_open(f) ? find_exact(b, s, f) : NULL;
    if (line) match(f, line);
  }
  for (size_t i = 0; i < s->count; i++) {
    struct suite_finding *f = &s->findings[i];
    struct baseline_line *line = is_open(f) && !f->known ? find_loose(b, s, f) : NULL;
    if (!line) continue;
    line->moved = true;
    match(f, line);
  }
  for (size_t i = 0; i < s->count; i++) {
    struct suite_finding *f = &s->findings[i];
    if (f->known) f->state = has_grown(f->known, slack) ? SUITE_GREW : SUITE_KNOWN;
  }
  for (size_t i = 0; i < b->count; i++)
    b->lines[i].judged = was_judged(s, b->lines[i].program);
  s->baseline = b;
}

bool baseline_is_fixed(const struct baseline_line *line) {
  return line->judged && !line->found.blocks;
}

size_t baseline_fixed(const struct baseline *b) {
  size_t n = 0;
  for (size_t i = 0; i < b->count; i++)
    n += baseline_is_fixed(&b->lines[i]);
  return n;
}

size_t baseline_moved(const struct baseline *b) {
  size_t n = 0;
  for (size_t i = 0; i < b->count; i++)
    n += b->lines[i].moved;
  return n;
}

/* ---- accept ----------------------------------------------------------------------- */

/* The finding that has a line now, by whatever name. */
static const struct suite_finding *finding_of(const struct suite *s,
                                              const struct baseline_line *line) {
  for (size_t i = 0; i < s->count; i++)
    if (s->findings[i].known == line) return &s->findings[i];
  return NULL;
}

static bool add_known(struct baseline *b, const struct suite *s,
                      const struct baseline_line *was) {
  const struct suite_finding *f = finding_of(s, was);
  struct baseline_line *line = baseline_is_fixed(was) ? NULL : add(b);
  if (!line) return baseline_is_fixed(was);
  *line =
      (struct baseline_line){.kind = was->kind, .exact = was->exact, .loose = was->loose};
  line->program = keep(b, was->program, strlen(was->program));
  line->where = was->where ? keep(b, was->where, strlen(was->where)) : NULL;
  bool less = f && was->found.blocks < was->of.blocks;
  line->of = less || (f && f->state == SUITE_GREW) ? was->found : was->of;
  if (was->moved && f) {
    line->exact = f->exact;
    line->loose = f->loose;
  }
  return true;
}

/* Of several findings that differ by lines only, one line. */
static struct baseline_line *line_for(struct baseline *b, const struct suite *s,
                                      const struct suite_finding *f) {
  const struct baseline_line key = {
      .program = program_of(s, f), .kind = f->kind, .exact = f->exact};
  for (size_t i = b->count; i > 0; i--)
    if (by_program(&b->lines[i - 1], &key) == 0) return &b->lines[i - 1];
  struct baseline_line *line = add(b);
  if (!line) return NULL;
  *line = (struct baseline_line){.kind = f->kind, .exact = f->exact, .loose = f->loose};
  line->program = keep(b, key.program, strlen(key.program));
  return line;
}

static bool add_new(struct baseline *b, const struct suite *s,
                    const struct suite_finding *f,
                    char *(*where)(const struct suite_finding *)) {
  struct ul_amount now = amount_of(f);
  struct baseline_line *line = line_for(b, s, f);
  char *text = line && !line->where ? where(f) : NULL;
  if (!line) return false;
  line->of.blocks += now.blocks;
  line->of.bytes += now.bytes;
  if (text) line->where = keep(b, text, strlen(text));
  free(text);
  return true;
}

struct baseline *baseline_next(const struct baseline *was, const struct suite *s,
                               char *(*where)(const struct suite_finding *)) {
  struct baseline *b = baseline_new();
  bool done = b;
  for (size_t i = 0; done && i < was->count; i++)
    done = add_known(b, s, &was->lines[i]);
  for (size_t i = 0; done && i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    if (is_open(f) && !f->known) done = add_new(b, s, f, where);
  }
  if (done) {
    unite(b);
    return b;
  }
  baseline_free(b);
  return NULL;
}

/* ---- write ------------------------------------------------------------------------ */

static void put_line(const struct baseline_line *line, FILE *out) {
  put_program(line->program, out);
  fprintf(out, " %s %016" PRIx64 " %016" PRIx64 " %" PRIu64 " %" PRIu64,
          kinds[line->kind], line->exact, line->loose, line->of.blocks, line->of.bytes);
  if (line->where && *line->where) fprintf(out, "  # %s", line->where);
  fputc('\n', out);
}

static bool put_all(const struct baseline *b, FILE *out) {
  fprintf(out,
          "%s\n"
          "# Findings of `ullage check` that are accepted. --update-baseline writes it.\n"
          "# PROGRAM KIND EXACT LOOSE BLOCKS BYTES  # WHERE\n",
          magic);
  for (size_t i = 0; i < b->count; i++)
    put_line(&b->lines[i], out);
  bool failed = fflush(out) != 0 || ferror(out);
  return fclose(out) == 0 && !failed;
}

/* Beside it first: a full disk must not cost the old one. */
bool baseline_write(const struct baseline *b, const char *path) {
  char real[PATH_MAX], temporary[PATH_MAX + 32];
  struct stat st;
  if (!realpath(path, real)) snprintf(real, sizeof real, "%s", path);
  snprintf(temporary, sizeof temporary, "%s.%d", real, getpid());
  FILE *out = fopen(temporary, "wxe");
  if (!out) return false;
  if (stat(real, &st) == 0) (void)!fchmod(fileno(out), st.st_mode & 0777);
  if (put_all(b, out) && rename(temporary, real) == 0) return true;
  int error = errno;
  unlink(temporary);
  errno = error;
  return false;
}
