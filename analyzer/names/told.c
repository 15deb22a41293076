#include "names/told.h"

#include "format.h"
#include "names/blame.h"
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
  struct symbol_file **files; /* of each frame */
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
    struct symbol_file **files = reallocarray(r->files, room, sizeof *files);
    r->failed = r->failed || !files;
    if (!files) return;
    r->files = files;
    r->room = room;
  }
  r->files[t->count] = r->file;
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
  size_t first = r->told->count;
  if (r->file) symbol_file_find(r->file, r->address - 1, push_place, r);
  if (r->file && r->told->count > first)
    r->told->frames[first].takes_result = symbol_file_takes_result(r->file, r->address);
  if (!r->file) push_place(r, &(struct symbol_place){.offset = r->address - 1});
  return true;
}

/* The next function further out that is none of the inlined parts. */
static size_t caller_of(const struct told_stack *t, size_t frame) {
  while (frame < t->count && t->frames[frame].inlined)
    frame++;
  return frame + 1;
}

/* A helper that its whole file calls made it for who takes what it gives back. How much
 * others keep of that, lines do not tell. */
static size_t find_guilty(const struct reading *r) {
  enum { MANY = 8 };
  const struct told_stack *t = r->told;
  size_t guilty = t->count ? frame_guilty(t->frames, t->count) : 0;
  for (size_t next; (next = caller_of(t, guilty)) < t->count; guilty = next) {
    const struct frame *caller = &t->frames[next], *helper = &t->frames[next - 1];
    struct symbol_file *file = r->files[next - 1];
    if (caller->hidden || !caller->takes_result || !blame_is_own(caller) || !file ||
        !helper->start || symbol_file_callers(file, helper->start) < MANY)
      break;
  }
  return guilty;
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
  if (!r.failed) t->guilty = find_guilty(&r);
  free(r.files);
  return !r.failed;
}

void told_stack_free(struct told_stack *t) {
  free(t->frames);
  free(t->text);
  *t = (struct told_stack){0};
}
