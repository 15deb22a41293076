/* verbs.h - the questions a recording answers, one entry point each.
 *
 * Each writes its answer to options->out, as text or JSON (docs/json.md), and
 * returns the process's exit status: 0, or 1 with a line on stderr if the
 * answer could not be written. */
#ifndef ULLAGE_VERBS_H
#define ULLAGE_VERBS_H

#include "read/recording.h"

#include <stdbool.h>
#include <stdio.h>

struct symbols; /* frame.h */

struct view_options {
  FILE *out;
  struct symbols *symbols; /* of this recording; what frame_stack() wants */
  bool json;
  bool bytes;            /* exact sizes instead of KiB, MiB */
  bool color;            /* the caller has looked at the terminal and NO_COLOR */
  bool all;              /* every site, every verdict, hidden frames too */
  unsigned top;          /* sites to show; 0: the verb's own default */
  unsigned show;         /* leaks: bit 1 << enum ul_verdict for each wanted; 0: default */
  uint64_t sample_bytes; /* of this recording (estimate.h) */
  unsigned columns;      /* width of the output; 0: 100 */
};

int report_main(struct recording *r, const struct view_options *options);
int growth_main(struct recording *r, const struct view_options *options);
int leaks_main(struct recording *r, const struct view_options *options);
int unused_main(struct recording *r, const struct view_options *options);
int dump_main(struct recording *r, const struct view_options *options);

/* What to change, two lines for each of the largest findings; nothing if there are none.
 * With symbols. */
struct sites;
void findings_print(const struct recording *r, const struct sites *sites,
                    const struct view_options *o);

/* The functions that held most at the peak, one line each; `peak`: bytes then. */
void holders_print(const struct recording *r, const struct sites *sites, uint64_t peak,
                   const struct view_options *o);

/* A few lines each, for report and for the end of run. */
void growth_brief(struct recording *r, const struct view_options *o);
void leaks_brief(struct recording *r, const struct view_options *o);
void unused_brief(struct recording *r, const struct view_options *o);

/* What was freed or resized wrongly: a line for each kind, and in full. Nothing if
 * nothing was. */
void misuses_brief(const struct recording *r, const struct view_options *o);
void misuses_print(const struct recording *r, const struct view_options *o);

/* For the end of a report: a heading, the recordings with their peak, loss and end, the
 * folded ones by program, and whether a limit was reached. Nothing if there were none. */
void children_print(const struct view_options *options, const char *path, uint64_t worth);

/* A few lines for the end of `ullage run`: how much, the peak, what leaks and grows
 * most, without stacks. Always text. */
int report_summary(struct recording *r, const struct view_options *options);
#endif
