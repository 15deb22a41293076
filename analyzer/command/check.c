/* check.c - see check.h.
 *
 * Findings win over every ordinary status of the program, so that neither a test that is
 * meant to fail nor one that is skipped hides them; a death by signal keeps its signal.
 * Where ullage itself failed, or the program could not be recorded, the status is never
 * 0. */
#include "command/check.h"
#include "answers/baseline.h"
#include "answers/children.h"
#include "answers/moment.h"
#include "answers/suite.h"
#include "command/ending.h"
#include "command/kept.h"
#include "command/launch.h"
#include "command/usage.h"
#include "names/files.h"
#include "pattern.h"
#include "show/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_FOUND 99 /* a hard error for automake and meson */
#define FORMATS_MOST 16
#define PERCENT_MOST 100

struct output {
  const struct suite_format *format;
  const char *file; /* NULL: standard output */
};

struct check {
  struct launch launch;
  struct suite_rules rules;
  struct symbols_options symbols;
  struct suite_page page;
  struct output outputs[FORMATS_MOST];
  size_t output_count;
  unsigned status;           /* if there are findings */
  struct baseline *baseline; /* NULL: there is none */
  const char *update;        /* to be written; NULL: is not */
  struct baseline_slack slack;
  bool keep_going;
  bool only_named; /* --ours names whose code it is that counts */
  bool found;
  bool runs; /* a program; else recordings are judged */
  char **recordings;
  char here[PATH_MAX + 2]; /* the pattern of what lies below the current directory */
  struct kept kept;        /* recordings that go if nothing is found */
};

/* ---- options ------------------------------------------------------------------- */

enum {
  OPTION_PROGRAMS = 256,
  OPTION_EXIT_CODE,
  OPTION_STRICT,
  OPTION_FAIL_ON,
  OPTION_MIN_BYTES,
  OPTION_MIN_BLOCKS,
  OPTION_ALLOW_BYTES,
  OPTION_ALLOW_BLOCKS,
  OPTION_OURS,
  OPTION_NOT_OURS,
  OPTION_WARMUP,
  OPTION_MAX,
  OPTION_KEEP_GOING,
  OPTION_BASELINE,
  OPTION_UPDATE_BASELINE,
  OPTION_GROW_BLOCKS,
  OPTION_GROW_PERCENT,
  OPTION_SUPPRESSIONS,
  OPTION_GEN_SUPPRESSIONS,
  OPTION_FORMAT,
  OPTION_SOURCE_ROOT,
  OPTION_ALL,
  OPTION_SYSROOT,
  OPTION_DEBUGINFOD
};

static const struct option options[] = {
    LAUNCH_OPTIONS,
    {"programs", required_argument, NULL, OPTION_PROGRAMS},
    {"exit-code", required_argument, NULL, OPTION_EXIT_CODE},
    {"strict", no_argument, NULL, OPTION_STRICT},
    {"fail-on", required_argument, NULL, OPTION_FAIL_ON},
    {"min-bytes", required_argument, NULL, OPTION_MIN_BYTES},
    {"min-blocks", required_argument, NULL, OPTION_MIN_BLOCKS},
    {"allow-bytes", required_argument, NULL, OPTION_ALLOW_BYTES},
    {"allow-blocks", required_argument, NULL, OPTION_ALLOW_BLOCKS},
    {"ours", required_argument, NULL, OPTION_OURS},
    {"not-ours", required_argument, NULL, OPTION_NOT_OURS},
    {"warmup", required_argument, NULL, OPTION_WARMUP},
    {"max", required_argument, NULL, OPTION_MAX},
    {"keep-going", no_argument, NULL, OPTION_KEEP_GOING},
    {"baseline", required_argument, NULL, OPTION_BASELINE},
    {"update-baseline", required_argument, NULL, OPTION_UPDATE_BASELINE},
    {"grow-blocks", required_argument, NULL, OPTION_GROW_BLOCKS},
    {"grow-percent", required_argument, NULL, OPTION_GROW_PERCENT},
    {"suppressions", required_argument, NULL, OPTION_SUPPRESSIONS},
    {"gen-suppressions", required_argument, NULL, OPTION_GEN_SUPPRESSIONS},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"source-root", required_argument, NULL, OPTION_SOURCE_ROOT},
    {"all", no_argument, NULL, OPTION_ALL},
    {"sysroot", required_argument, NULL, OPTION_SYSROOT},
    {"debuginfod", no_argument, NULL, OPTION_DEBUGINFOD},
    {NULL, 0, NULL, 0}};

