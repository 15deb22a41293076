/* report.c - `ullage report`: everything about a recording on one page. */
#include "answers/balance.h"
#include "answers/last.h"
#include "names/frame.h"
#include "read/timeline.h"
#include "show/chart.h"
#include "show/json.h"
#include "show/processes.h"
#include "show/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOP_TEXT 5u
#define TOP_JSON 100u
#define COMMAND_BYTES 300
#define SMALL_SHARE 100 /* of the resident bytes: smaller rows are summed up */

static const char *const fallback_texts[] = {
#define X(name, text) text,
    UL_FALLBACKS(X)
#undef X
};
static const char *const fallback_names[] = {
#define X(name, text) #name,
    UL_FALLBACKS(X)
#undef X
};

static uint64_t since_start(const struct recording *r, uint64_t ms) {
  uint64_t start = timeline_start_ms(r);
  return ms > start ? ms - start : 0;
}

static uint64_t run_ms(const struct recording *r) {
  return since_start(r, recording_duration_ms(r));
}

static uint64_t key_live(const struct site_sum *s) {
  return s->bytes;
}
static uint64_t key_peak(const struct site_sum *s) {
  return s->peak_bytes;
}
static uint64_t key_count(const struct site_sum *s) {
  return s->count.allocations;
}
/* A site is in the ranking if it is its habit, not once in a while. */
static uint64_t key_temporary(const struct site_sum *s) {
  return s->count.temporary * 10 >= s->count.allocations ? s->count.temporary : 0;
}
/* What makes a site worth listing at all: what it holds or held, then what it did. */
static uint64_t key_any(const struct site_sum *s) {
  uint64_t held = s->bytes > s->peak_bytes ? s->bytes : s->peak_bytes;
  return held ? held + UINT32_MAX : s->count.allocations;
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *limit(uint64_t bytes) {
  return bytes == UINT64_MAX ? json_null() : json_bytes(bytes);
}

static json_t *limits_object(const struct ul_header *h) {
  if (!(h->features & UL_FEATURE_LIMITS)) return json_null();
  json_t *object = json_object();
  json_put(object, "group_bytes", limit(h->limits.group));
  json_put(object, "address_space_bytes", limit(h->limits.address_space));
  json_put(object, "data_bytes", limit(h->limits.data));
  json_put(object, "machine_bytes", limit(h->limits.machine));
  return object;
}

static json_t *kills(uint32_t n) {
  return n == UINT32_MAX ? json_null() : json_integer(n);
}

static json_t *kills_object(struct ul_kills of) {
  json_t *object = json_object();
  json_put(object, "group", kills(of.group));
  json_put(object, "machine", kills(of.machine));
  return object;
}

static json_t *program_object(const struct recording *r) {
  const struct ul_header *h = recording_header(r);
  json_t *object = json_object(), *command = json_array();
  const char *word;
  for (uint32_t i = 0; (word = recording_argument(r, i)); i++)
    json_array_append_new(command, json_text(word));
  json_put(object, "command", command);
  json_put(object, "path", json_text(recording_text(r, h->program)));
  json_put(object, "directory", json_text(recording_text(r, h->directory)));
  json_put(object, "pid", json_integer(h->pid));
  json_put(object, "ppid", json_integer(h->ppid));
  json_put(object, "pid_start", json_bytes(h->pid_start));
  json_put(object, "ppid_start", h->ppid_start ? json_bytes(h->ppid_start) : json_null());
  json_put(object, "forked", json_boolean(h->forked));
  json_put(object, "programs_before", json_bytes(h->programs_before));
  json_put(object, "limits", limits_object(h));
  json_put(object, "seconds", json_seconds(run_ms(r)));
  json_put(object, "started", json_real((double)h->start_real_ns / 1e9));
  json_put(object, "exit", json_exit(r));
  json_put(object, "oom_kills", kills_object(recording_kills(r)));
  json_put(object, "confined_seconds",
           h->confined_ms ? json_seconds(since_start(r, h->confined_ms)) : json_null());
  return object;
}

static json_t *heap_object(const struct process *p, const struct view_options *o) {
  const struct sites *s = p->sites;
  json_t *object = json_object();
  json_put(object, "live_bytes", json_bytes(s->bytes));
  json_put(object, "live_blocks", json_bytes(s->blocks));
  json_put(object, "inherited_bytes", json_bytes(s->inherited_bytes));
  json_put(object, "peak_bytes", json_bytes(process_peak_bytes(p)));
  json_put(object, "peak_pictured_bytes", json_bytes(s->peak_bytes));
  json_put(object, "peak_seconds", json_seconds(s->peak_ms));
  json_put(object, "allocated_bytes", json_bytes(s->total.allocated_bytes));
  json_put(object, "allocations", json_bytes(s->total.allocations));
  json_put(object, "frees", json_bytes(s->total.frees));
  json_put(object, "temporary", json_bytes(s->total.temporary));
  struct last l = last_of(p);
  json_put(object, "last_seconds", json_seconds(l.ms));
  json_put(object, "last_bytes_per_second",
           l.ms ? json_real((double)l.bytes * 1000 / (double)l.ms) : json_null());
  if (o->sampling.bytes)
    json_put(object, "temporary_interval",
             json_bounds(s->temporary_low, s->temporary_high));
  return object;
}

static json_t *amount(struct ul_amount of) {
  json_t *object = json_object();
  json_put(object, "bytes", json_bytes(of.bytes));
  json_put(object, "blocks", json_bytes(of.blocks));
  return object;
}

/* Of samples, what is found is an estimate. */
static uint64_t less(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

/* What lives, by what findings say of it. */
static json_t *live_object(const struct tree_sums *sums) {
  json_t *object = json_object();
  struct ul_amount found = {sums->leak.blocks + sums->growth.blocks,
                            sums->leak.bytes + sums->growth.bytes};
  struct ul_amount rest = {less(sums->live.blocks, found.blocks),
                           less(sums->live.bytes, found.bytes)};
  json_put(object, "leak", amount(sums->leak));
  json_put(object, "growth", amount(sums->growth));
  json_put(object, "rest", amount(rest));
  return object;
}

static json_t *balance_array(const struct balance_rows *rows) {
  json_t *array = json_array();
  for (size_t i = 0; i < rows->count; i++) {
    json_t *row = json_object();
    json_put(row, "what", json_text(rows->at[i].what));
    json_put(row, "bytes", json_integer(rows->at[i].bytes));
    json_array_append_new(array, row);
  }
  return array;
}

static struct ul_amount live_of(const struct site_sum *s) {
  return (struct ul_amount){s->blocks, s->bytes};
}
static struct ul_amount peak_of(const struct site_sum *s) {
  return (struct ul_amount){s->peak_blocks, s->peak_bytes};
}
static struct ul_amount allocated_of(const struct site_sum *s) {
  return (struct ul_amount){s->count.allocations, s->count.allocated_bytes};
}

static json_t *site_object(const struct site_sum *s, const struct view_options *o) {
  json_t *object = json_object();
  json_put(object, "site", json_bytes(s->site));
  json_put(object, "live_bytes", json_bytes(s->bytes));
  json_put(object, "live_blocks", json_bytes(s->blocks));
  json_put(object, "live_interval", json_interval(o, live_of(s), site_estimated(s).live));
  json_put(object, "peak_interval", json_interval(o, peak_of(s), site_estimated(s).peak));
  json_put(object, "allocated_interval",
           json_interval(o, allocated_of(s), site_estimated(s).allocated));
  json_put(object, "peak_bytes", json_bytes(s->peak_bytes));
  json_put(object, "peak_blocks", json_bytes(s->peak_blocks));
  json_put(object, "allocations", json_bytes(s->count.allocations));
  json_put(object, "allocated_bytes", json_bytes(s->count.allocated_bytes));
  json_put(object, "frees", json_bytes(s->count.frees));
  json_put(object, "temporary", json_bytes(s->count.temporary));
  json_put(object, "lifetime_seconds", json_seconds(s->count.lifetime_ms));
  json_put(object, "stack", json_stack(o, s->site));
  return object;
}

static json_t *sites_array(const struct sites *s, size_t top,
                           const struct view_options *o) {
  json_t *array = json_array();
  size_t n, most = o->top ? o->top : o->all ? SIZE_MAX : top;
  const struct site_sum **list = sites_sorted(s, key_any, &n);
  for (size_t i = 0; i < n && i < most; i++)
    json_array_append_new(array, site_object(list[i], o));
  free(list);
  return array;
}

static void add_sites(json_t *object, const struct process *p,
                      const struct view_options *o) {
  json_put(object, "sites", sites_array(p->sites, PROCESSES_SITES, o));
  json_put(object, "sites_count", json_bytes(p->sites->count));
}

static json_t *fallbacks_object(const struct recording *r) {
  const struct ul_header *h = recording_header(r);
  json_t *object = json_object();
  char name[24];
  for (int i = 0; i < UL_FB_SLOTS; i++) {
    snprintf(name, sizeof name, "FALLBACK_%d", i);
    if (h->fallbacks[i])
      json_put(object, i < UL_FB_COUNT ? fallback_names[i] : name,
               json_bytes(h->fallbacks[i]));
  }
  return object;
}

static json_t *children_object(const struct context *context) {
  const struct children *c = context->children;
  uint64_t worth = recording_header(context->named->recording)->children_kept;
  json_t *object = json_object(), *files = json_array();
  for (size_t i = 0; i < c->count; i++)
    json_array_append_new(files, json_text(c->files[i]));
  json_put(object, "recordings", files);
  json_put(object, "folded", json_bytes(c->folded));
  json_put(object, "folded_allocations", json_bytes(c->folded_allocations));
  json_put(object, "folded_peak_bytes", json_bytes(c->folded_peak));
  json_put(object, "folded_lost_bytes", json_bytes(c->folded_lost));
  json_put(object, "beyond_limit", json_bytes(children_beyond(c, worth)));
  return object;
}

int report_json(void *model, const struct view_options *options) {
  const struct overview *all = model;
  if (all->held) return held_json(all->held, options);
  const struct context *context = all->context;
  const struct process *p = context->named;
  const struct recording *r = p->recording;
  const struct sites *s = p->sites;
  struct view_options view = view_of(options, p), *o = &view;
  struct balance b = balance_of(r, p->unused);
  json_t *root = json_object();
  json_put(root, "program", program_object(r));
  json_put(root, "heap", heap_object(p, o));
  json_put(root, "sample_bytes", json_bytes(o->sampling.bytes));
  json_put(root, "sampled_from", json_sampled_from(o));
  json_put(root, "rss_bytes", json_bytes(b.rss_bytes));
  json_put(root, "outside", outside_object(r));
  json_put(root, "findings", findings_array(context, o));
  json_put(root, "live", live_object(&all->lost->tree->all));
  json_put(root, "balance", balance_array(&b.resident));
  json_put(root, "mapped", balance_array(&b.mapped));
  json_put(root, "sites", sites_array(s, TOP_JSON, o));
  json_put(root, "sites_count", json_bytes(s->count));
  json_put(root, "sites_of_others", processes_others(context, options, add_sites));
  json_put(root, "misuses", misuses_array(context, o));
  json_put(root, "fallbacks", fallbacks_object(r));
  json_put(root, "children", children_object(context));
  json_put(root, "folded", folded_array(all->lost->folded));
  json_put(root, "processes", processes_array(context, true));
  json_put(root, "tree", processes_tree(context, all->lost->tree, true));
  json_put(root, "unsettled", json_bytes(recording_unsettled(r)));
  json_put(root, "stopped", json_integer(recording_header(r)->stop));
  return json_finish(o, root);
}

/* ---- text: totals, balance ----------------------------------------------------- */

/* Of all processes together, where there are several. */
static void print_tree(const struct overview *all, const struct view_options *o) {
  const struct tree_sums *sums = &all->lost->tree->all;
  uint64_t processes = sums->recordings + sums->lines;
  if (processes < 2) return;
  fprintf(o->out, "  all %s processes together: %s live, %s", text_count(processes),
          text_size(o, sums->live.bytes),
          text_plural(sums->allocations, "allocation", "allocations"));
  if (sums->unscanned < processes)
    fprintf(o->out, ", %s lost", text_size(o, sums->lost.bytes));
  if (sums->unscanned && sums->unscanned < processes)
    fprintf(o->out, ", not known of %s", text_count(sums->unscanned));
  fputc('\n', o->out);
}

/* A runtime that takes its objects apart before it exits, and so before the scan, but not
 * what they have allocated. */
static void print_taken_apart(const struct overview *all, const struct view_options *o) {
  const struct process *p = &all->context->processes[0];
  if (all->lost->tree->all.lost.bytes && findings_taken_apart(p->recording))
    fprintf(o->out,
            "  Ruby unmaps its objects as it ends, before the scan: what only they "
            "held looks lost, too\n");
}

static void print_title(const struct overview *all, const struct view_options *o) {
  const struct process *p = &all->context->processes[0];
  const struct recording *r = p->recording;
  const struct ul_header *h = recording_header(r);
  fprintf(o->out, "%s%s%s %s after %s: %s live, %s at the peak", text_on(o, TEXT_STRONG),
          text_escaped(process_name(p)), text_off(o), text_end(r), text_time(run_ms(r)),
          text_size(o, p->sites->bytes), text_size(o, process_peak_bytes(p)));
  if (h->stop != UL_STOP_NONE)
    fprintf(o->out, ", by %s, when the recording stops",
            text_time(since_start(r, h->stop_ms)));
  fputc('\n', o->out);
  print_tree(all, o);
  print_taken_apart(all, o);
}

/* Whom a finding blames stands there; the row would name a call site of it, or of another
 * one of the same kind. */
static struct view_options row_of(unsigned told, enum finding_kind kind,
                                  const struct view_options *o) {
  struct view_options row = *o;
  if (told & 1u << kind) row.symbols = NULL;
  return row;
}

/* `told`: kinds of findings (a bit each) that the page has told. */
static void print_rows_of_answers(const struct overview *all, unsigned told,
                                  const struct view_options *o) {
  struct view_options growth = row_of(told, FINDING_GROWTH, o),
                      leaks = row_of(told, FINDING_LEAK, o),
                      unused = row_of(told, FINDING_UNUSED, o);
  text_sampled(o, "  sampled ");
  last_print(all->context, o);
  outside_print(&all->context->processes[0], o);
  misuses_brief(all->context, all->lost->folded, o);
  growth_brief(all->rising, &growth);
  leaks_brief(all->lost, &leaks);
  if (o->symbols) holders_unknown(all->context, all->lost->tree->all.live.bytes, o);
  unused_brief(all->context, &unused);
  holders_peak(&all->context->processes[0], o);
}

static void print_answers(const struct overview *all, unsigned told,
                          const struct view_options *o) {
  enum { INDENT = 11 };
  struct view_options page = *o;
  char *lines = NULL;
  size_t bytes;
  fputc('\n', o->out);
  if (o->all || !(page.out = open_memstream(&lines, &bytes))) {
    print_rows_of_answers(all, told, o);
    return;
  }
  print_rows_of_answers(all, told, &page);
  if (fclose(page.out) == 0) text_fold(o, lines, INDENT);
  free(lines);
}

static void print_stop(const struct recording *r, const struct view_options *o) {
  static const char *const reasons[] = {
      [UL_STOP_NO_SPACE] = "the file could not be extended",
      [UL_STOP_REOPEN] = "the file could not be opened again",
      [UL_STOP_FULL] = "a limit of the format was reached",
      [UL_STOP_MEMORY] = "there was no memory for ullage itself",
      [UL_STOP_BOUND] = "all that recordings may take is taken (ULLAGE_DISK)"};
  const struct ul_header *h = recording_header(r);
  if (h->stop == UL_STOP_NONE && h->tree_kib >> 31)
    fprintf(o->out, "  %sSome children are not recorded%s: %s\n", text_on(o, TEXT_BAD),
            text_off(o), reasons[UL_STOP_BOUND]);
  if (h->stop == UL_STOP_NONE) return;
  bool known = h->stop < sizeof reasons / sizeof *reasons;
  fprintf(o->out, "  %sThe recording stops at %s%s: %s%s%s\n", text_on(o, TEXT_BAD),
          text_time(since_start(r, h->stop_ms)), text_off(o),
          known ? reasons[h->stop] : "unknown reason", h->stop_errno ? ", " : "",
          h->stop_errno ? strerror(h->stop_errno) : "");
}

static void print_confinement(const struct recording *r, const struct view_options *o) {
  uint64_t ms = recording_header(r)->confined_ms;
  if (ms)
    fprintf(o->out,
            "  At %s the program confined itself (seccomp): no resident size since, no "
            "word of "
            "its end\n",
            text_time(since_start(r, ms)));
}

/* The one fallback that changes what the program does. */
static void print_deepbind(const struct recording *r, const struct view_options *o) {
  uint64_t n = recording_header(r)->fallbacks[UL_FB_DEEPBIND];
  if (n)
    fprintf(o->out, "  %s opened without RTLD_DEEPBIND, which hides malloc\n",
            text_plural(n, "object was", "objects were"));
}

/* Only what there is a limit of. */
static void print_limits(const struct ul_header *h, const struct view_options *o) {
  const struct {
    uint64_t bytes;
    const char *of;
  } limits[] = {{h->limits.group, "for its control group"},
                {h->limits.address_space, "of address space"},
                {h->limits.data, "of data"},
                {h->limits.machine, "in the machine"}};
  bool any = false;
  if (!(h->features & UL_FEATURE_LIMITS)) return;
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    if (limits[i].bytes == UINT64_MAX) continue;
    fprintf(o->out, "%s%s %s", any ? ", " : "  limits       ",
            text_size(o, limits[i].bytes), limits[i].of);
    any = true;
  }
  if (any) fputc('\n', o->out);
}

/* Whose recording was named, where the page is about another. */
static void print_starter(const struct context *context, const struct view_options *o) {
  const struct process *named = context->named;
  if (named != context->processes)
    fprintf(o->out, ", started under %s, process %s", text_escaped(process_name(named)),
            named->label);
}

static void print_totals(const struct context *context, const struct view_options *o) {
  const struct process *p = &context->processes[0];
  const struct recording *r = p->recording;
  const struct sites *s = p->sites;
  const struct ul_header *h = recording_header(r);
  fprintf(o->out, "\n  command      %s\n", text_command(r, COMMAND_BYTES));
  fprintf(o->out, "  process      %" PRId32 "%s", h->pid,
          h->forked ? ", forked without exec" : "");
  print_starter(context, o);
  fputc('\n', o->out);
  print_limits(h, o);
  fprintf(o->out, "  recording    %s (%s)\n",
          text_path(recording_path(r), text_room(o, 30)),
          text_size(o, recording_file_bytes(r)));
  fprintf(o->out, "  allocations  %s of %s, %s frees, %s temporary (%s)\n",
          text_count(s->total.allocations), text_size(o, s->total.allocated_bytes),
          text_count(s->total.frees), text_count(s->total.temporary),
          text_percent(s->total.temporary, s->total.allocations));
  if (o->sampling.bytes)
    fprintf(o->out, "  temporary    an estimate: with 95 %% between %s and %s\n",
            text_count(s->temporary_low), text_count(s->temporary_high));
  fprintf(o->out, "  live         %s of %s\n", text_plural(s->blocks, "block", "blocks"),
          text_size(o, s->bytes));
  print_confinement(r, o);
  print_stop(r, o);
}

static void print_row(const struct view_options *o, int64_t bytes, const char *what) {
  fprintf(o->out, "  %14s  %s\n", text_size_signed(o, bytes), what);
}

/* Rows that are small beside the whole are one. */
static void print_rows(const struct balance_rows *rows, size_t from, size_t to,
                       uint64_t whole, int64_t *rest, const struct view_options *o) {
  int64_t small = o->all ? 0 : (int64_t)(whole / SMALL_SHARE);
  for (size_t i = from; i < to; i++)
    if (rows->at[i].bytes < small && rows->at[i].bytes > -small)
      *rest += rows->at[i].bytes;
    else
      print_row(o, rows->at[i].bytes, rows->at[i].what);
}

static void print_rest(int64_t rest, const struct view_options *o) {
  if (rest) print_row(o, rest, "rows below 1/100 of it (--all)");
}

static void print_resident(const struct recording *r, const struct balance *b,
                           const struct view_options *o) {
  const struct balance_rows *rows = &b->resident;
  int64_t rest = 0;
  text_heading(o, "WHERE THE RESIDENT MEMORY IS", "  %s, %s",
               recording_end(r) == RECORDING_RUNNING ? "now" : "at the end",
               text_time(since_start(r, b->ms)));
  print_rows(rows, 0, b->heap_rows, b->rss_bytes, &rest, o);
  fprintf(o->out, "  %s= %12s  of the heap, which has mapped %s%s\n",
          text_on(o, TEXT_FAINT), text_size(o, b->heap_bytes),
          text_size(o, b->mapped.bytes), text_off(o));
  print_rows(rows, b->heap_rows, rows->count, b->rss_bytes, &rest, o);
  print_rest(rest, o);
  fprintf(o->out, "  %s= %12s  resident (RSS)%s\n", text_on(o, TEXT_STRONG),
          text_size(o, b->rss_bytes), text_off(o));
}

/* Of a process without a last word. */
static void print_mapped(const struct recording *r, const struct balance *b,
                         const struct view_options *o) {
  int64_t rest = 0;
  text_heading(o, "WHAT THE HEAP HAS MAPPED", "  in the last snapshot, %s",
               text_time(since_start(r, b->ms)));
  print_rows(&b->mapped, 0, b->mapped.count, b->mapped.bytes, &rest, o);
  print_rest(rest, o);
  fprintf(o->out, "  = %12s  of the heap; and of ullage: %s, its recording %s\n",
          text_size(o, b->mapped.bytes), text_size(o, b->tool_bytes),
          text_size(o, b->recording_bytes));
  fprintf(o->out,
          "  %s%14s  resident (RSS), of these and of all else; which pages is not "
          "known%s\n",
          text_on(o, TEXT_STRONG), text_size(o, b->rss_bytes), text_off(o));
}

static void print_balance(const struct process *p, const struct view_options *o) {
  const struct recording *r = p->recording;
  struct balance b = balance_of(r, p->unused);
  if (b.basis == BALANCE_MAPS) print_resident(r, &b, o);
  if (b.basis == BALANCE_SNAPSHOT) print_mapped(r, &b, o);
  const struct ul_snapshot *worse = timeline_worse(r);
  if (worse)
    fprintf(o->out, "  At %s %s of the heap were resident but not live: ullage unused\n",
            text_time(since_start(r, worse->ms)), text_size(o, worse->waste_bytes));
}

/* ---- text: sites --------------------------------------------------------------- */

struct ranking {
  const char *title;
  sites_key *key;
  void (*line)(const struct site_sum *s, const struct sites *all,
               const struct view_options *o);
};

static void line_live(const struct site_sum *s, const struct sites *all,
                      const struct view_options *o) {
  fprintf(o->out, "%s in %s (%s)%s", text_size(o, s->bytes),
          text_plural(s->blocks, "block", "blocks"), text_percent(s->bytes, all->bytes),
          text_interval(o, live_of(s), site_estimated(s).live));
}

static void line_peak(const struct site_sum *s, const struct sites *all,
                      const struct view_options *o) {
  (void)all;
  fprintf(o->out, "%s in %s%s", text_size(o, s->peak_bytes),
          text_plural(s->peak_blocks, "block", "blocks"),
          text_interval(o, peak_of(s), site_estimated(s).peak));
}

static void line_count(const struct site_sum *s, const struct sites *all,
                       const struct view_options *o) {
  fprintf(o->out, "%s of %s (%s of all)",
          text_plural(s->count.allocations, "allocation", "allocations"),
          text_size(o, s->count.allocated_bytes),
          text_percent(s->count.allocations, all->total.allocations));
}

static void line_temporary(const struct site_sum *s, const struct sites *all,
                           const struct view_options *o) {
  (void)all;
  fprintf(o->out, "%s (%s of its allocations)",
          text_plural(s->count.temporary, "temporary", "temporary"),
          text_percent(s->count.temporary, s->count.allocations));
}

static void print_ranking(const struct ranking *ranking, const struct sites *s,
                          const struct view_options *o) {
  size_t n, most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT;
  const struct site_sum **list = sites_sorted(s, ranking->key, &n);
  size_t shown = n < most ? n : most;
  if (n) text_heading(o, ranking->title, "  (%zu of %zu sites)", shown, n);
  for (size_t i = 0; i < shown; i++) {
    text_entry(o, i + 1);
    fputs(text_on(o, TEXT_STRONG), o->out);
    ranking->line(list[i], s, o);
    fprintf(o->out, "%s\n", text_off(o));
    text_stack(o, list[i]->site);
  }
  free(list);
}

/* Its snapshot may be of a moment shortly before or after. */
static const char *title_of_peak(const struct recording *r, const struct sites *s,
                                 const struct view_options *o, char *title,
                                 size_t bytes) {
  uint64_t pictured = s->peak_bytes;
  if (text_is_near(pictured, timeline_peak_bytes(r))) return "LIVE AT THE PEAK";
  snprintf(title, bytes, "LIVE NEAR THE PEAK, when there were %s",
           text_size(o, pictured));
  return title;
}

static void print_rankings(const struct process *p, const struct view_options *o) {
  const struct recording *r = p->recording;
  const struct sites *s = p->sites;
  char title[64], near[96];
  const struct ranking at_last = {title, key_live, line_live};
  static const struct ranking others[] = {
      {"MOST ALLOCATIONS", key_count, line_count},
      {"MOST TEMPORARY ALLOCATIONS  freed within 3 further ones", key_temporary,
       line_temporary}};
  bool at_peak =
      text_is_near(s->bytes, process_peak_bytes(p)); /* the same picture twice */
  const struct ranking at_most = {title_of_peak(r, s, o, near, sizeof near), key_peak,
                                  line_peak};
  if (!at_peak) print_ranking(&at_most, s, o);
  snprintf(title, sizeof title, "LIVE %s", text_moment(r));
  print_ranking(&at_last, s, o);
  print_ranking(&others[0], s, o);
  print_ranking(&others[1], s, o);
}

/* ---- text: what did not go as it should ---------------------------------------- */

/* What takes nothing from an answer is for who asks for all: other ways to the same
 * result, and what is ullage's own business. The program's misuses have been told. */
static bool matters(int fallback, const struct view_options *o) {
  switch (fallback) {
  case UL_FB_DOUBLE_FREE:
  case UL_FB_INVALID_FREE:
  case UL_FB_REALLOC_OF_FREED:
  case UL_FB_INVALID_REALLOC:
  case UL_FB_MISMATCHED_FREE:
  case UL_FB_MISSIZED_FREE:
  case UL_FB_OVERRUN:
  case UL_FB_WRITTEN_FREED:
    return false;
  case UL_FB_EARLY:
  case UL_FB_NESTED:
  case UL_FB_SLOW_WALK:
    return o->all;
  default:
    return true;
  }
}

static void print_fallbacks(const struct process *p, const struct view_options *o) {
  const struct recording *r = p->recording;
  const struct sites *s = p->sites;
  const struct ul_header *h = recording_header(r);
  bool any = recording_unsettled(r) || s->disagreeing;
  for (int i = 0; i < UL_FB_SLOTS; i++)
    any = any || (h->fallbacks[i] && matters(i, o));
  if (!any) return;
  text_heading(o, "NOT DONE THE EXACT WAY", "  counted");
  for (int i = 0; i < UL_FB_SLOTS; i++)
    if (h->fallbacks[i] && matters(i, o))
      fprintf(o->out, "  %14s  %s\n", text_count(h->fallbacks[i]),
              i < UL_FB_COUNT ? fallback_texts[i]
                              : "of a kind this version does not know");
  if (recording_unsettled(r))
    fprintf(o->out, "  %14s  elements skipped: the process was in the middle of them\n",
            text_count(recording_unsettled(r)));
  if (s->disagreeing)
    fprintf(o->out,
            "  %14s  call sites whose counters and ledger differ: threads were busy\n",
            text_count(s->disagreeing));
}

/* ---- entry points -------------------------------------------------------------- */

static int no_memory(void) {
  fprintf(stderr, "ullage: out of memory\n");
  return 1;
}

/* A page has PAGE_LINES at most. Where it would have more, functions that held less go
 * first, then whole sections. */
#define PAGE_LINES 60u
enum squeeze {
  NO_HOLDERS = HOLDERS_SHOWN,
  NO_BRANCHES,
  NO_CHART,
  NO_BALANCE,
  SQUEEZE_MOST = NO_BALANCE
};

static void print_left_out(unsigned squeeze, const struct view_options *o) {
  if (squeeze >= NO_HOLDERS)
    fprintf(o->out, "\n  Left out: who held most%s%s%s (--all)\n",
            squeeze >= NO_BRANCHES ? ", who calls it" : "",
            squeeze >= NO_CHART ? ", memory over time" : "",
            squeeze >= NO_BALANCE ? ", where the resident memory is" : "");
}

static void print_page(const struct overview *all, unsigned squeeze,
                       const struct view_options *o) {
  const struct process *p = &all->context->processes[0];
  print_title(all, o);
  struct findings_told told = findings_print(all->context, all->lost->folded, o);
  print_answers(all, told.kinds, o);
  if (told.first && squeeze < NO_BRANCHES) branches_print(told.process, told.first, o);
  print_totals(all->context, o);
  misuses_print(all->context, all->lost->folded, o);
  processes_print(all->context, all->lost->tree, o);
  if (squeeze < NO_CHART) chart_draw(p, o);
  if (squeeze < NO_BALANCE) print_balance(p, o);
  if (o->all)
    print_rankings(p, o);
  else if (squeeze < NO_HOLDERS)
    holders_print(p, HOLDERS_SHOWN - squeeze, o);
  print_fallbacks(p, o);
  print_left_out(squeeze, o);
  processes_hint_small(all->context, o);
  processes_hints(all->context, o);
}

/* To be freed; NULL: no memory. */
static char *page_of(const struct overview *all, unsigned squeeze,
                     const struct view_options *options) {
  struct view_options o = *options;
  char *lines = NULL;
  size_t bytes;
  if (!(o.out = open_memstream(&lines, &bytes))) return NULL;
  print_page(all, squeeze, &o);
  if (fclose(o.out) == 0) return lines;
  free(lines);
  return NULL;
}

static size_t lines_of(const char *text) {
  size_t n = 0;
  for (; (text = strchr(text, '\n')); text++)
    n++;
  return n;
}

/* Lines as wide as the page, and no more than it has, unless more is asked for. */
int report_text(void *model, const struct view_options *options) {
  const struct overview *all = model;
  if (all->held) return held_text(all->held, options);
  struct view_options o = view_of(options, &all->context->processes[0]);
  if (o.all) {
    print_page(all, 0, &o);
    return text_finish(&o);
  }
  unsigned squeeze = 0;
  char *lines = page_of(all, squeeze, &o);
  while (lines && !o.top && squeeze < SQUEEZE_MOST && lines_of(lines) > PAGE_LINES) {
    free(lines);
    lines = page_of(all, ++squeeze, &o);
  }
  if (!lines) return no_memory();
  text_fit(&o, lines);
  free(lines);
  return text_finish(&o);
}

int report_summary(const struct overview *all, const struct view_options *options) {
  struct process *p = &all->context->processes[0];
  struct view_options o = view_of(options, p);
  print_title(all, &o);
  fputc('\n', o.out);
  print_rows_of_answers(all, 0, &o);
  print_confinement(p->recording, &o);
  print_deepbind(p->recording, &o);
  print_stop(p->recording, &o);
  processes_print(all->context, all->lost->tree, &o);
  return text_finish(&o);
}
