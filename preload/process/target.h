/* target.h - the program that this one is about to start: could it run with us preloaded?
 *
 * LD_PRELOAD is for all programs that come of this one, but not all can have us: one of
 * 32 bits says an error, one of another libc cannot start, a sanitizer wants to be the
 * allocator itself and first, and so does valgrind. They are started as if we were not
 * there, and counted; what they start in turn is not recorded either. */
#ifndef ULLAGE_TARGET_H
#define ULLAGE_TARGET_H

#include <stddef.h>

/* The environment to start `path` with, or what the descriptor is of: `environment`, or a
 * copy without us, on the caller's stack. Allocates nothing else, and takes no lock. */
#define TARGET_ENVIRONMENT(path, environment)                                            \
  TARGET_CHOOSE(target_room(path, environment), environment)
#define TARGET_ENVIRONMENT_OF(fd, environment)                                           \
  TARGET_CHOOSE(target_room_of(fd, environment), environment)

#define TARGET_CHOOSE(bytes, environment)                                                \
  __extension__({                                                                        \
    size_t room_ = (bytes);                                                              \
    room_ ? target_without_us(environment, __builtin_alloca(room_)) : (environment);     \
  })

/* Bytes that the copy needs; 0: it needs none. */
size_t target_room(const char *path, char *const environment[]);
size_t target_room_of(int fd, char *const environment[]);
char *const *target_without_us(char *const environment[], void *room);
#endif