static int parse_fail_on(struct check *c, const char *list) {
  static const char *const names[SUITE_KINDS] = SUITE_KIND_NAMES;
  unsigned strict = c->rules.fail_on & 1u << SUITE_UNCHECKED;
  c->rules.fail_on = strict;
  for (const char *name = list;; name++) {
    size_t length = strcspn(name, ","), kind = 0;
    while (kind < SUITE_BUDGET &&
           (strlen(names[kind]) != length || strncmp(name, names[kind], length)))
      kind++;
    if (kind == SUITE_BUDGET)
      return say_usage("check",
                       "--fail-on=%s: definite, indirect, possible, reachable, growth, "
                       "bad-free, mismatch, overrun or write-after-free expected",
                       list);
    c->rules.fail_on |= 1u << kind;
    name += length;
    if (!*name) return EXIT_FINE;
  }
}

/* The other one has no limit unless it is said. */
static int parse_amount(const char *option, uint64_t *amount) {
  if (parse_size(optarg, amount)) return EXIT_FINE;
  return say_usage("check", "--%s=%s: a number such as 4096, 64K or 2MiB expected",
                   option, optarg);
}

static int parse_allowed(struct check *c, const char *option, uint64_t *amount) {
  struct ul_amount *allowed = &c->rules.allowed;
  if (!allowed->bytes && !allowed->blocks)
    *allowed = (struct ul_amount){UINT64_MAX, UINT64_MAX};
  return parse_amount(option, amount);
}

/* What is there is a path, else it is the name of a module. */
static int add_ours(const char *option, struct ours_list *list) {
  char *path = realpath(optarg, NULL);
  if (list->count == OURS_MOST)
    return say_usage("check", "--%s: at most %d of them", option, OURS_MOST);
  if (!*optarg || (!path && strchr(optarg, '/')))
    return say_usage("check", "--%s=%s: there is no such path, and a module has no slash",
                     option, optarg);
  list->at[list->count++] = path ? path : optarg;
  return EXIT_FINE;
}

/* Unless something else is said. */
static void add_here(struct ours_list *list) {
  char *here = realpath(".", NULL);
  if (here) list->at[list->count++] = here;
}

static int parse_ours(struct check *c) {
  if (strcmp(optarg, "only") != 0) return add_ours("ours", &c->rules.ours.mine);
  c->rules.ours.only = true;
  return EXIT_FINE;
}

static int parse_warmup(struct check *c) {
  uint64_t ms;
  c->rules.warmup = optarg;
  if (moment_time(optarg, &ms) || ul_mark_is_name(optarg)) return EXIT_FINE;
  return say_usage("check", "--warmup=%s: a time such as 10s, or the name of a mark",
                   optarg);
}

static bool parse_limit(char *text, struct budget *b) {
  static const char *const names[BUDGET_MEASURES] = BUDGET_NAMES;
  char *value = strchr(text, '=');
  size_t n = value ? (size_t)(value - text) : 0, end = value ? strlen(value) : 0, m = 0;
  while (m < BUDGET_MEASURES && (strlen(names[m]) != n || strncmp(names[m], text, n)))
    m++;
  if (m == BUDGET_MEASURES) return false;
  b->measure = (enum budget_measure)m;
  if ((value[end - 1] == '%') != (m == BUDGET_TEMPORARY)) return false;
  if (m == BUDGET_TEMPORARY) value[end - 1] = 0;
  return parse_size(value + 1, &b->limit) &&
         (m != BUDGET_TEMPORARY || b->limit <= PERCENT_MOST);
}

