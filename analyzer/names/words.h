/* words.h - texts that begin as one of a list does. */
#ifndef ULLAGE_WORDS_H
#define ULLAGE_WORDS_H

#include <stdbool.h>
#include <string.h>

/* Does `text` begin with one of the words (the last is NULL)? */
static inline bool words_begin(const char *text, const char *const *words) {
  while (*words && strncmp(text, *words, strlen(*words)) != 0)
    words++;
  return *words != NULL;
}
#endif
