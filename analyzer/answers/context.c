#include "answers/context.h"

#include "answers/last.h"
#include "read/estimate.h"
#include "read/live.h"
#include "read/reachable.h"
#include "read/timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a process ----------------------------------------------------------------- */

static bool process_begin(struct process *p, const struct context *context) {
  struct symbols_options options = context->options.symbols;
  struct recording *r = p->recording;
  options.files = context->files;
  p->sampling = estimate_sampling(r);
  if (context->options.reachable && !reachable_add(r)) return false;
  if (!context->options.raw && !estimate_begin(r)) return false;
  if (context->options.nameless) return true;
  return (p->symbols = symbols_new(r, &options));
}

static void process_end(struct process *p) {
  for (size_t i = 0; i < LAID_MEASURES; i++)
    causes_free(p->laid[i]);
  fingerprints_free(p->fingerprints);
  holders_free(p->holders);
  findings_free(p->findings);
  functions_free(p->functions);
  drags_free(p->drags);
  unused_free(p->unused);
  growth_free(p->growth);
  sites_free(p->sites);
  symbols_free(p->symbols);
  recording_close(p->recording);
}

const char *process_name(const struct process *p) {
  const char *path = recording_argument(p->recording, 0);
  if (!path || !*path)
    path = recording_text(p->recording, recording_header(p->recording)->program);
  return basename(path);
}

bool process_matters(const struct process *p) {
  enum { LITTLE = 16 << 10 };
  return p->number == 1 || timeline_peak_bytes(p->recording) >= LITTLE ||
         recording_header(p->recording)->scan.totals[UL_DEFINITE].blocks;
}

uint64_t process_peak_bytes(const struct process *p) {
  uint64_t most = timeline_peak_bytes(p->recording);
  return p->sites && p->sites->bytes > most ? p->sites->bytes : most;
}

const struct sites *process_sites(struct process *p) {
  if (!p->sites) p->sites = sites_load(p->recording);
  return p->sites;
}

const struct growth *process_growth(struct process *p) {
  if (!p->growth && process_sites(p))
    p->growth = growth_load(p->recording, p->sites, p->since_ms);
  return p->growth;
}

const struct unused *process_unused(struct process *p) {
  process_look(p);
  if (!p->unused) p->unused = unused_load(p->recording);
  return p->unused;
}

const struct drags *process_drags(struct process *p) {
  if (!p->drags) p->drags = drags_load(p->recording);
  return p->drags;
}

struct functions *process_functions(struct process *p) {
  if (!p->functions) p->functions = functions_new(p->recording, p->symbols);
  return p->functions;
}

struct findings *process_findings(struct process *p) {
  if (!p->findings && process_growth(p) && process_unused(p) && process_functions(p))
    p->findings =
        findings_load(p->recording, p->sites, p->growth, p->unused, p->functions);
  return p->findings;
}

struct holders *process_holders(struct process *p) {
  if (!p->holders && process_sites(p) && process_functions(p))
    p->holders = holders_load(p->sites, p->functions);
  return p->holders;
}

struct fingerprints *process_fingerprints(struct process *p) {
  if (!p->fingerprints) p->fingerprints = fingerprints_new(p->recording, p->symbols);
  return p->fingerprints;
}

void process_look(struct process *p) {
  if (!p->looked) live_look(p->recording);
  p->looked = true;
}

/* ---- which matter ---------------------------------------------------------------
 *
 * First the one that was named, unless it is a wrapper or launcher of another, then the
 * others; by what there may be to gain, which is what they lost and grew by, and if that
 * is little, by what they held at most. Who was killed near a limit has grown by all that
 * it held, however short it lived. */

#define GAIN_LEAST (16u << 10)
#define GAIN_SHARE 200  /* of what one of them held at most */
#define WRAPPER_SHARE 4 /* it never had so much as a quarter of what the other had */

static bool is_launcher(const struct process *p) {
  static const char *const names[] = {"bash",    "dash",  "dumb-init", "env",   "ksh",
                                      "make",    "ninja", "nice",      "nohup", "runsv",
                                      "setsid",  "sh",    "stdbuf",    "sudo",  "time",
                                      "timeout", "tini",  "xargs",     "zsh"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(process_name(p), names[i]) == 0) return true;
  return false;
}

static int by_gain(const void *a, const void *b) {
  const struct process *x = a, *y = b;
  uint64_t px = timeline_peak_bytes(x->recording), py = timeline_peak_bytes(y->recording);
  if (x->gain != y->gain) return x->gain > y->gain ? -1 : 1;
  if (px != py) return px > py ? -1 : 1;
  return strverscmp(x->label, y->label);
}

/* A server's worker, say, that has done its work. */
static bool is_its_fork(const struct process *p, const struct process *of) {
  return recording_header(of->recording)->forked &&
         strcmp(process_name(p), process_name(of)) == 0;
}

