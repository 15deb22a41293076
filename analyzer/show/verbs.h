/* verbs.h - the answers as text and as JSON (docs/json.md), two views of each verb.
 *
 * Each takes the verb's model (command/verbs.c), writes it to options->out, and returns
 * the process's exit status: 0, or 1 with a line on stderr if the answer could not be
 * written. */
#ifndef ULLAGE_VERBS_H
#define ULLAGE_VERBS_H

#include "answers/models.h"

#include <stdbool.h>
#include <stdio.h>

struct view_options {
  FILE *out;
  struct symbols
      *symbols;  /* of the process that is spoken of (view_of); NULL: no names */
  bool bytes;    /* exact sizes instead of KiB, MiB */
  bool color;    /* the caller has looked at the terminal and NO_COLOR */
  bool all;      /* every site, every verdict, hidden frames too */
  unsigned top;  /* sites to show; 0: the verb's own default */
  unsigned show; /* leaks: bit 1 << enum ul_verdict for each wanted; 0: default */
  struct sampling sampling; /* likewise */
  unsigned columns;         /* width of the output; 0: 100 */
  struct once *once;        /* stacks that the page has (once.h); NULL: each is shown */
};

/* A view writes a model of what the verb's row names (command/verbs.c). */
typedef int verb_view(void *model, const struct view_options *options);
verb_view report_text, report_json, growth_text, growth_json, leaks_text, leaks_json,
    unused_text, unused_json, diff_text, diff_json, dump_text, dump_json;

/* To speak of that process. */
static inline struct view_options view_of(const struct view_options *o,
                                          const struct process *p) {
  struct view_options view = *o;
  view.symbols = p->symbols;
  view.sampling = p->sampling;
  return view;
}

/* Does `leaks` list what has that verdict? */
static inline bool view_shows(const struct view_options *o, enum ul_verdict verdict) {
  unsigned usual = o->all ? ~0u : ~(1u << UL_REACHABLE);
  return (o->show ? o->show : usual) & 1u << verdict;
}

/* Parts of a report, of what is loaded.
 *
 * What to change, two lines for each of the largest findings; nothing if there are none.
 */
struct findings_told {
  unsigned
      kinds; /* of which kinds some have a line: a bit each, 1 << enum finding_kind */
  const struct process
      *process; /* of the first one; NULL: none, or without a recording */
  const struct finding *first;
};
struct findings_told findings_print(const struct context *, const struct folded *,
                                    const struct view_options *o);
/* Who calls the function of the first one, as a tree, nothing if that is one chain; or
 * what it calls, if all is spread over that. */
#define BRANCHES_SHOWN 8u
void branches_print(const struct process *, const struct finding *,
                    const struct view_options *o);
/* The functions that held most at the peak, one line each, at most so many. */
#define HOLDERS_SHOWN 6u
void holders_print(const struct process *p, size_t most, const struct view_options *o);
/* Who has most of what lives in the process that holds most where it is not known what is
 * lost or grows, if that is a good part of all that is `live` (bytes). */
void holders_unknown(const struct context *, uint64_t live, const struct view_options *);
/* Who held most at a peak of which most was freed since; nothing of any other. */
void holders_peak(const struct process *p, const struct view_options *o);
/* What was resident and is neither malloc's nor code, where that is the larger part. */
void outside_print(const struct process *p, const struct view_options *o);
/* What is known of an end for want of memory; nothing of any other. */
void last_print(const struct context *, const struct view_options *o);
/* Of a moment, in place of all else. */
int held_text(const struct held *, const struct view_options *o);
int held_json(const struct held *, const struct view_options *o);
/* A few lines each, also for the end of run. */
void growth_brief(const struct rising *, const struct view_options *o);
void leaks_brief(const struct lost *, const struct view_options *o);
void unused_brief(const struct context *, const struct view_options *o);
/* What was freed or resized wrongly: a line for each kind, and in full. Nothing if
 * nothing was. */
struct text_long;
struct text_short;
/* "new[], then free", "of 8, freed as 16"; "": there is nothing to add. */
const char *misuse_detail_in(struct text_long *to, enum ul_misuse_kind,
                             const struct ul_misuse *);
#define misuse_detail(kind, m) misuse_detail_in(TEXT_LONG, kind, m)
void misuses_brief(const struct context *, const struct folded *,
                   const struct view_options *o);
void misuses_print(const struct context *, const struct folded *,
                   const struct view_options *o);

/* A few lines for the end of `ullage run`: how much, the peak, what leaks and grows
 * most, without stacks. Always text. */
int report_summary(const struct overview *, const struct view_options *options);
#endif
