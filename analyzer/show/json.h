/* json.h - the answers as JSON, by jansson (docs/json.md is the schema). */
#ifndef ULLAGE_JSON_H
#define ULLAGE_JSON_H

#include "show/verbs.h"

#include <jansson.h>

/* Never NULL for valid arguments: what is not UTF-8 becomes U+FFFD. */
json_t *json_text(const char *s);
json_t *json_bytes(uint64_t n); /* saturated at 2^63-1 */
json_t *json_seconds(uint64_t ms);
json_t *json_exit(const struct recording *); /* how a process ended */
struct frame;
json_t *json_frame(const struct frame *);                        /* FRAME */
json_t *json_stack(const struct view_options *o, uint32_t site); /* [FRAME] */
json_t *json_bounds(uint64_t low, uint64_t high);                /* [low, high] */
/* [least, most] bytes, between which an estimate truly lies (text_bounds); NULL: nothing
 * was sampled. */
json_t *json_interval(const struct view_options *o, struct ul_amount all,
                      struct ul_amount estimated);
/* When sampling began; null: from the start, or never. */
json_t *json_sampled_from(const struct view_options *o);
/* Members "fingerprint" and "fingerprint_loose". */
struct fingerprint;
void json_put_fingerprint(json_t *object, const struct fingerprint *);
struct folded;
json_t *folded_array(const struct folded *); /* [FOLDED] */
/* What was freed or resized wrongly (docs/json.md). */
json_t *outside_object(const struct recording *);
json_t *misuses_array(const struct context *, const struct view_options *o);
/* What to change (docs/json.md). */
json_t *findings_array(const struct context *, const struct view_options *o);
/* Members of a finding: who calls its function, as a tree, and what a loop calls. */
void branches_put(json_t *object, const struct process *, const struct finding *);
/* object[key] = value; takes the value, tolerates NULL (out of memory) */
void json_put(json_t *object, const char *key, json_t *value);
/* Print and free; as text_finish(). */
int json_finish(const struct view_options *o, json_t *root);

/* An answer that is written while it is made, a member or a site to a line: what a
 * million sites have to say need not be in memory, and a frame that they share is put
 * into words once. */
struct json_stream {
  const struct view_options *o;
  bool begun; /* a member was written */
  struct json_words {
    const struct symbols *symbols;
    char **at; /* of their frames, by number */
    size_t room;
  } * words; /* of each process that was spoken of */
  size_t processes;
};
void json_begin(struct json_stream *j, const struct view_options *o);
void json_member(struct json_stream *j, const char *key, json_t *value); /* takes it */
void json_list(struct json_stream *j, const char *key);
/* An element of the list, to which its site and stack are added; takes it. `o` says of
 * which process (view_of). */
void json_site(struct json_stream *j, const struct view_options *o, json_t *object,
               uint32_t site);
void json_list_end(struct json_stream *j);
int json_end(struct json_stream *j); /* as text_finish() */
#endif