static bool is_wrapper(const struct process *p, const struct process *of) {
  unsigned share = is_launcher(p) ? 1 : WRAPPER_SHARE;
  if (p->gain || of->gain) return p->gain < of->gain / share;
  if (is_its_fork(p, of)) return false;
  return timeline_peak_bytes(p->recording) < timeline_peak_bytes(of->recording) / share;
}

/* By the ledger: the last snapshot may have been long before. 0: it was no such end. */
static uint64_t held_near_limit(const struct recording *r) {
  const char *of;
  uint64_t limit = last_limit(recording_header(r), &of), held = 0;
  if (!recording_was_killed(r) || limit == UINT64_MAX) return 0;
  struct sites *s = sites_load(r);
  if (s && s->bytes >= limit / 2) held = s->bytes;
  sites_free(s);
  return held;
}

static uint64_t growth_of(const struct recording *r) {
  uint64_t grown = growth_outline(r), held = held_near_limit(r);
  return held > grown ? held : grown;
}

static uint64_t gain_of(const struct recording *r) {
  const struct ul_amount *lost = recording_header(r)->scan.totals;
  return growth_of(r) +
         (leaks_known(r) ? lost[UL_DEFINITE].bytes + lost[UL_INDIRECT].bytes : 0);
}

static void find_gains(struct context *context) {
  uint64_t least = GAIN_LEAST;
  for (size_t i = 0; i < context->count; i++) {
    uint64_t peak = timeline_peak_bytes(context->processes[i].recording);
    if (peak / GAIN_SHARE > least) least = peak / GAIN_SHARE;
  }
  for (size_t i = 0; i < context->count; i++) {
    uint64_t gain = gain_of(context->processes[i].recording);
    context->processes[i].gain = gain < least ? 0 : gain;
  }
}

/* The named one is the first of all so far. */
static void sort_by_matter(struct context *context) {
  struct process *all = context->processes;
  const struct recording *named = all->recording;
  if (context->count > 1) {
    find_gains(context);
    qsort(all + 1, context->count - 1, sizeof *all, by_gain);
    if (is_wrapper(&all[0], &all[1])) qsort(all, context->count, sizeof *all, by_gain);
  }
  for (size_t i = 0; i < context->count; i++) {
    all[i].number = i + 1;
    if (all[i].recording == named) context->named = &all[i];
  }
}

/* ---- which was chosen ---------------------------------------------------------- */

static bool is_number(const char *text, size_t number) {
  char digits[24];
  snprintf(digits, sizeof digits, "%zu", number);
  return strcmp(text, digits) == 0;
}

/* "101 (make), 102 (cc1), ..." */
static void list(const struct context *context, const char *name, char *to,
                 size_t bytes) {
  enum { SHOWN = 6 };
  size_t n = 0, listed = 0;
  *to = '\0';
  for (size_t i = 0; i < context->count && n < bytes && listed <= SHOWN; i++) {
    const struct process *p = &context->processes[i];
    if (name && strcmp(process_name(p), name) != 0) continue;
    const char *comma = listed ? ", " : "";
    if (listed++ == SHOWN)
      n += (size_t)snprintf(to + n, bytes - n, "%s...", comma);
    else
      n += (size_t)snprintf(to + n, bytes - n, "%s%s (%.20s)", comma, p->label,
                            process_name(p));
  }
}

/* Index of the process; SIZE_MAX, and the error is set: there is none, or more. */
static size_t find_chosen(const struct context *context, char *error, size_t bytes) {
  const char *wanted = context->options.process;
  size_t named = 0, found = SIZE_MAX;
  char others[256];
  for (size_t i = 0; i < context->count; i++)
    if (strcmp(context->processes[i].label, wanted) == 0) return i;
  for (size_t i = 0; i < context->count; i++) {
    if (strcmp(process_name(&context->processes[i]), wanted) != 0) continue;
    if (!named++) found = i;
  }
  for (size_t i = 0; !named && i < context->count; i++)
    if (is_number(wanted, context->processes[i].number)) return i;
  if (named == 1) return found;
  list(context, named ? wanted : NULL, others, sizeof others);
  if (named)
    snprintf(error, bytes, "%zu processes are called %.64s, choose by process id: %s",
             named, wanted, others);
  else
    snprintf(error, bytes, "no process %.64s in it; there %s %s", wanted,
             context->count == 1 ? "is" : "are", others);
  return SIZE_MAX;
}

static void keep(struct context *context, size_t chosen) {
  for (size_t i = 0; i < context->count; i++)
    if (i != chosen) process_end(&context->processes[i]);
  context->processes[0] = context->processes[chosen];
  context->count = 1;
  context->named = context->processes;
}

static bool choose(struct context *context, char *error, size_t bytes) {
  size_t chosen = find_chosen(context, error, bytes);
  if (chosen == SIZE_MAX) return false;
  keep(context, chosen);
  return true;
}

/* ---- a context ----------------------------------------------------------------- */

