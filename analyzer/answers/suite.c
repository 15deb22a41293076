#include "answers/suite.h"

#include "answers/children.h"
#include "answers/suite_stacks.h"
#include "pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

/* A program of processes that left no recording. */
struct silent {
  const char *program;
  UT_hash_handle hh;
};

struct work {
  struct suite suite;
  struct obstack memory;
  size_t room;            /* of processes */
  uint64_t silent_others; /* in s->silent if nobody is ours */
  struct obstack pids;    /* of those that are silent */
  struct silent *silent;
};

static struct work *work_of(struct suite *s) {
  return (struct work *)s;
}

/* ---- what outlives a recording ---------------------------------------------------- */

const char *suite_keep(struct suite *s, const char *text) {
  return text ? obstack_copy0(s->memory, text, strlen(text)) : NULL;
}

static const char *keep_arguments(struct suite *s, const struct recording *r) {
  const char *argument;
  for (uint32_t i = 0; (argument = recording_argument(r, i)); i++)
    obstack_grow0(s->memory, argument, strlen(argument));
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

static const char *keep_command(struct suite *s, const char *arguments) {
  for (const char *a = arguments; *a; a += strlen(a) + 1) {
    if (a != arguments) obstack_1grow(s->memory, ' ');
    obstack_grow(s->memory, a, strlen(a));
  }
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

/* ---- processes -------------------------------------------------------------------- */

static struct suite_process *add_process(struct suite *s) {
  struct work *w = work_of(s);
  if (s->process_count == w->room) {
    size_t room = w->room ? w->room * 2 : 16;
    struct suite_process *larger = obstack_alloc(s->memory, room * sizeof *larger);
    if (w->room) memcpy(larger, s->processes, w->room * sizeof *larger);
    s->processes = larger;
    w->room = room;
  }
  s->processes[s->process_count] = (struct suite_process){.program = "",
                                                          .command = "",
                                                          .arguments = "",
                                                          .number = 1,
                                                          .standing = SUITE_UNRECORDED};
  return &s->processes[s->process_count++];
}

static void identify(struct suite *s, struct suite_process *p,
                     const struct recording *r) {
  const struct ul_header *h = recording_header(r);
  p->program = suite_keep(s, recording_text(r, h->program));
  p->arguments = keep_arguments(s, r);
  p->command = keep_command(s, p->arguments);
  if (h->exec) p->exec = suite_keep(s, recording_text(r, h->exec));
  p->pid = h->pid;
  p->ppid = h->ppid;
  p->forked = h->forked;
  p->end = recording_end(r);
  p->status = h->status;
  p->duration_ms = recording_duration_ms(r);
  p->scan = h->scan;
  p->stop = h->stop;
  p->confined = h->confined_ms;
  p->standing = SUITE_NOT_OURS;
}

/* They are too many to copy what their parent has, or were forked where nobody could. */
static void add_unrecorded_children(struct suite *s, const struct recording *r,
                                    size_t parent) {
  uint64_t number = recording_header(r)->fallbacks[UL_FB_CHILD_UNRECORDED];
  if (!number) return;
  struct suite_process *p = add_process(s);
  *p = s->processes[parent];
  p->file = NULL;
  p->ppid = p->pid;
  p->pid = 0;
  p->forked = true;
  p->number = number;
  p->standing = SUITE_UNRECORDED;
}

static bool judge(struct suite *s, struct recording *r, size_t process,
                  const struct symbols_options *options) {
  s->processes[process].standing = leaks_known(r) ? SUITE_JUDGED : SUITE_UNSCANNED;
  add_unrecorded_children(s, r, process);
  return suite_stacks_of(s, r, process, options);
}

/* ---- what is added ---------------------------------------------------------------- */

bool suite_add(struct suite *s, const char *path, const struct symbols_options *options) {
  char error[512];
  struct suite_process *p = add_process(s);
  size_t i = s->process_count - 1;
  struct recording *r = recording_open(path, error, sizeof error);
  p->file = suite_keep(s, path);
  if (!r) {
    p->unreadable = suite_keep(s, error);
    return true;
  }
  identify(s, p, r);
  bool ours = pattern_of_path(s->rules.programs, p->program), done = true;
  s->ours |= ours;
  if (ours) done = judge(s, r, i, options);
  recording_close(r);
  return done;
}

/* As its first argument calls it. */
static void note_silent(struct suite *s, const char *command) {
  struct work *w = work_of(s);
  struct silent *found;
  const char *word = obstack_copy0(s->memory, command, strcspn(command, " "));
  const char *program = basename(word);
  HASH_FIND_STR(w->silent, program, found);
  if (found) return;
  found = obstack_alloc(s->memory, sizeof *found);
  found->program = program;
  HASH_ADD_KEYPTR(hh, w->silent, program, strlen(program), found);
}

bool suite_is_silent(const struct suite *s, const char *program) {
  struct silent *found;
  HASH_FIND_STR(((const struct work *)s)->silent, program, found);
  return found;
}

static void add_silent(struct suite *s, char *const fields[]) {
  struct suite_silent *one = obstack_alloc(s->memory, sizeof *one);
  int pid = atoi(fields[CHILDREN_PID]);
  *one = (struct suite_silent){.command = suite_keep(s, fields[CHILDREN_COMMAND]),
                               .ms = strtoull(fields[CHILDREN_MS], NULL, 10),
                               .before = s->told};
  s->told = one;
  s->silent++;
  obstack_grow(&work_of(s)->pids, &pid, sizeof pid);
  note_silent(s, one->command);
}

static void add_line(void *to, char *const fields[]) {
  struct suite *s = to;
  const char *kind = fields[CHILDREN_KIND];
  if (children_is_place(fields)) return;
  if (strcmp(kind, "other") == 0) {
    work_of(s)->silent_others++;
    return;
  }
  s->ours = true;
  if (!children_is_without_us(fields)) {
    add_silent(s, fields);
    return;
  }
  struct suite_process *p = add_process(s);
  p->program = p->command = suite_keep(s, fields[CHILDREN_COMMAND]);
  p->ppid = atoi(fields[CHILDREN_PPID]);
  p->bare = strcmp(kind, "bare") == 0;
}

void suite_add_lines(struct suite *s, const char *path) {
  children_each_line(path, add_line, s);
}

/* ---- the verdict ------------------------------------------------------------------ */

static bool judge_all(struct suite *s, const struct symbols_options *options) {
  bool done = true;
  s->silent += work_of(s)->silent_others;
  for (size_t i = 0; i < s->process_count; i++) {
    char error[512];
    struct suite_process *p = &s->processes[i];
    if (p->standing != SUITE_NOT_OURS) continue;
    struct recording *r = recording_open(p->file, error, sizeof error);
    if (r) done = judge(s, r, i, options) && done;
    recording_close(r);
  }
  return done;
}

static bool has_silent(struct suite *s, int pid) {
  struct obstack *o = &work_of(s)->pids;
  const int *pids = obstack_base(o);
  for (size_t i = 0; i < obstack_object_size(o) / sizeof *pids; i++)
    if (pids[i] == pid) return true;
  return false;
}

/* Has it told of its end, or of what it became? */
static bool has_ended(struct suite *s, int pid) {
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    if (p->pid == pid && p->end != RECORDING_EXECED) return true;
    bool unfit = p->standing == SUITE_UNRECORDED && !p->pid && !p->bare;
    if (unfit && p->ppid == pid) return true;
  }
  return has_silent(s, pid);
}

/* Where it lies, if its name does not tell: somebody that we look at has started it. */
static bool would_be_ours(const struct suite *s, const char *program) {
  return *program != '/' || pattern_of_path(s->rules.programs, program);
}

/* A line tells of it, which does not know whether it is another process. NULL: none. */
static struct suite_process *bare_by(struct suite *s, int pid, const char *program) {
  for (size_t i = 0; i < s->process_count; i++) {
    struct suite_process *p = &s->processes[i];
    if (p->bare && !p->pid && p->ppid == pid &&
        strcmp(basename(p->program), basename(program)) == 0)
      return p;
  }
  return NULL;
}

static struct suite_process *add_bare(struct suite *s, const char *program) {
  struct suite_process *p = add_process(s);
  p->program = p->command = program;
  p->bare = true;
  return p;
}

/* Processes that have become a program without ullage: LD_PRELOAD was taken away. */
static void add_strangers(struct suite *s) {
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process p = s->processes[i];
    if (p.end != RECORDING_EXECED || !p.exec || has_ended(s, p.pid)) continue;
    bool is_main = p.pid == s->main_pid && !s->ours;
    if (!is_main && !would_be_ours(s, p.exec)) continue;
    struct suite_process *stranger = bare_by(s, p.pid, p.exec);
    if (!stranger) stranger = add_bare(s, p.exec);
    stranger->pid = p.pid;
    stranger->ppid = p.ppid;
    stranger->end = RECORDING_RUNNING;
  }
}

