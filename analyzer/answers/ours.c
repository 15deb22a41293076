#include "answers/ours.h"

#include "pattern.h"

#include <limits.h>
#include <string.h>

/* Compilers write paths down as they were given: "build/../src". */
static const char *straighten(const char *path, char room[static PATH_MAX]) {
  size_t n = 0;
  while (*path) {
    size_t length = strcspn(path + 1, "/") + 1; /* with its slash in front */
    if (length + n >= PATH_MAX) break;
    if (length == 3 && strncmp(path, "/..", 3) == 0)
      while (n && room[--n] != '/')
        ;
    else if (length > 1 && !(length == 2 && path[1] == '.'))
      n = (size_t)((char *)mempcpy(room + n, path, length) - room);
    path += length;
  }
  room[n] = 0;
  return room;
}

static bool is_below(const char *path, const char *directory) {
  char room[PATH_MAX];
  size_t n = strlen(directory);
  if (!path || *path != '/') return false;
  straighten(path, room);
  while (n > 1 && directory[n - 1] == '/')
    n--;
  return strncmp(room, directory, n) == 0 && (!room[n] || room[n] == '/' || n == 1);
}

static bool is_in(const struct ours_list *list, const struct frame *f) {
  for (size_t i = 0; i < list->count; i++) {
    const char *of = list->at[i];
    if (*of == '/' ? is_below(f->file, of) || is_below(f->module, of)
                   : f->module && pattern_of_path(of, f->module))
      return true;
  }
  return false;
}

size_t ours_frame(const struct ours *o, const struct frame *frames, size_t count,
                  size_t from, size_t otherwise) {
  for (size_t i = from; i < count; i++)
    if (is_in(&o->mine, &frames[i])) return i;
  return otherwise;
}

bool ours_counts(const struct ours *o, const struct frame *guilty) {
  return !is_in(&o->others, guilty) && (!o->only || is_in(&o->mine, guilty));
}