static struct context *context_new(const struct context_options *options,
                                   size_t processes) {
  struct context *context = calloc(1, sizeof *context);
  if (!context) return NULL;
  if (options) context->options = *options;
  context->files = symbol_files_new();
  context->processes = calloc(processes, sizeof *context->processes);
  context->unread = calloc(processes, sizeof *context->unread);
  if (context->files && context->processes && context->unread) return context;
  context_free(context);
  return NULL;
}

/* Takes the recording. `earlier`: ".1" of an earlier program, else "". */
static void add(struct context *context, struct recording *r, const char *earlier) {
  struct process *p = &context->processes[context->count++];
  p->recording = r;
  snprintf(p->label, sizeof p->label, "%d%s", (int)recording_header(r)->pid, earlier);
}

/* FILE.PID.1 is an earlier program of the process PID, and FILE.1 of FILE's. */
static const char *earlier_of(const struct recording *r, const char *file,
                              const char *path) {
  const char *rest = file + strlen(path), *last = strrchr(rest, '.');
  char own[24];
  snprintf(own, sizeof own, ".%d", (int)recording_header(r)->pid);
  return last && strcmp(rest, own) != 0 && strlen(last) < 12 ? last : "";
}

static void add_children(struct context *context, const char *path) {
  const struct children *children = context->children;
  for (size_t i = 0; i < children->count; i++) {
    struct context_unread *unread = &context->unread[context->unread_count];
    const char *file = children->files[i];
    struct recording *r = recording_open(file, unread->error, sizeof unread->error);
    unread->file = file;
    if (r)
      add(context, r, earlier_of(r, file, path));
    else
      context->unread_count++;
  }
}

static bool begin_all(struct context *context) {
  for (size_t i = 0; i < context->count; i++)
    if (!process_begin(&context->processes[i], context)) return false;
  return true;
}

struct context *context_of(struct recording *r, const struct context_options *options) {
  struct context *context = context_new(options, 1);
  if (!context) {
    recording_close(r);
    return NULL;
  }
  add(context, r, "");
  sort_by_matter(context);
  context->children = children_find(NULL);
  if (context->children && begin_all(context)) return context;
  context_free(context);
  return NULL;
}

/* Whose mark it is: of the named one, or another; a time is of the first. */
static size_t find_marked(const struct context *context) {
  if (moment_marked(context->named->recording, context->options.at))
    return (size_t)(context->named - context->processes);
  for (size_t i = 0; i < context->count; i++)
    if (moment_marked(context->processes[i].recording, context->options.at)) return i;
  return 0;
}

/* A moment is of one process. */
static bool find_moment(struct context *context, char *error, size_t bytes) {
  if (!context->options.at) return true;
  keep(context, find_marked(context));
  context->at =
      moment_find(context->processes->recording, context->options.at, error, bytes);
  return context->at;
}

/* A moment of the named process is one of all, by the clock on the wall. */
static bool find_since(struct context *context, char *error, size_t bytes) {
  const struct recording *named = context->named->recording;
  uint64_t ms;
  if (!context->options.since) return true;
  if (!moment_when(named, context->options.since, &ms, error, bytes)) return false;
  uint64_t real = recording_header(named)->start_real_ns + ms * 1000000;
  for (size_t i = 0; i < context->count; i++) {
    struct process *p = &context->processes[i];
    uint64_t own = recording_header(p->recording)->start_real_ns;
    p->since_ms = real > own ? (real - own) / 1000000 : 0;
  }
  return true;
}

/* What was copied to FILE@NAME takes the recording's place. */
static bool prefer_copy(struct recording **r, const struct context_options *options) {
  struct recording *copy = options && options->at ? moment_copy(*r, options->at) : NULL;
  if (!copy) return false;
  recording_close(*r);
  *r = copy;
  return true;
}

struct context *context_open(const char *path, const struct context_options *options,
                             char *error, size_t error_bytes) {
  bool alone = options && options->alone && !options->process;
  struct recording *r = recording_open(path, error, error_bytes);
  if (!r) return NULL;
  bool copied = prefer_copy(&r, options);
  struct children *children = children_find(alone || copied ? NULL : path);
  struct context *context = children ? context_new(options, children->count + 1) : NULL;
  snprintf(error, error_bytes, "not enough memory");
  if (!context) {
    children_free(children);
    recording_close(r);
    return NULL;
  }
  if (copied) context->options.at = NULL;
  context->children = children;
  add(context, r, "");
  add_children(context, path);
  sort_by_matter(context);
  bool chosen = !context->options.process || choose(context, error, error_bytes);
  if (chosen && find_moment(context, error, error_bytes) &&
      find_since(context, error, error_bytes) && begin_all(context))
    return context;
  context_free(context);
  return NULL;
}

void context_free(struct context *context) {
  if (!context) return;
  moment_free(context->at);
  for (size_t i = 0; i < context->count; i++)
    process_end(&context->processes[i]);
  children_free(context->children);
  symbol_files_free(context->files);
  free(context->processes);
  free(context->unread);
  free(context);
}
