/* answers.h - the answers as models, without a word of text. */
#ifndef ULLAGE_ANSWERS_H
#define ULLAGE_ANSWERS_H

#include "answers/trend.h"
#include "read/recording.h"

/* ---- growth -------------------------------------------------------------------- */

struct growth_site {
  uint32_t site;
  struct trend trend;
  uint64_t first_bytes, last_bytes; /* at the first and last measurement */
  struct ul_amount last_estimated;  /* the part of it that is an estimate */
  struct ul_amount added;           /* by its growth; 0: it does not grow */
  uint64_t blocks;                  /* live now */
  unsigned generations;             /* 16ths of the run with blocks that live now */
};
struct growth {
  struct growth_site *sites; /* growing first, steepest first; then unsure, ... */
  size_t count;
  size_t verdicts[4];  /* sites for each enum trend_verdict */
  size_t measurements; /* snapshots, and the ledger of a process without a last one */
  struct trend all;    /* of all live bytes together */
  bool unsure_matter;  /* the unsure ones hold, or held, a share worth mentioning */
};
struct sites;
/* As if the run had begun at since_ms (of the recording's clock); 0: as it did. NULL: no
 * memory. */
struct growth *growth_load(const struct recording *r, const struct sites *sites,
                           uint64_t since_ms);
void growth_free(struct growth *g);
/* In which order they are told: less than 0, x before y. */
int growth_order(const struct growth_site *x, const struct growth_site *y);
/* Is so much growth worth a word, beside such a peak? More is asked of what was freed in
 * the end, for a collector frees what it can before its program ends; of a run of less
 * than TREND_SHORTEST seconds, for most of that is start-up; and where `all` rises, but
 * in steps or ever more slowly: then it may all be start-up. */
bool growth_matters(const struct recording *r, const struct trend *all, uint64_t added,
                    uint64_t live, uint64_t peak);
/* The same of all stacks together that lead through one of these return addresses (by
 * index in UL_CODES), so that a function is judged whose stacks are too small each;
 * `all`: all live bytes together; `generations` in which blocks of theirs were born that
 * live. false: no memory. */
struct growth_codes {
  struct trend trend;
  struct ul_amount added;
  bool has_base; /* they held something before it */
};
bool growth_of_codes(const struct recording *r, const struct sites *sites,
                     const struct trend *all, const bool *codes, unsigned generations,
                     struct growth_codes *g);

/* How much all live bytes together have grown by, as far as snapshots tell without a look
 * at sites; 0: they do not grow, or it does not matter. */
uint64_t growth_outline(const struct recording *r);

/* ---- leaks --------------------------------------------------------------------- */

/* Did the scan come to its end? */
bool leaks_known(const struct recording *r);
/* The leaks of a verdict, most bytes first, dragged ones included; the caller frees the
 * list, not what it points to. NULL: no memory, and *count is 0. */
const struct ul_leak **leaks_of(const struct recording *r, enum ul_verdict verdict,
                                size_t *count);
/* Of what is lost, what main's own frame held when main ended the process. */
struct ul_amount leaks_of_main(const struct recording *r);
/* Lost in a forked child, allocated by its parent: in no verdict. */
struct ul_amount leaks_inherited(const struct recording *r);
/* What can be reached thanks to a heuristic only. */
struct ul_amount leaks_rescued(const struct recording *r, enum ul_heuristic by);
/* Whom lost blocks drag along. NULL: no memory. */
struct drags *drags_load(const struct recording *r);
void drags_free(struct drags *d);
/* The sites of those that a leader's site drags, most bytes first. */
const struct ul_drag *const *drags_of(const struct drags *d, uint32_t leader,
                                      size_t *count);
/* How old what was born then was at the scan, milliseconds. */
uint64_t leaks_age_ms(const struct recording *r, uint32_t birth);

/* ---- misuses ------------------------------------------------------------------- */

