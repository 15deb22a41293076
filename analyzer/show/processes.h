/* processes.h - the processes of a run, beside the answer about them. */
#ifndef ULLAGE_PROCESSES_H
#define ULLAGE_PROCESSES_H

#include "answers/tree.h"
#include "show/text.h"

#include <jansson.h>

/* A heading, and a line for each program; for each process with --all. With how many had
 * to be left without a recording. Nothing if there is one process. */
void processes_print(const struct context *, const struct tree *,
                     const struct view_options *);
/* A line for each recording that cannot be read. */
void processes_unread(const struct context *, const struct view_options *);
/* " in worker, process 4242": whose it is, where there are several; else "". */
const char *processes_whose_in(struct text_long *to, const struct context *,
                               const struct process *);
#define processes_whose(c, p) processes_whose_in(TEXT_LONG, c, p)
/* What the symbols of all of them want to tell, once each. */
/* How small children are scanned, too, if some were not. */
void processes_hint_small(const struct context *, const struct view_options *);
void processes_hints(const struct context *, const struct view_options *);

/* PROCESS and TREE of docs/json.md. `sums`: with those of call sites, which are loaded.
 */
json_t *processes_array(const struct context *, bool sums);
json_t *processes_tree(const struct context *, const struct tree *, bool sums);
/* An object for each process but the named one: its label, and what `add` puts in, at
 * most so many call sites unless more are asked for. */
#define PROCESSES_SITES 10u
typedef void processes_add(json_t *object, const struct process *,
                           const struct view_options *);
json_t *processes_others(const struct context *, const struct view_options *,
                         processes_add *add);
#endif