/* [PATTERN:]MEASURE=LIMIT,... The pattern may have colons, the rest has none. */
static int parse_max(struct check *c) {
  struct budgets *all = &c->rules.budgets;
  char *colon = strrchr(optarg, ':'), *limit;
  const char *programs = colon ? strndup(optarg, (size_t)(colon - optarg)) : "*";
  char *copy = strdup(colon ? colon + 1 : optarg), *rest = copy;
  bool fine = copy && programs && *programs;
  while (fine && (limit = strsep(&rest, ","))) {
    struct budget *b = &all->at[all->count];
    fine = all->count < BUDGETS_MOST && parse_limit(limit, b);
    if (!fine) break;
    b->programs = programs;
    all->count++;
  }
  free(copy);
  if (fine) return EXIT_FINE;
  return say_usage("check",
                   "--max=%s: [PATTERN:]peak=SIZE,live=SIZE,allocations=N,temporary=N%% "
                   "expected, at most %d of them",
                   optarg, BUDGETS_MOST);
}

static int say_bad_format(const char *option, const struct suite_format *f,
                          const char *format) {
  char names[256] = "";
  for (; f->name; f++)
    snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
             *names ? ", " : "", f->name);
  return say_usage("check", "--%s=%s: expected is one of %s, perhaps with :FILE", option,
                   format, names);
}

static int parse_format(struct check *c, const char *option,
                        const struct suite_format *formats, const char *format) {
  const struct suite_format *f = formats;
  size_t length = strcspn(format, ":");
  while (f->name && (strlen(f->name) != length || strncmp(f->name, format, length)))
    f++;
  if (!f->name || (format[length] && !format[length + 1]))
    return say_bad_format(option, formats, format);
  if (c->output_count == FORMATS_MOST)
    return say_usage("check", "--%s: at most %d of them", option, FORMATS_MOST);
  c->outputs[c->output_count++] =
      (struct output){f, format[length] ? format + length + 1 : NULL};
  return EXIT_FINE;
}

static int read_suppressions(struct check *c, const char *path) {
  char error[PATH_MAX + 256];
  if (!*path) return say_usage("check", "--suppressions: the name of the file is empty");
  if (suppressions_read(c->rules.suppressions, path, error, sizeof error))
    return EXIT_FINE;
  return say_usage("check", "--suppressions: %s", error);
}

static int read_baseline(struct check *c, const char *path) {
  char error[PATH_MAX + 256];
  if (c->baseline) return say_usage("check", "one baseline is enough");
  c->baseline = baseline_read(path, error, sizeof error);
  return c->baseline ? EXIT_FINE : say_usage("check", "--baseline: %s", error);
}

static int update_baseline(struct check *c, const char *path) {
  c->update = path;
  if (access(path, F_OK) == 0) return read_baseline(c, path);
  if (c->baseline) return say_usage("check", "one baseline is enough");
  c->baseline = baseline_new();
  return c->baseline ? EXIT_FINE : say_failed("not enough memory");
}

static int parse_slack(const char *option, unsigned most, unsigned *value) {
  if (parse_number(optarg, 0, most, value)) return EXIT_FINE;
  return say_usage("check", "--%s=%s: a number from 0 to %u expected", option, optarg,
                   most);
}

