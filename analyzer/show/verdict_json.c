/* verdict_json.c - a suite's verdict as JSON (docs/json.md), and as SARIF 2.1.0 for those
 * who show findings beside the source. */
#include "answers/baseline.h"
#include "show/json.h"
#include "show/suite.h"

#include <stdlib.h>
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

static json_t *stack(const struct suite_stack *s, const struct suite_page *page) {
  json_t *array = json_array();
  for (size_t i = 0; i < s->count; i++) {
    struct frame f = s->frames[i];
    if (f.file) f.file = suite_path(f.file, page);
    json_array_append_new(array, json_frame(&f));
  }
  return array;
}

static json_t *seen_in(const struct suite_finding *f) {
  json_t *array = json_array();
  for (const struct suite_sighting *s = f->seen; s; s = s->before)
    json_array_append_new(array, json_bytes(s->process));
  return array;
}

/* By itself: what the finding has of it, where, and in which processes. */
static json_t *one_stack(const struct suite_finding *f, const struct suite_page *page) {
  struct fingerprint print = {f->exact, f->loose};
  json_t *o = json_object();
  json_put(o, "bytes", json_bytes(f->of.bytes));
  json_put(o, "blocks", json_bytes(f->of.blocks));
  json_put(o, "dragged_bytes", json_bytes(f->dragged.bytes));
  json_put(o, "dragged_blocks", json_bytes(f->dragged.blocks));
  json_put(o, "times", json_bytes(f->times));
  json_put(o, "processes", seen_in(f));
  json_put_fingerprint(o, &print);
  json_put(o, "frame", json_bytes(f->at.guilty));
  json_put(o, "stack", stack(&f->at, page));
  return o;
}

static json_t *stacks_of(const struct suite_finding *f, const struct suite_page *page) {
  json_t *array = json_array();
  for (size_t i = 0; i < f->stack_count; i++)
    json_array_append_new(array, one_stack(&f->stacks[i], page));
  return array;
}

