/* leaks.c - `ullage leaks`: what the scan at the end could not reach. */
#include "answers/answers.h"
#include "answers/fingerprint.h"
#include "answers/sites.h"
#include "show/json.h"
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

static unsigned wanted(const struct view_options *o) {
  if (o->show) return o->show;
  return o->all ? ~0u : ~(1u << UL_REACHABLE);
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

static json_t *leak_object(const struct recording *r, const struct ul_leak *leak,
                           const struct drags *d, struct fingerprints *fingerprints,
                           const struct view_options *o) {
  struct fingerprint known = fingerprint_of_site(fingerprints, leak->site);
  json_t *object = amount(leak->bytes, leak->blocks);
  char address[24];
  snprintf(address, sizeof address, "0x%llx", (unsigned long long)leak->example);
  json_put(object, "verdict", json_text(names[leak->verdict]));
  json_put(object, "interval", json_interval(o, leak->bytes, leak->blocks));
  json_put(object, "indirect_bytes", json_bytes(leak->indirect_bytes));
  json_put(object, "indirect_blocks", json_bytes(leak->indirect_blocks));
  json_put(object, "drags", drags_array(d, leak, o));
  json_put(object, "oldest_seconds", json_seconds(leaks_age_ms(r, leak->oldest_birth)));
  json_put(object, "newest_seconds", json_seconds(leaks_age_ms(r, leak->newest_birth)));
  json_put(object, "example", json_text(address));
  json_put_fingerprint(object, &known);
  return object;
}

/* What a scan that was cut short did not come to is asked for by nobody, and told. */
static bool is_wanted(const struct view_options *o, enum ul_verdict verdict) {
  return verdict == UL_NO_VERDICT || wanted(o) & 1u << verdict;
}

static void write_leaks(struct json_stream *j, const struct recording *r,
                        const struct drags *d, struct fingerprints *fingerprints) {
  const struct view_options *o = j->o;
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_JSON;
  for (size_t v = 0; v < VERDICTS; v++) {
    if (!is_wanted(o, order[v])) continue;
    size_t n;
    const struct ul_leak **list = leaks_of(r, order[v], &n);
    for (size_t i = 0; i < n && i < most; i++)
      json_site(j, leak_object(r, list[i], d, fingerprints, o), list[i]->site);
    free(list);
  }
}

static void write_live(struct json_stream *j, const struct sites *s) {
  const struct view_options *o = j->o;
  size_t n, most = o->top ? o->top : o->all ? SIZE_MAX : TOP_JSON;
  const struct site_sum **list = sites_sorted(s, live_bytes, &n);
  for (size_t i = 0; i < n && i < most; i++) {
    json_t *object = amount(list[i]->bytes, list[i]->blocks);
    json_put(object, "interval", json_interval(o, list[i]->bytes, list[i]->blocks));
    json_site(j, object, list[i]->site);
  }
  free(list);
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

static int print_json(const struct recording *r, const struct sites *s,
                      const struct drags *d, const struct view_options *o) {
  const struct ul_scan *scan = &recording_header(r)->scan;
  struct fingerprints *fingerprints = fingerprints_new(r, o->symbols);
  if (!fingerprints) {
    fprintf(stderr, "ullage: out of memory\n");
    return 1;
  }
  json_t *totals = json_object(), *rescued = json_object();
  for (int v = UL_NO_VERDICT; v < UL_VERDICTS; v++)
    json_put(totals, names[v], amount(scan->totals[v].bytes, scan->totals[v].blocks));
  for (int h = 0; h < UL_HEURISTICS; h++) {
    struct ul_amount by = leaks_rescued(r, h);
    json_put(rescued, heuristics[h], amount(by.bytes, by.blocks));
  }
  struct ul_amount of_main = leaks_of_main(r);
  struct ul_amount inherited = leaks_inherited(r);
  struct json_stream j;
  json_begin(&j, o);
  json_member(&j, "sample_bytes", json_bytes(o->sample_bytes));
  json_member(&j, "scan", scan_object(r));
  json_member(&j, "totals", totals);
  json_member(&j, "rescued", rescued);
  json_member(&j, "of_main", amount(of_main.bytes, of_main.blocks));
  json_member(&j, "inherited", amount(inherited.bytes, inherited.blocks));
  json_list(&j, "leaks");
  write_leaks(&j, r, d, fingerprints);
  fingerprints_free(fingerprints);
  json_list_end(&j);
  if (!leaks_known(r)) {
    json_list(&j, "still_live");
    write_live(&j, s);
    json_list_end(&j);
  }
  return json_end(&j);
}

/* ---- text ---------------------------------------------------------------------- */

static void print_leak(const struct recording *r, const struct ul_leak *leak, size_t rank,
                       const struct view_options *o) {
  uint64_t oldest = leaks_age_ms(r, leak->oldest_birth),
           newest = leaks_age_ms(r, leak->newest_birth);
  fprintf(o->out, "\n %3zu   %s%s in %s%s%s", rank, text_on(o, TEXT_STRONG),
          text_size(o, leak->bytes), text_plural(leak->blocks, "block", "blocks"),
          text_off(o), text_interval(o, leak->bytes, leak->blocks));
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
static void print_drags(const struct drags *d, const struct ul_leak *leak,
                        const struct view_options *o) {
  size_t n, most = o->all ? SIZE_MAX : DRAGS_TEXT;
  const struct ul_drag *const *list = drags_of(d, leak->site, &n);
  for (size_t i = 0; i < n && i < most; i++) {
    const char *whom = list[i]->dragged ? text_guilty(o, list[i]->dragged) : "others";
    fprintf(o->out, "         drags %s in %s%s%s\n", text_size(o, list[i]->bytes),
            text_plural(list[i]->blocks, "block", "blocks"), *whom ? " of " : "", whom);
  }
  if (n > most)
    fprintf(o->out, "         and of %s more (--all)\n",
            text_plural(n - most, "call site", "call sites"));
}

static void print_verdict(const struct recording *r, enum ul_verdict verdict,
                          const struct drags *d, const struct view_options *o) {
  size_t n, most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT;
  const struct ul_leak **list = leaks_of(r, verdict, &n);
  if (n)
    text_heading(o, titles[verdict], "  %s%s", meanings[verdict],
                 n > most ? " (more: --all)" : "");
  for (size_t i = 0; i < n && i < most; i++) {
    print_leak(r, list[i], i + 1, o);
    if (verdict == UL_DEFINITE) print_drags(d, list[i], o);
  }
  free(list);
}

/* A few lost bytes must not hide that far more may be. */
static void print_possible(const struct ul_scan *scan, const struct view_options *o) {
  uint64_t lost = scan->totals[UL_DEFINITE].bytes + scan->totals[UL_INDIRECT].bytes;
  if (scan->totals[UL_POSSIBLE].bytes > lost)
    fprintf(o->out, "; possibly lost: %s in %s",
            text_size(o, scan->totals[UL_POSSIBLE].bytes),
            text_plural(scan->totals[UL_POSSIBLE].blocks, "block", "blocks"));
}

static void print_first_line(const struct recording *r, const struct view_options *o) {
  const struct ul_scan *scan = &recording_header(r)->scan;
  enum ul_verdict v = leaks_worst(r);
  size_t n;
  if (!v) {
    fprintf(o->out, "%snothing is lost%s: all %s (%s) can be reached",
            text_on(o, TEXT_GOOD), text_off(o),
            text_plural(scan->totals[UL_REACHABLE].blocks, "live block", "live blocks"),
            text_size(o, scan->totals[UL_REACHABLE].bytes));
    return;
  }
  const struct ul_leak **list = leaks_of(r, v, &n);
  fprintf(o->out, "%s%s lost: %s in %s%s", text_on(o, TEXT_BAD),
          v == UL_DEFINITE ? "definitely" : "possibly",
          text_size(o, scan->totals[v].bytes),
          text_plural(scan->totals[v].blocks, "block", "blocks"), text_off(o));
  if (scan->totals[UL_INDIRECT].blocks && v == UL_DEFINITE)
    fprintf(o->out, ", and %s in %s through them",
            text_size(o, scan->totals[UL_INDIRECT].bytes),
            text_count(scan->totals[UL_INDIRECT].blocks));
  if (n && o->symbols) fprintf(o->out, "; most: %s", text_guilty(o, list[0]->site));
  free(list);
  if (v == UL_DEFINITE) print_possible(scan, o);
}

static void print_totals(const struct recording *r, const struct view_options *o) {
  const struct ul_scan *scan = &recording_header(r)->scan;
  for (size_t i = 1; i < VERDICTS; i++) /* all are known */
    fprintf(o->out, "  %-10s %14s  %14s   %s\n", names[order[i]],
            text_size(o, scan->totals[order[i]].bytes),
            text_plural(scan->totals[order[i]].blocks, "block ", "blocks"),
            meanings[order[i]]);
  for (int h = 0; h < UL_HEURISTICS; h++) {
    struct ul_amount by = leaks_rescued(r, h);
    if (by.blocks)
      fprintf(o->out, "  %s (%s) count as reachable by the heuristic %s\n",
              text_plural(by.blocks, "block", "blocks"), text_size(o, by.bytes),
              heuristics[h]);
  }
  struct ul_amount of_main = leaks_of_main(r);
  if (of_main.blocks)
    fprintf(
        o->out,
        "  %s (%s) of what is lost main's own frame held when main ended the process\n",
        text_plural(of_main.blocks, "block", "blocks"), text_size(o, of_main.bytes));
  struct ul_amount inherited = leaks_inherited(r);
  if (inherited.blocks)
    fprintf(o->out, "  of what its parent had allocated, %s (%s) is lost, too\n",
            text_plural(inherited.blocks, "block", "blocks"),
            text_size(o, inherited.bytes));
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
  if (scan->totals[UL_REACHABLE].blocks && !(wanted(o) & 1u << UL_REACHABLE))
    fprintf(o->out, "Reachable blocks are not listed: --show=reachable.\n");
}

static void print_live(const struct recording *r, const struct sites *s,
                       const struct view_options *o) {
  char title[64];
  size_t n, most = o->top ? o->top : o->all ? SIZE_MAX : TOP_TEXT;
  const struct site_sum **list = sites_sorted(s, live_bytes, &n);
  snprintf(title, sizeof title, "STILL LIVE %s", text_moment(r));
  if (n)
    text_heading(o, title,
                 "  not leaks: what was allocated and not "
                 "freed so far%s",
                 n > most ? " (more: --all)" : "");
  for (size_t i = 0; i < n && i < most; i++) {
    fprintf(o->out, "\n %3zu   %s%s in %s%s%s\n", i + 1, text_on(o, TEXT_STRONG),
            text_size(o, list[i]->bytes), text_plural(list[i]->blocks, "block", "blocks"),
            text_interval(o, list[i]->bytes, list[i]->blocks), text_off(o));
    text_stack(o, list[i]->site);
  }
  free(list);
}

static int print_text(const struct recording *r, const struct sites *s,
                      const struct drags *d, const struct view_options *o) {
  const struct ul_scan *scan = &recording_header(r)->scan;
  if (leaks_known(r)) {
    print_first_line(r, o);
    fprintf(o->out, "\n\n");
    print_totals(r, o);
    for (size_t v = 0; v < VERDICTS; v++)
      if (is_wanted(o, order[v])) print_verdict(r, order[v], d, o);
    print_scan(scan, o);
  } else if (scan->state == UL_SCAN_PARTIAL) {
    fprintf(o->out, "what leaks is not known: %s\n", why_not_scanned(r));
    print_verdict(r, UL_NO_VERDICT, d, o);
    print_scan(scan, o);
  } else {
    fprintf(o->out, "what leaks is not known: %s\n", why_not_scanned(r));
    print_live(r, s, o);
  }
  text_sampled(o, "\nSampled:");
  text_hints(o);
  return text_finish(o);
}

void leaks_brief(const struct process *p, const struct view_options *o) {
  fprintf(o->out, "  leaks    ");
  if (leaks_known(p->recording))
    print_first_line(p->recording, o);
  else
    fprintf(o->out, "not known: %s", why_not_scanned(p->recording));
  fputc('\n', o->out);
}

int leaks_text(void *model, const struct view_options *options) {
  const struct process *p = &((const struct context *)model)->process;
  struct view_options o = view_of(options, p);
  return print_text(p->recording, p->sites, p->drags, &o);
}

int leaks_json(void *model, const struct view_options *options) {
  const struct process *p = &((const struct context *)model)->process;
  struct view_options o = view_of(options, p);
  return print_json(p->recording, p->sites, p->drags, &o);
}
