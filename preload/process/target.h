/* target.h - the program that this one is about to start: can it run at all, and with us
 * preloaded?
 *
 * The last words are said before an exec, and the program stopped for them. For one that
 * must fail they are not: shells and make try what is no program (a script without #!),
 * what has no loader here, or with more arguments than there may be.
 *
 * LD_PRELOAD is for all programs that come of this one, but not all can have us: one of
 * 32 bits says an error, one of another libc cannot start, a sanitizer wants to be the
 * allocator itself and first, and so does valgrind. They are started as if we were not
 * there, and counted; what they start in turn is not recorded either. */
#ifndef ULLAGE_TARGET_H
#define ULLAGE_TARGET_H

#include <stdbool.h>
#include <stddef.h>

struct target {
  int error;        /* for certain it cannot be started: -errno */
  bool unfit;       /* not with us */
  bool is_static;   /* nothing is preloaded, nor does it mind */
  const char *path; /* of valgrind, its client's; NULL: not known */
};
/* Of a path, and of what a descriptor is of. */
struct target target_at(const char *path, char *const arguments[],
                        char *const environment[]);
struct target target_of(int fd, char *const environment[]);

/* The environment to start it with: `environment`, or a copy without us, on the caller's
 * stack. Allocates nothing else, and takes no lock. */
#define TARGET_ENVIRONMENT(target, environment)                                          \
  __extension__({                                                                        \
    size_t room_ = target_room(target, environment);                                     \
    room_ ? target_without_us(environment, __builtin_alloca(room_)) : (environment);     \
  })

/* Bytes that the copy needs; 0: it needs none. */
size_t target_room(const struct target *t, char *const environment[]);
char *const *target_without_us(char *const environment[], void *room);
#endif
