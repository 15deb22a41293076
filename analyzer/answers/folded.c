#include "answers/folded.h"

#include "read/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loading {
  struct folded *folded;
  bool failed;
};

/* "cc -c f.c" TAB STACK: the stack. */
static const char *stack_of(const char *command) {
  const char *tab = strchr(command, '\t');
  return tab ? tab + 1 : "";
}

static void place_free(struct folded_place *p) {
  if (!p) return;
  told_stack_free(&p->stack);
  free(p->program);
  free(p->key);
  free(p->pids);
  free(p);
}

/* NULL: no memory. */
static struct folded_place *place_new(const char *key, char *const fields[]) {
  struct folded_place *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  bool lost = strcmp(fields[CHILDREN_KIND], "lost") == 0;
  unsigned long misuse = strtoul(fields[CHILDREN_STATUS], NULL, 10);
  p->misuse = lost ? -1 : misuse < UL_MISUSES ? (int)misuse : 0;
  p->key = strdup(key);
  p->program = children_program_of(fields[CHILDREN_COMMAND]);
  if (p->key && p->program) return p;
  place_free(p);
  return NULL;
}

static struct folded_place *place_at(struct loading *l, char *const fields[]) {
  char *key, *program = children_program_of(fields[CHILDREN_COMMAND]);
  struct folded_place *p = NULL;
  if (!program ||
      asprintf(&key, "%s\t%s\t%s\t%s", fields[CHILDREN_KIND], fields[CHILDREN_STATUS],
               program, stack_of(fields[CHILDREN_COMMAND])) < 0) {
    free(program);
    return NULL;
  }
  HASH_FIND_STR(l->folded->places, key, p);
  if (!p && (p = place_new(key, fields)))
    HASH_ADD_KEYPTR(hh, l->folded->places, p->key, strlen(p->key), p);
  free(program);
  free(key);
  return p;
}

/* The lines of a process follow each other. false: no memory. */
static bool add_pid(struct folded_place *p, uint64_t pid) {
  if (p->processes && p->pids[p->processes - 1] == pid) return true;
  if (!ARRAY_GROW(p->pids, p->processes, p->room)) return false;
  p->pids[p->processes++] = pid;
  return true;
}

static void add_line(void *to, char *const fields[]) {
  struct loading *l = to;
  if (!children_is_place(fields)) return;
  struct folded_place *p = place_at(l, fields);
  uint64_t pid = strtoull(fields[CHILDREN_PID], NULL, 10);
  l->failed = l->failed || !p;
  if (!p) return;
  p->blocks += strtoull(fields[CHILDREN_ALLOCATIONS], NULL, 10);
  p->bytes += strtoull(fields[CHILDREN_LOST], NULL, 10);
  if (!add_pid(p, pid)) l->failed = true;
}

static int by_gain(const struct folded_place *x, const struct folded_place *y) {
  if (x->misuse != y->misuse) return x->misuse < y->misuse ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
  if (x->blocks != y->blocks) return x->blocks > y->blocks ? -1 : 1;
  return strcmp(x->key, y->key);
}

/* Behind kind, status and program. */
static bool name_stack(struct folded_place *p, const struct context *context) {
  struct symbols_options options = context->options.symbols;
  const char *stack = p->key;
  options.files = context->files;
  for (int i = 0; i < 3; i++)
    stack = strchr(stack, '\t') + 1;
  return told_stack_read(&p->stack, stack, &options);
}

struct folded *folded_load(const struct context *context) {
  struct loading l = {.folded = calloc(1, sizeof *l.folded)};
  if (!l.folded) return NULL;
  if (context->children->folded && !context->options.process)
    children_each_line(recording_path(context->named->recording), add_line, &l);
  HASH_SORT(l.folded->places, by_gain);
  struct folded_place *p = context->options.nameless ? NULL : l.folded->places;
  for (; p && !l.failed; p = p->hh.next)
    l.failed = !name_stack(p, context);
  if (!l.failed) return l.folded;
  folded_free(l.folded);
  return NULL;
}

void folded_free(struct folded *f) {
  struct folded_place *p, *next;
  if (!f) return;
  HASH_ITER(hh, f->places, p, next) {
    HASH_DEL(f->places, p);
    place_free(p);
  }
  free(f);
}
