#include "answers/baseline.h"

#include "read/array.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

static const char magic[] = "# ullage baseline 2", first_magic[] = "# ullage baseline 1";
static const char *const kinds[SUITE_KINDS] = SUITE_KIND_NAMES;

/* Of findings and lines that belong together. */
struct pile {
  size_t parent; /* index in the piles: its own, or that of one nearer to the pile's */
  struct ul_amount was, now;
  struct ul_amount absent; /* what was in programs that did not run */
  bool renewed;            /* some of its lines are other ones by now, or gone */
  struct ul_amount passed; /* of `now`, to lines of the next baseline */
};

struct work {
  struct baseline baseline;
  struct obstack memory;
  size_t room;
  struct pile *piles; /* of each finding, then of each line; NULL: nothing is compared */
};

static struct work *work_of(struct baseline *b) {
  return (struct work *)b;
}

static const char *keep(struct baseline *b, const char *text, size_t n) {
  return obstack_copy0(b->memory, text, n);
}

static struct baseline_line *add(struct baseline *b) {
  struct work *w = work_of(b);
  if (!ARRAY_GROW(b->lines, b->count, w->room)) return NULL;
  b->lines[b->count] = (struct baseline_line){.program = ""};
  return &b->lines[b->count++];
}

struct baseline *baseline_new(void) {
  struct work *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  obstack_init(&w->memory);
  w->baseline.memory = &w->memory;
  return &w->baseline;
}

void baseline_free(struct baseline *b) {
  if (!b) return;
  obstack_free(b->memory, NULL);
  free(work_of(b)->piles);
  free(b->lines);
  free(b);
}

/* ---- order ------------------------------------------------------------------------ */

static int by_program(const void *a, const void *b) {
  const struct baseline_line *x = a, *y = b;
  int order = strcmp(x->program, y->program);
  if (order) return order;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->exact != y->exact) return x->exact < y->exact ? -1 : 1;
  return 0;
}

static void sort(struct baseline *b) {
  if (b->count) qsort(b->lines, b->count, sizeof *b->lines, by_program);
}

