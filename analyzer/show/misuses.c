/* misuses.c - what the program freed or resized wrongly: a bug of its own, told first. */
#include "show/json.h"
#include "show/processes.h"
#include "show/text.h"

static const char *const names[UL_MISUSES] = {"freed twice", "freed inside",
                                              "resized after free", "resized inside"};
static const char *const meanings[UL_MISUSES] = {
    "freed twice (ignored)", "freed by an address inside the block (ignored)",
    "given to realloc after free (another handed out, or none)",
    "given to realloc by an address inside the block (refused)"};

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
      json_put(object, "stack", json_stack(o, place->site));
      json_put(object, "allocated_site", json_bytes(place->allocated));
      json_put(object, "allocated_stack", json_stack(o, place->allocated));
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
void misuses_brief(const struct context *context, const struct view_options *o) {
  for (int kind = 0; kind < UL_MISUSES; kind++) {
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
    if (!count) continue;
    fprintf(o->out, "  misuse   %s%s %s%s", text_on(o, TEXT_BAD),
            text_plural(count, "block", "blocks"), meanings[kind], text_off(o));
    if (processes > 1)
      fprintf(o->out, " in %s", text_plural(processes, "process", "processes"));
    if (first)
      print_place(first, misuses_of(first->recording, kind).places[0]->site,
                  places > 1 ? "; most:" : ":", o);
    fprintf(o->out, "%s\n", first ? processes_whose(context, first) : "");
  }
}

static void print_kind(const struct context *context, const struct process *p,
                       enum ul_misuse_kind kind, const struct view_options *options) {
  struct view_options view = view_of(options, p), *o = &view;
  struct misuses m = misuses_of(p->recording, kind);
  if (m.known)
    text_heading(o, "MISUSED", "  blocks %s%s", meanings[kind],
                 processes_whose(context, p));
  for (size_t i = 0; i < m.known; i++) {
    fprintf(o->out, "\n %3zu   %s%s%s\n", i + 1, text_on(o, TEXT_STRONG),
            text_plural(m.places[i]->count, "block", "blocks"), text_off(o));
    text_stack(o, m.places[i]->site);
    if (!m.places[i]->allocated) continue;
    fprintf(o->out, "       %s allocated\n",
            m.places[i]->count > 1 ? "were" : "was");
    text_stack(o, m.places[i]->allocated);
  }
}

/* Without --all: of the first process that has any. */
void misuses_print(const struct context *context, const struct view_options *o) {
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
}
