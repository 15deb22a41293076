/* function.h - the functions of a recording's stacks, numbered.
 *
 * A function is known by its module (two loads of one file are one), and by its name and
 * source file, so that its inlined copies are the same function; without debug
 * information by where it begins, which a stripped file says, too; where not even that is
 * known, by the return address. All code without a module (of a JIT compiler) is one
 * function. */
#ifndef ULLAGE_FUNCTION_H
#define ULLAGE_FUNCTION_H

#include "names/frame.h"

struct functions;

/* A step of a stack. */
struct function_call {
  const struct frame *frame; /* where it calls the next inner one; the symbols' */
  uint32_t function;         /* from 0 */
  bool by_pointer;           /* it calls by way of a pointer */
};

enum function_kind {
  FUNCTION_OWN,     /* of the program or one of its libraries */
  FUNCTION_RUNTIME, /* of the language's runtime or standard library */
  FUNCTION_WRAPPER, /* of malloc, well known */
  FUNCTION_START,   /* main */
  FUNCTION_ULLAGE
};

/* The symbols must outlive it, and the recording. NULL: no memory. */
struct functions *functions_new(const struct recording *, struct symbols *);
void functions_free(struct functions *);
/* So far. */
uint32_t functions_count(const struct functions *);

/* The functions of a site's stack, inlined ones included, innermost first, up to main; 0:
 * it has no stack. *out is good until the next call. */
size_t functions_stack(struct functions *, uint32_t site,
                       const struct function_call **out);
/* What stacks show of the return address with that index in UL_CODES, if one was asked for
 * that goes through it: of the `count` calls those up to the outermost that is not the
 * runtime's, and whether stacks end there. */
struct functions_shown {
  const struct function_call *calls;
  size_t count, own;
  bool ends;
};
struct functions_shown functions_shown(const struct functions *, uint32_t index);
/* Those at one return address. *out is good as long as they are. */
size_t functions_at_code(struct functions *, uint64_t code,
                         const struct function_call **out);
/* Is the function one of those at a return address? */
bool functions_at(struct functions *, uint64_t code, uint32_t function);
enum function_kind functions_kind(struct functions *, uint32_t function);
/* How many functions of its file call it (callers.h); 0: not known. */
uint32_t functions_callers(struct functions *, uint32_t function);
/* Index in UL_MODULES, the first of a file's; UL_NO_MODULE. */
uint32_t functions_module(const struct functions *, uint32_t function);
/* Whose they are; the symbols that name them. */
const struct recording *functions_recording(const struct functions *);
struct symbols *functions_symbols(const struct functions *);
/* The function itself, at one of its return addresses. */
const struct frame *functions_frame(struct functions *, uint32_t function);
#endif