static uint64_t larger(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

/* Two branches may both have accepted it. */
static void unite(struct baseline *b) {
  size_t kept = 0;
  sort(b);
  for (size_t i = 0; i < b->count; i++) {
    struct baseline_line *line = &b->lines[i], *last = &b->lines[kept - !!kept];
    if (kept && by_program(last, line) == 0) {
      last->of.blocks = larger(last->of.blocks, line->of.blocks);
      last->of.bytes = larger(last->of.bytes, line->of.bytes);
    } else {
      b->lines[kept++] = *line;
    }
  }
  b->count = kept;
}

/* ---- names of programs: without blanks --------------------------------------------- */

static bool is_plain(char c) {
  return (unsigned char)c > ' ' && c != 127 && c != '%' && c != '#';
}

static void put_program(const char *name, FILE *out) {
  for (; *name; name++)
    fprintf(out, is_plain(*name) ? "%c" : "%%%02X", (unsigned char)*name);
}

static const char *keep_program(struct baseline *b, const char *text) {
  for (; *text; text++) {
    unsigned code;
    bool coded = *text == '%' && isxdigit((unsigned char)text[1]) &&
                 isxdigit((unsigned char)text[2]) && sscanf(text + 1, "%2x", &code) == 1;
    obstack_1grow(b->memory, coded ? (char)code : *text);
    if (coded) text += 2;
  }
  obstack_1grow(b->memory, 0);
  return obstack_finish(b->memory);
}

/* ---- read ------------------------------------------------------------------------- */

static bool kind_of(const char *name, enum suite_kind *kind) {
  for (int k = 0; k < SUITE_KINDS; k++) {
    if (strcmp(kinds[k], name) != 0) continue;
    *kind = (enum suite_kind)k;
    return true;
  }
  return false;
}

static bool read_line(struct baseline *b, char *text) {
  char *comment = strstr(text, "  # "), *program = strsep(&text, " ");
  char *kind = strsep(&text, " ");
  struct baseline_line *line = add(b);
  int end = 0;
  if (comment) *comment = 0;
  if (!line || !kind || !text || !kind_of(kind, &line->kind)) return false;
  int fields =
      sscanf(text, "%16" SCNx64 " %16" SCNx64 " %20" SCNu64 " %20" SCNu64 "%n",
             &line->exact, &line->loose, &line->of.blocks, &line->of.bytes, &end);
  if (fields != 4 || text[end]) return false;
  line->program = keep_program(b, program);
  line->where = comment ? keep(b, comment + 4, strlen(comment + 4)) : NULL;
  return true;
}

static bool is_conflict(const char *text) {
  return !strncmp(text, "<<<<<<<", 7) || !strncmp(text, "=======", 7) ||
         !strncmp(text, ">>>>>>>", 7);
}

static bool read_lines(struct baseline *b, FILE *in, const char *path, char *error,
                       size_t size) {
  char *text = NULL;
  size_t room = 0;
  unsigned number = 0;
  bool fine = true;
  for (ssize_t n; fine && (n = getline(&text, &room, in)) >= 0;) {
    text[strcspn(text, "\r\n")] = 0;
    if (!number++ && strcmp(text, magic) != 0 && strcmp(text, first_magic) != 0) {
      snprintf(error, size,
               strncmp(text, magic, sizeof magic - 2)
                   ? "%s is not a baseline: choose another file, or remove it and make "
                     "one by --update-baseline"
                   : "%s was made by another version of ullage: make it anew by "
                     "--update-baseline",
               path);
      fine = false;
    } else if (is_conflict(text)) {
      snprintf(error, size, "%s:%u: a conflict of a merge: keep the lines of both sides",
               path, number);
      fine = false;
    } else if (*text && *text != '#' && !read_line(b, text)) {
      snprintf(
          error, size,
          "%s:%u: 'PROGRAM KIND EXACT LOOSE BLOCKS BYTES' expected; remove the line, "
          "or make the baseline anew by --update-baseline",
          path, number);
      fine = false;
    }
  }
  if (fine && (ferror(in) || !number)) {
    snprintf(error, size, "%s%s%s", path, ferror(in) ? ": cannot be read: " : " is empty",
             ferror(in) ? strerror(errno)
                        : ", and no baseline: --update-baseline makes one");
    fine = false;
  }
  free(text);
  return fine;
}

struct baseline *baseline_read(const char *path, char *error, size_t size) {
  FILE *in = fopen(path, "re");
  if (!in) {
    snprintf(error, size, "%s: %s%s", path, strerror(errno),
             errno == ENOENT ? "; --update-baseline makes one" : "");
    return NULL;
  }
  struct baseline *b = baseline_new();
  snprintf(error, size, "not enough memory");
  if (b && !read_lines(b, in, path, error, size)) {
    baseline_free(b);
    b = NULL;
  }
  fclose(in);
  if (b) unite(b);
  return b;
}

/* ---- piles ------------------------------------------------------------------------- */

static struct ul_amount amount_of(const struct suite_finding *f) {
  if (f->kind == SUITE_BUDGET) return (struct ul_amount){f->value, 0};
  return f->times ? (struct ul_amount){f->times, 0} : f->of;
}

static const char *program_of(const struct suite *s, const struct suite_finding *f) {
  return basename(s->processes[f->process].program);
}

/* By which its line is known. */
static uint64_t print_of(const struct suite_finding *stack) {
  return stack->cause.key ? stack->cause.print : stack->exact;
}

static bool is_open(const struct suite_finding *f) {
  return f->state != SUITE_SUPPRESSED && f->state != SUITE_FOREIGN;
}

static struct pile *pile_of(const struct baseline *b, size_t i) {
  struct pile *piles = ((const struct work *)b)->piles;
  while (piles[i].parent != i)
    i = piles[i].parent = piles[piles[i].parent].parent;
  return &piles[i];
}

static struct pile *pile_of_line(const struct baseline *b, const struct suite *s,
                                 const struct baseline_line *line) {
  return pile_of(b, s->count + (size_t)(line - b->lines));
}

static struct pile *pile_of_finding(const struct baseline *b, const struct suite *s,
                                    const struct suite_finding *f) {
  return pile_of(b, (size_t)(f - s->findings));
}

/* false: no memory. */
static bool make_piles(struct baseline *b, const struct suite *s) {
  struct work *w = work_of(b);
  w->piles = calloc(s->count + b->count + 1, sizeof *w->piles);
  for (size_t i = 0; w->piles && i < s->count + b->count; i++)
    w->piles[i].parent = i;
  for (size_t i = 0; w->piles && i < s->count; i++)
    w->piles[i].now = amount_of(&s->findings[i]);
  return w->piles;
}

/* What programs that did not run have counts only where nothing else is known. */
static struct ul_amount was_of(const struct pile *p) {
  return p->was.blocks ? p->was : p->absent;
}

static struct pile *unite_piles(const struct baseline *b, struct pile *to,
                                struct pile *from) {
  if (to == from) return to;
  ul_amount_add(&to->was, from->was);
  ul_amount_add(&to->now, from->now);
  ul_amount_add(&to->absent, from->absent);
  to->renewed |= from->renewed;
  from->parent = (size_t)(to - ((const struct work *)b)->piles);
  return to;
}

/* ---- whose a line is --------------------------------------------------------------- */

/* Is the line about what happened there, in that stack's program or one like it? */
static bool is_of(const struct baseline_line *line, const struct suite *s,
                  const struct suite_finding *stack) {
  return line->kind == stack->kind &&
         (stack->cause.shared || strcmp(line->program, program_of(s, stack)) == 0);
}

static bool is_exact(const struct baseline_line *line,
                     const struct suite_finding *stack) {
  return line->exact == print_of(stack) || line->exact == stack->exact;
}

static bool has_function(const struct suite_finding *stack, uint64_t print) {
  for (size_t i = 0; i < stack->function_count; i++)
    if (stack->functions[i] == print) return true;
  return false;
}

static bool has_line(const struct baseline_line *line,
                     const struct suite_finding *stack) {
  return has_function(stack, line->exact);
}

static bool is_akin(const struct baseline_line *line, const struct suite_finding *stack) {
  return has_line(line, stack) || (line->loose && line->loose == stack->loose);
}

typedef bool relation(const struct baseline_line *, const struct suite_finding *stack);

/* Is it the line of some stack of the finding? Then they are of one pile. */
static bool match(struct baseline *b, const struct suite *s, struct suite_finding *f,
                  struct baseline_line *line, relation *is) {
  const struct suite_finding *stacks;
  size_t n = suite_stacks(f, &stacks);
  bool matches = false, renewed = false;
  for (size_t i = 0; i < n; i++) {
    if (!is_of(line, s, &stacks[i]) || !is(line, &stacks[i])) continue;
    matches = true;
    line->found |= strcmp(line->program, program_of(s, &stacks[i])) == 0;
    renewed |= line->exact != print_of(&stacks[i]);
  }
  if (!matches) return false;
  struct pile *p = unite_piles(b, pile_of_finding(b, s, f), pile_of_line(b, s, line));
  p->renewed |= renewed;
  line->taken = true;
  if (!f->known) f->known = line;
  return true;
}

static void match_exact(struct baseline *b, const struct suite *s,
                        struct suite_finding *f) {
  for (size_t i = 0; i < b->count; i++)
    match(b, s, f, &b->lines[i], is_exact);
}

static void match_moved(struct baseline *b, const struct suite *s,
                        struct suite_finding *f) {
  for (size_t i = 0; i < b->count; i++) {
    struct baseline_line *line = &b->lines[i];
    if (!line->taken || line->moved) line->moved |= match(b, s, f, line, is_akin);
  }
}

/* Is it no more than what is missing at another finding of the line's function? */
static void match_split(struct baseline *b, const struct suite *s,
                        struct suite_finding *f) {
  for (size_t i = 0; i < b->count && !f->known; i++) {
    struct baseline_line *line = &b->lines[i];
    const struct pile *p = pile_of_line(b, s, line);
    if (line->taken && p->now.blocks + amount_of(f).blocks <= was_of(p).blocks)
      line->moved |= match(b, s, f, line, has_line);
  }
}

/* ---- compare ---------------------------------------------------------------------- */

static bool has_grown(const struct pile *p, struct baseline_slack slack) {
  uint64_t was = was_of(p).blocks, now = p->now.blocks;
  if (now <= was || now - was < slack.blocks) return false;
  return (double)(now - was) * 100 > (double)was * slack.percent;
}

static bool was_judged(const struct suite *s, const char *program) {
  for (size_t i = 0; i < s->process_count; i++) {
    const struct suite_process *p = &s->processes[i];
    if (p->standing == SUITE_JUDGED && strcmp(basename(p->program), program) == 0)
      return true;
  }
  return suite_is_silent(s, program);
}

/* What each line was becomes part of its pile. */
static void weigh(struct baseline *b, const struct suite *s, struct baseline_line *line) {
  struct pile *p = pile_of_line(b, s, line);
  line->judged = was_judged(s, line->program);
  ul_amount_add(line->judged || line->found ? &p->was : &p->absent, line->of);
  p->renewed |= line->moved || baseline_is_fixed(line);
}

typedef void matching(struct baseline *, const struct suite *, struct suite_finding *);

static void match_all(struct baseline *b, struct suite *s, matching *by) {
  for (size_t i = 0; i < s->count; i++)
    if (is_open(&s->findings[i]) && !s->findings[i].known) by(b, s, &s->findings[i]);
}

bool baseline_compare(struct baseline *b, struct suite *s, struct baseline_slack slack) {
  if (!make_piles(b, s)) return false;
  match_all(b, s, match_exact);
  match_all(b, s, match_moved);
  for (size_t i = 0; i < b->count; i++)
    weigh(b, s, &b->lines[i]);
  match_all(b, s, match_split);
  for (size_t i = 0; i < s->count; i++) {
    struct suite_finding *f = &s->findings[i];
    const struct pile *p = pile_of_finding(b, s, f);
    if (!f->known) continue;
    f->state = has_grown(p, slack) ? SUITE_GREW : SUITE_KNOWN;
    f->was = was_of(p);
  }
  s->baseline = b;
  return true;
}

bool baseline_is_fixed(const struct baseline_line *line) {
  return line->judged && !line->found;
}

size_t baseline_fixed(const struct baseline *b) {
  size_t n = 0;
  for (size_t i = 0; i < b->count; i++)
    n += baseline_is_fixed(&b->lines[i]);
  return n;
}

size_t baseline_moved(const struct baseline *b) {
  size_t n = 0;
  for (size_t i = 0; i < b->count; i++)
    n += b->lines[i].moved;
  return n;
}

/* ---- accept ----------------------------------------------------------------------- */

/* It needs other lines than it has. */
static bool is_rewritten(const struct pile *p, bool grew) {
  return grew || p->renewed || p->now.blocks < p->was.blocks;
}

/* Has it no other lines in the next baseline? */
static bool stays(struct baseline *b, const struct suite *s,
                  const struct baseline_line *line) {
  if (!line->judged && !line->found) return true;
  if (!line->taken) return !baseline_is_fixed(line);
  for (size_t i = 0; i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    const struct pile *p = pile_of_line(b, s, line);
    if (f->known && pile_of_finding(b, s, f) == p)
      return !is_rewritten(p, f->state == SUITE_GREW);
  }
  return false;
}

static bool add_line(struct baseline *b, const struct baseline_line *was) {
  struct baseline_line *line = add(b);
  if (!line) return false;
  *line = (struct baseline_line){
      .kind = was->kind, .exact = was->exact, .loose = was->loose, .of = was->of};
  line->program = keep(b, was->program, strlen(was->program));
  line->where = was->where ? keep(b, was->where, strlen(was->where)) : NULL;
  return true;
}

/* Of `amount` now, what counts if all that there is now, `of`, counts as `as`: summed
 * over all parts that is what it is. */
static uint64_t part_of(uint64_t *passed, uint64_t amount, uint64_t of, uint64_t as) {
  if (as >= of) return amount;
  uint64_t before = (uint64_t)((double)*passed * (double)as / (double)of);
  *passed += amount;
  return (uint64_t)((double)*passed * (double)as / (double)of) - before;
}

/* What has not grown by the rule is not accepted to have grown. */
static struct ul_amount figure_of(struct pile *p, const struct suite_finding *stack,
                                  bool known) {
  struct ul_amount now = amount_of(stack), as = known ? was_of(p) : p->now;
  return (struct ul_amount){
      part_of(&p->passed.blocks, now.blocks, p->now.blocks, as.blocks),
      part_of(&p->passed.bytes, now.bytes, p->now.bytes, as.bytes)};
}

/* Of several stacks, of findings even that differ by lines only, one line. */
static struct baseline_line *line_for(struct baseline *b, const struct suite *s,
                                      const struct suite_finding *stack) {
  const struct baseline_line key = {
      .program = program_of(s, stack), .kind = stack->kind, .exact = print_of(stack)};
  for (size_t i = b->count; i > 0; i--)
    if (by_program(&b->lines[i - 1], &key) == 0) return &b->lines[i - 1];
  struct baseline_line *line = add(b);
  if (!line) return NULL;
  *line =
      (struct baseline_line){.kind = key.kind, .exact = key.exact, .loose = stack->loose};
  line->program = keep(b, key.program, strlen(key.program));
  return line;
}

static bool add_finding(struct baseline *b, struct pile *p, const struct suite *s,
                        const struct suite_finding *f,
                        char *(*where)(const struct suite_finding *)) {
  const struct suite_finding *stacks;
  size_t n = suite_stacks(f, &stacks);
  for (size_t i = 0; i < n; i++) {
    struct baseline_line *line = line_for(b, s, &stacks[i]);
    if (!line) return false;
    ul_amount_add(&line->of, figure_of(p, &stacks[i], f->state == SUITE_KNOWN));
    char *text = line->where ? NULL : where(&stacks[i]);
    if (text) line->where = keep(b, text, strlen(text));
    free(text);
  }
  return true;
}

struct baseline *baseline_next(struct baseline *was, const struct suite *s,
                               char *(*where)(const struct suite_finding *)) {
  struct baseline *b = baseline_new();
  bool done = b;
  for (size_t i = 0; done && i < was->count; i++)
    if (stays(was, s, &was->lines[i])) done = add_line(b, &was->lines[i]);
  for (size_t i = 0; done && i < s->count; i++) {
    const struct suite_finding *f = &s->findings[i];
    struct pile *p = pile_of_finding(was, s, f);
    if (is_open(f) && (!f->known || is_rewritten(p, f->state == SUITE_GREW)))
      done = add_finding(b, p, s, f, where);
  }
  if (done) {
    unite(b);
    return b;
  }
  baseline_free(b);
  return NULL;
}

/* ---- write ------------------------------------------------------------------------ */

static void put_line(const struct baseline_line *line, FILE *out) {
  put_program(line->program, out);
  fprintf(out, " %s %016" PRIx64 " %016" PRIx64 " %" PRIu64 " %" PRIu64,
          kinds[line->kind], line->exact, line->loose, line->of.blocks, line->of.bytes);
  if (line->where && *line->where) fprintf(out, "  # %s", line->where);
  fputc('\n', out);
}

static bool put_all(const struct baseline *b, FILE *out) {
  fprintf(out,
          "%s\n"
          "# Findings of `ullage check` that are accepted. --update-baseline writes it.\n"
          "# PROGRAM KIND EXACT LOOSE BLOCKS BYTES  # WHERE\n",
          magic);
  for (size_t i = 0; i < b->count; i++)
    put_line(&b->lines[i], out);
  bool failed = fflush(out) != 0 || ferror(out);
  return fclose(out) == 0 && !failed;
}

/* Beside it first: a full disk must not cost the old one. */
bool baseline_write(const struct baseline *b, const char *path) {
  char real[PATH_MAX], temporary[PATH_MAX + 32];
  struct stat st;
  if (!realpath(path, real)) snprintf(real, sizeof real, "%s", path);
  snprintf(temporary, sizeof temporary, "%s.%d", real, getpid());
  FILE *out = fopen(temporary, "wxe");
  if (!out) return false;
  if (stat(real, &st) == 0) (void)!fchmod(fileno(out), st.st_mode & 0777);
  if (put_all(b, out) && rename(temporary, real) == 0) return true;
  int error = errno;
  unlink(temporary);
  errno = error;
  return false;
}
