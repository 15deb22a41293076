/* held.c - `ullage report --at`: a moment of the run, on a page. */
#include "answers/held.h"
#include "read/timeline.h"
#include "show/causes.h"
#include "show/chart.h"
#include "show/json.h"
#include "show/text.h"

#include <inttypes.h>
#include <stdlib.h>

#define TOP_CAUSES 15u
#define TOP_SITES 10u
#define TOP_JSON 100u

static void print_totals(const struct held *h, const struct view_options *o) {
  const struct recording *r = h->process->recording;
  const struct moment *at = h->at;
  uint64_t end = recording_duration_ms(r), start = timeline_start_ms(r);
  const char *when = text_when(o, at, process_peak_bytes(h->process));
  fprintf(o->out, "%s%s%s %s: %s live in %s\n\n", text_on(o, TEXT_STRONG),
          text_escaped(process_name(h->process)), text_off(o), when,
          text_size(o, at->live_bytes), text_plural(at->live_blocks, "block", "blocks"));
  fprintf(o->out, "  command      %s\n", text_command(r, 80));
  fprintf(o->out, "  recording    %s, of %s\n",
          text_path(recording_path(r), text_room(o, 40)),
          text_time(end > start ? end - start : 0));
  fprintf(o->out, "  allocations  %s so far\n", text_count(at->allocations));
  if (at->rss_bytes) fprintf(o->out, "  resident     %s\n", text_size(o, at->rss_bytes));
}

static void print_cause(const struct held *h, size_t i, const struct view_options *o) {
  const struct cause *c = &h->causes->at[i];
  struct functions *f = h->process->functions;
  size_t columns = o->columns ? o->columns : TEXT_COLUMNS;
  struct text_long line;
  int n =
      snprintf(line.s, sizeof line.s, "  %10s %6s %12s  %s", text_size(o, c->of.bytes),
               text_percent(c->of.bytes, h->at->live_bytes), text_count(c->of.blocks),
               causes_short(f, c));
  size_t used = n > 0 ? (size_t)n : 0;
  const char *callers =
      used + 1 < columns ? causes_callers(f, h->causes, i, columns - used - 1) : "";
  fprintf(o->out, "%s%s%s\n", line.s, *callers ? " " : "", callers);
}

static void print_causes(const struct held *h, const struct view_options *o) {
  size_t most = o->top ? o->top : TOP_CAUSES, count = h->causes->count;
  if (!count) return;
  text_heading(o, "LIVE THEN", "  (%zu of %zu functions; stacks: --all)",
               count < most ? count : most, count);
  fprintf(o->out, "  %10s %6s %12s\n", "bytes", "", "blocks");
  for (size_t i = 0; i < count && i < most; i++)
    print_cause(h, i, o);
}

static void print_sites(const struct held *h, const struct view_options *o) {
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_SITES;
  text_heading(o, "LIVE THEN", "  by call site");
  for (size_t i = 0; i < h->count && i < most; i++) {
    const struct ul_amount *a = &h->at->sites[h->sites[i]];
    text_entry(o, i + 1);
    fprintf(o->out, "%s in %s\n", text_size(o, a->bytes),
            text_plural(a->blocks, "block", "blocks"));
    text_stack(o, h->sites[i]);
  }
}

static void print_page(const struct held *h, const struct view_options *o) {
  print_totals(h, o);
  chart_draw(h->process, o);
  if (o->all)
    print_sites(h, o);
  else
    print_causes(h, o);
  if (h->untold.blocks)
    fprintf(o->out, "\n  At call sites %stoo small to be told apart: %s in %s.\n",
            o->sampling.bytes ? "without a sample, or " : "",
            text_size(o, h->untold.bytes),
            text_plural(h->untold.blocks, "block", "blocks"));
  fprintf(o->out, "\n  A moment knows what lives: of leaks and of unused memory it knows "
                  "nothing.\n");
  text_sampled(o, "\n  Sampled:");
}

int held_text(const struct held *h, const struct view_options *o) {
  struct view_options view = view_of(o, h->process), page = view;
  char *lines = NULL;
  size_t bytes;
  if (!o->all && (page.out = open_memstream(&lines, &bytes))) {
    print_page(h, &page);
    if (fclose(page.out) == 0 && lines) text_fit(&view, lines);
    free(lines);
  } else {
    print_page(h, &view);
  }
  return text_finish(&view);
}

int held_json(const struct held *h, const struct view_options *options) {
  struct view_options view = view_of(options, h->process), *o = &view;
  const struct moment *at = h->at;
  const struct recording *r = h->process->recording;
  struct json_stream j;
  json_t *moment = json_object();
  size_t most = o->top ? o->top : o->all ? SIZE_MAX : TOP_JSON;
  json_put(moment, "name", json_text(at->name));
  json_put(moment, "seconds", json_seconds(at->ms));
  json_put(moment, "live_bytes", json_bytes(at->live_bytes));
  json_put(moment, "live_blocks", json_bytes(at->live_blocks));
  json_put(moment, "allocations", json_bytes(at->allocations));
  json_put(moment, "rss_bytes", json_bytes(at->rss_bytes));
  json_put(moment, "untold_bytes", json_bytes(h->untold.bytes));
  json_put(moment, "untold_blocks", json_bytes(h->untold.blocks));
  json_begin(&j, o);
  json_member(&j, "moment", moment);
  json_member(&j, "path", json_text(recording_text(r, recording_header(r)->program)));
  json_member(&j, "pid", json_integer(recording_header(r)->pid));
  json_member(&j, "sites_count", json_bytes(h->count));
  json_list(&j, "sites");
  for (size_t i = 0; i < h->count && i < most; i++) {
    const struct ul_amount *a = &at->sites[h->sites[i]];
    json_t *site = json_object();
    json_put(site, "bytes", json_bytes(a->bytes));
    json_put(site, "blocks", json_bytes(a->blocks));
    json_site(&j, o, site, h->sites[i]);
  }
  json_list_end(&j);
  return json_end(&j);
}
