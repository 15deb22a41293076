/* words.h - texts that begin as one of a list does. */
#ifndef ULLAGE_WORDS_H
#define ULLAGE_WORDS_H

#include <stdbool.h>
#include <string.h>

/* Does `text` begin with one of the words (none is empty, the last is NULL)? Asked of
 * each frame of each stack: mostly the first letter tells. */
static inline bool words_begin(const char *text, const char *const *words) {
  while (*words && (*text != **words || strncmp(text, *words, strlen(*words)) != 0))
    words++;
  return *words != NULL;
}
#endif
