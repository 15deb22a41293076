/* fingerprint.h - names a call site or a finding across runs, machines and builds.
 *
 * `loose` is the innermost function of the program's own, `exact` the whole chain of
 * them, out to main or the thread's start, with the family (malloc, new ...). Of a chain:
 *   - physical frames alone: inlined ones are only known with debug information;
 *   - each function once, so that the depth of a recursion does not matter;
 *   - neither the language's runtime nor well-known wrappers of malloc, which compilers
 *     and distributions inline or name as they like; nor main, unless there is only main,
 *     for what it calls last may take its place on the stack.
 *
 * What a function is known by, and over what that is stable:
 *   its name, without what compilers add to copies (".constprop", ".part" ...), and its
 *   module, without directory and version; the program itself has no name. Over
 *   runs, lines, directories, rebuilds, and optimization as far as functions are neither
 *   inlined nor called last: then links of the chain are missing, and `loose` is stable
 *   alone, or not even that (if the innermost one is missing).
 *   a derived name (derived.h) likewise.
 *   Without both: its module's build id, and where it begins in there: over runs and
 *   copies of one build, stripped alike; where even that is not known, by the return
 *   address. */
#ifndef ULLAGE_FINGERPRINT_H
#define ULLAGE_FINGERPRINT_H

#include "answers/finding.h"
#include "names/frame.h"
#include "read/recording.h"

struct fingerprint {
  uint64_t exact, loose;
};
#define FINGERPRINT_TEXT 17u /* 16 hexadecimal digits */

struct fingerprints;
/* The symbols must outlive it, and the recording. NULL: no memory. */
struct fingerprints *fingerprints_new(const struct recording *, struct symbols *);
void fingerprints_free(struct fingerprints *);

/* Of a site, as it is in the ledger; of one without a stack, what stands for it. */
struct fingerprint fingerprint_of_site(struct fingerprints *, uint32_t site);
/* Of its blocks, those that live; 0: none does. */
enum ul_family fingerprint_family(const struct fingerprints *, uint32_t site);
/* From the function to change outwards, through callers that all its stacks have. */
struct fingerprint fingerprint_of_finding(struct fingerprints *, const struct findings *,
                                          const struct finding *);
struct fingerprint fingerprint_of_cause(struct fingerprints *, struct functions *,
                                        const struct causes *, size_t cause);

/* One function, at a frame that is not inlined. */
uint64_t fingerprint_function(const struct recording *, const struct frame *);
/* A function as the cause of what is lost: the innermost of these frames that counts. It
 * is the same whoever calls it. */
uint64_t fingerprint_of_blamed(const struct recording *,
                               const struct frame *const *frames, size_t n,
                               enum ul_family family);
/* The same for each function of a site's stack that counts, innermost first, main last:
 * `max` of them at most; how many. */
size_t fingerprint_functions(struct fingerprints *, uint32_t site, uint64_t *to,
                             size_t max);
/* Of frames, innermost first; those that do not count are left out. */
struct fingerprint fingerprint_of_frames(const struct recording *,
                                         const struct frame *const *frames, size_t n,
                                         enum ul_family family);
#endif
