/* leaks.c - `ullage leaks`: what the scan at the end could not reach. */
#include "answers/answers.h"
#include "answers/fingerprint.h"
#include "answers/sites.h"
#include "show/causes.h"
#include "show/json.h"
#include "show/processes.h"
#include "show/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOP_TEXT 20u
#define TOP_JSON 1000u
#define DRAGS_TEXT 3u
#define DRAGS_JSON 100u

static const char *const names[UL_VERDICTS] = {"unknown", "definite", "indirect",
                                               "possible", "reachable"};
static const char *const titles[UL_VERDICTS] = {"NOT KNOWN", "DEFINITELY LOST",
                                                "INDIRECTLY LOST", "POSSIBLY LOST",
                                                "STILL REACHABLE"};
static const char *const meanings[UL_VERDICTS] = {
    "not come to within the limit of the scan", "nothing points to it",
    "only lost blocks point to it", "only pointers into its middle",
    "in use, or kept to the end"};
static const char *const heuristics[UL_HEURISTICS] = UL_HEURISTIC_NAMES;
/* In this order of interest. */
static const enum ul_verdict order[] = {UL_NO_VERDICT, UL_DEFINITE, UL_POSSIBLE,
                                        UL_INDIRECT, UL_REACHABLE};
#define VERDICTS (sizeof order / sizeof *order)

/* ---- what there is ------------------------------------------------------------- */

/* The last thing that a process does that knows of its end. */
static bool saw_its_end(const struct recording *r) {
  for (uint64_t i = 0; i < recording_count(r, UL_SNAPSHOTS); i++)
    if (recording_snapshot(r, i)->kind == UL_SNAPSHOT_FINAL) return true;
  return false;
}

static const char *why_not_scanned(const struct recording *r) {
  const struct ul_scan *scan = &recording_header(r)->scan;
  static char reason[256];
  if (recording_end(r) == RECORDING_RUNNING)
    return "the process is still running; the scan comes at its end";
  if (recording_header(r)->confined_ms)
    return "the program forbade itself the system calls of a scan (seccomp)";
  if (scan->state == UL_SCAN_RUNNING) return "the scan did not finish";
  if (scan->state == UL_SCAN_PARTIAL) {
    snprintf(reason, sizeof reason,
             "the scan was ended after %" PRIu32
             " s (--scan-limit): %s of %s were reached "
             "by then",
             scan->limit_seconds, text_count(scan->totals[UL_REACHABLE].blocks),
             text_plural(scan->totals[UL_REACHABLE].blocks +
                             scan->totals[UL_NO_VERDICT].blocks,
                         "live block", "live blocks"));
    return reason;
  }
  if (scan->state == UL_SCAN_FAILED && scan->error == EINTR)
    return "the scan was cut short: the process was asked to end";
  if (scan->state == UL_SCAN_FAILED && scan->error == EACCES)
    return "the process may not read its own /proc/self/maps (Landlock, or the like)";
  if (scan->state == UL_SCAN_FAILED && scan->error == ENOENT)
    return "there was no /proc/self/maps to read, where the process was (chroot)";
  if (scan->state == UL_SCAN_FAILED) {
    snprintf(reason, sizeof reason, "the scan failed: %s", strerror(scan->error));
    return reason;
  }
  if (recording_header(r)->stop) return "the recording stopped before the end";
  switch (recording_end(r)) {
  case RECORDING_KILLED:
    return "the process was killed, or ended by a bare system call, before it could scan";
  case RECORDING_SIGNALED:
    return "the process was killed before it could scan";
  case RECORDING_ELSEWHERE:
    return "the process has not said its last word, and is in another name space";
  case RECORDING_EXECED:
    return "the process replaced itself by another program before it could scan";
  case RECORDING_ABORTED:
    return "the process aborted before it could scan";
  default:
    return saw_its_end(r) ? "no scan was asked for (ULLAGE_SCAN=no)"
                          : "the process ended by a bare system call (exit_group, as Go "
                            "does), which nothing of ullage sees";
  }
}

