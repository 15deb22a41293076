/* A stripped module whose functions say who they are, as those do that trace or tell
 * errors. No two return the same, so that nobody makes them one. */
#include <stddef.h>

#define NOINLINE __attribute__((noinline))
#define EXPORTED __attribute__((visibility("default")))

/* Not static: so that no argument is taken for known. */
void trace(int level, const char *function, const char *what);
NOINLINE void trace(int level, const char *function, const char *what) {
  __asm__ volatile("" : : "r"(level), "r"(function), "r"(what) : "memory");
}
void fails(const char *file, int line, const char *function);
NOINLINE void fails(const char *file, int line, const char *function) {
  __asm__ volatile("" : : "r"(file), "r"(line), "r"(function) : "memory");
}
void logs(const char *format, const char *function);
NOINLINE void logs(const char *format, const char *function) {
  __asm__ volatile("" : : "r"(format), "r"(function) : "memory");
}
void option(const char *name);
NOINLINE void option(const char *name) {
  __asm__ volatile("" : : "r"(name) : "memory");
}

/* Those who have names pass theirs to trace(); so who passes one has that name. */
#define KNOWN(name)                                                                      \
  int name(int n);                                                                       \
  EXPORTED int name(int n) {                                                             \
    trace(n, #name, "enter");                                                            \
    return n + 1;                                                                        \
  }
KNOWN(itself_open)
KNOWN(itself_read)
KNOWN(itself_write)
KNOWN(itself_close)
KNOWN(itself_seek)

#define TRACES(name, says)                                                               \
  static NOINLINE int name(int n) {                                                      \
    trace(n, says, "enter");                                                             \
    return n + __LINE__;                                                                 \
  }
#define FAILS(name)                                                                      \
  static NOINLINE int name(int n) {                                                      \
    fails("itself_module.c", n, #name);                                                  \
    return n + __LINE__;                                                                 \
  }
#define LOGS(name)                                                                       \
  static NOINLINE int name(int n) {                                                      \
    logs("%s: done", #name);                                                             \
    return n + __LINE__;                                                                 \
  }
#define ASKS(name)                                                                       \
  static NOINLINE int name(int n) {                                                      \
    option(#name);                                                                       \
    return n + __LINE__;                                                                 \
  }

TRACES(traced, "traced")
TRACES(has_anothers, "itself_read")
TRACES(one_of_two, "inlined_in_both")
TRACES(other_of_two, "inlined_in_both")
static NOINLINE int says_two(int n) {
  trace(n, "says_two", "enter");
  trace(n, "inlined_here", "enter");
  return n + 2;
}
/* clang-format off */
#define EIGHT(what, name)                                                                \
  what(name##_a) what(name##_b) what(name##_c) what(name##_d)                            \
  what(name##_e) what(name##_f) what(name##_g) what(name##_h)
/* clang-format on */
EIGHT(FAILS, fails)
EIGHT(LOGS, logs)
EIGHT(ASKS, asks)

#define THESE(name)                                                                      \
  name##_a, name##_b, name##_c, name##_d, name##_e, name##_f, name##_g, name##_h
const void *itself_address(int which);
EXPORTED const void *itself_address(int which) {
  static int (*const functions[])(int) = {
      traced,       has_anothers, one_of_two,  other_of_two, says_two,
      THESE(fails), THESE(logs),  THESE(asks), itself_open,  NULL};
  return (const void *)functions[which];
}