static int parse_option(struct check *c, int option, char *argv[]) {
  int status = launch_option(&c->launch, option);
  if (status != LAUNCH_OTHER) return status;
  switch (option) {
  case OPTION_PROGRAMS:
    c->rules.programs = strcmp(optarg, "all") ? optarg : "*";
    c->rules.only_programs = strcmp(optarg, "all") != 0;
    return EXIT_FINE;
  case OPTION_EXIT_CODE:
    if (parse_number(optarg, 0, 255, &c->status)) return EXIT_FINE;
    return say_usage("check", "--exit-code=%s: a number from 0 to 255 expected", optarg);
  case OPTION_STRICT:
    c->rules.fail_on |= 1u << SUITE_UNCHECKED;
    return EXIT_FINE;
  case OPTION_FAIL_ON:
    return parse_fail_on(c, optarg);
  case OPTION_MIN_BYTES:
    return parse_amount("min-bytes", &c->rules.least.bytes);
  case OPTION_MIN_BLOCKS:
    return parse_amount("min-blocks", &c->rules.least.blocks);
  case OPTION_ALLOW_BYTES:
    return parse_allowed(c, "allow-bytes", &c->rules.allowed.bytes);
  case OPTION_ALLOW_BLOCKS:
    return parse_allowed(c, "allow-blocks", &c->rules.allowed.blocks);
  case OPTION_OURS:
    return parse_ours(c);
  case OPTION_NOT_OURS:
    return add_ours("not-ours", &c->rules.ours.others);
  case OPTION_WARMUP:
    return parse_warmup(c);
  case OPTION_MAX:
    return parse_max(c);
  case OPTION_KEEP_GOING:
    c->keep_going = true;
    return EXIT_FINE;
  case OPTION_FORMAT:
    return parse_format(c, "format", suite_formats, optarg);
  case OPTION_BASELINE:
    return read_baseline(c, optarg);
  case OPTION_UPDATE_BASELINE:
    return update_baseline(c, optarg);
  case OPTION_GROW_BLOCKS:
    return parse_slack("grow-blocks", UINT_MAX, &c->slack.blocks);
  case OPTION_GROW_PERCENT:
    return parse_slack("grow-percent", 1000000, &c->slack.percent);
  case OPTION_SUPPRESSIONS:
    return read_suppressions(c, optarg);
  case OPTION_GEN_SUPPRESSIONS:
    return parse_format(c, "gen-suppressions", suite_suppressions, optarg);
  case OPTION_SOURCE_ROOT:
    c->page.source_root = realpath(optarg, NULL); /* else it is another machine's */
    if (!c->page.source_root) c->page.source_root = optarg;
    return EXIT_FINE;
  case OPTION_ALL:
    c->page.all = true;
    return EXIT_FINE;
  case OPTION_SYSROOT:
    c->symbols.sysroot = optarg;
    return EXIT_FINE;
  case OPTION_DEBUGINFOD:
    c->symbols.debuginfod = true;
    return EXIT_FINE;
  default:
    return say_bad_option("check", argv, option, options);
  }
}

/* Behind "--" is a program. */
static bool ends_options(char *const argv[], const char *value) {
  return strcmp(argv[optind - 1], "--") == 0 && argv[optind - 1] != value;
}

static int parse(struct check *c, int argc, char *argv[]) {
  const char *value = NULL;
  int option, status;
  while ((option = getopt_long(argc, argv, "+:o:q", options, NULL)) != -1) {
    if ((status = parse_option(c, option, argv)) != EXIT_FINE) return status;
    value = optarg;
  }
  c->runs = ends_options(argv, value);
  c->only_named = c->rules.ours.only && c->rules.ours.mine.count;
  if (c->rules.ours.only && !c->rules.ours.mine.count) add_here(&c->rules.ours.mine);
  if (c->runs) return launch_command(&c->launch, argc, argv);
  if (optind == argc)
    return say_usage("check", "what to check? 'ullage check -- PROGRAM' runs one");
  if (c->launch.file) return say_usage("check", "-o goes with a program, after --");
  c->recordings = argv + optind;
  return EXIT_FINE;
}

/* ---- the verdict ----------------------------------------------------------------- */

/* A recording, those of its children, and the lines of those that left none. */
static bool add_tree(const struct check *c, struct suite *s, const char *path,
                     const struct children *children) {
  bool done = access(path, F_OK) != 0 || suite_add(s, path, &c->symbols);
  for (size_t i = 0; children && i < children->count; i++)
    done = suite_add(s, children->files[i], &c->symbols) && done;
  suite_add_lines(s, path);
  return done;
}

/* On standard error each line is marked as ours. */
static void say_text(const struct check *c, const struct suite *s) {
  char *text = NULL, *rest, *line;
  size_t bytes;
  struct suite_page page = c->page;
  if (!(page.out = open_memstream(&text, &bytes))) return;
  suite_text(s, &page);
  fclose(page.out);
  for (rest = text; (line = strsep(&rest, "\n"));)
    if (*line) say("%s", line);
  free(text);
}

