#include "answers/suite.h"

#include "answers/context.h"
#include "answers/warmup.h"
#include "pattern.h"
#include "read/reachable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

/* A call stack, by what happened, and where: its key. */
struct entry {
  struct suite_finding finding;
  const char *cause; /* those of one finding have the same */
  UT_hash_handle hh;
};

/* What was made in a function, or further in, in processes that have lost something. */
struct suite_maker {
  uint64_t made;       /* blocks */
  uint64_t where_lost; /* of them, at call stacks of which some were lost */
  const char *cause; /* of what is lost of it: one of those that are blamed; NULL: none */
  bool disputed;     /* there are others */
  UT_hash_handle hh;
  char name[];
};

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
  struct entry *entries;
  struct suite_maker *makers;
};

static struct work *work_of(struct suite *s) {
  return (struct work *)s;
}

/* ---- what outlives a recording -------------------------------------------------- */

static const char *keep(struct suite *s, const char *text) {
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

static struct suite_stack keep_stack(struct suite *s, struct symbols *symbols,
                                     uint32_t site) {
  const struct frame *frames;
  struct suite_stack stack = {NULL, 0, 0, 0};
  if (!site) return stack;
  size_t n = frame_stack(symbols, site, &frames);
  struct frame *kept = obstack_alloc(s->memory, (n + 1) * sizeof *kept);
  for (size_t i = 0; i < n; i++) {
    if (frames[i].hidden) continue;
    struct frame *f = &kept[stack.count++];
    *f = frames[i];
    f->function = keep(s, f->function);
    f->linkage = keep(s, frame_symbol(symbols, f));
    f->file = keep(s, f->file);
    f->module = keep(s, f->module);
  }
  stack.frames = kept;
  stack.blamed = stack.count ? frame_guilty(kept, stack.count) : 0;
  stack.guilty =
      ours_frame(&s->rules.ours, kept, stack.count, stack.blamed, stack.blamed);
  return stack;
}

/* ---- findings ------------------------------------------------------------------- */

static void grow_stack(struct obstack *memory, const struct suite_stack *stack) {
  char line[1024];
  for (size_t i = 0; i < stack->count; i++) {
    frame_text(&stack->frames[i], line, sizeof line);
    obstack_printf(memory, "%s\n", line);
  }
  obstack_1grow(memory, '\n');
}

static char *key_of(struct suite *s, const struct suite_finding *f) {
  obstack_printf(s->memory, "%d %d %d %s\n", f->kind, f->misuse, f->measure,
                 basename(s->processes[f->process].program));
  if (f->kind != SUITE_BUDGET) grow_stack(s->memory, &f->at);
  grow_stack(s->memory, &f->allocated);
  grow_stack(s->memory, &f->freed);
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

/* The processes come one after the other. */
static void see(struct suite *s, struct suite_finding *f,
                const struct suite_finding *here) {
  struct suite_sighting *seen = f->seen;
  if (!seen || seen->process != here->process) {
    seen = obstack_alloc(s->memory, sizeof *seen);
    *seen = (struct suite_sighting){.process = here->process, .before = f->seen};
    f->seen = seen;
    f->processes++;
  }
  seen->of.blocks += here->of.blocks;
  seen->of.bytes += here->of.bytes;
  seen->dragged.blocks += here->dragged.blocks;
  seen->dragged.bytes += here->dragged.bytes;
  seen->times += here->times;
  seen->value = here->value;
}

/* Two processes may blame two functions for one stack: where most is lost tells. */
static void choose_cause(struct suite_finding *f, const struct suite_finding *here) {
  const struct suite_sighting *most = f->seen;
  for (const struct suite_sighting *seen = f->seen->before; seen; seen = seen->before)
    if (seen->of.bytes >= most->of.bytes) most = seen;
  if (most->process != here->process) return;
  f->cause = here->cause;
  f->makers = here->makers;
  f->maker_count = here->maker_count;
  f->at.guilty = here->at.guilty;
}

static void add_finding(struct suite *s, const struct suite_finding *f) {
  struct work *w = work_of(s);
  struct entry *e;
  char *key = key_of(s, f);
  HASH_FIND_STR(w->entries, key, e);
  if (!e) {
    e = obstack_alloc(s->memory, sizeof *e);
    *e = (struct entry){.finding = *f};
    e->finding.key = key;
    see(s, &e->finding, f);
    HASH_ADD_KEYPTR(hh, w->entries, key, strlen(key), e);
    s->count++;
    return;
  }
  see(s, &e->finding, f);
  choose_cause(&e->finding, f);
  if (f->kind == SUITE_BUDGET) { /* the worst tells */
    if (f->value <= e->finding.value) return;
    struct suite_sighting *seen = e->finding.seen;
    size_t processes = e->finding.processes;
    e->finding = *f;
    e->finding.key = key;
    e->finding.processes = processes;
    e->finding.seen = seen;
    return;
  }
  e->finding.of.blocks += f->of.blocks;
  e->finding.of.bytes += f->of.bytes;
  e->finding.dragged.blocks += f->dragged.blocks;
  e->finding.dragged.bytes += f->dragged.bytes;
  e->finding.times += f->times;
}

static bool fails_on(const struct suite *s, enum suite_kind kind) {
  return s->rules.fail_on & 1u << kind;
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
  p->program = keep(s, recording_text(r, h->program));
  p->arguments = keep_arguments(s, r);
  p->command = keep_command(s, p->arguments);
  if (h->exec) p->exec = keep(s, recording_text(r, h->exec));
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

/* ---- of one recording ------------------------------------------------------------ */

/* Names are looked up only where something is found. */
struct judging {
  struct suite *suite;
  const struct recording *recording;
  const struct symbols_options *options;
  size_t process;
  struct warmup warmup;
  struct symbols *symbols;
  struct fingerprints *prints;
  struct sites *sites; /* this and the next: to find causes */
  struct functions *functions;
  struct causes *causes[UL_VERDICTS];
};

static bool names(struct judging *j) {
  if (!j->symbols) j->symbols = symbols_new(j->recording, j->options);
  if (j->symbols && !j->prints) j->prints = fingerprints_new(j->recording, j->symbols);
  return j->prints;
}

static void classify(struct judging *j, struct suite_finding *f, uint32_t site,
                     enum ul_verdict verdict) {
  struct suppressible what = {.kind = suite_is_write(f)    ? SUPPRESS_WRITE
                                      : suite_is_misuse(f) ? SUPPRESS_FREE
                                                           : SUPPRESS_LOSS,
                              .verdict = verdict,
                              .family = f->family};
  what.symbols = j->symbols;
  what.count = frame_stack(j->symbols, site, &what.frames);
  f->accepted = suppressions_match(j->suite->rules.suppressions, &what, f->of);
  if (f->accepted)
    f->state = SUITE_SUPPRESSED;
  else if (f->at.count &&
           !ours_counts(&j->suite->rules.ours, &f->at.frames[f->at.blamed]))
    f->state = SUITE_FOREIGN;
}

/* ---- causes ------------------------------------------------------------------------ */

/* A function is known by its source, or else its module. */
static const char *name_of(struct suite *s, const struct frame *at) {
  const char *in = at->file ? at->file : at->module ? at->module : "";
  if (at->function)
    obstack_printf(s->memory, "%s\n%s", at->function, in);
  else
    obstack_printf(s->memory, "%llx\n%s",
                   (unsigned long long)(at->start ? at->start : at->offset), in);
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

static struct suite_maker *maker_of(struct suite *s, const struct frame *at, bool make) {
  struct suite_maker *m;
  const char *name = name_of(s, at);
  size_t n = strlen(name);
  HASH_FIND_STR(work_of(s)->makers, name, m);
  if (!m && make) {
    m = obstack_alloc(s->memory, sizeof *m + n + 1);
    *m = (struct suite_maker){.made = 0};
    memcpy(m->name, name, n + 1);
    HASH_ADD_STR(work_of(s)->makers, name, m);
  }
  return m;
}

/* Of one site: each function of its stack has made it, once. */
static void add_made(struct judging *j, struct suite_maker **makers, uint64_t *stamps,
                     uint32_t site, bool lost) {
  const struct function_call *calls;
  uint64_t made = j->sites->sum[site].count.allocations;
  size_t n = functions_stack(j->functions, site, &calls);
  for (size_t i = 0; i < n; i++) {
    uint32_t function = calls[i].function;
    if (functions_kind(j->functions, function) != FUNCTION_OWN) continue;
    if (stamps[function] == site + 1) continue;
    stamps[function] = site + 1;
    if (!makers[function])
      makers[function] =
          maker_of(j->suite, functions_frame(j->functions, function), true);
    makers[function]->made += made;
    makers[function]->where_lost += lost ? made : 0;
  }
}

/* All functions are known by then: causes have been looked for. */
static bool add_makers(struct judging *j, const struct causes *lost) {
  size_t count = functions_count(j->functions) + 1;
  struct suite_maker **makers = calloc(count, sizeof(*makers));
  uint64_t *stamps = calloc(count, sizeof *stamps);
  bool good = makers && stamps;
  for (uint32_t i = UL_SITE_RESERVED; good && i < j->sites->count; i++)
    if (j->sites->sum[i].count.allocations && !j->sites->sum[i].of_others)
      add_made(j, makers, stamps, i, lost->amount[i].blocks);
  free(makers);
  free(stamps);
  return good;
}

/* Of what has that verdict; as in a report, what is indirectly lost belongs to what is
 * lost. */
static const struct causes *causes_of(struct judging *j, enum ul_verdict verdict) {
  bool lost = FINDING_LOST & 1u << verdict;
  struct causes **of = &j->causes[lost ? UL_DEFINITE : verdict];
  if (*of) return *of;
  if (!j->sites) j->sites = sites_load(j->recording);
  if (!j->functions) j->functions = functions_new(j->recording, j->symbols);
  if (j->sites && j->functions)
    *of = findings_by_verdict(j->recording, j->sites, j->functions,
                              lost ? FINDING_LOST : 1u << verdict);
  if (*of && lost && !add_makers(j, *of)) return NULL;
  return *of;
}

/* Index in a stack that was kept; its count: not there. */
static size_t index_of(const struct suite_stack *stack, const struct frame *frame) {
  size_t i = 0;
  while (i < stack->count && stack->frames[i].number != frame->number)
    i++;
  return i;
}

/* Where in the stack the function calls, innermost; its count: nowhere. */
static size_t place_in(const struct suite_stack *stack, struct functions *functions,
                       uint32_t site, uint32_t function) {
  const struct function_call *calls;
  size_t n = functions_stack(functions, site, &calls);
  for (size_t i = 0; i < n; i++)
    if (calls[i].function == function) return index_of(stack, calls[i].frame);
  return stack->count;
}

/* The function of the first of these frames, which are n. */
static struct suite_cause cause_of(const struct judging *j, enum ul_family family,
                                   const struct frame *at, size_t n) {
  struct suite *s = j->suite;
  const char *program = s->processes[j->process].program;
  struct suite_cause cause = {.shared = at->module && strcmp(at->module, program) != 0};
  const struct frame **frames = malloc(n * sizeof *frames);
  for (size_t i = 0; frames && i < n; i++)
    frames[i] = &at[i];
  if (frames) cause.print = fingerprint_of_blamed(j->recording, frames, n, family);
  free(frames);
  const char *name = name_of(s, at);
  obstack_printf(s->memory, "%d %s", family, name);
  obstack_1grow(s->memory, 0);
  cause.key = obstack_finish(s->memory);
  return cause;
}

static void add_functions(struct judging *j, struct suite_finding *f, uint32_t site) {
  size_t most = f->at.count + 1;
  uint64_t *prints = obstack_alloc(j->suite->memory, most * sizeof *prints);
  f->function_count = fingerprint_functions(j->prints, site, prints, most);
  f->functions = prints;
}

/* The functions from the frame outwards that is blamed by its name. */
static void add_makers_of(struct judging *j, struct suite_finding *f) {
  struct suite_stack *at = &f->at;
  size_t most = at->count - at->blamed;
  struct suite_made *makers = obstack_alloc(j->suite->memory, most * sizeof *makers);
  for (size_t i = at->blamed; i < at->count; i++) {
    const struct frame *frame = &at->frames[i];
    struct suite_maker *maker = maker_of(j->suite, frame, false);
    if (maker && !frame->note)
      makers[f->maker_count++] =
          (struct suite_made){i, cause_of(j, f->family, frame, at->count - i), maker};
  }
  f->makers = makers;
}

/* Lays a stack at the door of its cause, or of the user's own function within that. */
static void blame(struct judging *j, struct suite_finding *f, struct functions *functions,
                  const struct causes *causes, uint32_t site) {
  uint32_t cause = site < causes->sites ? causes->of_site[site] : UINT32_MAX;
  if (!f->at.count || cause == UINT32_MAX) return;
  struct suite_stack *at = &f->at;
  const struct ours *ours = &j->suite->rules.ours;
  uint32_t function = causes->at[cause].function;
  size_t told = place_in(at, functions, site, function);
  at->guilty = ours_frame(ours, at->frames, at->count, at->blamed,
                          told < at->count ? told : at->blamed);
  bool elsewhere = told == at->count && at->guilty == at->blamed;
  f->cause =
      elsewhere ? cause_of(j, f->family, functions_frame(functions, function), 1)
                : cause_of(j, f->family, at->frames + at->guilty, at->count - at->guilty);
  add_functions(j, f, site);
  if (!ours->mine.count && !elsewhere) add_makers_of(j, f);
}

/* ---- what is lost ------------------------------------------------------------------ */

static bool add_lost(struct judging *j, const struct ul_leak *row, enum suite_kind kind) {
  struct ul_leak late = *row, *leak = &late;
  if (!warmup_leaves(&j->warmup, leak)) return true;
  if (!names(j)) return false;
  struct fingerprint print = fingerprint_of_site(j->prints, leak->site);
  struct suite_finding f = {
      .kind = kind,
      .process = j->process,
      .of = {leak->blocks, leak->bytes},
      .exact = print.exact,
      .loose = print.loose,
      .family = fingerprint_family(j->prints, leak->site),
      .at = keep_stack(j->suite, j->symbols, leak->site),
  };
  if (kind == SUITE_DEFINITE) {
    f.dragged = (struct ul_amount){leak->indirect_blocks, leak->indirect_bytes};
    f.of.blocks += f.dragged.blocks;
    f.of.bytes += f.dragged.bytes;
  }
  const struct causes *causes = causes_of(j, leak->verdict);
  if (!causes) return false;
  blame(j, &f, j->functions, causes, leak->site);
  classify(j, &f, leak->site, leak->verdict);
  add_finding(j->suite, &f);
  return true;
}

/* What is indirectly lost belongs to who drags it along, if that fails. */
static bool add_all_lost(struct judging *j) {
  static const struct {
    enum ul_verdict verdict;
    enum suite_kind kind;
  } kinds[] = {{UL_DEFINITE, SUITE_DEFINITE},
               {UL_INDIRECT, SUITE_INDIRECT},
               {UL_POSSIBLE, SUITE_POSSIBLE},
               {UL_REACHABLE, SUITE_REACHABLE}};
  bool done = true;
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    if (!fails_on(j->suite, kinds[k].kind)) continue;
    if (kinds[k].kind == SUITE_INDIRECT && fails_on(j->suite, SUITE_DEFINITE)) continue;
    size_t n;
    const struct ul_leak **list = leaks_of(j->recording, kinds[k].verdict, &n);
    for (size_t i = 0; i < n; i++)
      done = add_lost(j, list[i], kinds[k].kind) && done;
    done = done && list;
    free(list);
  }
  return done;
}

static uint64_t mix(uint64_t a, uint64_t b) {
  return (a ^ b) * 0x100000001b3;
}

/* Of what has no stack of its own. */
static uint64_t print_of(const char *text) {
  uint64_t print = 0xcbf29ce484222325u;
  for (; *text; text++)
    print = mix(print, (unsigned char)*text);
  return print;
}

static enum suite_kind kind_of(enum ul_misuse_kind misuse) {
  switch (misuse) {
  case UL_MISMATCHED:
  case UL_MISSIZED:
    return SUITE_MISMATCH;
  case UL_OVERRUN:
    return SUITE_OVERRUN;
  case UL_WRITTEN_FREED:
    return SUITE_WRITTEN_FREED;
  default:
    return SUITE_BAD_FREE;
  }
}

static bool add_misuse(struct judging *j, enum ul_misuse_kind misuse,
                       const struct ul_misuse *place) {
  if (!names(j)) return false;
  struct fingerprint now = fingerprint_of_site(j->prints, place->site);
  struct fingerprint then = fingerprint_of_site(j->prints, place->allocated);
  uint32_t at = ul_misuse_place(misuse, place);
  bool is_write = ul_misuse_is_write(misuse);
  struct suite_finding f = {
      .kind = kind_of(misuse),
      .misuse = misuse,
      .first = *place,
      .process = j->process,
      .times = place->count,
      .exact = mix(mix(now.exact, then.exact), misuse),
      .loose = is_write ? then.loose : now.loose,
      .at = keep_stack(j->suite, j->symbols, at),
      .allocated = keep_stack(j->suite, j->symbols, is_write ? 0 : place->allocated),
      .freed = keep_stack(j->suite, j->symbols, is_write ? place->site : place->freed),
  };
  classify(j, &f, at, UL_NO_VERDICT);
  add_finding(j->suite, &f);
  return true;
}

static bool add_misuses(struct judging *j) {
  bool done = true;
  for (int kind = 0; kind < UL_MISUSES; kind++) {
    if (!fails_on(j->suite, kind_of(kind))) continue;
    struct misuses m = misuses_of(j->recording, kind);
    uint64_t more = m.count;
    for (size_t i = 0; i < m.known; i++) {
      done = add_misuse(j, kind, m.places[i]) && done;
      more -= m.places[i]->count < more ? m.places[i]->count : more;
    }
    const struct ul_misuse rest = {.count = more}; /* of pairs too many to keep */
    if (more) done = add_misuse(j, kind, &rest) && done;
  }
  return done;
}

static bool add_growth(struct judging *j, struct process *p) {
  const struct findings *all = process_findings(p);
  struct fingerprints *prints = process_fingerprints(p);
  if (!all || !prints || !names(j)) return false;
  for (size_t i = 0; i < all->count; i++) {
    const struct finding *grown = &all->at[i];
    if (grown->kind != FINDING_GROWTH) continue;
    uint32_t site = grown->causes->at[grown->cause].site;
    struct fingerprint print = fingerprint_of_finding(prints, all, grown);
    struct suite_finding f = {.kind = SUITE_GROWTH,
                              .process = j->process,
                              .of = grown->of,
                              .exact = print.exact,
                              .loose = print.loose,
                              .family = fingerprint_family(prints, site),
                              .at = keep_stack(j->suite, j->symbols, site)};
    blame(j, &f, process_functions(p), grown->causes, site);
    f.maker_count = 0; /* what is lost tells who loses, not who keeps */
    classify(j, &f, site, UL_REACHABLE);
    add_finding(j->suite, &f);
  }
  return true;
}

static bool add_budgets(struct judging *j, struct process *p) {
  static const char *const names_of[BUDGET_MEASURES] = BUDGET_NAMES;
  const struct budgets *all = &j->suite->rules.budgets;
  const struct sites *sites = process_sites(p);
  if (!sites || !names(j)) return false;
  for (size_t i = 0; i < all->count; i++) {
    const struct budget *b = &all->at[i];
    if (!pattern_of_path(b->programs, j->suite->processes[j->process].program)) continue;
    struct budget_use use = budget_use(p->recording, sites, b->measure);
    if (use.value <= b->limit) continue;
    struct suite_finding f = {.kind = SUITE_BUDGET,
                              .process = j->process,
                              .measure = b->measure,
                              .value = use.value,
                              .limit = b->limit,
                              .exact = print_of(names_of[b->measure]),
                              .at = keep_stack(j->suite, j->symbols, use.site)};
    f.loose = f.exact;
    add_finding(j->suite, &f);
  }
  return true;
}

/* What it used, beside what it lost. */
static bool add_uses(struct judging *j) {
  char error[512];
  const struct context_options options = {.symbols = *j->options, .alone = true};
  const struct suite_rules *rules = &j->suite->rules;
  if (!fails_on(j->suite, SUITE_GROWTH) && !rules->budgets.count) return true;
  struct context *c =
      context_open(j->suite->processes[j->process].file, &options, error, sizeof error);
  bool done = c && (!fails_on(j->suite, SUITE_GROWTH) || add_growth(j, c->named)) &&
              (!rules->budgets.count || add_budgets(j, c->named));
  context_free(c);
  return done;
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
  if (fails_on(s, SUITE_REACHABLE) && !reachable_add(r)) return false;
  struct judging j = {.suite = s, .recording = r, .options = options, .process = process};
  bool known = leaks_known(r);
  s->processes[process].standing = known ? SUITE_JUDGED : SUITE_UNSCANNED;
  add_unrecorded_children(s, r, process);
  bool done = warmup_load(&j.warmup, r, s->rules.warmup) && add_misuses(&j) &&
              (!known || add_all_lost(&j)) && add_uses(&j);
  warmup_free(&j.warmup);
  for (int v = 0; v < UL_VERDICTS; v++)
    causes_free(j.causes[v]);
  functions_free(j.functions);
  sites_free(j.sites);
  fingerprints_free(j.prints);
  symbols_free(j.symbols);
  return done;
}

/* ---- what is added ---------------------------------------------------------------- */

bool suite_add(struct suite *s, const char *path, const struct symbols_options *options) {
  char error[512];
  struct suite_process *p = add_process(s);
  size_t i = s->process_count - 1;
  struct recording *r = recording_open(path, error, sizeof error);
  p->file = keep(s, path);
  if (!r) {
    p->unreadable = keep(s, error);
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
  *one = (struct suite_silent){.command = keep(s, fields[CHILDREN_COMMAND]),
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
  p->program = p->command = keep(s, fields[CHILDREN_COMMAND]);
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

static void add_unchecked(struct suite *s) {
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    if (p->standing != SUITE_UNSCANNED && p->standing != SUITE_UNRECORDED) continue;
    uint64_t print = print_of(basename(p->program));
    add_finding(s, &(struct suite_finding){.kind = SUITE_UNCHECKED,
                                           .process = i,
                                           .times = 1,
                                           .exact = print,
                                           .loose = print});
  }
}

static bool is_lost(const struct suite_finding *f) {
  return f->kind < SUITE_GROWTH;
}

static bool is_too_little(const struct suite *s, const struct suite_finding *f) {
  return is_lost(f) &&
         (f->of.bytes < s->rules.least.bytes || f->of.blocks < s->rules.least.blocks);
}

/* Misuses before leaks: a test that writes or frees wrongly may do anything afterwards.
 */
static int rank(const struct suite_finding *f) {
  static const int ranks[SUITE_KINDS] = {
      [SUITE_WRITTEN_FREED] = 0, [SUITE_OVERRUN] = 1,   [SUITE_BAD_FREE] = 2,
      [SUITE_MISMATCH] = 3,      [SUITE_DEFINITE] = 4,  [SUITE_INDIRECT] = 5,
      [SUITE_POSSIBLE] = 6,      [SUITE_GROWTH] = 7,    [SUITE_BUDGET] = 8,
      [SUITE_REACHABLE] = 9,     [SUITE_UNCHECKED] = 10};
  return ranks[f->kind];
}

/* ---- who loses wherever it is called ------------------------------------------------
 */

/* For what it has made, is there somebody else to blame than for another stack? */
static void note_blame(const struct suite_finding *f) {
  for (size_t i = 0; i < f->maker_count; i++) {
    struct suite_maker *m = f->makers[i].maker;
    m->disputed |= m->cause && strcmp(m->cause, f->cause.key) != 0;
    m->cause = f->cause.key;
  }
}

#define NEARLY_WHEREVER 0.7
#define NEARLY_MOST 0.9

/* 0..1: of what it has made, the part where some was lost. */
static double loses(const struct suite_maker *m) {
  return m->made ? (double)m->where_lost / (double)m->made : 0;
}

/* Further out than the cause it must lose more generally than that. */
static double loses_beside(const struct suite_finding *f, size_t i, double by_cause) {
  const struct suite_maker *m = f->makers[i].maker;
  double part = loses(m);
  bool outer = f->makers[i].frame > f->at.guilty;
  if (!m->disputed || part < NEARLY_WHEREVER) return 0;
  return outer && by_cause >= NEARLY_MOST * part ? 0 : part;
}

/* The innermost of those that lose most, if that is nearly wherever they are called. */
static void settle(struct suite_finding *f) {
  double most = 0, by_cause = 0;
  for (size_t i = 0; i < f->maker_count; i++)
    if (f->makers[i].frame == f->at.guilty) by_cause = loses(f->makers[i].maker);
  for (size_t i = 0; i < f->maker_count; i++)
    if (loses_beside(f, i, by_cause) > most) most = loses_beside(f, i, by_cause);
  for (size_t i = 0; most > 0 && i < f->maker_count; i++) {
    if (loses_beside(f, i, by_cause) < NEARLY_MOST * most) continue;
    f->cause = f->makers[i].cause;
    f->at.guilty = f->makers[i].frame;
    return;
  }
}

static void settle_all(struct suite *s) {
  struct entry *e, *entries = work_of(s)->entries;
  for (e = entries; e; e = e->hh.next)
    note_blame(&e->finding);
  for (e = entries; e; e = e->hh.next)
    settle(&e->finding);
}

/* ---- stacks become findings ---------------------------------------------------------
 */

/* What is suppressed, and by what, is one finding for itself. */
static const char *cause_of_entry(struct suite *s, const struct entry *e) {
  const struct suite_finding *f = &e->finding;
  const struct suppression *by = f->accepted;
  if (!f->cause.key) return f->key;
  obstack_printf(s->memory, "%d %d %s", f->kind, f->state, f->cause.key);
  if (by)
    obstack_printf(s->memory, " %s:%u %s", by->file ? by->file : "", by->line, by->name);
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

/* Those of one cause beside each other, most bytes first. */
static int by_cause(const struct entry *a, const struct entry *b) {
  const struct suite_finding *x = &a->finding, *y = &b->finding;
  int order = strcmp(a->cause, b->cause);
  if (order) return order;
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  return strcmp(x->key, y->key);
}

static void add_amount(struct ul_amount *to, struct ul_amount more) {
  to->blocks += more.blocks;
  to->bytes += more.bytes;
}

/* Its stacks' sightings become those of the finding, one a process. `at` is NULL for each
 * process. */
static void see_stacks(struct suite *s, struct suite_finding *f,
                       struct suite_sighting **at) {
  f->seen = NULL;
  f->processes = 0;
  for (size_t i = 0; i < f->stack_count; i++)
    for (const struct suite_sighting *seen = f->stacks[i].seen; seen;
         seen = seen->before) {
      struct suite_sighting **sum = &at[seen->process];
      if (!*sum) {
        *sum = obstack_alloc(s->memory, sizeof **sum);
        **sum = (struct suite_sighting){.process = seen->process, .before = f->seen};
        f->seen = *sum;
        f->processes++;
      }
      add_amount(&(*sum)->of, seen->of);
      add_amount(&(*sum)->dragged, seen->dragged);
      (*sum)->times += seen->times;
      (*sum)->value = seen->value;
    }
  for (const struct suite_sighting *seen = f->seen; seen; seen = seen->before)
    at[seen->process] = NULL;
}

/* Of the stacks from this entry on that have its cause; the entry behind them. */
static const struct entry *unite(struct suite *s, const struct entry *first,
                                 struct suite_finding *f, struct suite_sighting **at) {
  const struct entry *e = first, *end;
  size_t n = 0;
  for (end = first; end && strcmp(end->cause, first->cause) == 0; end = end->hh.next)
    n++;
  struct suite_finding *stacks = obstack_alloc(s->memory, n * sizeof *stacks);
  for (size_t i = 0; i < n; i++, e = e->hh.next)
    stacks[i] = e->finding;
  *f = stacks[0];
  f->stacks = stacks;
  f->stack_count = n;
  if (f->cause.key) f->exact = f->cause.print;
  for (size_t i = 1; i < n; i++) {
    add_amount(&f->of, stacks[i].of);
    add_amount(&f->dragged, stacks[i].dragged);
    f->times += stacks[i].times;
  }
  see_stacks(s, f, at);
  return end;
}

static int by_gravity(const void *a, const void *b) {
  const struct suite_finding *x = a, *y = b;
  if (rank(x) != rank(y)) return rank(x) - rank(y);
  if (x->of.bytes != y->of.bytes) return x->of.bytes > y->of.bytes ? -1 : 1;
  return strcmp(x->key, y->key); /* whatever the order of the processes */
}

/* false: no memory. */
static bool unite_all(struct suite *s) {
  struct work *w = work_of(s);
  struct suite_sighting **at = calloc(s->process_count + 1, sizeof(*at));
  if (!at) return false;
  settle_all(s);
  for (struct entry *e = w->entries; e; e = e->hh.next)
    e->cause = cause_of_entry(s, e);
  HASH_SORT(w->entries, by_cause);
  s->findings = obstack_alloc(s->memory, (s->count + 1) * sizeof *s->findings);
  s->count = 0;
  for (const struct entry *e = w->entries; e;) {
    struct suite_finding *f = &s->findings[s->count];
    e = unite(s, e, f, at);
    s->count += !is_too_little(s, f);
  }
  free(at);
  if (s->count) qsort(s->findings, s->count, sizeof *s->findings, by_gravity);
  return true;
}

bool suite_judge(struct suite *s, const struct symbols_options *options) {
  bool done = s->ours || s->rules.only_programs || judge_all(s, options);
  add_strangers(s);
  if (fails_on(s, SUITE_UNCHECKED)) add_unchecked(s);
  return unite_all(s) && done;
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

bool suite_counts(const struct suite_finding *f) {
  return f->state == SUITE_NEW || f->state == SUITE_GREW;
}

size_t suite_in_state(const struct suite *s, enum suite_state state) {
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++)
    n += s->findings[i].state == state;
  return n;
}

void suite_accept(struct suite *s) {
  for (size_t i = 0; i < s->count; i++)
    if (suite_counts(&s->findings[i])) s->findings[i].state = SUITE_KNOWN;
}

bool suite_fails(const struct suite *s) {
  struct ul_amount lost = {0, 0};
  for (size_t i = 0; i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    if (!suite_counts(f)) continue;
    if (!is_lost(f)) return true;
    lost.blocks += f->of.blocks;
    lost.bytes += f->of.bytes;
  }
  return lost.blocks > s->rules.allowed.blocks || lost.bytes > s->rules.allowed.bytes;
}

static const struct suite_sighting *sighting(const struct suite_finding *f,
                                             size_t process) {
  const struct suite_sighting *seen = f->seen;
  while (seen && seen->process != process)
    seen = seen->before;
  return seen;
}

bool suite_part(const struct suite_finding *f, size_t process,
                struct suite_finding *part) {
  const struct suite_sighting *seen = sighting(f, process);
  const struct suite_finding *stacks;
  *part = *f;
  if (!seen) return false;
  size_t n = suite_stacks(f, &stacks), i = 0;
  while (i + 1 < n && !sighting(&stacks[i], process))
    i++;
  part->at = stacks[i].at;
  part->of = seen->of;
  part->dragged = seen->dragged;
  part->times = seen->times;
  part->value = seen->value;
  return true;
}

/* ---- life ------------------------------------------------------------------------- */

struct suite *suite_new(const struct suite_rules *rules) {
  struct work *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  obstack_init(&w->memory);
  obstack_init(&w->pids);
  w->suite.rules = *rules;
  w->suite.memory = &w->memory;
  return &w->suite;
}

void suite_free(struct suite *s) {
  if (!s) return;
  HASH_CLEAR(hh, work_of(s)->entries);
  HASH_CLEAR(hh, work_of(s)->silent);
  HASH_CLEAR(hh, work_of(s)->makers);
  obstack_free(&work_of(s)->pids, NULL);
  obstack_free(s->memory, NULL);
  free(s);
}
