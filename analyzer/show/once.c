#include "show/once.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct shown {
  uint64_t lines; /* hash */
  size_t section, number;
  UT_hash_handle hh;
};

struct once {
  struct shown *shown;
  char **sections; /* their titles; the first has none */
  size_t count, number;
};

struct once *once_new(void) {
  return calloc(1, sizeof(struct once));
}

void once_free(struct once *once) {
  struct shown *s, *next;
  if (!once) return;
  HASH_ITER(hh, once->shown, s, next) {
    HASH_DEL(once->shown, s);
    free(s);
  }
  for (size_t i = 0; i < once->count; i++)
    free(once->sections[i]);
  free(once->sections);
  free(once);
}

void once_section(struct once *once, const char *title) {
  char **more = realloc(once->sections, (once->count + 1) * sizeof *more);
  if (!more) return;
  once->sections = more;
  once->sections[once->count++] = strdup(title);
}

void once_entry(struct once *once, size_t number) {
  once->number = number;
}

/* FNV-1a, 64 bits. */
static uint64_t hash(const char *text) {
  uint64_t h = 0xcbf29ce484222325;
  for (; *text; text++)
    h = (h ^ (unsigned char)*text) * 0x100000001b3;
  return h;
}

const char *once_where_in(struct text_long *to, struct once *once, const char *lines) {
  uint64_t key = hash(lines);
  struct shown *s;
  HASH_FIND(hh, once->shown, &key, sizeof key, s);
  if (s) {
    const char *title = s->section ? once->sections[s->section - 1] : NULL;
    bool here = s->section == once->count || !title;
    snprintf(to->s, sizeof to->s, "%zu %s%s", s->number, here ? "above" : "of ",
             here ? "" : title);
    return to->s;
  }
  if (!(s = calloc(1, sizeof *s))) return NULL;
  *s = (struct shown){.lines = key, .section = once->count, .number = once->number};
  HASH_ADD(hh, once->shown, lines, sizeof s->lines, s);
  return NULL;
}
