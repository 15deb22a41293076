/* processes.c - the processes of a run: as a table, and as JSON. */
#include "show/processes.h"

#include "read/timeline.h"
#include "show/json.h"

#include <inttypes.h>
#include <string.h>

#define PROGRAMS_SHOWN 6u
#define FEW 6u /* are shown one by one */

/* ---- text ---------------------------------------------------------------------- */

const char *processes_whose_in(struct text_long *to, const struct context *context,
                               const struct process *p) {
  if (context->count < 2) return "";
  snprintf(to->s, sizeof to->s, " in %s, process %s", text_escaped(process_name(p)),
           p->label);
  return to->s;
}

void processes_unread(const struct context *context, const struct view_options *o) {
  size_t most = o->all ? SIZE_MAX : FEW, n = context->unread_count;
  for (size_t i = 0; i < n && i < most; i++)
    fprintf(o->out, "  %snot read%s: %s: %s\n", text_on(o, TEXT_BAD), text_off(o),
            text_path(basename(context->unread[i].file), TEXT_PATH),
            context->unread[i].error);
  if (n > most)
    fprintf(o->out, "  %snot read%s: %zu more (--all)\n", text_on(o, TEXT_BAD),
            text_off(o), n - most);
}

void processes_hints(const struct context *context, const struct view_options *o) {
  const char *told[3] = {NULL, NULL, NULL}, *hint;
  for (size_t i = 0; i < context->count; i++) {
    struct symbols *symbols = context->processes[i].symbols;
    for (size_t k = 0; symbols && (hint = symbols_hint(symbols, k)); k++) {
      size_t n = 0;
      while (n < 3 && told[n] && strcmp(told[n], hint) != 0)
        n++;
      if (n == 3 || told[n]) continue;
      told[n] = hint;
      text_hint(o, hint, n == 0);
    }
  }
}

void processes_hint_small(const struct context *context, const struct view_options *o) {
  const struct ul_scan *scan = &recording_header(context->named->recording)->scan;
  const struct children_program *p = context->children->programs;
  uint64_t small = 0;
  for (; p && !context->options.process; p = p->hh.next)
    small += p->small;
  if (!small || scan->state == UL_SCAN_NONE) return;
  text_hint(o,
            "children that end with less than 16 KiB are not looked through for leaks: "
            "with ULLAGE_KEEP=lost in the environment, or under ullage check, all are",
            true);
}

static const char *lost_in(struct text_short *to, const struct tree_sums *s,
                           const struct view_options *o) {
  bool unknown = s->unscanned == s->recordings + s->lines;
  return unknown ? "not known" : text_size_in(to, o, s->lost.bytes);
}

/* Of processes that left only a line it is not known what lived at their ends. */
static const char *live_in(struct text_short *to, const struct tree_sums *s,
                           const struct view_options *o) {
  return s->recordings ? text_size_in(to, o, s->live.bytes) : "-";
}

static void print_sums(const struct tree_sums *s, const struct view_options *o) {
  fprintf(o->out, "  %10s %10s %12s %10s  ", text_size(o, s->peak_bytes),
          live_in(TEXT_SHORT, s, o), text_count(s->allocations),
          lost_in(TEXT_SHORT, s, o));
}

static void end_line(const struct tree_sums *s, const struct view_options *o) {
  if (s->unscanned && s->unscanned < s->recordings + s->lines)
    fprintf(o->out, ", lost: not known of %s", text_count(s->unscanned));
  if (s->misuses)
    fprintf(o->out, ", %s freed wrongly", text_plural(s->misuses, "block", "blocks"));
  fputc('\n', o->out);
}

static void print_process(const struct process *p, const struct view_options *o) {
  struct tree_sums sums = tree_of(p);
  print_sums(&sums, o);
  fprintf(o->out, "%s, process %s, %s: %s", text_escaped(process_name(p)), p->label,
          text_end(p->recording), text_command(p->recording, 60));
  end_line(&sums, o);
}

/* " x 12", " x 12, 3 with a recording"; of one, which process it was, and its end. */
static void print_program(const struct tree_program *p, const struct view_options *o) {
  uint64_t processes = p->sums.recordings + p->sums.lines;
  print_sums(&p->sums, o);
  fputs(text_escaped(p->name), o->out);
  if (processes > 1) fprintf(o->out, " x %s", text_count(processes));
  if (p->sums.recordings && p->sums.lines)
    fprintf(o->out, ", %zu with a recording", p->sums.recordings);
  else if (processes == 1 && p->first)
    fprintf(o->out, ", process %s, %s", p->first->label, text_end(p->first->recording));
  end_line(&p->sums, o);
}

static void print_programs(const struct tree *t, const struct view_options *o) {
  size_t most = o->top ? o->top : PROGRAMS_SHOWN;
  for (size_t i = 0; i < t->count && i < most; i++)
    print_program(&t->programs[i], o);
  if (t->count > most)
    fprintf(o->out, "  and of %s more (--all)\n",
            text_plural(t->count - most, "program", "programs"));
}

