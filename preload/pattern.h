/* pattern.h - names of programs, for processes that a check is to judge: '*' stands for
 * any text, everything else for itself. A pattern without a slash is of the last part of
 * the path. Shared by the preload and the analyzer. */
#ifndef ULLAGE_PATTERN_H
#define ULLAGE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Of all stars only the last one met may have to stand for more. */
static inline bool pattern_is(const char *pattern, const char *text) {
  const char *star = NULL, *behind = NULL; /* where to go on if what follows fails */
  while (*text) {
    if (*pattern == '*') {
      star = pattern++;
      behind = text;
    } else if (*pattern == *text) {
      pattern++;
      text++;
    } else if (star) {
      pattern = star + 1;
      text = ++behind;
    } else {
      return false;
    }
  }
  while (*pattern == '*')
    pattern++;
  return !*pattern;
}

static inline bool pattern_of_path(const char *pattern, const char *path) {
  const char *slash = strchr(pattern, '/') ? NULL : strrchr(path, '/');
  return pattern_is(pattern, slash ? slash + 1 : path);
}
#endif
