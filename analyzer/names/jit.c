#include "names/jit.h"

#include "names/below.h"
#include "read/recording.h"

#include <fcntl.h>
#include <obstack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free
#define FUNCTION_MOST (16u << 20) /* bytes of code; more is damage */
#define OVERLAPS_MOST 4096u       /* that are looked at for one address */

struct entry {
  struct jit_function function;
  size_t number; /* in the file */
};
struct jit {
  struct entry *at; /* by start */
  size_t count, room;
  uint64_t longest;
  struct obstack names;
};

/* ---- names ---------------------------------------------------------------------- */

/* "handle /srv/app.js:12:7": V8's names, behind what kind of code it is. */
static void split_script(char *rest, struct jit_function *f) {
  static const char *const paths[] = {" /", " file:", " node:", " "};
  char *path = NULL, *end;
  for (size_t i = 0; !path && i < sizeof paths / sizeof *paths; i++)
    path = strstr(rest, paths[i]);
  f->name = *rest && rest != path ? rest : "(anonymous function)";
  if (!path) return;
  *path++ = '\0';
  for (end = path; (end = strchr(end, ':')); end++) {
    unsigned long line = strtoul(end + 1, NULL, 10);
    if (line == 0 || line > UINT32_MAX) continue;
    f->line = (unsigned)line;
    *end = '\0';
    break;
  }
  if (*path) f->file = path;
}

static void split(char *text, struct jit_function *f) {
  static const char *const scripts[] = {
      "JS:", "LazyCompile:", "Function:", "Eval:", "Script:", "InterpretedFunction:"};
  char *path;
  f->name = text;
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    size_t n = strlen(scripts[i]);
    if (strncmp(text, scripts[i], n) != 0) continue;
    split_script(text + n + strspn(text + n, "~^+*"), f);
    return;
  }
  if (strncmp(text, "py::", 4) == 0 && (path = strstr(text, ":/"))) {
    *path = '\0';
    f->name = text + 4;
    f->file = path + 1;
  }
}

/* ---- the file -------------------------------------------------------------------- */

/* Anybody may write into /tmp, and process ids come again: it is root's, ours or whose
 * the recording is, and was written while the process ran. */
static bool is_of(const struct recording *r, const struct stat *map) {
  const struct ul_header *h = recording_header(r);
  struct stat own;
  bool known = stat(recording_path(r), &own) == 0;
  if (!S_ISREG(map->st_mode)) return false;
  if (map->st_uid != 0 && map->st_uid != geteuid() &&
      !(known && map->st_uid == own.st_uid))
    return false;
  uint64_t written = (uint64_t)map->st_mtim.tv_sec, start = h->start_real_ns / 1000000000;
  return written >= start && (!h->end_ms || written <= start + h->end_ms / 1000 + 1);
}

static FILE *open_map(const struct recording *r) {
  char path[64];
  struct stat st;
  snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)recording_header(r)->pid);
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  FILE *file = fd >= 0 && fstat(fd, &st) == 0 && is_of(r, &st) ? fdopen(fd, "r") : NULL;
  if (!file && fd >= 0) close(fd);
  return file;
}

static void add(struct jit *jit, const char *line, size_t n) {
  char *size, *name;
  uint64_t start = strtoull(line, &size, 16), bytes = strtoull(size, &name, 16);
  if (size == line || name == size || *name != ' ' || !bytes || bytes > FUNCTION_MOST ||
      start + bytes < start)
    return;
  if (jit->count == jit->room) {
    size_t room = jit->room ? jit->room * 2 : 1024;
    struct entry *more = realloc(jit->at, room * sizeof *more);
    if (!more) return;
    jit->at = more;
    jit->room = room;
  }
  struct jit_function f = {.start = start, .end = start + bytes};
  name++;
  split(obstack_copy0(&jit->names, name, n - (size_t)(name - line)), &f);
  if (bytes > jit->longest) jit->longest = bytes;
  jit->at[jit->count] = (struct entry){f, jit->count};
  jit->count++;
}

static int by_start(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  if (x->function.start != y->function.start)
    return x->function.start < y->function.start ? -1 : 1;
  return (x->number > y->number) - (x->number < y->number);
}

struct jit *jit_load(const struct recording *r) {
  FILE *file = open_map(r);
  struct jit *jit = file ? calloc(1, sizeof *jit) : NULL;
  char *line = NULL;
  size_t room = 0;
  ssize_t n;
  if (jit) obstack_init(&jit->names);
  while (jit && (n = getline(&line, &room, file)) > 0) {
    if (line[n - 1] == '\n') line[--n] = '\0';
    add(jit, line, (size_t)n);
  }
  free(line);
  if (file) fclose(file);
  if (jit && jit->count) qsort(jit->at, jit->count, sizeof *jit->at, by_start);
  return jit;
}

void jit_free(struct jit *jit) {
  if (!jit) return;
  obstack_free(&jit->names, NULL);
  free(jit->at);
  free(jit);
}

const struct jit_function *jit_find(const struct jit *jit, uint64_t address) {
  const struct entry *found = NULL;
  size_t i = jit ? below(jit->at, jit->count, sizeof *jit->at, address) : 0;
  for (size_t looked = 0; i-- > 0 && looked < OVERLAPS_MOST; looked++) {
    const struct entry *e = &jit->at[i];
    if (address - e->function.start >= jit->longest) break;
    if (address < e->function.end && (!found || e->number > found->number)) found = e;
  }
  return found ? &found->function : NULL;
}
