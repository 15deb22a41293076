/* chart.h - memory over time as a small chart of characters. */
#ifndef ULLAGE_CHART_H
#define ULLAGE_CHART_H

#include "show/verbs.h"

/* Live bytes as columns of '#', RSS as a line of '.', the peak marked '^'; nothing if
 * there are fewer than two snapshots. */
void chart_draw(const struct process *p, const struct view_options *o);
#endif
