/* hosted.h - what a host and its guest know of each other. */
#include <stddef.h>

typedef void script_function(void);
typedef int guest_function(script_function *);
struct guest_entry {
  const char *name;
  guest_function *function;
};
extern const struct guest_entry guest_table[];
void *value_new(size_t bytes);
void lua_call(script_function *);
void *call_builtin(const char *name, size_t bytes);

struct record;
struct record *record_read(int depth);