static json_t *finding(const struct suite_finding *f, const struct suite_page *page) {
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
  json_put(o, "stack", stack(&f->at, page));
  json_put(o, "stacks", stacks_of(f, page));
  json_put(o, "allocated_stack", stack(&f->allocated, page));
  json_put(o, "freed_stack", stack(&f->freed, page));
  json_put(o, "suppressed_by", f->accepted ? json_text(f->accepted->name) : json_null());
  json_put(o, "was_blocks", f->known ? json_bytes(f->was.blocks) : json_null());
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
    json_array_append_new(findings, finding(&s->findings[i], page));
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

/* What a rule of each kind tells a reader; ids are those of --fail-on. */
static const struct {
  const char *name, *is, *help;
} rules_told[SUITE_KINDS] = {
    [SUITE_DEFINITE] = {"MemoryLeak", "Memory is lost: no pointer leads to it any more.",
                        "Free it before the last pointer to it goes, or keep one."},
    [SUITE_INDIRECT] = {"IndirectMemoryLeak",
                        "Memory is lost: only memory that is lost itself points to it.",
                        "Free it together with what points to it."},
    [SUITE_POSSIBLE] = {"PossibleMemoryLeak",
                        "Memory may be lost: pointers lead into it, none to its start.",
                        "Keep a pointer to the start, or free it."},
    [SUITE_REACHABLE] = {"MemoryStillReachable",
                         "Memory was not freed by the end, but can be reached.",
                         "Free it before the program ends."},
    [SUITE_GROWTH] = {"MemoryGrowth", "Memory is held here, and more and more of it.",
                      "Give back, or limit, what is kept here."},
    [SUITE_BAD_FREE] = {"InvalidFree",
                        "What is freed or resized is no block: it was freed before, or "
                        "never was allocated.",
                        "Free each block once, by the address that its allocation gave."},
    [SUITE_MISMATCH] =
        {"MismatchedFree",
         "A block is freed by another family of functions, or with another "
         "size, than it was allocated with.",
         "Free by the counterpart of what allocates: free for malloc, delete "
         "for new, delete[] for new[]."},
    [SUITE_OVERRUN] = {"HeapBufferOverrun",
                       "Bytes behind the end of a block that is allocated here were "
                       "written.",
                       "Find who writes to it beyond its size, or allocate what is "
                       "written."},
    [SUITE_WRITTEN_FREED] = {"WriteAfterFree",
                             "A block that is allocated here was written after it was "
                             "freed.",
                             "Find who keeps a pointer to it after the free."},
    [SUITE_BUDGET] = {"MemoryOverBudget", "A process uses more than its budget.",
                      "Use less here, or raise the budget."},
    [SUITE_UNCHECKED] = {"NotChecked", "A process could not be checked.",
                         "See why; without --strict this is no finding."},
};

/* Of the frame to tell a finding by, or the next further out that has a source. */
static const struct frame *source_of(const struct suite_stack *s) {
  for (size_t i = s->guilty; i < s->count; i++)
    if (s->frames[i].file && s->frames[i].line) return &s->frames[i];
  return NULL;
}

static json_t *message_of(const char *words) {
  json_t *o = json_object();
  json_put(o, "text", json_text(words));
  return o;
}

static json_t *uri(const char *path, const char *end) {
  char room[3 * 4096] = "";
  size_t n = *path == '/' ? (size_t)snprintf(room, sizeof room, "file://") : 0;
  for (; *path && n + 4 < sizeof room; path++) {
    bool plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
                 (*path >= '0' && *path <= '9') || strchr("-._~/+@", *path);
    n += (size_t)sprintf(room + n, plain ? "%c" : "%%%02X", (unsigned char)*path);
  }
  return json_text(strncat(room, end, sizeof room - n - 1));
}

/* A line of a file, which is named from the root of the sources on, if it is below. */
static json_t *place(const char *file, unsigned line, const struct suite_page *page) {
  const char *path = suite_path(file, page);
  json_t *artifact = json_object(), *region = json_object(), *o = json_object();
  json_put(artifact, "uri", uri(path, ""));
  if (path != file) json_put(artifact, "uriBaseId", json_text("%SRCROOT%"));
  json_put(region, "startLine", json_integer(line));
  json_put(o, "artifactLocation", artifact);
  json_put(o, "region", region);
  return o;
}

static json_t *function_of(const struct frame *f) {
  json_t *array = json_array(), *o = json_object();
  json_put(o, "fullyQualifiedName", json_text(f->function));
  json_put(o, "kind", json_text("function"));
  json_array_append_new(array, o);
  return array;
}

static json_t *location(const struct frame *f, const struct suite_page *page) {
  json_t *o = json_object();
  if (f->file && f->line) json_put(o, "physicalLocation", place(f->file, f->line, page));
  if (f->function) json_put(o, "logicalLocations", function_of(f));
  return o;
}

/* Readers want a file and a line; where no source is known that is the program's. */
static json_t *location_of(const struct suite *s, const struct suite_finding *f,
                           const struct suite_page *page) {
  const struct frame *at = source_of(&f->at);
  json_t *o = at ? location(at, page) : json_object();
  if (!at)
    json_put(o, "physicalLocation", place(s->processes[f->process].program, 1, page));
  json_put(o, "message", message_of(suite_what(f)));
  return o;
}

static void add_related(json_t *array, const struct suite_stack *stack, const char *words,
                        const struct suite_page *page) {
  const struct frame *at = source_of(stack);
  if (!at) return;
  json_t *o = location(at, page);
  json_put(o, "id", json_integer((json_int_t)json_array_size(array) + 1));
  json_put(o, "message", message_of(words));
  json_array_append_new(array, o);
}

static void add_frames(json_t *array, const struct suite_stack *stack, const char *words,
                       const struct suite_page *page) {
  json_t *o = json_object(), *frames = json_array();
  for (size_t i = 0; i < stack->count; i++) {
    const struct frame *f = &stack->frames[i];
    json_t *one = json_object(), *at = location(f, page);
    char line[1024];
    frame_text(f, line, sizeof line);
    json_put(at, "message", message_of(line));
    json_put(one, "location", at);
    if (f->module) json_put(one, "module", json_text(suite_path(f->module, page)));
    json_array_append_new(frames, one);
  }
  json_put(o, "message", message_of(words));
  json_put(o, "frames", frames);
  if (stack->count)
    json_array_append_new(array, o);
  else
    json_decref(o);
}

/* GitHub knows a finding again by the hash that is named after the line; that of the
 * function keeps it the same wherever its line moves and whoever calls it. */
static json_t *fingerprints(const struct suite_finding *f) {
  char print[FINGERPRINT_TEXT];
  json_t *o = json_object();
  snprintf(print, sizeof print, "%016llx", (unsigned long long)f->exact);
  json_put(o, "ullage/1", json_text(print));
  json_put(o, "primaryLocationLineHash", json_text(print));
  return o;
}

static json_t *suppression_of(const struct suite_finding *f) {
  json_t *list = json_array(), *one = json_object();
  json_put(one, "kind", json_text("external"));
  if (f->accepted) json_put(one, "justification", json_text(f->accepted->name));
  json_array_append_new(list, one);
  return list;
}

static json_t *result(const struct suite *s, const struct suite_finding *f,
                      const struct suite_page *page) {
  static const char *const kinds[SUITE_KINDS] = SUITE_KIND_NAMES;
  static const char *const states[] = {[SUITE_NEW] = "new",
                                       [SUITE_SUPPRESSED] = "unchanged",
                                       [SUITE_FOREIGN] = "unchanged",
                                       [SUITE_KNOWN] = "unchanged",
                                       [SUITE_GREW] = "updated"};
  char words[4096];
  bool was_freed = suite_is_misuse(f) && !suite_is_write(f);
  json_t *o = json_object(), *locations = json_array(), *related = json_array();
  json_t *stacks = json_array();
  snprintf(words, sizeof words, "%s, %s: %s (%s)", suite_what(f), suite_amount(f),
           f->kind == SUITE_UNCHECKED ? suite_reason(&s->processes[f->process])
                                      : suite_where(&f->at, page),
           suite_who(s, f));
  json_array_append_new(locations, location_of(s, f, page));
  add_related(related, &f->freed, suite_freed(f), page);
  add_related(related, &f->allocated, "allocated", page);
  for (size_t i = 0; i < f->stack_count; i++)
    add_frames(stacks, &f->stacks[i].at, was_freed ? "freed" : "allocated", page);
  add_frames(stacks, &f->freed, suite_freed(f), page);
  add_frames(stacks, &f->allocated, "allocated", page);
  json_put(o, "ruleId", json_text(kinds[f->kind]));
  json_put(o, "ruleIndex", json_integer(f->kind));
  json_put(o, "level", json_text(suite_counts(f) ? "error" : "note"));
  json_put(o, "message", message_of(words));
  json_put(o, "locations", locations);
  json_put(o, "relatedLocations", related);
  json_put(o, "stacks", stacks);
  json_put(o, "partialFingerprints", fingerprints(f));
  if (f->state == SUITE_SUPPRESSED) json_put(o, "suppressions", suppression_of(f));
  if (s->baseline) json_put(o, "baselineState", json_text(states[f->state]));
  return o;
}

static json_t *rules(void) {
  static const char *const kinds[SUITE_KINDS] = SUITE_KIND_NAMES;
  json_t *array = json_array();
  for (int kind = 0; kind < SUITE_KINDS; kind++) {
    json_t *rule = json_object(), *standard = json_object();
    json_put(standard, "level", json_text("error"));
    json_put(rule, "id", json_text(kinds[kind]));
    json_put(rule, "name", json_text(rules_told[kind].name));
    json_put(rule, "shortDescription", message_of(rules_told[kind].is));
    json_put(rule, "fullDescription", message_of(rules_told[kind].is));
    json_put(rule, "help", message_of(rules_told[kind].help));
    json_put(rule, "defaultConfiguration", standard);
    json_array_append_new(array, rule);
  }
  return array;
}

/* Who was not judged, though it should be. */
static json_t *invocations(const struct suite *s) {
  json_t *array = json_array(), *o = json_object(), *notes = json_array();
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    char words[2048];
    if (p->standing != SUITE_UNSCANNED && p->standing != SUITE_UNRECORDED) continue;
    snprintf(words, sizeof words, "not checked for leaks: %s (%s)", suite_name_of(p),
             suite_reason(p));
    json_t *note = json_object();
    json_put(note, "level", json_text("warning"));
    json_put(note, "message", message_of(words));
    json_array_append_new(notes, note);
  }
  json_put(o, "executionSuccessful", json_true());
  json_put(o, "toolExecutionNotifications", notes);
  json_array_append_new(array, o);
  return array;
}

/* Where the sources lie on this machine. */
static json_t *roots(const char *source_root) {
  json_t *o = json_object(), *root = json_object();
  char *path = realpath(source_root, NULL);
  if (path) json_put(root, "uri", uri(path, "/"));
  json_put(o, "%SRCROOT%", root);
  free(path);
  return o;
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
  json_put(run, "invocations", invocations(s));
  if (page->source_root) json_put(run, "originalUriBaseIds", roots(page->source_root));
  json_put(run, "columnKind", json_text("utf16CodeUnits"));
  json_put(run, "results", results);
  json_array_append_new(runs, run);
  json_put(root, "$schema", json_text("https://json.schemastore.org/sarif-2.1.0.json"));
  json_put(root, "version", json_text("2.1.0"));
  json_put(root, "runs", runs);
  write_out(root, page);
}
