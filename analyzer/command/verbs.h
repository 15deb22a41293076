/* verbs.h - the verbs, a row each: what main.c obeys, and what tests check for a page of
 * the manual, a schema, a fuzz target and help. */
#ifndef ULLAGE_COMMAND_VERBS_H
#define ULLAGE_COMMAND_VERBS_H

#include "show/verbs.h"

#define RECORDINGS_MOST 2

/* Options that not all verbs with a model take (command/options.c). */
enum {
  TAKES_SHOW = 1 << 0,    /* --show */
  TAKES_MOMENTS = 1 << 1, /* FILE@MOMENT */
  TAKES_FORCE = 1 << 2,   /* --force */
  TAKES_AT = 1 << 3,      /* --at */
  TAKES_SINCE = 1 << 4,   /* --since */
};

struct verb {
  const char *name;
  const char *purpose; /* in a few words */
  const char *usage;   /* what follows "ullage VERB " */
  const char *details; /* for --help */

  /* A verb that is about programs or processes: gets what follows its name. */
  int (*main)(int argc, char *argv[]);

  /* One that is about recordings. */
  unsigned recordings; /* how many it takes */
  unsigned takes;      /* options of its own */
  bool raw;            /* wants the recording as it is (context.h) */
  bool alone;          /* is about the process of a recording, not those beside it */
  void *(*model)(struct context *const of[]); /* NULL: no memory */
  void (*forget)(void *model);                /* NULL: it is the contexts' */
  verb_view *text, *json;
};

extern const struct verb verbs[];
extern const size_t verbs_count;
/* NULL: there is none of that name. */
const struct verb *verbs_find(const char *name);
#endif
