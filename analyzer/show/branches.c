/* branches.c - who calls the function of the first finding, as a tree; or what it calls,
 * if it is a loop that all goes through. */
#include "answers/branches.h"
#include "answers/spread.h"
#include "show/causes.h"
#include "show/json.h"

/* Nobody draws more, and the schema says so. */
#define BRANCHES_JSON 1000u
#define CALLED_JSON 100u

#include <string.h>

static void print_others(size_t others, unsigned depth, const struct view_options *o) {
  if (others)
    fprintf(o->out, "  %10s %6s  %*s< %s with less than %u %%%s\n", "", "",
            (int)(2 * depth), "", text_plural(others, "caller", "callers"),
            100 / BRANCH_SMALL, others > 1 ? " each" : "");
}

static void print_branch(const struct branch *b, uint64_t total,
                         const struct view_options *o) {
  size_t width = o->columns ? o->columns : TEXT_COLUMNS;
  struct text_long head;
  int used = snprintf(head.s, sizeof head.s, "  %10s %6s  %*s", text_size(o, b->of.bytes),
                      text_percent(b->of.bytes, total), (int)(2 * b->depth), "");
  const char *end = b->cut ? " < ..." : "";
  size_t taken = (size_t)used + strlen(end);
  size_t columns = used > 0 && taken < width ? width - taken : 0;
  fprintf(o->out, "%s%s%s\n", head.s,
          causes_chain(NULL, b->frames, b->frame_count, columns), end);
  print_others(b->others, b->depth + 1, o);
}

static void print_callers(struct functions *functions, const struct finding *f,
                          const struct view_options *o) {
  const struct cause *c = &f->causes->at[f->cause];
  struct branches *t = branches_load(functions, f->causes, f->cause, BRANCHES_SHOWN);
  if (t && t->count + t->others > 1) {
    text_heading(o, "WHO CALLS IT", "  %s, of %s", causes_short(functions, c),
                 text_size(o, c->of.bytes));
    for (size_t i = 0; i < t->count; i++)
      print_branch(&t->at[i], c->of.bytes, o);
    print_others(t->others, 0, o);
  }
  branches_free(t);
}

static void print_called(struct functions *functions, const struct finding *f,
                         const struct view_options *o) {
  const struct cause *c = &f->causes->at[f->cause];
  struct spread_part parts[BRANCHES_SHOWN];
  size_t count = spread_parts(functions, f->causes, f->cause, parts, BRANCHES_SHOWN);
  uint64_t rest = c->of.bytes;
  text_heading(o, "WHAT IT CALLS", "  %s, of %s", causes_short(functions, c),
               text_size(o, rest));
  for (size_t i = 0; i < count && i < BRANCHES_SHOWN; i++) {
    const char *name = causes_frame_short(parts[i].frame);
    fprintf(o->out, "  %10s %6s  %s\n", text_size(o, parts[i].of.bytes),
            text_percent(parts[i].of.bytes, c->of.bytes), name);
    rest -= parts[i].of.bytes;
  }
  if (count > BRANCHES_SHOWN)
    fprintf(o->out, "  %10s %6s  %s others\n", text_size(o, rest),
            text_percent(rest, c->of.bytes), text_count(count - BRANCHES_SHOWN));
}

/* Nothing where all stacks are one chain, which the finding tells. */
void branches_print(const struct process *p, const struct finding *f,
                    const struct view_options *o) {
  if (!f->of.bytes) return;
  if (f->causes->at[f->cause].spread)
    print_called(p->findings->functions, f, o);
  else
    print_callers(p->findings->functions, f, o);
}

/* ---- JSON ---------------------------------------------------------------------- */

static json_t *branch_array(const struct branches *t, size_t *next, unsigned depth) {
  json_t *array = json_array();
  while (*next < t->count && t->at[*next].depth == depth) {
    const struct branch *b = &t->at[(*next)++];
    json_t *object = json_object(), *frames = json_array();
    for (size_t i = 0; i < b->frame_count; i++)
      json_array_append_new(frames, json_frame(b->frames[i]));
    json_put(object, "bytes", json_bytes(b->of.bytes));
    json_put(object, "blocks", json_bytes(b->of.blocks));
    json_put(object, "frames", frames);
    json_put(object, "branches", branch_array(t, next, depth + 1));
    json_put(object, "others", json_bytes(b->others));
    json_put(object, "cut", json_boolean(b->cut));
    json_array_append_new(array, object);
  }
  return array;
}

static void put_callers(json_t *object, struct functions *functions,
                        const struct finding *f) {
  size_t next = 0;
  struct branches *t = branches_load(functions, f->causes, f->cause, BRANCHES_JSON);
  if (!t) return;
  json_put(object, "branches", branch_array(t, &next, 0));
  json_put(object, "others", json_bytes(t->others));
  branches_free(t);
}

static void put_called(json_t *object, struct functions *functions,
                       const struct finding *f) {
  struct spread_part parts[CALLED_JSON];
  json_t *array = json_array();
  size_t count = spread_parts(functions, f->causes, f->cause, parts, CALLED_JSON);
  for (size_t i = 0; i < count && i < CALLED_JSON; i++) {
    json_t *part = json_object();
    json_put(part, "bytes", json_bytes(parts[i].of.bytes));
    json_put(part, "blocks", json_bytes(parts[i].of.blocks));
    json_put(part, "frame", json_frame(parts[i].frame));
    json_array_append_new(array, part);
  }
  json_put(object, "called", array);
}

void branches_put(json_t *object, const struct process *p, const struct finding *f) {
  if (f->causes->at[f->cause].spread) put_called(object, p->findings->functions, f);
  put_callers(object, p->findings->functions, f);
}
