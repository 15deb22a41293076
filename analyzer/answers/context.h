/* context.h - what all answers begin with: the recordings of a run, loaded once.
 *
 * A run is a tree of processes: the one whose recording was named, its children, and what
 * programs they were before (FILE.1, FILE.PID, FILE.PID.1, children.h). An answer speaks
 * of all of them, and first of the one that matters most; or of one that was chosen.
 *
 * Each thing that an answer needs (what call sites hold, what grows, the names of
 * functions ...) is made when it is first asked for, and then is there for all: models
 * take a context and ask it, views take a model. Symbol files are shared by all processes
 * of a context (files.h). */
#ifndef ULLAGE_CONTEXT_H
#define ULLAGE_CONTEXT_H

#include "answers/answers.h"
#include "answers/children.h"
#include "answers/finding.h"
#include "answers/fingerprint.h"
#include "answers/holder.h"
#include "answers/moment.h"
#include "answers/sites.h"
#include "names/files.h"
#include "names/function.h"
#include "read/estimate.h"

struct context_options {
  struct symbols_options symbols; /* its `files` are the context's */
  const char *process;            /* speak of this one: process id, program, or number;
                                     NULL: of all */
  const char *at;    /* the moment that is asked for (moment.h); NULL: the end, or now */
  const char *since; /* growth is judged from that moment on; NULL: from the start */
  bool alone;        /* unless one is chosen: speak of the one that was named */
  bool nameless;     /* no names will be asked for: there are no symbols */
  bool force;        /* to compare what seems to be of different programs */
  bool reachable;    /* rows of what can be reached will be asked for */
  bool raw;          /* as it is: samples do not become what they stand for */
};

/* Measures by which call sites are laid at functions (laid.h). */
enum laid {
  LAID_BY_LOSS,
  LAID_BY_POSSIBLE_LOSS,
  LAID_BY_GROWTH,
  LAID_MEASURES
};

struct process {
  struct recording *recording;
  char label[24]; /* process id; of an earlier program of it "PID.1", "PID.2" ... */
  size_t number;  /* from 1: by how much it matters */
  uint64_t gain;  /* lost bytes, and such as all together grow by; 0: it is little */
  struct symbols *symbols; /* NULL: nameless */
  struct sampling sampling;
  uint64_t since_ms; /* growth is judged from then on, by the recording's clock */
  bool looked;       /* live.h */
  /* By the functions below; NULL before. */
  struct sites *sites;
  struct growth *growth;
  struct unused *unused;
  struct drags *drags;
  struct functions *functions;
  struct findings *findings;
  struct holders *holders;
  struct fingerprints *fingerprints;
  struct causes *laid[LAID_MEASURES];
};

struct context {
  struct context_options options;
  struct symbol_files *files;
  struct process *processes; /* those that are spoken of, by number; at least one */
  size_t count;
  struct process *named;     /* whose recording was named; or the one that was chosen */
  struct moment *at;         /* of the first process; NULL: not asked for */
  struct children *children; /* with what is known of those without a recording */
  struct context_unread {    /* recordings that cannot be read */
    const char *file;        /* of `children` */
    char error[256];
  } * unread;
  size_t unread_count;
};

/* NULL: `error` holds one line that says what is wrong; it does not begin with the path.
 */
struct context *context_open(const char *path, const struct context_options *,
                             char *error, size_t error_bytes);
/* Of a recording that is open, and belongs to the context then. NULL: no memory, and the
 * recording is closed. */
struct context *context_of(struct recording *, const struct context_options *);
void context_free(struct context *);

/* It has lost something, or held more than start-up takes: worth a look for findings. */
bool process_matters(const struct process *);
/* What it was called as: the last part of its first argument. */
const char *process_name(const struct process *);
/* The most live bytes there were. */
uint64_t process_peak_bytes(const struct process *);
/* NULL: no memory. */
const struct sites *process_sites(struct process *);
const struct growth *process_growth(struct process *);
const struct unused *process_unused(struct process *);
const struct drags *process_drags(struct process *);
/* With names. */
struct functions *process_functions(struct process *);
struct findings *process_findings(struct process *);
struct holders *process_holders(struct process *);
struct fingerprints *process_fingerprints(struct process *);
/* If it runs: where its pages are, now. */
void process_look(struct process *);
#endif
