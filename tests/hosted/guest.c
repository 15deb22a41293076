/* guest.c - an extension of host.c. Stripped, its functions have no names, but their
 * table says what scripts call them by. */
#include "hosted.h"

#include <stdlib.h>

/* Asks the library for a record, and forgets to give it back. */
__attribute__((noinline)) static int copy_session(void) {
  struct record *volatile r = record_read(5);
  return r == NULL;
}
static int session(script_function *f) {
  (void)f;
  return copy_session();
}

/* ... by itself, and has a name for which a line is hardly long enough. */
static int read_whole(script_function *f) {
  (void)f;
  struct record *volatile r = record_read(0);
  return r == NULL;
}

/* Has its name encoded by the interpreter, and forgets that; much else it frees. */
static int name_of(script_function *f) {
  (void)f;
  void *volatile text = malloc(4000);
  free(text);
  void *volatile name = call_builtin("encode", 40);
  return name == NULL;
}

/* Keeps a value from being freed: what is lost is of the host's making. */
static int keep(script_function *f) {
  (void)f;
  void *volatile value = value_new(200);
  return value == NULL;
}

/* Has the script called, which forgets what it makes. */
static int each(script_function *f) {
  lua_call(f);
  return 0;
}

const struct guest_entry guest_table[] = {
    {"session", session},
    {"keep", keep},
    {"name_of", name_of},
    {"each", each},
    {"a_record_that_is_read_again_from_beginning_to_its_very_last_en", read_whole},
    {NULL, NULL}};