/* Places of misuse: of a kind, the most frequent first. */
struct misuses {
  enum ul_misuse_kind kind;
  uint64_t count; /* everywhere, also where it is not known */
  const struct ul_misuse *places[UL_MISUSE_PLACES];
  size_t known; /* in use of `places` */
};
bool misuses_any(const struct recording *r);
struct misuses misuses_of(const struct recording *r, enum ul_misuse_kind kind);

/* ---- unused -------------------------------------------------------------------- */

/* Bytes. Free space counts where its pages are resident (if that is known): what was
 * never touched costs nothing and nobody. */
struct unused_site {
  uint32_t site;
  uint64_t blocks, live_bytes;
  struct ul_amount estimated; /* the part of these that is an estimate */
  uint64_t pinned_pool;  /* free blocks of used pools, shared by the pool's live blocks */
  uint64_t pinned_arena; /* empty pools, shared by the live blocks of the arena */
  uint64_t sole;         /* of both, what this site alone keeps from going back */
  uint64_t slack;        /* usable but not requested */
  uint64_t untouched;    /* requested, on pages never made resident */
  uint64_t tail;      /* of it, behind the last resident page of blocks larger than one */
  uint64_t unwritten; /* resident, older than writes_ms, not written since */
};
/* The same when most of the heap was resident but not live, as far as snapshots go. Which
 * pages were resident is not known for then: all free blocks that were ever in use count
 * as pinned. */
struct unused_then {
  uint32_t site;
  uint64_t pinned, slack;
};
struct unused_moment {
  const struct ul_snapshot *at; /* NULL: there is none */
  uint64_t waste_bytes;         /* resident but not live */
  uint64_t free_bytes, slack;   /* of all sites together */
  struct unused_then *sites;    /* most first; the least are not told */
  size_t count;
};
/* Words of blocks that were never written, until these were freed or resized, or to the
 * end; of those that the guard has filled. */
struct fills_site {
  uint32_t site;
  struct ul_fill fill;
};
struct fills {
  bool known;               /* where blocks were guarded */
  struct ul_fill total;     /* of all sites */
  struct fills_site *sites; /* of which something was never written, most first */
  size_t count;
};
bool fills_load(const struct recording *r, struct fills *f); /* false: no memory */

struct unused {
  struct fills fills;
  struct unused_moment most; /* when there was most waste */
  struct unused_site *sites; /* by number; or most unused first */
  size_t count;
  bool sorted;
  struct unused_site total;          /* the sums over the sites */
  uint64_t empty_pool_bytes;         /* all empty pools, pinned or not */
  uint64_t unpinned_bytes;           /* of it, in arenas without any live block */
  uint64_t own_pool, own_arena;      /* pinned by the blocks of ullage's own libraries */
  uint64_t own_slack, own_requested; /* and what these are */
  uint64_t inherited_requested;      /* resident, of the parent's blocks in a fork */
  uint64_t tail_bytes;               /* of used pools: too short for a block */
  uint64_t rss_bytes; /* of a last snapshot without pages; UINT64_MAX: they are known */
  /* The program's own end has left most of it, as when an interpreter takes all apart: it
   * was live at the last measurement before, which was not long before, and hardly
   * anything lives. */
  bool by_end;
  enum ul_evidence residency, writes;
};
struct unused *unused_load(const struct recording *r);
void unused_free(struct unused *u);
/* Those with most unused first: a million of them take a while. */
void unused_sort(struct unused *u);
/* Of memory retained but not used, how much is left at the end (or may be: never more
 * than was resident); and was it much more once? */
uint64_t unused_at_end(const struct unused *u);
bool unused_was_worse(const struct unused *u);
/* Requested by the program itself, and resident. */
uint64_t unused_requested(const struct unused *u);
/* All that the heap has resident, but for freed large blocks. */
uint64_t unused_heap(const struct unused *u);
/* pinned + slack + untouched: what a site is sorted by. */
uint64_t unused_sum(const struct unused_site *s);

#endif
