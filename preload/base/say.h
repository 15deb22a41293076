/* say.h - the few words ullage ever says in the program's name: one line on the
 * descriptor of standard error, at most one of a kind. Any thread, any moment.
 *
 * Only if that descriptor is still what it was at the start: a program may have made it a
 * file of data since. */
#ifndef ULLAGE_SAY_H
#define ULLAGE_SAY_H

#include <stdbool.h>

/* At the start. `may` is asked each time whether this process is one to speak: of a tree
 * of them one is enough, and who starts a child may read what it says. */
void say_begin(bool (*may)(void));
/* "ullage: " and the message, printf-like with %s, %d, %u and %lu only; once for each
 * `once` (a static flag of the caller). */
void say_once(bool *once, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same of a process's last word: each of a tree may say it. */
void say_last(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What takes long, and how much of it is done, in a line that is written over: if
 * standard error is a terminal. false: it is not, or we may not speak. */
bool say_progress(const char *what, unsigned percent);
void say_progress_over(void);
_Noreturn void say_invariant(const char *what, const char *file, int line);

/* An invariant of the heap; checked when ullage is asked to check itself (ULLAGE_CHECK).
 */
#define invariant(holds, what)                                                           \
  ((holds) ? (void)0 : say_invariant(what, __FILE__, __LINE__))
#endif