static int write_page(const struct suite *s, suite_view *view, struct suite_page page,
                      const char *file) {
  page.out = file ? fopen(file, "we") : stdout;
  bool failed = !page.out;
  if (!failed) view(s, &page);
  failed = failed || fflush(page.out) != 0 || ferror(page.out);
  if (page.out && file) failed = fclose(page.out) != 0 || failed;
  if (!failed) return EXIT_FINE;
  return say_failed("cannot write %s: %s", file ? file : "the output", strerror(errno));
}

/* Which of those of the same id it is: one before and one after each exec. */
static size_t same_before(const struct suite *s, const struct suite_process *p) {
  size_t n = 0;
  for (const struct suite_process *q = s->processes; q < p; q++)
    n += q->pid == p->pid && suite_is_judged(q);
  return n;
}

/* As Valgrind names files: "%p" is the process, "%%" a '%'. Of several of one id the
 * later ones are "ID.1", "ID.2". NULL: no memory. */
static char *file_of_process(const char *file, const struct suite *s,
                             const struct suite_process *p) {
  char *name = NULL;
  size_t size, before = same_before(s, p);
  FILE *out = open_memstream(&name, &size);
  for (const char *at = file; out && *at; at++) {
    if (*at != '%' || (at[1] != 'p' && at[1] != '%')) {
      fputc(*at, out);
      continue;
    }
    if (*++at == '%')
      fputc('%', out);
    else if (before)
      fprintf(out, "%d.%zu", p->pid, before);
    else
      fprintf(out, "%d", p->pid);
  }
  if (out) fclose(out);
  return name;
}

static int write_each(const struct suite *s, const struct output *output,
                      struct suite_page page) {
  int status = EXIT_FINE;
  for (size_t i = 0; i < s->process_count; i++) {
    page.process = &s->processes[i];
    if (!suite_is_judged(page.process)) continue;
    char *file = file_of_process(output->file, s, page.process);
    if (!file) return say_failed("not enough memory");
    if (write_page(s, output->format->view, page, file)) status = EXIT_FAILED;
    free(file);
  }
  return status;
}

static int write_output(const struct check *c, const struct suite *s,
                        const struct output *output) {
  bool each = output->format->alone && output->file && strstr(output->file, "%p");
  if (each) return write_each(s, output, c->page);
  return write_page(s, output->format->view, c->page, output->file);
}

static int tell(const struct check *c, const struct suite *s) {
  int status = EXIT_FINE;
  fflush(stdout);
  for (size_t i = 0; i < c->output_count; i++)
    if (write_output(c, s, &c->outputs[i])) status = EXIT_FAILED;
  if (!c->launch.quiet) say_text(c, s);
  return status;
}

static int accept_all(const struct check *c, struct suite *s) {
  struct baseline *next = baseline_next(c->baseline, s, suite_names);
  bool written = next && baseline_write(next, c->update);
  int error = errno;
  if (written) suite_accept(s);
  if (written && !c->launch.quiet)
    say("accepted: %s has %zu line%s", c->update, next->count,
        next->count == 1 ? "" : "s");
  baseline_free(next);
  if (written) return EXIT_FINE;
  return say_failed("cannot write the baseline %s: %s", c->update, strerror(error));
}

/* A pattern that nothing has is a slip, and no verdict. */
static int say_no_program(const struct check *c) {
  return say_failed(
      "--programs=%s: there was no such program, nothing was judged; a pattern "
      "with a slash is of whole paths, one without of names",
      c->rules.programs);
}

/* So is one of a budget: what is not there cannot exceed it. */
static int say_idle_budget(const struct suite *s) {
  const struct budgets *all = &s->rules.budgets;
  for (size_t i = 0; i < all->count && !s->silent; i++)
    if (!all->at[i].met)
      return say_failed("--max=%s:...: there was no such program to be judged; a pattern "
                        "with a slash is of whole paths, one without of names",
                        all->at[i].programs);
  return EXIT_FINE;
}

/* The first that is a module's name; NULL: none is. */
static const char *own_module(const struct ours *o) {
  for (size_t i = 0; i < o->mine.count; i++)
    if (*o->mine.at[i] != '/') return o->mine.at[i];
  return NULL;
}

