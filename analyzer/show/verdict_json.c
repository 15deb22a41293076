/* verdict_json.c - a suite's verdict as JSON (docs/json.md), and as SARIF 2.1.0 for those
 * who show findings beside the source. */
#include "answers/baseline.h"
#include "show/json.h"
#include "show/suite.h"

#include <string.h>

static const char *state_of(const struct suite_finding *f) {
  static const char *const states[] = {[SUITE_NEW] = "new",
                                       [SUITE_SUPPRESSED] = "suppressed",
                                       [SUITE_FOREIGN] = "not ours",
                                       [SUITE_KNOWN] = "known",
                                       [SUITE_GREW] = "grown"};
  return states[f->state];
}

static void write_out(json_t *root, const struct suite_page *page) {
  json_dumpf(root, page->out, JSON_INDENT(1));
  fputc('\n', page->out);
  json_decref(root);
}

/* ---- JSON ------------------------------------------------------------------------- */

static json_t *stack(const struct suite_stack *s) {
  json_t *array = json_array();
  for (size_t i = 0; i < s->count; i++)
    json_array_append_new(array, json_frame(&s->frames[i]));
  return array;
}

static json_t *seen_in(const struct suite_finding *f) {
  json_t *array = json_array();
  for (const struct suite_sighting *s = f->seen; s; s = s->before)
    json_array_append_new(array, json_bytes(s->process));
  return array;
}

static json_t *finding(const struct suite_finding *f) {
  static const char *const kinds[SUITE_KINDS] = SUITE_KIND_NAMES;
  struct fingerprint print = {f->exact, f->loose};
  json_t *o = json_object();
  json_put(o, "kind", json_text(kinds[f->kind]));
  json_put(o, "what", json_text(suite_what(f)));
  json_put(o, "state", json_text(state_of(f)));
  json_put(o, "bytes", json_bytes(f->of.bytes));
  json_put(o, "blocks", json_bytes(f->of.blocks));
  json_put(o, "dragged_bytes", json_bytes(f->dragged.bytes));
  json_put(o, "dragged_blocks", json_bytes(f->dragged.blocks));
  json_put(o, "times", json_bytes(f->times));
  json_put(o, "used", json_bytes(f->value));
  json_put(o, "limit", json_bytes(f->limit));
  json_put(o, "processes", seen_in(f));
  json_put_fingerprint(o, &print);
  json_put(o, "frame", json_bytes(f->at.guilty));
  json_put(o, "stack", stack(&f->at));
  json_put(o, "allocated_stack", stack(&f->allocated));
  json_put(o, "freed_stack", stack(&f->freed));
  json_put(o, "suppressed_by", f->accepted ? json_text(f->accepted->name) : json_null());
  json_put(o, "was_blocks", f->known ? json_bytes(f->known->of.blocks) : json_null());
  return o;
}

static json_t *process(const struct suite_process *p) {
  static const char *const standings[SUITE_STANDINGS] = {
      [SUITE_JUDGED] = "judged",
      [SUITE_NOT_OURS] = "not ours",
      [SUITE_UNSCANNED] = "not scanned",
      [SUITE_UNRECORDED] = "not recorded"};
  json_t *o = json_object();
  json_put(o, "program", json_text(p->program));
  json_put(o, "command", json_text(p->command));
  json_put(o, "pid", json_integer(p->pid));
  json_put(o, "parent", json_integer(p->ppid));
  json_put(o, "forked", json_boolean(p->forked));
  json_put(o, "number", json_bytes(p->number));
  json_put(o, "standing", json_text(standings[p->standing]));
  json_put(o, "reason", json_text(suite_reason(p)));
  json_put(o, "seconds", json_seconds(p->duration_ms));
  return o;
}

static json_t *fixed(const struct baseline *b) {
  json_t *array = json_array();
  for (size_t i = 0; b && i < b->count; i++) {
    const struct baseline_line *line = &b->lines[i];
    if (!baseline_is_fixed(line)) continue;
    json_t *o = json_object();
    json_put(o, "program", json_text(line->program));
    json_put(o, "where", json_text(line->where ? line->where : ""));
    json_array_append_new(array, o);
  }
  return array;
}

void suite_json(const struct suite *s, const struct suite_page *page) {
  json_t *root = json_object(), *findings = json_array(), *processes = json_array();
  for (size_t i = 0; i < s->count; i++)
    json_array_append_new(findings, finding(&s->findings[i]));
  for (size_t i = 0; i < s->process_count; i++)
    json_array_append_new(processes, process(&s->processes[i]));
  json_put(root, "failed", json_boolean(suite_fails(s)));
  json_put(root, "judged", json_bytes(suite_judged(s)));
  json_put(root, "silent", json_bytes(s->silent));
  json_put(root, "new", json_bytes(suite_in_state(s, SUITE_NEW)));
  json_put(root, "grown", json_bytes(suite_in_state(s, SUITE_GREW)));
  json_put(root, "known", json_bytes(suite_in_state(s, SUITE_KNOWN)));
  json_put(root, "suppressed", json_bytes(suite_in_state(s, SUITE_SUPPRESSED)));
  json_put(root, "not_ours", json_bytes(suite_in_state(s, SUITE_FOREIGN)));
  json_put(root, "findings", findings);
  json_put(root, "processes", processes);
  json_put(root, "fixed", fixed(s->baseline));
  write_out(root, page);
}

