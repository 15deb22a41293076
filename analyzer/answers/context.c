#include "answers/context.h"

#include "read/estimate.h"
#include "read/live.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- a process ----------------------------------------------------------------- */

static bool process_begin(struct process *p, struct recording *r,
                          const struct context *context) {
  struct symbols_options options = context->options.symbols;
  options.files = context->files;
  p->recording = r;
  p->sample_bytes = estimate_sample_bytes(r);
  if (!context->options.raw && !estimate_leaks(r)) return false;
  if (context->options.nameless) return true;
  return (p->symbols = symbols_new(r, &options));
}

static void process_end(struct process *p) {
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

const struct sites *process_sites(struct process *p) {
  if (!p->sites) p->sites = sites_load(p->recording);
  return p->sites;
}

const struct growth *process_growth(struct process *p) {
  if (!p->growth && process_sites(p)) p->growth = growth_load(p->recording, p->sites);
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
  if (!p->findings && process_growth(p) && process_functions(p))
    p->findings = findings_load(p->recording, p->sites, p->growth, p->functions);
  return p->findings;
}

struct holders *process_holders(struct process *p) {
  if (!p->holders && process_sites(p) && process_functions(p))
    p->holders = holders_load(p->sites, p->functions);
  return p->holders;
}

void process_look(struct process *p) {
  if (!p->looked) live_look(p->recording);
  p->looked = true;
}

/* ---- a context ----------------------------------------------------------------- */

struct context *context_of(struct recording *r, const struct context_options *options) {
  struct context *context = calloc(1, sizeof *context);
  if (!context) {
    recording_close(r);
    return NULL;
  }
  if (options) context->options = *options;
  context->process.recording = r;
  context->files = symbol_files_new();
  if (context->files && process_begin(&context->process, r, context)) return context;
  context_free(context);
  return NULL;
}

struct context *context_open(const char *path, const struct context_options *options,
                             char *error, size_t error_bytes) {
  struct recording *r = recording_open(path, error, error_bytes);
  struct context *context = r ? context_of(r, options) : NULL;
  if (r && !context) snprintf(error, error_bytes, "not enough memory");
  if (!context || !context->options.at) return context;
  context->at = moment_find(r, context->options.at, error, error_bytes);
  if (context->at) return context;
  context_free(context);
  return NULL;
}

void context_free(struct context *context) {
  if (!context) return;
  moment_free(context->at);
  process_end(&context->process);
  symbol_files_free(context->files);
  free(context);
}
