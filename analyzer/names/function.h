/* function.h - the functions of a recording's stacks, numbered.
 *
 * A function is known by its module (two loads of one file are one) and where it begins,
 * which a stripped file says, too; one whose beginning is not known, by the return
 * address; all code without a module (of a JIT compiler) is one function. Inlined
 * functions are part of the one they were inlined into. Nothing is named that is not
 * asked for, so that a million stacks cost a look each. */
#ifndef ULLAGE_FUNCTION_H
#define ULLAGE_FUNCTION_H

#include "names/frame.h"

struct functions;

/* A step of a stack. */
struct function_call {
  uint64_t code;     /* where the function calls the next inner one */
  uint32_t function; /* from 0 */
  bool by_pointer;   /* it called the next inner one by way of a pointer */
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

/* The functions of a site's stack, innermost first, up to main; 0: it has no stack. *out
 * is good until the next call. */
size_t functions_stack(struct functions *, uint32_t site,
                       const struct function_call **out);
/* The function of a return address; UINT32_MAX: no memory. */
uint32_t functions_of(struct functions *, uint64_t code);
enum function_kind functions_kind(struct functions *, uint32_t function);
/* Index in UL_MODULES, the first of a file's; UL_NO_MODULE. */
uint32_t functions_module(const struct functions *, uint32_t function);
/* What a reader is shown of a step: of the functions inlined there the innermost that is
 * not of the standard library, or the function itself. */
const struct frame *functions_place(struct functions *, uint64_t code);
/* The function itself, at one of its return addresses. */
const struct frame *functions_frame(struct functions *, uint32_t function);
#endif
