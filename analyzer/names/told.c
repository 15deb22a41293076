#include "names/told.h"

#include "format.h"
#include "names/files.h"
#include "names/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024 }; /* frames */

struct reading {
  struct told_stack *told;
  const struct symbols_options *options;
  const char *module; /* of the last frame; NULL: none */
  struct symbol_file *file;
  uint64_t address;
  size_t room;
  bool failed;
};

static void push_place(void *argument, const struct symbol_place *place) {
  struct reading *r = argument;
  struct told_stack *t = r->told;
  if (t->count == r->room) {
    size_t room = r->room ? 2 * r->room : 32;
    struct frame *more = reallocarray(t->frames, room, sizeof *more);
    r->failed = r->failed || !more;
    if (!more) return;
    t->frames = more;
    r->room = room;
  }
  bool own = r->module && strncmp(basename(r->module), "libullage.so", 12) == 0;
  t->frames[t->count++] = (struct frame){
      .function = place->function,
      .linkage = place->linkage,
      .file = place->file,
      .paths = r->options->paths,
      .line = place->line,
      .start = place->start,
      .derived = place->derived,
      .inlined = place->inlined,
      .offset = place->inlined ? 0 : place->offset + 1, /* looked up: address - 1 */
      .module = r->module,
      .address = r->address,
      .hidden = own,
      .of_module = UL_NO_MODULE,
  };
}

static size_t read_build_id(uint8_t *to, size_t room, const char *hex) {
  size_t n = 0;
  for (unsigned byte; n < room && sscanf(hex, "%2x", &byte) == 1; hex += 2) {
    to[n++] = (uint8_t)byte;
    if (!hex[1]) break;
  }
  return n;
}

static void open_file(struct reading *r, const char *build_id) {
  uint8_t id[sizeof((struct ul_module *)0)->build_id];
  const char *below = r->options->sysroot ? r->options->sysroot : "";
  char *path;
  r->file = NULL;
  if (asprintf(&path, "%s%s", below, r->module) < 0) return;
  r->file = symbol_files_get(
      r->options->files,
      &(struct symbol_id){path, id, read_build_id(id, sizeof id, build_id), 0});
  free(path);
}

/* false: it is none. */
static bool read_frame(struct reading *r, char *frame) {
  char *plus = strrchr(frame, '+'), *end;
  if (!plus || !plus[1]) return false;
  r->address = strtoull(plus + 1, &end, 10);
  if (*end) return false;
  *plus = 0;
  char *at = strrchr(frame, '@');
  if (at) {
    *at = 0;
    r->module = *frame ? frame : NULL;
    r->file = NULL;
    if (r->module) open_file(r, at + 1);
  }
  if (r->file)
    symbol_file_find(r->file, r->address - 1, push_place, r);
  else
    push_place(r, &(struct symbol_place){.offset = r->address - 1});
  return true;
}

bool told_stack_read(struct told_stack *t, const char *text,
                     const struct symbols_options *options) {
  *t = (struct told_stack){.text = strdup(text)};
  struct reading r = {.told = t, .options = options, .failed = !t->text};
  char *rest = t->text, *frame;
  while (!r.failed && t->count < MOST && (frame = strsep(&rest, "\t")))
    if (!read_frame(&r, frame)) break;
  if (r.failed) told_stack_free(t);
  if (!r.failed) frame_hide(t->frames, t->count, true);
  return !r.failed;
}

void told_stack_free(struct told_stack *t) {
  free(t->frames);
  free(t->text);
  *t = (struct told_stack){0};
}
