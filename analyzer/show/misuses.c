/* misuses.c - what the program freed or resized wrongly: a bug of its own, told first. */
#include "answers/answers.h"
#include "show/json.h"
#include "show/text.h"

static const char *const names[UL_MISUSES] = {"freed twice", "freed inside",
                                              "resized after free", "resized inside"};
static const char *const meanings[UL_MISUSES] = {
    "freed twice (ignored)", "freed by an address inside the block (ignored)",
    "given to realloc after free (another handed out, or none)",
    "given to realloc by an address inside the block (refused)"};

json_t *misuses_array(const struct recording *r, const struct view_options *o) {
  json_t *array = json_array();
  for (int kind = 0; kind < UL_MISUSES; kind++) {
    struct misuses m = misuses_of(r, kind);
    for (size_t i = 0; i < m.known; i++) {
      const struct ul_misuse *place = m.places[i];
      char address[24];
      snprintf(address, sizeof address, "0x%llx", (unsigned long long)place->address);
      json_t *object = json_object();
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
  return array;
}

void misuses_brief(const struct recording *r, const struct view_options *o) {
  for (int kind = 0; kind < UL_MISUSES; kind++) {
    struct misuses m = misuses_of(r, kind);
    if (!m.count) continue;
    fprintf(o->out, "  misuse   %s%s %s%s", text_on(o, TEXT_BAD),
            text_plural(m.count, "block", "blocks"), meanings[kind], text_off(o));
    if (m.known && o->symbols)
      fprintf(o->out, "%s %s", m.known > 1 ? "; most:" : ":",
              text_guilty(o, m.places[0]->site));
    fputc('\n', o->out);
  }
}

void misuses_print(const struct recording *r, const struct view_options *o) {
  for (int kind = 0; kind < UL_MISUSES; kind++) {
    struct misuses m = misuses_of(r, kind);
    if (m.known) text_heading(o, "MISUSED", "  blocks %s", meanings[kind]);
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
}