bool suite_judge(struct suite *s, const struct symbols_options *options) {
  bool done = s->ours || s->rules.only_programs || judge_all(s, options);
  add_strangers(s);
  if (suite_fails_on(s, SUITE_UNCHECKED)) suite_stacks_unchecked(s);
  return suite_found_unite(s) && done;
}

bool suite_has_ours(const struct suite *s) {
  for (size_t i = 0; i < s->process_count; i++)
    if (s->processes[i].standing != SUITE_NOT_OURS) return true;
  return s->ours;
}

bool suite_is_judged(const struct suite_process *p) {
  return p->file && (p->standing == SUITE_JUDGED || p->standing == SUITE_UNSCANNED);
}

size_t suite_judged(const struct suite *s) {
  size_t judged = s->silent;
  for (size_t i = 0; i < s->process_count; i++)
    judged += s->processes[i].standing == SUITE_JUDGED;
  return judged;
}

static bool has_finding(const struct suite *s, size_t process) {
  for (size_t i = 0; i < s->count; i++)
    for (const struct suite_sighting *seen = s->findings[i].seen; seen; seen = seen->before)
      if (seen->process == process) return true;
  return false;
}

size_t suite_looked_at(const struct suite *s) {
  size_t n = suite_judged(s);
  for (size_t i = 0; i < s->process_count; i++)
    n += s->processes[i].standing != SUITE_JUDGED && has_finding(s, i);
  return n;
}

/* ---- life ------------------------------------------------------------------------- */

struct suite *suite_new(const struct suite_rules *rules) {
  struct work *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  if (!(w->suite.found = suite_found_new())) {
    free(w);
    return NULL;
  }
  obstack_init(&w->memory);
  obstack_init(&w->pids);
  w->suite.rules = *rules;
  w->suite.memory = &w->memory;
  return &w->suite;
}

void suite_free(struct suite *s) {
  if (!s) return;
  suite_found_free(s->found);
  HASH_CLEAR(hh, work_of(s)->silent);
  obstack_free(&work_of(s)->pids, NULL);
  obstack_free(s->memory, NULL);
  free(s);
}
