/* budget.h - what a process may take, beside what it may lose. */
#ifndef ULLAGE_BUDGET_H
#define ULLAGE_BUDGET_H

#include "answers/sites.h"
#include "read/recording.h"

enum budget_measure {
  BUDGET_PEAK,        /* most live bytes */
  BUDGET_LIVE,        /* live bytes at the end */
  BUDGET_ALLOCATIONS, /* all of them */
  BUDGET_TEMPORARY,   /* of them freed at once, percent */
  BUDGET_MEASURES
};
#define BUDGET_NAMES                                                                     \
  { "peak", "live", "allocations", "temporary" }

#define BUDGETS_MOST 64
struct budgets {
  struct budget {
    const char *programs; /* pattern.h */
    enum budget_measure measure;
    uint64_t limit;
    bool met; /* there was such a program */
  } at[BUDGETS_MOST];
  size_t count;
};

/* What a process has taken, and the site that took most of it (0: none is known). */
struct budget_use {
  uint64_t value;
  uint32_t site;
};
struct budget_use budget_use(const struct recording *, const struct sites *,
                             enum budget_measure);
#endif
