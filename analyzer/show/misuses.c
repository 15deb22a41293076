/* misuses.c - what the program freed or resized wrongly: a bug of its own, told first. */
#include "show/json.h"
#include "show/processes.h"
#include "show/text.h"

static const char *const names[UL_MISUSES] = {
    "freed twice", "freed inside", "resized after free", "resized inside", "mismatched",
    "missized",    "overrun",      "written after free"};
static const char *const meanings[UL_MISUSES] = {
    "freed twice (ignored)",
    "freed by an address inside (ignored)",
    "given to realloc after free",
    "resized by an address inside (refused)",
    "freed by another family than they are of (freed)",
    "freed with another size than they have (freed)",
    "written beyond the end",
    "written after free"};
/* By enum ul_family: what allocates, and what frees. */
static const char *const allocators[] = {"?",      "?",   "?",     "?",
                                         "malloc", "new", "new[]", "aligned_alloc"};
static const char *const freers[] = {"?",    "?",      "?",        "?",
                                     "free", "delete", "delete[]", "free"};

/* "41 42 00": the first ones found. */
static const char *found_in(struct text_short *to, const struct ul_misuse *m,
                            size_t most) {
  *to->s = 0;
  for (size_t i = 0; i < most && i < m->changed; i++)
    sprintf(to->s + (i ? 3 * i - 1 : 0), i ? " %02x" : "%02x", m->found[i]);
  return to->s;
}

enum { SHOWN = 8 };

static void put_written(struct text_long *to, enum ul_misuse_kind kind,
                        const struct ul_misuse *m) {
  snprintf(to->s, sizeof to->s, "%s at %s %s of %s: %s%s",
           text_plural(m->changed, "byte", "bytes"), text_count(m->offset),
           kind == UL_OVERRUN ? "behind the end" : "from the start",
           text_plural(m->bytes, "byte", "bytes"), found_in(TEXT_SHORT, m, SHOWN),
           m->changed > SHOWN ? " ..." : "");
}

const char *misuse_detail_in(struct text_long *to, enum ul_misuse_kind kind,
                             const struct ul_misuse *m) {
  *to->s = 0;
  if (ul_misuse_is_write(kind) && m->changed) put_written(to, kind, m);
  if (kind == UL_MISMATCHED)
    snprintf(to->s, sizeof to->s, "%s, then %s", allocators[m->family[0] & 7],
             freers[m->family[1] & 7]);
  if (kind == UL_MISSIZED)
    snprintf(to->s, sizeof to->s, "of %s, freed as %s", text_count(m->bytes),
             text_count(m->wanted));
  return to->s;
}

static void collect(const struct process *p, json_t *array,
                    const struct view_options *options) {
  struct view_options view = view_of(options, p), *o = &view;
  for (int kind = 0; kind < UL_MISUSES; kind++) {
    struct misuses m = misuses_of(p->recording, kind);
    for (size_t i = 0; i < m.known; i++) {
      const struct ul_misuse *place = m.places[i];
      char address[24];
      snprintf(address, sizeof address, "0x%llx", (unsigned long long)place->address);
      json_t *object = json_object();
      json_put(object, "process", json_text(p->label));
      json_put(object, "kind", json_text(names[kind]));
      json_put(object, "count", json_bytes(place->count));
      json_put(object, "address", json_text(address));
      json_put(object, "seconds", json_seconds(place->ms));
      json_put(object, "site", json_bytes(place->site));
      json_put(object, "stack", place->site ? json_stack(o, place->site) : json_array());
      json_put(object, "allocated_site", json_bytes(place->allocated));
      json_put(object, "allocated_stack", json_stack(o, place->allocated));
      if (place->freed) json_put(object, "freed_site", json_bytes(place->freed));
      if (place->freed) json_put(object, "freed_stack", json_stack(o, place->freed));
      const char *detail = misuse_detail(kind, place);
      if (*detail) json_put(object, "detail", json_text(detail));
      if (ul_misuse_is_write(kind)) {
        json_put(object, "bytes", json_bytes(place->bytes));
        json_put(object, "offset", json_bytes(place->offset));
        json_put(object, "changed", json_bytes(place->changed));
        json_put(object, "found",
                 json_text(found_in(TEXT_SHORT, place, sizeof place->found)));
      }
      json_array_append_new(array, object);
    }
  }
}

json_t *misuses_array(const struct context *context, const struct view_options *o) {
  json_t *array = json_array();
  for (size_t i = 0; i < context->count; i++)
    collect(&context->processes[i], array, o);
  return array;
}

json_t *folded_array(const struct folded *f) {
  json_t *array = json_array();
  for (const struct folded_place *p = f->places; p; p = p->hh.next) {
    json_t *object = json_object(), *stack = json_array();
    for (size_t i = 0; i < p->stack.count; i++)
      if (!p->stack.frames[i].hidden)
        json_array_append_new(stack, json_frame(&p->stack.frames[i]));
    json_put(object, "kind", json_text(p->misuse < 0 ? "lost" : names[p->misuse]));
    json_put(object, "program", json_text(p->program));
    json_put(object, "processes", json_bytes(p->processes));
    json_put(object, "bytes", json_bytes(p->bytes));
    json_put(object, "blocks", json_bytes(p->blocks));
    json_put(object, "stack", stack);
    json_array_append_new(array, object);
  }
  return array;
}

