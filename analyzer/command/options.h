/* options.h - the options of the verbs that are about recordings: a table, of which each
 * verb takes what all take, and what its row says. */
#ifndef ULLAGE_OPTIONS_H
#define ULLAGE_OPTIONS_H

#include "command/verbs.h"

struct request {
  const struct verb *verb;
  struct view_options view;
  struct context_options context;
  bool json, help;
};

/* Sets what the options say, and `optind` to what follows them. An exit status: EXIT_FINE
 * or, after a line that says why, another. */
int options_parse(struct request *, int argc, char *argv[]);
/* For --help: those that the verb takes. */
void options_describe(FILE *, const struct verb *);
#endif