static uint64_t live_bytes(const struct site_sum *s) {
  return s->bytes;
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *amount(uint64_t bytes, uint64_t blocks) {
  json_t *object = json_object();
  json_put(object, "bytes", json_bytes(bytes));
  json_put(object, "blocks", json_bytes(blocks));
  return object;
}

/* Their stacks are those of what is indirectly lost. */
static json_t *drags_array(const struct drags *d, const struct ul_leak *leak,
                           const struct view_options *o) {
  json_t *array = json_array();
  size_t n = 0, most = o->all ? SIZE_MAX : DRAGS_JSON;
  const struct ul_drag *const *list =
      leak->verdict == UL_DEFINITE ? drags_of(d, leak->site, &n) : NULL;
  for (size_t i = 0; i < n && i < most; i++) {
    json_t *object = amount(list[i]->bytes, list[i]->blocks);
    json_put(object, "site", json_bytes(list[i]->dragged));
    json_array_append_new(array, object);
  }
  return array;
}

static struct ul_amount of_leak(const struct ul_leak *leak) {
  return (struct ul_amount){leak->blocks, leak->bytes};
}
static struct ul_amount of_live(const struct site_sum *s) {
  return (struct ul_amount){s->blocks, s->bytes};
}

static json_t *leak_object(const struct lost_place *place, const struct view_options *o) {
  const struct recording *r = place->process->recording;
  const struct ul_leak *leak = place->leak;
  struct fingerprint known =
      fingerprint_of_site(place->process->fingerprints, leak->site);
  json_t *object = amount(leak->bytes, leak->blocks);
  char address[24];
  snprintf(address, sizeof address, "0x%llx", (unsigned long long)leak->example);
  json_put(object, "process", json_text(place->process->label));
  json_put(object, "verdict", json_text(names[leak->verdict]));
  json_put(object, "interval",
           json_interval(o, of_leak(leak), estimate_in_leak(r, leak)));
  json_put(object, "indirect_bytes", json_bytes(leak->indirect_bytes));
  json_put(object, "indirect_blocks", json_bytes(leak->indirect_blocks));
  json_put(object, "drags", drags_array(place->process->drags, leak, o));
  json_put(object, "oldest_seconds", json_seconds(leaks_age_ms(r, leak->oldest_birth)));
  json_put(object, "newest_seconds", json_seconds(leaks_age_ms(r, leak->newest_birth)));
  json_put(object, "example", json_text(address));
  json_put_fingerprint(object, &known);
  return object;
}

/* What a scan that was cut short did not come to is asked for by nobody, and told. */
static bool is_wanted(const struct view_options *o, enum ul_verdict verdict) {
  return verdict == UL_NO_VERDICT || view_shows(o, verdict);
}

static void write_leaks(struct json_stream *j, const struct lost *l,
                        const struct view_options *options) {
  size_t most = options->top ? options->top : options->all ? SIZE_MAX : TOP_JSON;
  for (size_t v = 0; v < VERDICTS; v++) {
    if (!is_wanted(options, order[v])) continue;
    for (size_t i = l->first[order[v]], n = 0; i < l->first[order[v] + 1] && n < most;
         i++, n++) {
      struct view_options o = view_of(options, l->places[i].process);
      json_site(j, &o, leak_object(&l->places[i], &o), l->places[i].leak->site);
    }
  }
}

/* Of processes of which it is not known what is lost. */
static void write_live(struct json_stream *j, const struct lost *l,
                       const struct view_options *options) {
  size_t most = options->top ? options->top : options->all ? SIZE_MAX : TOP_JSON;
  for (size_t p = 0; p < l->context->count; p++) {
    const struct process *process = &l->context->processes[p];
    if (leaks_known(process->recording)) continue;
    struct view_options o = view_of(options, process);
    size_t n;
    const struct site_sum **list = sites_sorted(process->sites, live_bytes, &n);
    for (size_t i = 0; i < n && i < most; i++) {
      json_t *object = amount(list[i]->bytes, list[i]->blocks);
      json_put(object, "process", json_text(process->label));
      json_put(object, "interval",
               json_interval(&o, of_live(list[i]), site_estimated(list[i]).live));
      json_site(j, &o, object, list[i]->site);
    }
    free(list);
  }
}

static json_t *scan_object(const struct recording *r) {
  static const char *const states[] = {"none", "running", "done", "failed", "partial"};
  const struct ul_scan *scan = &recording_header(r)->scan;
  json_t *object = json_object();
  json_put(object, "state", json_text(states[scan->state < 5 ? scan->state : 0]));
  if (!leaks_known(r)) json_put(object, "reason", json_text(why_not_scanned(r)));
  json_put(object, "seconds", json_real((double)scan->took_us / 1e6));
  json_put(object, "root_bytes", json_bytes(scan->root_bytes));
  json_put(object, "heap_bytes", json_bytes(scan->heap_bytes));
  json_put(object, "limit_seconds", json_integer(scan->limit_seconds));
  json_put(object, "leaders_known", json_boolean(!scan->leaders_unknown));
  json_put(object, "threads", json_integer(scan->threads));
  json_put(object, "threads_unstopped", json_integer(scan->threads_unstopped));
  json_put(object, "unreadable_pages", json_bytes(scan->unreadable_pages));
  return object;
}

int leaks_json(void *model, const struct view_options *options) {
  const struct lost *l = model;
  const struct process *first = l->context->named;
  struct view_options o = view_of(options, first);
  json_t *totals = json_object(), *rescued = json_object();
  for (int v = UL_NO_VERDICT; v < UL_VERDICTS; v++)
    json_put(totals, names[v], amount(l->totals[v].bytes, l->totals[v].blocks));
  for (int h = 0; h < UL_HEURISTICS; h++)
    json_put(rescued, heuristics[h], amount(l->rescued[h].bytes, l->rescued[h].blocks));
  struct json_stream j;
  json_begin(&j, &o);
  json_member(&j, "sample_bytes", json_bytes(o.sampling.bytes));
  json_member(&j, "sampled_from", json_sampled_from(&o));
  json_member(&j, "scan", scan_object(first->recording));
  json_member(&j, "totals", totals);
  json_member(&j, "rescued", rescued);
  json_member(&j, "of_main", amount(l->of_main.bytes, l->of_main.blocks));
  json_member(&j, "inherited", amount(l->inherited.bytes, l->inherited.blocks));
  json_member(&j, "processes", processes_array(l->context, false));
  json_member(&j, "tree", processes_tree(l->context, l->tree, false));
  json_list(&j, "leaks");
  write_leaks(&j, l, options);
  json_list_end(&j);
  json_member(&j, "folded", folded_array(l->folded));
  if (l->scanned < l->context->count) {
    json_list(&j, "still_live");
    write_live(&j, l, options);
    json_list_end(&j);
  }
  return json_end(&j);
}

/* ---- text ---------------------------------------------------------------------- */

/* " in 12 processes of worker", " in worker, process 4242": where there are several. */
static void print_where(const struct lost *l, const struct lost_place *place,
                        const struct view_options *o) {
  const char *program = text_escaped(process_name(place->process));
  if (place->group && place->group->processes > 1)
    fprintf(o->out, " in %zu processes of %s", place->group->processes, program);
  else if (l->context->count > 1)
    fprintf(o->out, " in %s, process %s", program, place->process->label);
}

static void print_leak(const struct lost *l, const struct lost_place *place, size_t rank,
                       const struct view_options *o) {
  const struct recording *r = place->process->recording;
  const struct lost_group *group = place->group;
  const struct ul_leak *leak = group ? &group->sum : place->leak;
  uint64_t oldest = group ? group->oldest_ms : leaks_age_ms(r, leak->oldest_birth);
  uint64_t newest = group ? group->newest_ms : leaks_age_ms(r, leak->newest_birth);
  text_entry(o, rank);
  fprintf(o->out, "%s%s in %s%s%s", text_on(o, TEXT_STRONG), text_size(o, leak->bytes),
          text_plural(leak->blocks, "block", "blocks"), text_off(o),
          text_interval(o, of_leak(leak),
                        group ? group->estimated : estimate_in_leak(r, leak)));
  print_where(l, place, o);
  if (leak->indirect_blocks)
    fprintf(o->out, ", dragging along %s in %s", text_size(o, leak->indirect_bytes),
            text_count(leak->indirect_blocks));
  if (oldest == newest)
    fprintf(o->out, "; %s old\n", text_time(oldest));
  else
    fprintf(o->out, "; %s to %s old\n", text_time(newest), text_time(oldest));
  text_stack(o, leak->site);
}

/* Whom the blocks of a leader drag along. */
static void print_drags(const struct lost_place *place, const struct view_options *o) {
  size_t n, most = o->all ? SIZE_MAX : DRAGS_TEXT;
  if (place->group) return; /* they are listed as indirectly lost */
  const struct ul_drag *const *list =
      drags_of(place->process->drags, place->leak->site, &n);
  for (size_t i = 0; i < n && i < most; i++) {
    const char *whom =
        list[i]->dragged ? causes_laid(place->process, LAID_BY_LOSS, list[i]->dragged, o)
                         : "others";
    fprintf(o->out, "         drags %s in %s%s%s\n", text_size(o, list[i]->bytes),
            text_plural(list[i]->blocks, "block", "blocks"), *whom ? " of " : "", whom);
  }
  if (n > most)
    fprintf(o->out, "         and of %s more (--all)\n",
            text_plural(n - most, "call site", "call sites"));
}

/* The first of each group, which stands for all of it. */
static size_t count_lines(const struct lost *l, enum ul_verdict verdict) {
  size_t n = 0;
  for (size_t i = l->first[verdict]; i < l->first[verdict + 1]; i++)
    n += i == l->first[verdict] || !l->places[i].group ||
         l->places[i].group != l->places[i - 1].group;
  return n;
}

static void print_verdict(const struct lost *l, enum ul_verdict verdict,
                          const struct view_options *options) {
  size_t n = count_lines(l, verdict), rank = 0;
  size_t most = options->top ? options->top : options->all ? SIZE_MAX : TOP_TEXT;
  const struct lost_group *group = NULL;
  if (n)
    text_heading(options, titles[verdict], "  %s%s", meanings[verdict],
                 n > most ? " (more: --all)" : "");
  for (size_t i = l->first[verdict]; i < l->first[verdict + 1] && rank < most; i++) {
    const struct lost_place *place = &l->places[i];
    struct view_options o = view_of(options, place->process);
    if (place->group && place->group == group) continue;
    group = place->group;
    print_leak(l, place, ++rank, &o);
    if (verdict == UL_DEFINITE) print_drags(place, &o);
  }
}

/* A few lost bytes must not hide that far more may be. */
static void print_possible(const struct lost *l, const struct view_options *o) {
  uint64_t lost = l->totals[UL_DEFINITE].bytes + l->totals[UL_INDIRECT].bytes;
  const struct ul_amount *possible = &l->totals[UL_POSSIBLE];
  if (possible->bytes > lost)
    fprintf(o->out, "; possibly lost: %s in %s", text_size(o, possible->bytes),
            text_plural(possible->blocks, "block", "blocks"));
}

/* Where not all is of one process. */
static void print_losers(const struct lost *l, const struct view_options *o) {
  size_t losers = l->tree->all.losers;
  if (l->context->count + l->tree->all.lines > 1)
    fprintf(o->out, ", in %s", text_plural(losers, "process", "processes"));
}

static void print_lost(const struct lost *l, enum ul_verdict v,
                       const struct view_options *o) {
  size_t first = l->first[v];
  fprintf(o->out, "%s%s lost: %s in %s%s", text_on(o, TEXT_BAD),
          v == UL_DEFINITE ? "definitely" : "possibly", text_size(o, l->totals[v].bytes),
          text_plural(l->totals[v].blocks, "block", "blocks"), text_off(o));
  if (l->totals[UL_INDIRECT].blocks && v == UL_DEFINITE)
    fprintf(o->out, ", and %s in %s through them",
            text_size(o, l->totals[UL_INDIRECT].bytes),
            text_count(l->totals[UL_INDIRECT].blocks));
  if (v == UL_DEFINITE) print_losers(l, o);
  if (first < l->first[v + 1] && o->symbols) {
    struct view_options of = view_of(o, l->places[first].process);
    fprintf(o->out, "; most: %s",
            causes_laid(l->places[first].process,
                        v == UL_DEFINITE ? LAID_BY_LOSS : LAID_BY_POSSIBLE_LOSS,
                        l->places[first].leak->site, &of));
  }
  if (v == UL_DEFINITE) print_possible(l, o);
}

/* Of those that have no recording, sums are all that is known. */
static struct tree_sums sum_lines(const struct lost *l) {
  struct tree_sums sums = {.lines = 0};
  for (size_t i = 0; i < l->tree->count; i++) {
    const struct children_program *p = l->tree->programs[i].lines;
    sums.lost.bytes += p ? p->lost : 0;
    sums.losers += p ? p->losers : 0;
    sums.unscanned += p ? p->unscanned : 0;
  }
  return sums;
}

static void print_lines(const struct tree_sums *lines, const struct view_options *o) {
  fprintf(o->out, "%sdefinitely lost: %s%s in %s without a recording",
          text_on(o, TEXT_BAD), text_size(o, lines->lost.bytes), text_off(o),
          text_plural(lines->losers, "process", "processes"));
}

/* The place where they lost most. */
static void print_most_of_lines(const struct lost *l, const struct view_options *o) {
  const struct folded_place *p = l->folded->places;
  if (p && p->misuse < 0 && p->stack.count)
    fprintf(o->out, "; most: %s",
            causes_frame_in(TEXT_LONG, &p->stack.frames[p->stack.guilty]));
}

static void print_none(const struct lost *l, const struct view_options *o) {
  const struct ul_amount *reachable = &l->totals[UL_REACHABLE];
  if (!l->scanned)
    fprintf(o->out, "what leaks is not known: %s",
            why_not_scanned(l->context->processes[0].recording));
  else
    fprintf(o->out, "%snothing is lost%s: all %s (%s) can be reached",
            text_on(o, TEXT_GOOD), text_off(o),
            text_plural(reachable->blocks, "live block", "live blocks"),
            text_size(o, reachable->bytes));
}

/* What is not known comes first: the end of a long line may be cut. */
static void print_not_of(uint64_t unknown, const struct view_options *o) {
  fprintf(o->out, "not known of %s; of the others ",
          text_plural(unknown, "process", "processes"));
}

static void print_first_line(const struct lost *l, const struct view_options *o) {
  enum ul_verdict v = lost_worst(l);
  struct tree_sums lines = sum_lines(l);
  bool any = v || lines.losers;
  uint64_t unknown = l->context->count - l->scanned + lines.unscanned;
  if (unknown && !any && l->scanned) print_not_of(unknown, o);
  if (v) print_lost(l, v, o);
  if (v && lines.losers) fputs("; ", o->out);
  if (lines.losers) print_lines(&lines, o);
  if (lines.losers && !v) print_most_of_lines(l, o);
  if (!any) print_none(l, o);
  if (unknown && any)
    fprintf(o->out, "; of %s it is not known",
            text_plural(unknown, "process", "processes"));
}

/* As far as lines tell. */
static void print_folded(const struct lost *l, const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT, rank = 0;
  const struct folded_place *p = l->folded->places;
  if (p && p->misuse < 0)
    text_heading(o, "LOST WITHOUT A RECORDING",
                 "  at up to four places of each process that left only a line");
  for (; p && p->misuse < 0 && rank < most; p = p->hh.next) {
    text_entry(o, ++rank);
    fprintf(o->out, "%s%s in %s%s in %s of %s\n", text_on(o, TEXT_STRONG),
            text_size(o, p->bytes), text_plural(p->blocks, "block", "blocks"),
            text_off(o), text_plural(p->processes, "process", "processes"),
            text_escaped(p->program));
    text_frames(o, p->stack.frames, p->stack.count);
  }
}

static void print_totals(const struct lost *l, const struct view_options *o) {
  for (size_t i = 1; i < VERDICTS; i++) /* all are known */
    fprintf(o->out, "  %-10s %14s  %14s   %s\n", names[order[i]],
            text_size(o, l->totals[order[i]].bytes),
            text_plural(l->totals[order[i]].blocks, "block ", "blocks"),
            meanings[order[i]]);
  for (int h = 0; h < UL_HEURISTICS; h++) {
    struct ul_amount by = l->rescued[h];
    if (by.blocks)
      fprintf(o->out, "  %s (%s) count as reachable by the heuristic %s\n",
              text_plural(by.blocks, "block", "blocks"), text_size(o, by.bytes),
              heuristics[h]);
  }
  if (l->of_main.blocks)
    fprintf(
        o->out,
        "  %s (%s) of what is lost main's own frame held when main ended the process\n",
        text_plural(l->of_main.blocks, "block", "blocks"),
        text_size(o, l->of_main.bytes));
  if (l->inherited.blocks)
    fprintf(o->out, "  of what its parent had allocated, %s (%s) is lost, too\n",
            text_plural(l->inherited.blocks, "block", "blocks"),
            text_size(o, l->inherited.bytes));
}

static void print_scan(const struct ul_scan *scan, const struct view_options *o) {
  fprintf(o->out, "\nScanned %s of heap and %s of roots in %.1f ms, %s.\n",
          text_size(o, scan->heap_bytes), text_size(o, scan->root_bytes),
          (double)scan->took_us / 1000, text_plural(scan->threads, "thread", "threads"));
  if (scan->leaders_unknown)
    fprintf(o->out,
            "It was ended after %" PRIu32
            " s (--scan-limit): what is lost is lost, but some "
            "of what counts as definite may be reached from other lost blocks.\n",
            scan->limit_seconds);
  if (scan->threads_unstopped)
    fprintf(o->out,
            "The registers of %s could not be had: what only they held may be "
            "called lost.\n",
            text_plural(scan->threads_unstopped, "thread", "threads"));
  if (scan->unreadable_pages)
    fprintf(o->out, "%s could not be read.\n",
            text_plural(scan->unreadable_pages, "page", "pages"));
}

/* Of several: the sums, and of what is not known a line each. */
static void print_scans(const struct lost *l, const struct view_options *o) {
  struct ul_scan all = {0};
  bool any = false;
  for (size_t i = 0; i < l->context->count; i++) {
    const struct ul_scan *scan =
        &recording_header(l->context->processes[i].recording)->scan;
    if (scan->state != UL_SCAN_DONE && scan->state != UL_SCAN_PARTIAL) continue;
    any = true;
    all.heap_bytes += scan->heap_bytes;
    all.root_bytes += scan->root_bytes;
    all.took_us += scan->took_us;
    all.threads += scan->threads;
    all.leaders_unknown = all.leaders_unknown || scan->leaders_unknown;
    if (scan->leaders_unknown) all.limit_seconds = scan->limit_seconds;
    all.threads_unstopped += scan->threads_unstopped;
    all.unreadable_pages += scan->unreadable_pages;
  }
  if (any) print_scan(&all, o);
  if (l->totals[UL_REACHABLE].blocks && !is_wanted(o, UL_REACHABLE))
    fprintf(o->out, "Reachable blocks are not listed: --show=reachable.\n");
}

static void print_live(const struct process *p, bool several,
                       const struct view_options *options) {
  struct view_options view = view_of(options, p), *o = &view;
  char title[64];
  size_t n, most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT;
  const struct site_sum **list = sites_sorted(p->sites, live_bytes, &n);
  snprintf(title, sizeof title, "STILL LIVE %s", text_moment(p->recording));
  if (n)
    text_heading(o, title,
                 "  not leaks: what was allocated and not "
                 "freed so far%s%s%s",
                 several ? ", process " : "", several ? p->label : "",
                 n > most ? " (more: --all)" : "");
  for (size_t i = 0; i < n && i < most; i++) {
    text_entry(o, i + 1);
    fprintf(o->out, "%s%s in %s%s%s\n", text_on(o, TEXT_STRONG),
            text_size(o, list[i]->bytes), text_plural(list[i]->blocks, "block", "blocks"),
            text_interval(o, of_live(list[i]), site_estimated(list[i]).live),
            text_off(o));
    text_stack(o, list[i]->site);
  }
  free(list);
}

/* What still lives where it is not known what of it is lost. */
static void print_unknown(const struct lost *l, const struct view_options *o) {
  bool several = l->context->count > 1;
  for (size_t i = 0; i < l->context->count; i++) {
    const struct process *p = &l->context->processes[i];
    const struct ul_scan *scan = &recording_header(p->recording)->scan;
    if (leaks_known(p->recording)) continue;
    if (several)
      fprintf(o->out, "\nWhat leaks in %s, process %s, is not known: %s\n",
              text_escaped(process_name(p)), p->label, why_not_scanned(p->recording));
    if (scan->state != UL_SCAN_PARTIAL) print_live(p, several, o);
  }
}

void leaks_brief(const struct lost *l, const struct view_options *o) {
  fprintf(o->out, "  leaks    ");
  if (l->scanned || lost_worst(l) || sum_lines(l).losers)
    print_first_line(l, o);
  else
    fprintf(o->out, "not known: %s", why_not_scanned(l->context->processes[0].recording));
  fputc('\n', o->out);
}

int leaks_text(void *model, const struct view_options *options) {
  const struct lost *l = model;
  struct view_options o = view_of(options, &l->context->processes[0]);
  print_first_line(l, &o);
  fprintf(o.out, "\n");
  if (l->scanned) {
    fprintf(o.out, "\n");
    print_totals(l, &o);
  }
  processes_unread(l->context, &o);
  for (size_t v = 0; v < VERDICTS; v++)
    if (is_wanted(&o, order[v])) print_verdict(l, order[v], &o);
  if (is_wanted(&o, UL_DEFINITE)) print_folded(l, &o);
  print_unknown(l, &o);
  print_scans(l, &o);
  text_sampled(&o, "\nSampled:");
  processes_hint_small(l->context, &o);
  processes_hints(l->context, &o);
  return text_finish(&o);
}