/* The end of a run does without symbols, for they may take long; but here the place is
 * all there is to say. */
static void print_place(const struct process *p, uint32_t site, const char *lead,
                        const struct view_options *o) {
  struct view_options named = view_of(o, p);
  struct symbols *own = p->symbols ? NULL : symbols_new(p->recording, NULL);
  if (own) named.symbols = own;
  fprintf(o->out, "%s %s", lead, text_guilty(&named, site));
  symbols_free(own);
}

/* Of all processes; the place is the most frequent one of the first that has any. */
static void print_brief(const struct context *context, enum ul_misuse_kind kind,
                        const struct view_options *o) {
  const struct process *first = NULL;
  uint64_t count = 0;
  size_t places = 0, processes = 0;
  for (size_t i = 0; i < context->count; i++) {
    struct misuses m = misuses_of(context->processes[i].recording, kind);
    if (m.known && !first) first = &context->processes[i];
    count += m.count;
    places += m.known;
    processes += m.count > 0;
  }
  if (!count) return;
  fprintf(o->out, "  misuse   %s%s %s%s", text_on(o, TEXT_BAD),
          text_plural(count, "block", "blocks"), meanings[kind], text_off(o));
  if (processes > 1)
    fprintf(o->out, " in %s", text_plural(processes, "process", "processes"));
  if (first)
    print_place(first,
                ul_misuse_place(kind, misuses_of(first->recording, kind).places[0]),
                places > 1 ? "; most:" : ":", o);
  fprintf(o->out, "%s\n", first ? processes_whose(context, first) : "");
}

/* Of those that left only a line: of a kind the place that has most. */
static void print_folded_brief(const struct folded *f, enum ul_misuse_kind kind,
                               const struct view_options *o) {
  const struct folded_place *p = f->places;
  while (p && p->misuse != (int)kind)
    p = p->hh.next;
  if (!p) return;
  fprintf(o->out, "  misuse   %s%s %s%s in %s x %s without a recording",
          text_on(o, TEXT_BAD), text_plural(p->blocks, "block", "blocks"), meanings[kind],
          text_off(o), text_count(p->processes), text_escaped(p->program));
  if (p->stack.count)
    fprintf(o->out, ": %s", text_blamed(p->stack.frames, p->stack.count));
  fputc('\n', o->out);
}

void misuses_brief(const struct context *context, const struct folded *f,
                   const struct view_options *o) {
  for (int kind = 0; kind < UL_MISUSES; kind++) {
    print_brief(context, kind, o);
    print_folded_brief(f, kind, o);
  }
}

static void print_stack(const char *lead, uint32_t site, const struct view_options *o) {
  if (!site) return;
  fprintf(o->out, "       %s\n", lead);
  text_stack(o, site);
}

static void print_stacks(enum ul_misuse_kind kind, const struct ul_misuse *m,
                         const struct view_options *o) {
  bool several = m->count > 1;
  text_stack(o, ul_misuse_place(kind, m));
  if (ul_misuse_is_write(kind)) {
    print_stack(several ? "were freed" : "was freed", m->site, o);
  } else {
    print_stack("was freed first", m->freed, o);
    print_stack(several ? "were allocated" : "was allocated", m->allocated, o);
  }
}

static void print_kind(const struct context *context, const struct process *p,
                       enum ul_misuse_kind kind, const struct view_options *options) {
  struct view_options view = view_of(options, p), *o = &view;
  view.once = NULL; /* an entry has several stacks: each by itself */
  struct misuses m = misuses_of(p->recording, kind);
  if (m.known)
    text_heading(o, "MISUSED", "  blocks %s%s", meanings[kind],
                 processes_whose(context, p));
  for (size_t i = 0; i < m.known; i++) {
    const char *detail = misuse_detail(kind, m.places[i]);
    text_entry(o, i + 1);
    fprintf(o->out, "%s%s%s%s%s\n", text_on(o, TEXT_STRONG),
            text_plural(m.places[i]->count, "block", "blocks"), text_off(o),
            *detail ? ": " : "", detail);
    print_stacks(kind, m.places[i], o);
  }
}

static void print_folded(const struct folded_place *p, const struct view_options *o) {
  text_heading(o, "MISUSED", "  %s %s in %s of %s without a recording",
               text_plural(p->blocks, "block", "blocks"), meanings[p->misuse],
               text_plural(p->processes, "process", "processes"),
               text_escaped(p->program));
  fputc('\n', o->out);
  text_frames(o, p->stack.frames, p->stack.count);
}

/* Without --all: of the first process that has any, or the first place that lines tell.
 */
void misuses_print(const struct context *context, const struct folded *f,
                   const struct view_options *o) {
  size_t found = 0;
  for (size_t i = 0; i < context->count; i++) {
    const struct process *p = &context->processes[i];
    if (!misuses_any(p->recording) || (found++ && !o->all)) continue;
    for (int kind = 0; kind < UL_MISUSES; kind++)
      print_kind(context, p, kind, o);
  }
  if (found > 1 && !o->all)
    fprintf(o->out, "\n  and in %s more (--all)\n",
            text_plural(found - 1, "process", "processes"));
  for (const struct folded_place *p = f->places; p; p = p->hh.next)
    if (p->misuse >= 0 && (!found++ || o->all)) print_folded(p, o);
}
