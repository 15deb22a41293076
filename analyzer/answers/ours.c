#include "answers/ours.h"

#include "pattern.h"

#include <string.h>

static bool is_below(const char *path, const char *directory) {
  size_t n = strlen(directory);
  if (!path || *path != '/') return false;
  while (n > 1 && directory[n - 1] == '/')
    n--;
  return strncmp(path, directory, n) == 0 && (!path[n] || path[n] == '/' || n == 1);
}

static bool is_at(const char *of, const char *file, const char *module) {
  if (*of == '/') return is_below(file, of) || is_below(module, of);
  return module && pattern_of_path(of, module);
}

static bool is_in(const struct ours_list *list, const struct frame *f) {
  for (size_t i = 0; i < list->count; i++)
    if (is_at(list->at[i], f->file, f->module)) return true;
  return false;
}

static void see(struct ours_list *list, const char *file, const char *module) {
  for (size_t i = 0; i < list->count; i++)
    list->seen[i] = list->seen[i] || is_at(list->at[i], file, module);
}

void ours_see(struct ours *o, const char *file, const char *module) {
  see(&o->mine, file, module);
  see(&o->others, file, module);
  o->sources |= file != NULL;
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
