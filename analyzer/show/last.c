/* last.c - the end of a program that wanted for memory, in two lines: what the kernel
 * killed for it, and how the heap went in its last seconds. */
#include "answers/last.h"

#include "show/text.h"

/* Which of the tree may have been killed for it, where it may have been several. */
static void print_suspects(const struct context *context, const struct view_options *o) {
  enum { MOST = 3 };
  size_t n = 0;
  for (size_t i = 0; i < context->count; i++) {
    const struct process *p = &context->processes[i];
    if (!recording_was_killed(p->recording) || n++ >= MOST) continue;
    fprintf(o->out, "%s%s, process %s", n == 1 ? "\n           perhaps " : ", or ",
            text_escaped(process_name(p)), p->label);
  }
  if (n > MOST) fprintf(o->out, ", or %s", text_plural(n - MOST, "other", "others"));
}

static size_t count_killed(const struct context *context) {
  size_t n = 0;
  for (size_t i = 0; i < context->count; i++)
    n += recording_was_killed(context->processes[i].recording);
  return n;
}

/* What was killed elsewhere matters to nobody here, unless somebody was killed here. */
static void print_kills(const struct context *context, const struct view_options *o) {
  struct ul_kills kills = recording_kills(context->named->recording);
  bool here = kills.group && kills.group != UINT32_MAX;
  bool there = kills.machine && kills.machine != UINT32_MAX;
  size_t killed = count_killed(context);
  bool named = killed == 1 && recording_was_oom_killed(context->processes[0].recording);
  if (!here && !(there && killed)) return;
  fprintf(o->out, "  oom      %s counts %s killed for memory meanwhile",
          here ? "its control group" : "the machine",
          text_plural(here ? kills.group : kills.machine, "process", "processes"));
  if (!named) print_suspects(context, o);
  fputc('\n', o->out);
}

static void print_rate(const struct last *l, const struct view_options *o) {
  uint64_t size = (uint64_t)(l->bytes < 0 ? -l->bytes : l->bytes);
  fprintf(o->out, "  end      ");
  if (l->rose)
    fprintf(o->out, "%s %s/s ", l->bytes > 0 ? "grew" : "shrank by",
            text_size(o, (uint64_t)((double)size * 1000 / (double)l->ms)));
  else
    fprintf(o->out, "did not grow ");
  fprintf(o->out, l->to_peak ? "in the %s to its peak" : "in its last %s",
          text_time(l->ms));
  if (l->limit != UINT64_MAX)
    fprintf(o->out, "; limit: %s %s", text_size(o, l->limit), l->limit_of);
  fputc('\n', o->out);
}

void last_print(const struct context *context, const struct view_options *o) {
  struct last l = last_of(&context->processes[0]);
  print_kills(context, o);
  if (l.matters) print_rate(&l, o);
}
