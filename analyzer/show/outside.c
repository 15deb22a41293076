/* outside.c - in a line: what is resident, and not by malloc. */
#include "answers/outside.h"

#include "read/timeline.h"
#include "show/json.h"
#include "show/text.h"

static uint64_t since_start(const struct recording *r, uint64_t ms) {
  uint64_t start = timeline_start_ms(r);
  return ms > start ? ms - start : 0;
}

void outside_print(const struct process *p, const struct view_options *o) {
  const struct recording *r = p->recording;
  struct outside of = outside_of(r);
  if (!of.matters) return;
  fprintf(o->out, "  outside  %s of %s resident at ", text_size(o, of.bytes),
          text_size(o, of.rss_bytes));
  if (of.ms == UINT64_MAX)
    fprintf(o->out, "most");
  else
    fprintf(o->out, "%s", text_time(since_start(r, of.ms)));
  fprintf(o->out, " is not malloc's: %s\n",
          of.owner ? of.owner : "mapped by the program itself");
}

json_t *outside_object(const struct recording *r) {
  struct outside of = outside_of(r);
  json_t *object = json_object();
  if (!of.rss_bytes) {
    json_decref(object);
    return json_null();
  }
  json_put(object, "bytes", json_bytes(of.bytes));
  json_put(object, "rss_bytes", json_bytes(of.rss_bytes));
  json_put(object, "seconds",
           of.ms == UINT64_MAX ? json_null() : json_seconds(since_start(r, of.ms)));
  json_put(object, "owner", of.owner ? json_text(of.owner) : json_null());
  return object;
}
