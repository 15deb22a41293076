/* context.h - what all answers begin with: the recording of a process, loaded once.
 *
 * Each thing that an answer needs (what call sites hold, what grows, the names of
 * functions ...) is made when it is first asked for, and then is there for all: models
 * take a context and ask it, views take a model. Symbol files are shared by all processes
 * of a context (files.h). */
#ifndef ULLAGE_CONTEXT_H
#define ULLAGE_CONTEXT_H

#include "answers/answers.h"
#include "answers/finding.h"
#include "answers/holder.h"
#include "answers/moment.h"
#include "answers/sites.h"
#include "names/files.h"
#include "names/function.h"

struct context_options {
  struct symbols_options symbols; /* its `files` are the context's */
  bool nameless;                  /* no names will be asked for: there are no symbols */
  const char *at; /* the moment that is asked for (moment.h); NULL: the end, or now */
  bool force;     /* to compare what seems to be of different programs */
  bool raw;       /* as it is: samples do not become what they stand for */
};

struct process {
  struct recording *recording;
  struct symbols *symbols; /* NULL: nameless */
  uint64_t sample_bytes;   /* estimate.h */
  bool looked;             /* live.h */
  /* By the functions below; NULL before. */
  struct sites *sites;
  struct growth *growth;
  struct unused *unused;
  struct drags *drags;
  struct functions *functions;
  struct findings *findings;
  struct holders *holders;
};

struct context {
  struct context_options options;
  struct symbol_files *files;
  struct process process;
  struct moment *at; /* of the process; NULL: not asked for */
};

/* NULL: `error` holds one line that says what is wrong; it does not begin with the path.
 */
struct context *context_open(const char *path, const struct context_options *,
                             char *error, size_t error_bytes);
/* Of a recording that is open, and belongs to the context then. NULL: no memory, and the
 * recording is closed. */
struct context *context_of(struct recording *, const struct context_options *);
void context_free(struct context *);

/* NULL: no memory. */
const struct sites *process_sites(struct process *);
const struct growth *process_growth(struct process *);
const struct unused *process_unused(struct process *);
const struct drags *process_drags(struct process *);
/* With names. */
struct functions *process_functions(struct process *);
struct findings *process_findings(struct process *);
struct holders *process_holders(struct process *);
/* If it runs: where its pages are, now. */
void process_look(struct process *);
#endif
