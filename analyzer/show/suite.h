/* suite.h - the verdict on a suite, in the formats that there are. */
#ifndef ULLAGE_SHOW_SUITE_H
#define ULLAGE_SHOW_SUITE_H

#include "answers/suite.h"
#include "show/text.h"

#include <stdio.h>

struct suite_page {
  FILE *out;
  const char
      *source_root;      /* paths of sources are told relative to it; NULL: as they are */
  bool all;              /* each finding, with all its call stacks */
  const char *recording; /* that stays, for details; NULL: none does */
  unsigned stays;        /* until so many later checks have failed; 0: for good */
  const struct suite_process *process; /* of it alone; NULL: of all (see alone) */
};

typedef void suite_view(const struct suite *, const struct suite_page *);
struct suite_format {
  const char *name;
  suite_view *view;
  bool alone; /* can tell of one process alone */
};
/* The last has no name. */
extern const struct suite_format suite_formats[];
/* The same for findings as suppressions, by the tool whose syntax it is. */
extern const struct suite_format suite_suppressions[];

suite_view suite_text, suite_json, suite_sarif, suite_junit, suite_github, suite_memcheck,
    suite_valgrind_xml;

/* ---- words that formats share: escaped, in rooms of the calling block (text.h) -------
 */

/* "double free", "leak" */
const char *suite_what(const struct suite_finding *);
/* What happened at its `freed`: "freed first", "freed". */
const char *suite_freed(const struct suite_finding *);
/* "render (core.c:17) < main (forgets.c:9)": the frame to blame and its callers. */
const char *suite_where_in(struct text_long *to, const struct suite_stack *,
                           const struct suite_page *);
#define suite_where(stack, page) suite_where_in(TEXT_LONG, stack, page)
/* "512 B in 1 block", "3 times" */
const char *suite_amount_in(struct text_short *to, const struct suite_finding *);
#define suite_amount(f) suite_amount_in(TEXT_SHORT, f)
/* "render < main": the functions alone, in memory to be freed. */
char *suite_names(const struct suite_finding *);
/* "t_forks, a child", "t_a and 2 more processes" */
const char *suite_who_in(struct text_long *to, const struct suite *,
                         const struct suite_finding *);
#define suite_who(s, f) suite_who_in(TEXT_LONG, s, f)
/* Why a process was not judged; "" if it was. */
const char *suite_reason_in(struct text_long *to, const struct suite_process *);
#define suite_reason(p) suite_reason_in(TEXT_LONG, p)
/* Of a source, below the root if it is. */
const char *suite_path(const char *file, const struct suite_page *);
/* The last part of the program's path, or of its recording's if that cannot be read. */
const char *suite_name_of(const struct suite_process *);
#endif
