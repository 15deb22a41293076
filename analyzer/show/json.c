#include "show/json.h"

#include "answers/fingerprint.h"
#include "names/frame.h"
#include "show/text.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *s) {
  json_t *text = json_string(s);
  if (text) return text;
  char *clean = malloc(strlen(s) * 3 + 1), *to = clean;
  if (!clean) return NULL;
  while (*s) {
    uint32_t ignored;
    size_t n = utf8_decode(s, &ignored);
    memcpy(to, n ? s : "\xef\xbf\xbd", n ? n : 3);
    to += n ? n : 3;
    s += n ? n : 1;
  }
  *to = 0;
  text = json_string(clean);
  free(clean);
  return text;
}

json_t *json_bytes(uint64_t n) {
  return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *json_seconds(uint64_t ms) {
  return json_real((double)ms / 1000);
}

void json_put(json_t *object, const char *key, json_t *value) {
  if (value) json_object_set_new(object, key, value);
}

json_t *json_exit(const struct recording *r) {
  static const char *const kinds[] = {
      [RECORDING_RUNNING] = "running", [RECORDING_KILLED] = "killed",
      [RECORDING_EXITED] = "exited",   [RECORDING_SIGNALED] = "signaled",
      [RECORDING_EXECED] = "execed",   [RECORDING_ABORTED] = "aborted",
      [RECORDING_UNSEEN] = "unseen",
      [RECORDING_ELSEWHERE] = "elsewhere"};
  json_t *object = json_object();
  json_put(object, "kind", json_text(kinds[recording_end(r)]));
  json_put(object, "status", json_integer(recording_header(r)->status));
  return object;
}

/* Of the return address, in its module's file. */
static json_t *module_offset(const struct frame *f) {
  if (!f->module || (f->function && !f->start)) return json_null();
  return json_bytes((f->function ? f->start : 0) + f->offset);
}

json_t *json_frame(const struct frame *f) {
  json_t *object = json_object();
  char address[24];
  snprintf(address, sizeof address, "0x%" PRIx64, f->address);
  json_put(object, "function", json_text(f->function ? f->function : ""));
  json_put(object, "file", json_text(f->file ? f->file : ""));
  json_put(object, "line", json_integer(f->line));
  json_put(object, "module", json_text(f->module ? f->module : ""));
  json_put(object, "address", json_text(address));
  json_put(object, "module_offset", module_offset(f));
  json_put(object, "inlined", json_boolean(f->inlined));
  json_put(object, "derived", json_boolean(f->derived));
  return object;
}

static json_t *fingerprint_text(uint64_t fingerprint) {
  char digits[FINGERPRINT_TEXT];
  snprintf(digits, sizeof digits, "%016" PRIx64, fingerprint);
  return json_text(digits);
}

void json_put_fingerprint(json_t *object, const struct fingerprint *f) {
  json_put(object, "fingerprint", fingerprint_text(f->exact));
  json_put(object, "fingerprint_loose", fingerprint_text(f->loose));
}

json_t *json_stack(const struct view_options *o, uint32_t site) {
  const struct frame *frames;
  size_t n = frame_stack(o->symbols, site, &frames);
  json_t *stack = json_array();
  for (size_t i = 0; i < n; i++)
    if (!frames[i].hidden || o->all) json_array_append_new(stack, json_frame(&frames[i]));
  return stack;
}

json_t *json_bounds(uint64_t low, uint64_t high) {
  json_t *bounds = json_array();
  json_array_append_new(bounds, json_bytes(low));
  json_array_append_new(bounds, json_bytes(high));
  return bounds;
}

json_t *json_interval(const struct view_options *o, struct ul_amount all,
                      struct ul_amount estimated) {
  uint64_t low, high;
  if (!o->sampling.bytes || !all.blocks) return NULL;
  text_bounds(o, all, estimated, &low, &high);
  return json_bounds(low, high);
}

json_t *json_sampled_from(const struct view_options *o) {
  if (!o->sampling.ms) return json_null();
  json_t *object = json_object();
  json_put(object, "seconds", json_seconds(o->sampling.ms));
  json_put(object, "work", json_bytes(o->sampling.work));
  return object;
}

int json_finish(const struct view_options *o, json_t *root) {
  json_dumpf(root, o->out, JSON_INDENT(1));
  fputc('\n', o->out);
  json_decref(root);
  return text_finish(o);
}

/* ---- streams ------------------------------------------------------------------- */

void json_begin(struct json_stream *j, const struct view_options *o) {
  *j = (struct json_stream){.o = o};
  fputc('{', o->out);
}

static void begin_member(struct json_stream *j, const char *key) {
  fprintf(j->o->out, "%s\n \"%s\": ", j->begun ? "," : "", key);
  j->begun = true;
}

void json_member(struct json_stream *j, const char *key, json_t *value) {
  begin_member(j, key);
  json_dumpf(value, j->o->out, JSON_ENCODE_ANY);
  json_decref(value);
}

void json_list(struct json_stream *j, const char *key) {
  begin_member(j, key);
  fputc('[', j->o->out);
  j->begun = false;
}

void json_list_end(struct json_stream *j) {
  fputs(j->begun ? "\n ]" : "]", j->o->out);
  j->begun = true;
}

static char *words_of(const struct frame *f) {
  json_t *object = json_frame(f);
  char *words = json_dumps(object, 0);
  json_decref(object);
  return words;
}

/* NULL: no memory. */
static struct json_words *words_for(struct json_stream *j,
                                    const struct symbols *symbols) {
  for (size_t i = j->processes; i-- > 0;)
    if (j->words[i].symbols == symbols) return &j->words[i];
  struct json_words *more = reallocarray(j->words, j->processes + 1, sizeof *more);
  if (!more) return NULL;
  j->words = more;
  more[j->processes] = (struct json_words){.symbols = symbols};
  return &more[j->processes++];
}

/* NULL: no memory to remember it. */
static char **remembered(struct json_words *words, uint32_t number) {
  if (number >= words->room) {
    size_t room = number + 256 + words->room;
    char **more = realloc(words->at, room * sizeof *more);
    if (!more) return NULL;
    memset(more + words->room, 0, (room - words->room) * sizeof *more);
    words->at = more;
    words->room = room;
  }
  return &words->at[number];
}

static void write_frame(struct json_stream *j, struct json_words *known,
                        const struct frame *f) {
  char **words = known && f->number ? remembered(known, f->number) : NULL;
  char *now = words && *words ? *words : words_of(f);
  if (now) fputs(now, j->o->out);
  if (words)
    *words = now;
  else
    free(now);
}

static void write_stack(struct json_stream *j, const struct view_options *o,
                        uint32_t site) {
  const struct frame *frames;
  size_t n = frame_stack(o->symbols, site, &frames);
  struct json_words *words = words_for(j, o->symbols);
  const char *separator = "";
  for (size_t i = 0; i < n; i++) {
    if (frames[i].hidden && !o->all) continue;
    fputs(separator, o->out);
    write_frame(j, words, &frames[i]);
    separator = ", ";
  }
}

void json_site(struct json_stream *j, const struct view_options *o, json_t *object,
               uint32_t site) {
  json_put(object, "site", json_bytes(site));
  char *words = json_dumps(object, 0);
  json_decref(object);
  if (!words) return;
  words[strlen(words) - 1] = 0; /* the brace that closes it */
  fprintf(j->o->out, "%s\n  %s, \"stack\": [", j->begun ? "," : "", words);
  free(words);
  write_stack(j, o, site);
  fputs("]}", j->o->out);
  j->begun = true;
}

int json_end(struct json_stream *j) {
  fputs(j->begun ? "\n}\n" : "}\n", j->o->out);
  for (size_t i = 0; i < j->processes; i++) {
    for (size_t k = 0; k < j->words[i].room; k++)
      free(j->words[i].at[k]);
    free(j->words[i].at);
  }
  free(j->words);
  return text_finish(j->o);
}