/* ---- SARIF ------------------------------------------------------------------------ */

/* Of the frame to tell a finding by, or the next further out that has a source. */
static const struct frame *source_of(const struct suite_stack *s) {
  for (size_t i = s->guilty; i < s->count; i++)
    if (s->frames[i].file && s->frames[i].line) return &s->frames[i];
  return NULL;
}

static json_t *uri(const char *path) {
  char room[3 * 4096] = "";
  size_t n = *path == '/' ? (size_t)snprintf(room, sizeof room, "file://") : 0;
  for (; *path && n + 4 < sizeof room; path++) {
    bool plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
                 (*path >= '0' && *path <= '9') || strchr("-._~/+@", *path);
    n += (size_t)sprintf(room + n, plain ? "%c" : "%%%02X", (unsigned char)*path);
  }
  return json_text(room);
}

/* {"physicalLocation": ...}, below the root of the sources where it is. */
static json_t *location(const struct frame *f, const struct suite_page *page,
                        const char *message) {
  const char *path = suite_path(f->file, page);
  json_t *artifact = json_object(), *region = json_object(), *place = json_object();
  json_t *o = json_object(), *text = json_object();
  json_put(artifact, "uri", uri(path));
  if (path != f->file) json_put(artifact, "uriBaseId", json_text("SRCROOT"));
  json_put(region, "startLine", json_integer(f->line));
  json_put(place, "artifactLocation", artifact);
  json_put(place, "region", region);
  json_put(o, "physicalLocation", place);
  json_put(text, "text", json_text(message));
  json_put(o, "message", text);
  return o;
}

static json_t *message_of(const char *words) {
  json_t *o = json_object();
  json_put(o, "text", json_text(words));
  return o;
}

static json_t *result(const struct suite *s, const struct suite_finding *f,
                      const struct suite_page *page) {
  static const char *const kinds[SUITE_KINDS] = SUITE_KIND_NAMES;
  char words[4096], print[FINGERPRINT_TEXT];
  const struct frame *at = source_of(&f->at);
  json_t *o = json_object(), *locations = json_array(), *prints = json_object();
  snprintf(words, sizeof words, "%s, %s: %s (%s)", suite_what(f), suite_amount(f),
           suite_where(&f->at, page), suite_who(s, f));
  snprintf(print, sizeof print, "%016llx", (unsigned long long)f->exact);
  if (at) json_array_append_new(locations, location(at, page, suite_what(f)));
  json_put(prints, "ullage/1", json_text(print));
  json_put(o, "ruleId", json_text(kinds[f->kind]));
  json_put(o, "level", json_text(suite_counts(f) ? "error" : "note"));
  json_put(o, "message", message_of(words));
  json_put(o, "locations", locations);
  json_put(o, "partialFingerprints", prints);
  if (f->state == SUITE_SUPPRESSED) {
    json_t *list = json_array(), *one = json_object();
    json_put(one, "kind", json_text("external"));
    json_array_append_new(list, one);
    json_put(o, "suppressions", list);
  }
  if (s->baseline)
    json_put(o, "baselineState",
             json_text(f->state == SUITE_NEW    ? "new"
                       : f->state == SUITE_GREW ? "updated"
                                                : "unchanged"));
  return o;
}

static json_t *rules(void) {
  static const char *const kinds[SUITE_KINDS] = SUITE_KIND_NAMES;
  json_t *array = json_array();
  for (int kind = 0; kind < SUITE_KINDS; kind++) {
    json_t *rule = json_object();
    json_put(rule, "id", json_text(kinds[kind]));
    json_array_append_new(array, rule);
  }
  return array;
}

void suite_sarif(const struct suite *s, const struct suite_page *page) {
  json_t *root = json_object(), *runs = json_array(), *run = json_object();
  json_t *tool = json_object(), *driver = json_object(), *results = json_array();
  for (size_t i = 0; i < s->count; i++)
    if (s->findings[i].state != SUITE_FOREIGN)
      json_array_append_new(results, result(s, &s->findings[i], page));
  json_put(driver, "name", json_text("ullage"));
  json_put(driver, "version", json_text(ULLAGE_VERSION));
  json_put(driver, "rules", rules());
  json_put(tool, "driver", driver);
  json_put(run, "tool", tool);
  json_put(run, "columnKind", json_text("utf16CodeUnits"));
  json_put(run, "results", results);
  json_array_append_new(runs, run);
  json_put(root, "$schema", json_text("https://json.schemastore.org/sarif-2.1.0.json"));
  json_put(root, "version", json_text("2.1.0"));
  json_put(root, "runs", runs);
  write_out(root, page);
}