static void print_all(const struct context *context, const struct tree *t,
                      const struct view_options *o) {
  for (size_t i = 0; i < context->count; i++)
    print_process(&context->processes[i], o);
  for (size_t i = 0; i < t->count; i++) {
    const struct tree_program *p = &t->programs[i];
    if (!p->lines) continue;
    struct tree_program folded = {p->name, p->lines, NULL, tree_of_lines(p->lines)};
    print_program(&folded, o);
  }
}

static void print_limit(const struct context *context, const struct view_options *o) {
  uint64_t worth = recording_header(context->named->recording)->children_kept;
  uint64_t beyond = children_beyond(context->children, worth);
  if (beyond)
    fprintf(o->out, "  %s worth a recording: ULLAGE_CHILDREN_MAX=%" PRIu64 " keeps %s\n",
            text_plural(beyond, "more process was", "more processes were"), worth,
            beyond == 1 ? "it" : "them");
}

void processes_print(const struct context *context, const struct tree *t,
                     const struct view_options *o) {
  uint64_t processes = t->all.recordings + t->all.lines;
  if (processes + context->unread_count < 2) return;
  bool each = o->all || context->count + HASH_COUNT(context->children->programs) <= FEW;
  bool together = !each || t->all.lines > HASH_COUNT(context->children->programs);
  text_heading(o, "PROCESSES", "  %s%s%s%s", text_count(processes),
               t->all.lines ? ", of which left only a line: " : "",
               t->all.lines ? text_count(t->all.lines) : "",
               together ? "; a peak is one process's" : "");
  fprintf(o->out, "  %10s %10s %12s %10s\n", "peak", "live", "allocations", "lost");
  if (each)
    print_all(context, t, o);
  else
    print_programs(t, o);
  processes_unread(context, o);
  print_limit(context, o);
}

/* ---- JSON ---------------------------------------------------------------------- */

static void put_sums(json_t *object, const struct tree_sums *s, bool held) {
  json_put(object, "peak_bytes", json_bytes(s->peak_bytes));
  json_put(object, "lost_bytes", json_bytes(s->lost.bytes));
  json_put(object, "lost_blocks", json_bytes(s->lost.blocks));
  json_put(object, "misuses", json_bytes(s->misuses));
  if (!held) return;
  json_put(object, "live_bytes", json_bytes(s->live.bytes));
  json_put(object, "live_blocks", json_bytes(s->live.blocks));
  json_put(object, "allocations", json_bytes(s->allocations));
  json_put(object, "allocated_bytes", json_bytes(s->allocated_bytes));
  json_put(object, "frees", json_bytes(s->frees));
}

static json_t *process_object(const struct process *p, bool held) {
  const struct recording *r = p->recording;
  const struct ul_header *h = recording_header(r);
  struct tree_sums sums = tree_of(p);
  json_t *object = json_object();
  json_put(object, "process", json_text(p->label));
  json_put(object, "number", json_bytes(p->number));
  json_put(object, "pid", json_integer(h->pid));
  json_put(object, "ppid", json_integer(h->ppid));
  json_put(object, "program", json_text(process_name(p)));
  json_put(object, "recording", json_text(recording_path(r)));
  json_put(object, "exit", json_exit(r));
  json_put(object, "scanned", json_boolean(leaks_known(r)));
  put_sums(object, &sums, held);
  return object;
}

json_t *processes_array(const struct context *context, bool sums) {
  json_t *array = json_array();
  for (size_t i = 0; i < context->count; i++)
    json_array_append_new(array, process_object(&context->processes[i], sums));
  return array;
}

json_t *processes_tree(const struct context *context, const struct tree *t, bool sums) {
  json_t *object = json_object(), *unread = json_array();
  for (size_t i = 0; i < context->unread_count; i++)
    json_array_append_new(unread, json_text(context->unread[i].file));
  json_put(object, "processes", json_bytes(t->all.recordings + t->all.lines));
  json_put(object, "recordings", json_bytes(t->all.recordings));
  json_put(object, "unscanned", json_bytes(t->all.unscanned));
  json_put(object, "losers", json_bytes(t->all.losers));
  put_sums(object, &t->all, sums);
  json_put(object, "unread", unread);
  return object;
}

json_t *processes_others(const struct context *context,
                         const struct view_options *options, processes_add *add) {
  json_t *array = json_array();
  for (size_t i = 0; i < context->count; i++) {
    const struct process *p = &context->processes[i];
    if (p == context->named) continue;
    struct view_options o = view_of(options, p);
    json_t *object = json_object();
    json_put(object, "process", json_text(p->label));
    add(object, p, &o);
    json_array_append_new(array, object);
  }
  return array;
}
