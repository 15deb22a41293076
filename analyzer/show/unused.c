/* unused.c - `ullage unused`: retained, but not used (the model is in waste.c). */
#include "answers/tails.h"
#include "read/timeline.h"
#include "show/causes.h"
#include "show/json.h"
#include "show/processes.h"
#include "show/text.h"

#include <inttypes.h>

#define TOP_TEXT 10u
#define TOP_JSON 1000u
#define TOP_THEN 5u
#define OTHERS_SHOWN 10u
#define UNPINNED "free, in arenas without any live block"

static uint64_t pinned(const struct unused_site *s) {
  return s->pinned_pool + s->pinned_arena;
}

static uint64_t since_start(const struct recording *r, const struct unused_moment *m) {
  uint64_t start = timeline_start_ms(r);
  return m->at->ms > start ? m->at->ms - start : 0;
}

static size_t shown_then(const struct unused_moment *m, const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_THEN;
  return m->count < most ? m->count : most;
}

static const char *evidence_name(enum ul_evidence e) {
  static const char *const names[] = {"none", "pagemap", "mincore"};
  return names[(unsigned)e < 3 ? e : 0];
}

static size_t shown(const struct unused *u, const struct view_options *o, size_t most) {
  if (o->top) most = o->top;
  return o->all || u->count < most ? u->count : most;
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *site_object(const struct unused_site *s) {
  json_t *object = json_object();
  json_put(object, "pinned_bytes", json_bytes(pinned(s)));
  json_put(object, "pinned_pool_bytes", json_bytes(s->pinned_pool));
  json_put(object, "pinned_arena_bytes", json_bytes(s->pinned_arena));
  json_put(object, "sole_pinned_bytes", json_bytes(s->sole));
  json_put(object, "slack_bytes", json_bytes(s->slack));
  json_put(object, "untouched_bytes", json_bytes(s->untouched));
  json_put(object, "untouched_tail_bytes", json_bytes(s->tail));
  json_put(object, "unwritten_bytes", json_bytes(s->unwritten));
  json_put(object, "live_bytes", json_bytes(s->live_bytes));
  json_put(object, "live_blocks", json_bytes(s->blocks));
  return object;
}

static json_t *totals_object(const struct unused *u) {
  json_t *totals = site_object(&u->total);
  json_put(totals, "empty_pool_bytes", json_bytes(u->empty_pool_bytes));
  json_put(totals, "unpinned_bytes", json_bytes(u->unpinned_bytes));
  json_put(totals, "own_pinned_pool_bytes", json_bytes(u->own_pool));
  json_put(totals, "own_pinned_arena_bytes", json_bytes(u->own_arena));
  json_put(totals, "own_slack_bytes", json_bytes(u->own_slack));
  json_put(totals, "tail_bytes", json_bytes(u->tail_bytes));
  return totals;
}

/* What the sites left out come to, so that sums stay exact. */
static json_t *rest_object(const struct unused *u, size_t from) {
  struct unused_site rest = {0};
  for (size_t i = from; i < u->count; i++) {
    const struct unused_site *s = &u->sites[i];
    rest.blocks += s->blocks;
    rest.live_bytes += s->live_bytes;
    rest.pinned_pool += s->pinned_pool;
    rest.pinned_arena += s->pinned_arena;
    rest.sole += s->sole;
    rest.slack += s->slack;
    rest.untouched += s->untouched;
    rest.tail += s->tail;
    rest.unwritten += s->unwritten;
  }
  json_t *object = site_object(&rest);
  json_put(object, "sites", json_bytes(u->count - from));
  return object;
}

/* A few of its sites: the end is what most questions are about. */
static json_t *moment_object(const struct recording *r, const struct unused_moment *m,
                             const struct view_options *o) {
  if (!m->at) return json_null();
  json_t *object = json_object(), *sites = json_array();
  json_put(object, "seconds", json_seconds(since_start(r, m)));
  json_put(object, "waste_bytes", json_bytes(m->waste_bytes));
  json_put(object, "rss_bytes", json_bytes(m->at->rss_bytes));
  json_put(object, "live_bytes", json_bytes(timeline_live_bytes(m->at)));
  json_put(object, "free_bytes", json_bytes(m->free_bytes));
  json_put(object, "slack_bytes", json_bytes(m->slack));
  for (size_t i = 0; i < shown_then(m, o); i++) {
    json_t *site = json_object();
    json_put(site, "pinned_bytes", json_bytes(m->sites[i].pinned));
    json_put(site, "slack_bytes", json_bytes(m->sites[i].slack));
    json_put(site, "site", json_bytes(m->sites[i].site));
    json_put(site, "stack", json_stack(o, m->sites[i].site));
    json_array_append_new(sites, site);
  }
  json_put(object, "sites", sites);
  return object;
}

/* What each process has; nothing about its call sites. */
static json_t *processes_totals(const struct context *context) {
  json_t *array = json_array();
  for (size_t i = 0; i < context->count; i++) {
    json_t *object = totals_object(context->processes[i].unused);
    json_put(object, "process", json_text(context->processes[i].label));
    json_array_append_new(array, object);
  }
  return array;
}

static json_t *fill_object(const struct ul_fill *f) {
  json_t *object = json_object();
  json_put(object, "never_written_bytes", json_bytes(f->never_written));
  json_put(object, "bytes", json_bytes(f->bytes));
  json_put(object, "blocks", json_bytes(f->blocks));
  return object;
}

static size_t shown_fills(const struct fills *f, const struct view_options *o,
                          size_t most) {
  if (o->top) most = o->top;
  return o->all || f->count < most ? f->count : most;
}

static json_t *fills_object(const struct fills *f, const struct view_options *o) {
  if (!f->known) return json_null();
  json_t *object = fill_object(&f->total), *sites = json_array();
  for (size_t i = 0; i < shown_fills(f, o, TOP_JSON); i++) {
    json_t *site = fill_object(&f->sites[i].fill);
    json_put(site, "site", json_bytes(f->sites[i].site));
    json_put(site, "stack", json_stack(o, f->sites[i].site));
    json_array_append_new(sites, site);
  }
  json_put(object, "sites", sites);
  return object;
}

static json_t *tail_object(const struct tails_sum *t) {
  json_t *object = json_object();
  json_put(object, "bytes", json_bytes(t->bytes));
  json_put(object, "sites", json_bytes(t->sites));
  return object;
}

static json_t *tails_object(struct process *p) {
  struct tails t;
  json_t *object = json_object();
  if (!tails_load(p, &t)) return object;
  json_put(object, "containers", tail_object(&t.of[TAILS_OF_CONTAINERS]));
  json_put(object, "resized", tail_object(&t.of[TAILS_OF_RESIZED]));
  return object;
}

static void add_sites(json_t *object, const struct process *p,
                      const struct view_options *o) {
  json_t *sites = json_array();
  size_t n = shown(p->unused, o, PROCESSES_SITES);
  for (size_t i = 0; i < n; i++) {
    json_t *site = site_object(&p->unused->sites[i]);
    json_put(site, "site", json_bytes(p->unused->sites[i].site));
    json_put(site, "stack", json_stack(o, p->unused->sites[i].site));
    json_array_append_new(sites, site);
  }
  json_put(object, "sites", sites);
  json_put(object, "rest", rest_object(p->unused, n));
}

int unused_json(void *model, const struct view_options *options) {
  const struct context *context = model;
  const struct unused *u = context->named->unused;
  const struct recording *r = context->named->recording;
  struct view_options o = view_of(options, context->named);
  json_t *evidence = json_object();
  size_t n = shown(u, &o, TOP_JSON);
  struct json_stream j;
  json_put(evidence, "resident", json_text(evidence_name(u->residency)));
  json_put(evidence, "written", json_text(evidence_name(u->writes)));
  json_put(evidence, "written_since_seconds",
           json_seconds(recording_header(r)->writes_ms));
  json_begin(&j, &o);
  json_member(&j, "sample_bytes", json_bytes(o.sampling.bytes));
  json_member(&j, "sampled_from", json_sampled_from(&o));
  json_member(&j, "totals", totals_object(u));
  json_member(&j, "evidence", evidence);
  json_member(&j, "most", moment_object(r, &u->most, &o));
  json_member(&j, "never_written", fills_object(&u->fills, &o));
  json_member(&j, "spare", tails_object(context->named));
  json_member(&j, "processes", processes_totals(context));
  json_list(&j, "sites");
  for (size_t i = 0; i < n; i++)
    json_site(&j, &o, site_object(&u->sites[i]), u->sites[i].site);
  json_list_end(&j);
  json_member(&j, "rest", rest_object(u, n));
  json_member(&j, "sites_of_others", processes_others(context, options, add_sites));
  return json_end(&j);
}

/* ---- text ---------------------------------------------------------------------- */

static void print_site(const struct unused_site *s, size_t rank,
                       const struct view_options *o) {
  struct ul_amount live = {s->blocks, s->live_bytes};
  text_entry(o, rank);
  fprintf(o->out, "%s%s", text_on(o, TEXT_STRONG),
          text_plural(s->blocks, "block", "blocks"));
  fprintf(o->out, " of %s%s%s", text_size(o, s->live_bytes), text_off(o),
          text_interval(o, live, s->estimated));
  if (pinned(s))
    fprintf(o->out, "; pin %s (%s alone)", text_size(o, pinned(s)),
            text_size(o, s->sole));
  if (s->slack) fprintf(o->out, "; slack %s", text_size(o, s->slack));
  if (s->untouched) fprintf(o->out, "; untouched %s", text_size(o, s->untouched));
  if (s->tail > s->untouched / 10 * 9) /* shrink_to_fit() gives just that back */
    fprintf(o->out, ", behind all that was used");
  if (s->unwritten) fprintf(o->out, "; unwritten %s", text_size(o, s->unwritten));
  fputc('\n', o->out);
  text_stack(o, s->site);
}

static void print_row(const struct view_options *o, uint64_t bytes, const char *what) {
  fprintf(o->out, "  %14s  %s\n", text_size(o, bytes), what);
}

/* Of free space then, what is resident may be less, and of live blocks more untouched. */
static bool pages_known(const struct unused *u) {
  return u->residency != UL_EVIDENCE_NONE;
}

static void print_totals(const struct unused *u, const struct view_options *o) {
  print_row(o, u->total.pinned_pool,
            "pinned in pools: free blocks beside a few that live");
  print_row(o, u->total.pinned_arena,
            "pinned in arenas: empty pools beside pools in use");
  print_row(o, u->unpinned_bytes,
            UNPINNED
            " (kept by heaps of idle or\n"
            "                  ended threads; malloc_trim gives back the latter's)");
  print_row(o, u->total.slack, "slack: usable but not requested");
  fprintf(o->out, "  %14s  untouched: requested, but never made resident\n",
          pages_known(u) ? text_size(o, u->total.untouched) : "not known");
  if (u->writes != UL_EVIDENCE_NONE)
    print_row(o, u->total.unwritten, "unwritten: old, resident, not written since");
}

/* What is free in one thread's heap is of no use to another thread; glibc's arenas have
 * that in common with ours, and a remedy. */
static void print_heaps(const struct recording *r, const struct unused *u,
                        const struct view_options *o) {
  enum { HEAPS_MANY = 4, FREE_SHARE = 4 };
  uint64_t heaps = recording_count(r, UL_HEAPS);
  uint64_t unused = pinned(&u->total) + u->unpinned_bytes;
  if (heaps < HEAPS_MANY || unused < u->total.live_bytes / FREE_SHARE) return;
  fprintf(
      o->out,
      "\nIt lies in the heaps of %s threads; what one has free, another does not "
      "use. glibc has arenas\nfor them, up to 8 for each CPU: MALLOC_ARENA_MAX=2 lets "
      "threads share, for some speed.\n",
      text_count(heaps));
}

static void print_tail(const struct tails_sum *t, const char *of, const char *remedy,
                       const struct view_options *o) {
  if (t->bytes)
    fprintf(o->out,
            "\n%s of what was never touched lies at the ends of %s\n"
            "(%s): %s would give it back at most. It is address space, no RSS.\n",
            text_size(o, t->bytes), of, text_plural(t->sites, "call site", "call sites"),
            remedy);
}

/* Where other allocators would be alike, with their remedy. */
static void print_tails(struct process *p, const struct view_options *o) {
  struct tails t;
  if (!tails_load(p, &t)) return;
  print_tail(&t.of[TAILS_OF_CONTAINERS], "containers, as room for more", "shrink_to_fit",
             o);
  print_tail(&t.of[TAILS_OF_RESIZED], "blocks made larger again and again",
             "a realloc to the size used", o);
}

static void print_evidence(const struct recording *r, const struct unused *u,
                           const struct view_options *o) {
  if (!pages_known(u))
    fprintf(o->out, "\nEvidence: which pages are resident is not known (the process did "
                    "not come to its end);\nall free space counts as pinned: that is the "
                    "most it can be.\n");
  else
    fprintf(o->out,
            "\nEvidence: resident pages from %s%s; free space that is not "
            "resident is not counted.\n",
            evidence_name(u->residency),
            recording_end(r) == RECORDING_RUNNING ? ", now" : ", at the end");
  if (u->writes != UL_EVIDENCE_NONE)
    fprintf(o->out, "Written pages from %s (soft-dirty), since %s.\n",
            evidence_name(u->writes), text_time(recording_header(r)->writes_ms));
  else
    fprintf(o->out, "Which old blocks are still written is not known: no page-level "
                    "evidence in this recording.\n");
  if (u->fills.known)
    fprintf(o->out, "All blocks up to 512 KiB were filled (--guard), so their pages were "
                    "touched; what was never\nwritten is known of them, but not of what "
                    "calloc gave.\n");
  else
    fprintf(o->out, "Which words are never written is not known: that takes a recording "
                    "with --guard.\n");
}

static void print_fills(const struct fills *f, const struct view_options *o) {
  size_t n = shown_fills(f, o, TOP_TEXT);
  if (!f->known) return;
  text_heading(o, "NEVER WRITTEN", "  %s of the %s that were looked at (%s)",
               text_size(o, f->total.never_written), text_size(o, f->total.bytes),
               text_percent(f->total.never_written, f->total.bytes));
  for (size_t i = 0; i < n; i++) {
    const struct ul_fill *of = &f->sites[i].fill;
    text_entry(o, i + 1);
    fprintf(o->out, "%s%s%s of %s (%s) in %s\n", text_on(o, TEXT_STRONG),
            text_size(o, of->never_written), text_off(o), text_size(o, of->bytes),
            text_percent(of->never_written, of->bytes),
            text_plural(of->blocks, "block", "blocks"));
    text_stack(o, f->sites[i].site);
  }
}

static void print_then(const struct recording *r, const struct unused_moment *m,
                       const struct view_options *o) {
  text_heading(o, "AT THE MOMENT OF MOST WASTE", "  %s: %s resident but not live",
               text_time(since_start(r, m)), text_size(o, m->waste_bytes));
  print_row(o, m->free_bytes, "free blocks in used pools");
  print_row(o, m->slack, "slack: usable but not requested");
  for (size_t i = 0; i < shown_then(m, o); i++) {
    text_entry(o, i + 1);
    fprintf(o->out, "%spin %s%s; slack %s\n", text_on(o, TEXT_STRONG),
            text_size(o, m->sites[i].pinned), text_off(o),
            text_size(o, m->sites[i].slack));
    text_stack(o, m->sites[i].site);
  }
}

/* Worth a word where it is more than what survivors pin. */
static void print_unpinned(const struct unused *u, const char *lead,
                           const struct view_options *o) {
  if (u->unpinned_bytes > pinned(&u->total))
    fprintf(o->out, ", %s%s" UNPINNED, text_size(o, u->unpinned_bytes), lead);
}

/* Who has most of it, and how much. */
static void print_most(struct process *p, const struct view_options *o) {
  size_t most;
  uint64_t bytes;
  const struct causes *by = o->symbols ? laid_waste(p, &most, &bytes) : NULL;
  if (!by) return;
  fprintf(o->out, "; most: %s by %s", text_size(o, bytes),
          causes_alone(p->functions, by, most));
}

void unused_brief(const struct context *context, const struct view_options *o) {
  const struct process *p = &context->processes[0];
  const struct unused *u = p->unused;
  const struct recording *r = p->recording;
  const struct unused_site *t = &u->total;
  fprintf(o->out, "  unused   %s%s pinned, %s slack, %s",
          pages_known(u) ? "" : "at most ", text_size(o, pinned(t)),
          text_size(o, t->slack),
          pages_known(u) ? text_size(o, t->untouched) : "not known how much");
  fprintf(o->out, " untouched");
  if (u->fills.total.never_written)
    fprintf(o->out, ", %s of %s never written",
            text_size(o, u->fills.total.never_written),
            text_size(o, u->fills.total.bytes));
  print_unpinned(u, " ", o);
  print_most(&context->processes[0], o);
  if (unused_was_worse(u))
    fprintf(o->out, "; %s wasted at %s", text_size(o, u->most.waste_bytes),
            text_time(since_start(r, &u->most)));
  fprintf(o->out, "%s\n", processes_whose(context, p));
}

static void print_process(struct process *p, const struct view_options *options) {
  struct view_options view = view_of(options, p), *o = &view;
  print_row(o, unused_at_end(p->unused), text_escaped(process_name(p)));
  fprintf(o->out, "                  process %s", p->label);
  print_most(p, o);
  fputc('\n', o->out);
}

/* Which of them to ask about by itself. */
static void print_others(const struct context *context, const struct view_options *o) {
  size_t most = o->all ? SIZE_MAX : OTHERS_SHOWN;
  if (context->count < 2) return;
  text_heading(o, "OTHER PROCESSES", "  retained but not used (--process=PID)");
  for (size_t i = 1; i < context->count && i <= most; i++)
    print_process(&context->processes[i], o);
  if (context->count - 1 > most)
    fprintf(o->out, "  and %s more (--all)\n",
            text_plural(context->count - 1 - most, "process", "processes"));
}

int unused_text(void *model, const struct view_options *options) {
  const struct context *context = model;
  struct process *p = &context->processes[0];
  struct view_options view = view_of(options, p), *o = &view;
  const struct unused *u = p->unused;
  size_t n = shown(u, o, TOP_TEXT);
  while (n && !unused_sum(&u->sites[n - 1]))
    n--;
  fprintf(o->out, "%s%s%s retained but not used%s", text_on(o, TEXT_STRONG),
          pages_known(u) ? "" : "at most ", text_size(o, unused_at_end(u)), text_off(o));
  print_unpinned(u, " of it ", o);
  fprintf(o->out, ", and %s requested but never touched%s",
          pages_known(u) ? text_size(o, u->total.untouched) : "not known how much",
          processes_whose(context, p));
  print_most(p, o);
  fprintf(o->out, "\n\n");
  print_totals(u, o);
  if (n)
    text_heading(o, "BY CALL SITE", "  (%zu of %zu with live blocks%s)", n, u->count,
                 n < u->count && !o->all ? "; --all shows the rest" : "");
  for (size_t i = 0; i < n; i++)
    print_site(&u->sites[i], i + 1, o);
  if (unused_was_worse(u) || (o->all && u->most.at))
    print_then(p->recording, &u->most, o);
  print_fills(&u->fills, o);
  print_others(context, o);
  processes_unread(context, o);
  print_heaps(p->recording, u, o);
  print_tails(p, o);
  print_evidence(p->recording, u, o);
  text_sampled(o, "\nSampled:");
  processes_hints(context, o);
  return text_finish(o);
}
