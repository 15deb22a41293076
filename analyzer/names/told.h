/* told.h - call stacks that are told in text, where there is no recording: frames of
 * "MODULE@BUILDID+ADDRESS" (the address in the module's file, decimal) with tabs between
 * them, "+ADDRESS" in the module of the frame before, "@+ADDRESS" in none.
 *
 * The text is not trusted; what is no frame ends the stack. */
#ifndef ULLAGE_TOLD_H
#define ULLAGE_TOLD_H

#include "names/frame.h"

struct told_stack {
  char *text; /* that names of modules lie in */
  struct frame *frames;
  size_t count;
  size_t guilty; /* index of the frame to blame: none that serves all its file */
};

/* Files of options->files, which must outlive it. false: no memory. */
bool told_stack_read(struct told_stack *, const char *text,
                     const struct symbols_options *options);
void told_stack_free(struct told_stack *);
#endif
