#include "answers/children.h"

#include "read/recording.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files --------------------------------------------------------------------- */

static const char *skip_number(const char *at) {
  if (*at++ != '.' || !isdigit((unsigned char)*at)) return NULL;
  while (isdigit((unsigned char)*at))
    at++;
  return at;
}

bool children_is_name(const char *name, const char *base) {
  size_t length = strlen(base);
  if (strncmp(name, base, length) != 0) return false;
  const char *end = skip_number(name + length);
  if (end && *end) end = skip_number(end);
  return end && !*end;
}

static int by_number(const struct dirent **a, const struct dirent **b) {
  return strverscmp((*a)->d_name, (*b)->d_name);
}

static void add_file(struct children *children, const char *directory, const char *name) {
  char **files = reallocarray(children->files, children->count + 1, sizeof *files);
  if (!files) return;
  children->files = files;
  if (asprintf(&files[children->count], "%s%s", directory, name) >= 0) children->count++;
}

static void find_files(struct children *children, const char *path) {
  const char *base = basename(path);
  char *directory = strndup(path, (size_t)(base - path));
  struct dirent **names = NULL;
  int count =
      directory ? scandir(*directory ? directory : ".", &names, NULL, by_number) : -1;
  for (int i = 0; i < count; i++) {
    if (children_is_name(names[i]->d_name, base))
      add_file(children, directory, names[i]->d_name);
    free(names[i]);
  }
  free(names);
  free(directory);
}

/* ---- folded lines -------------------------------------------------------------- */

char *children_program_of(const char *command) {
  size_t length = strcspn(command, " \t");
  const char *name = command;
  for (size_t i = 0; i < length; i++)
    if (command[i] == '/' && i + 1 < length) name = command + i + 1;
  return strndup(name, length - (size_t)(name - command));
}

/* NULL: no memory. */
static struct children_program *program_at(struct children *children,
                                           const char *command) {
  char *name = children_program_of(command);
  struct children_program *program = NULL;
  if (!name) return NULL;
  HASH_FIND_STR(children->programs, name, program);
  if (!program && (program = calloc(1, sizeof *program))) {
    program->name = name;
    HASH_ADD_KEYPTR(hh, children->programs, name, strlen(name), program);
    return program;
  }
  free(name);
  return program;
}

static void add_to_program(struct children *children, char *const fields[]) {
  struct children_program *program = program_at(children, fields[CHILDREN_COMMAND]);
  uint64_t peak = strtoull(fields[CHILDREN_PEAK], NULL, 10);
  uint64_t lost = strtoull(fields[CHILDREN_LOST], NULL, 10);
  if (!program) return;
  program->count++;
  program->allocations += strtoull(fields[CHILDREN_ALLOCATIONS], NULL, 10);
  program->lost += lost;
  program->losers += lost > 0;
  bool unscanned = strcmp(fields[CHILDREN_LOST], "-") == 0;
  program->unscanned += unscanned;
  program->small += unscanned && strcmp(fields[CHILDREN_KIND], "exited") == 0;
  if (peak > program->peak) program->peak = peak;
}

bool children_is_place(char *const fields[]) {
  return strcmp(fields[CHILDREN_KIND], "lost") == 0 ||
         strcmp(fields[CHILDREN_KIND], "freed") == 0;
}

bool children_is_without_us(char *const fields[]) {
  const char *kind = fields[CHILDREN_KIND];
  return strcmp(kind, "unfit") == 0 || strcmp(kind, "bare") == 0;
}

static void add_misuse(struct children *children, char *const fields[]) {
  struct children_program *program = program_at(children, fields[CHILDREN_COMMAND]);
  if (program && strcmp(fields[CHILDREN_KIND], "freed") == 0)
    program->misuses += strtoull(fields[CHILDREN_ALLOCATIONS], NULL, 10);
}

/* A program without ullage is nobody's child that is known. */
static void add_folded(void *to, char *const fields[]) {
  struct children *children = to;
  if (children_is_without_us(fields)) return;
  if (children_is_place(fields)) {
    add_misuse(children, fields);
    return;
  }
  uint64_t peak = strtoull(fields[CHILDREN_PEAK], NULL, 10);
  children->folded++;
  children->folded_allocations += strtoull(fields[CHILDREN_ALLOCATIONS], NULL, 10);
  children->folded_lost += strtoull(fields[CHILDREN_LOST], NULL, 10);
  if (peak > children->folded_peak) children->folded_peak = peak;
  add_to_program(children, fields);
}

static FILE *open_regular(const char *path) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0) return NULL;
  FILE *file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
  if (!file) close(fd);
  return file;
}

/* The last is all the rest. */
static bool split(char *line, char *fields[]) {
  line[strcspn(line, "\n")] = 0;
  for (size_t i = 0; i < CHILDREN_FIELDS; i++) {
    fields[i] = i + 1 < CHILDREN_FIELDS ? strsep(&line, "\t") : line;
    if (!fields[i]) return false;
  }
  return true;
}

void children_each_line(const char *path, children_take *take, void *to) {
  char *name, *line = NULL, *fields[CHILDREN_FIELDS];
  size_t size = 0;
  if (asprintf(&name, "%s.children", path) < 0) return;
  FILE *file = open_regular(name);
  free(name);
  if (!file) return;
  while (getline(&line, &size, file) > 0)
    if (split(line, fields)) take(to, fields);
  free(line);
  fclose(file);
}

static int by_count(const struct children_program *x, const struct children_program *y) {
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return strcmp(x->name, y->name);
}

struct children *children_find(const char *path) {
  struct children *children = calloc(1, sizeof *children);
  if (!children || !path) return children;
  find_files(children, path);
  children_each_line(path, add_folded, children);
  HASH_SORT(children->programs, by_count);
  return children;
}

void children_free(struct children *children) {
  if (!children) return;
  for (size_t i = 0; i < children->count; i++)
    free(children->files[i]);
  struct children_program *program, *next;
  HASH_ITER(hh, children->programs, program, next) {
    HASH_DEL(children->programs, program);
    free(program->name);
    free(program);
  }
  free(children->files);
  free(children);
}

/* Each that was worth a recording is counted, those beyond the limit as well. */
uint64_t children_beyond(const struct children *c, uint64_t worth) {
  return c->folded && worth > c->count ? worth - c->count : 0;
}