/* Nothing that was found counts: is that because nothing could? */
static int say_nobodys(const struct check *c, const struct suite *s) {
  const struct ours *ours = &s->rules.ours;
  const char *module = own_module(ours);
  bool told = !c->only_named || s->silent || !suite_in_state(s, SUITE_FOREIGN);
  for (size_t i = 0; i < ours->mine.count; i++)
    told = told || ours->mine.seen[i];
  if (told || (!module && ours->sources)) return EXIT_FINE;
  if (!module)
    return say_failed("--ours=%s: of what was found no source is known, so none of it "
                      "counts; compile with -g, or name a module",
                      ours->mine.at[0]);
  return say_failed("--ours=%s: no process has loaded such a module, so nothing that was "
                    "found counts; it is a pattern of a file's name, as 'libfoo.so*'",
                    module);
}

static int say_slips(const struct check *c, const struct suite *s) {
  int status = say_idle_budget(s);
  return status == EXIT_FINE ? say_nobodys(c, s) : status;
}

/* Judged and told; an exit status. */
static int conclude(struct check *c, struct suite *s, bool complete) {
  int accepted = EXIT_FINE;
  if (!complete || !suite_judge(s, &c->symbols)) return say_failed("not enough memory");
  if (c->rules.only_programs && !suite_has_ours(s)) return say_no_program(c);
  int slip = say_slips(c, s);
  if (slip != EXIT_FINE && !suite_fails(s)) return slip;
  if (c->baseline && !baseline_compare(c->baseline, s, c->slack))
    return say_failed("not enough memory");
  if (c->update) accepted = accept_all(c, s);
  c->found = suite_fails(s);
  if (c->found) kept_reduce(&c->kept, s);
  if (c->runs && (c->found || !*c->kept.folder)) c->page.recording = c->launch.file;
  if (*c->kept.folder) c->page.stays = KEPT_FOLDERS;
  int status = tell(c, s);
  if (c->found) return (int)c->status;
  return slip ? slip : accepted ? accepted : status;
}

/* ---- a program ------------------------------------------------------------------- */

/* Could it be written now? A suite that runs for an hour should not end by this. */
static int expect_to_write(const char *what, const char *file) {
  struct stat st;
  char *folder = strndup(file, (size_t)(basename(file) - file));
  bool there = stat(file, &st) == 0, is_folder = there && S_ISDIR(st.st_mode);
  bool can = access(there ? file : folder && *folder ? folder : ".", W_OK) == 0;
  int error = is_folder ? EISDIR : errno;
  can = can && !is_folder;
  free(folder);
  return can ? EXIT_FINE
             : say_failed("cannot write %s%s: %s", what, file, strerror(error));
}

static int expect_outputs(const struct check *c) {
  int status = c->update ? expect_to_write("the baseline ", c->update) : EXIT_FINE;
  if (status == EXIT_FINE && c->launch.file) status = expect_to_write("", c->launch.file);
  for (size_t i = 0; i < c->output_count && status == EXIT_FINE; i++)
    if (c->outputs[i].file) status = expect_to_write("", c->outputs[i].file);
  return status;
}

static int prepare(struct check *c) {
  struct launch *l = &c->launch;
  bool asks_modules = c->only_named && own_module(&c->rules.ours);
  bool keeps_all = c->rules.budgets.count || asks_modules ||
                   c->rules.fail_on & (1u << SUITE_INDIRECT | 1u << SUITE_POSSIBLE |
                                       1u << SUITE_REACHABLE | 1u << SUITE_GROWTH);
  if (!c->rules.programs && !getcwd(c->here, PATH_MAX))
    return say_failed("the current directory is not known: %s; --programs names what is "
                      "to be judged",
                      strerror(errno));
  if (!c->rules.programs) c->rules.programs = strcat(c->here, "/*");
  setenv("ULLAGE_RECORD", "yes", 1);
  l->children = l->scan = l->frees = YES;
  l->programs = c->rules.programs;
  l->keep = keeps_all ? "all" : "lost";
  if (!c->keep_going)
    l->abort_on = "double-free,invalid-free,realloc-after-free,invalid-realloc";
  if (l->file) return EXIT_FINE;
  l->file = c->kept.recording;
  return kept_make(&c->kept);
}

