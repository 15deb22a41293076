#include "answers/suite_stacks.h"

#include "answers/context.h"
#include "answers/suite.h"
#include "answers/warmup.h"
#include "names/files.h"
#include "pattern.h"
#include "read/reachable.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- of one recording ------------------------------------------------------------- */

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

/* Compilers write paths down as they were given: "build/../src". */
static const char *straighten(const char *path, char room[static PATH_MAX]) {
  size_t n = 0;
  while (*path) {
    size_t length = strcspn(path + 1, "/") + 1; /* with its slash in front */
    if (length + n >= PATH_MAX) break;
    if (length == 3 && strncmp(path, "/..", 3) == 0)
      while (n && room[--n] != '/')
        ;
    else if (length > 1 && !(length == 2 && path[1] == '.'))
      n = (size_t)((char *)mempcpy(room + n, path, length) - room);
    path += length;
  }
  room[n] = 0;
  return room;
}

static const char *keep_path(struct suite *s, const char *path) {
  char room[PATH_MAX];
  bool fits = path && *path == '/' && strlen(path) < sizeof room;
  return suite_keep(s, fits ? straighten(path, room) : path);
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
    f->function = suite_keep(s, f->function);
    f->linkage = suite_keep(s, frame_symbol(symbols, f));
    f->file = keep_path(s, f->file);
    f->module = suite_keep(s, f->module);
    ours_see(&s->rules.ours, f->file, f->module);
  }
  stack.frames = kept;
  stack.blamed = stack.count ? frame_guilty(kept, stack.count) : 0;
  stack.guilty =
      ours_frame(&s->rules.ours, kept, stack.count, stack.blamed, stack.blamed);
  return stack;
}

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

/* ---- causes ----------------------------------------------------------------------- */

/* A function is known by its source, or else its module. */
static const char *name_of(struct suite *s, const struct frame *at) {
  const char *in = at->file ? keep_path(s, at->file) : at->module ? at->module : "";
  if (at->function)
    obstack_printf(s->memory, "%s\n%s", at->function, in);
  else
    obstack_printf(s->memory, "%llx\n%s",
                   (unsigned long long)(at->start ? at->start : at->offset), in);
  obstack_1grow(s->memory, 0);
  return obstack_finish(s->memory);
}

static struct suite_maker *maker_of(struct suite *s, const struct frame *at, bool make) {
  return suite_maker_of(s, name_of(s, at), make);
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
    suite_maker_add(makers[function], made, lost);
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

/* ---- what is lost ----------------------------------------------------------------- */

static bool add_lost(struct judging *j, const struct ul_leak *row, enum suite_kind kind) {
  struct ul_leak late = *row, *leak = &late;
  struct suite_process *p = &j->suite->processes[j->process];
  if (!warmup_leaves(&j->warmup, leak)) {
    p->cold = p->cold || j->warmup.end_ms > j->warmup.start_ms + p->duration_ms;
    return true;
  }
  p->unmarked = j->suite->rules.warmup && !j->warmup.end_ms;
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
  suite_found_add(j->suite, &f);
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
    if (!suite_fails_on(j->suite, kinds[k].kind)) continue;
    if (kinds[k].kind == SUITE_INDIRECT && suite_fails_on(j->suite, SUITE_DEFINITE))
      continue;
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
  suite_found_add(j->suite, &f);
  return true;
}

static bool add_misuses(struct judging *j) {
  bool done = true;
  for (int kind = 0; kind < UL_MISUSES; kind++) {
    if (!suite_fails_on(j->suite, kind_of(kind))) continue;
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
    suite_found_add(j->suite, &f);
  }
  return true;
}

static bool add_budgets(struct judging *j, struct process *p) {
  static const char *const names_of[BUDGET_MEASURES] = BUDGET_NAMES;
  struct budgets *all = &j->suite->rules.budgets;
  const struct sites *sites = process_sites(p);
  if (!sites || !names(j)) return false;
  for (size_t i = 0; i < all->count; i++) {
    struct budget *b = &all->at[i];
    if (!pattern_of_path(b->programs, j->suite->processes[j->process].program)) continue;
    b->met = true;
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
    suite_found_add(j->suite, &f);
  }
  return true;
}

/* What it used, beside what it lost. */
static bool add_uses(struct judging *j) {
  char error[512];
  const struct context_options options = {.symbols = *j->options, .alone = true};
  const struct suite_rules *rules = &j->suite->rules;
  if (!suite_fails_on(j->suite, SUITE_GROWTH) && !rules->budgets.count) return true;
  struct context *c =
      context_open(j->suite->processes[j->process].file, &options, error, sizeof error);
  bool done = c && (!suite_fails_on(j->suite, SUITE_GROWTH) || add_growth(j, c->named)) &&
              (!rules->budgets.count || add_budgets(j, c->named));
  context_free(c);
  return done;
}

bool suite_stacks_of(struct suite *s, struct recording *r, size_t process,
                     const struct symbols_options *options) {
  if (suite_fails_on(s, SUITE_REACHABLE) && !reachable_add(r)) return false;
  struct judging j = {.suite = s, .recording = r, .options = options, .process = process};
  const struct ul_module *m;
  for (uint64_t i = 0; (m = recording_module(r, i)); i++)
    ours_see(&s->rules.ours, NULL, recording_text(r, m->name));
  bool done = warmup_load(&j.warmup, r, s->rules.warmup) && add_misuses(&j) &&
              (!leaks_known(r) || add_all_lost(&j)) && add_uses(&j);
  warmup_free(&j.warmup);
  for (int v = 0; v < UL_VERDICTS; v++)
    causes_free(j.causes[v]);
  functions_free(j.functions);
  sites_free(j.sites);
  fingerprints_free(j.prints);
  symbols_free(j.symbols);
  symbol_files_bound(options->files);
  return done;
}

void suite_stacks_unchecked(struct suite *s) {
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    if (p->standing != SUITE_UNSCANNED && p->standing != SUITE_UNRECORDED) continue;
    uint64_t print = print_of(basename(p->program));
    suite_found_add(s, &(struct suite_finding){.kind = SUITE_UNCHECKED,
                                               .process = i,
                                               .times = 1,
                                               .exact = print,
                                               .loose = print});
  }
}
