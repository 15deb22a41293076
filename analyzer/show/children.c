/* children.c - the other processes of a run, at the end of a report. */
#include "answers/children.h"
#include "read/timeline.h"
#include "show/text.h"
#include "show/verbs.h"

#include <inttypes.h>

#define SHOWN 20   /* recordings, unless options->top or all says otherwise */
#define PROGRAMS 6 /* of the folded ones */

static void print_recording(const struct view_options *options, const char *file) {
  char error[256];
  struct recording *r = recording_open(file, error, sizeof error);
  if (!r) {
    fprintf(options->out, "  %s: %s\n", text_escaped(file), error);
    return;
  }
  const struct ul_scan *scan = &recording_header(r)->scan;
  fprintf(options->out, "  %s  peak %s", text_escaped(file),
          text_size(options, timeline_peak_bytes(r)));
  if (scan->state == UL_SCAN_DONE)
    fprintf(options->out, ", lost %s",
            text_size(options, scan->totals[UL_DEFINITE].bytes));
  fprintf(options->out, ", %s: %s\n", text_end(r), text_command(r, 60));
  recording_close(r);
}

static void print_folded(const struct view_options *options, const struct children *c,
                         const char *path) {
  unsigned shown = 0;
  fputs("  ", options->out);
  for (const struct children_program *p = c->programs; p && shown < PROGRAMS;
       p = p->hh.next)
    fprintf(options->out, "%s%s x %s", shown++ ? ", " : "", text_count(p->count),
            text_escaped(p->name));
  if (HASH_COUNT(c->programs) > PROGRAMS)
    fprintf(options->out, " and %u more programs", HASH_COUNT(c->programs) - PROGRAMS);
  fprintf(options->out, ": %s, largest peak %s, lost %s (%s.children)\n",
          text_plural(c->folded_allocations, "allocation", "allocations"),
          text_size(options, c->folded_peak), text_size(options, c->folded_lost),
          text_escaped(path));
}

/* " (18 children with a line each)": what there is none of, is not named. */
static void print_heading(const struct view_options *options, const struct children *c) {
  text_heading(options, "BESIDE IT", " (%s%s%s%s%s)",
               c->count ? text_plural(c->count, "recording", "recordings") : "",
               c->count ? " of children and earlier programs" : "",
               c->count && c->folded ? "; " : "",
               c->folded ? text_plural(c->folded, "child", "children") : "",
               c->folded > 1 ? " with a line each"
               : c->folded   ? " with a line"
                             : "");
}

static void print_limit(const struct view_options *options, const struct children *c,
                        uint64_t worth) {
  uint64_t beyond = children_beyond(c, worth);
  FILE *f = options->out;
  if (!beyond) return;
  if (c->count == 0)
    fprintf(f, "  %s worth a recording",
            text_plural(beyond, "child was", "children were"));
  else
    fprintf(f, "  only the first %s kept, and %s worth one",
            c->count == 1 ? "recording was"
                          : text_plural(c->count, "", "recordings were"),
            text_plural(beyond, "more child was", "more children were"));
  fprintf(f, ": ULLAGE_CHILDREN_MAX=%" PRIu64 " keeps %s\n", worth,
          beyond == 1 ? "it" : "them");
}

void children_print(const struct view_options *options, const char *path,
                    uint64_t worth) {
  struct children *children = children_find(path);
  if (!children) return;
  if (children->count || children->folded) {
    print_heading(options, children);
    size_t shown = options->top ? options->top : SHOWN;
    if (options->all || shown > children->count) shown = children->count;
    for (size_t i = 0; i < shown; i++)
      print_recording(options, children->files[i]);
    if (shown < children->count)
      fprintf(options->out, "  and %zu more: --all shows them\n",
              children->count - shown);
    if (children->folded) print_folded(options, children, path);
    print_limit(options, children, worth);
  }
  children_free(children);
}