/* Is it not known what the program did that was named, and nobody there in its place? */
static bool lacks_program(const struct check *c, const struct suite *s, pid_t pid) {
  bool known = false;
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    if (p->pid != pid) continue;
    if (p->standing == SUITE_UNRECORDED) return true;
    if (p->standing != SUITE_NOT_OURS && p->stop) return true;
    known = true;
  }
  return !known &&
         (!s->ours || pattern_of_path(c->rules.programs, c->launch.program.program));
}

static int judge_run(struct check *c, pid_t pid, int end) {
  struct suite *s = suite_new(&c->rules);
  if (!s || !launch_name(&c->launch, pid)) return say_failed("not enough memory");
  const char *path = c->launch.path;
  ending_settle(path, pid);
  struct children *children = children_find(path);
  ending_complete(path, pid, end, c->launch.kills, children);
  s->main_pid = pid;
  int status = conclude(c, s, add_tree(c, s, path, children));
  if (status == EXIT_FINE && lacks_program(c, s, pid))
    status = say_failed("%s was not recorded, or not to its end: it is not known what it "
                        "did",
                        c->launch.command[0]);
  children_free(children);
  suite_free(s);
  return status;
}

/* Of a program that ended by itself. */
static int status_of(const struct check *c, int verdict, int end) {
  bool found = c->found && c->status;
  return found || end == EXIT_FINE ? verdict : end;
}

/* "passed" is about findings. */
static void say_own_failure(const struct check *c, int end) {
  const char *program = basename(c->launch.command[0]);
  if (c->launch.quiet || (WIFEXITED(end) && !WEXITSTATUS(end))) return;
  if (WIFEXITED(end))
    say("%s itself failed: status %d, which is passed on", program, WEXITSTATUS(end));
  else
    say("%s itself failed: signal %d, which is passed on", program, WTERMSIG(end));
}

static int check_program(struct check *c) {
  pid_t pid = -1;
  int end = 0, status = expect_outputs(c);
  if (status == EXIT_FINE) status = prepare(c);
  if (status == EXIT_FINE) status = launch_prepare(&c->launch);
  if (status == EXIT_FINE) status = launch_run(&c->launch, &pid, &end);
  bool ran = status == EXIT_FINE;
  if (ran) status = judge_run(c, pid, end);
  if (!c->found) kept_remove(&c->kept);
  if (!ran) return status;
  if (!c->found) say_own_failure(c, end);
  return WIFEXITED(end) ? status_of(c, status, WEXITSTATUS(end)) : launch_end_like(end);
}

/* ---- recordings ------------------------------------------------------------------- */

static int check_recordings(struct check *c) {
  if (!c->rules.programs) c->rules.programs = "*";
  struct suite *s = suite_new(&c->rules);
  bool complete = s;
  for (char **path = c->recordings; complete && *path; path++) {
    char error[512];
    struct recording *r = recording_open(*path, error, sizeof error);
    if (!r) {
      suite_free(s);
      return say_failed("%s: %s", *path, error);
    }
    recording_close(r);
    struct children *children = children_find(*path);
    complete = add_tree(c, s, *path, children);
    children_free(children);
  }
  if (!c->recordings[1]) c->page.recording = c->recordings[0];
  int status = s ? conclude(c, s, complete) : say_failed("not enough memory");
  suite_free(s);
  return status;
}

int check_main(int argc, char *argv[]) {
  static struct check c = {
      .launch.verb = "check",
      .rules.fail_on = 1u << SUITE_DEFINITE | 1u << SUITE_BAD_FREE | 1u << SUITE_OVERRUN |
                       1u << SUITE_WRITTEN_FREED,
      .status = EXIT_FOUND,
      .slack = {.blocks = 1, .percent = 10},
  };
  c.symbols.files = symbol_files_new();
  if (!(c.rules.suppressions = suppressions_new()) || !c.symbols.files)
    return say_failed("not enough memory");
  int status = parse(&c, argc, argv);
  if (status == EXIT_FINE) status = c.runs ? check_program(&c) : check_recordings(&c);
  symbol_files_free(c.symbols.files);
  suppressions_free(c.rules.suppressions);
  baseline_free(c.baseline);
  return status;
}
