/* crew.h - more than one processor for the scan: threads of its own process, and a pool
 * of what is to be read, from which all take and to which who has enough gives.
 *
 * Who calls the others is the chief. A member has nothing in hand while it waits, so when
 * all wait and the pool is empty, all that was given has been read, and all that came of
 * it. */
#ifndef ULLAGE_CREW_H
#define ULLAGE_CREW_H

#include "base/os.h"

#include <stdatomic.h>

enum { CREW_MOST = 8, CREW_CHIEF = 0 };

/* Addresses of blocks, or of what is left of long ones. */
enum crew_kind { CREW_BLOCKS, CREW_RESTS, CREW_KINDS };
enum { CREW_PACKET_BYTES = 4096 };
struct crew_packet {
  struct crew_packet *next;
  uint32_t kind, used;
  uintptr_t items[CREW_PACKET_BYTES / sizeof(uintptr_t) - 2];
};
enum { CREW_PACKET = CREW_PACKET_BYTES / sizeof(uintptr_t) - 2 };

/* One member more, which runs work(number), from 1 on; that does not return. It lives
 * until the process ends. false: the system has no thread for us, or no memory. */
bool crew_hire(void (*work)(unsigned number));

/* Somebody waits and finds nothing. */
extern _Atomic uint32_t crew_wanting;
static inline bool crew_wants(void) {
  return atomic_load_explicit(&crew_wanting, memory_order_relaxed);
}
/* An empty packet; NULL: no memory. */
struct crew_packet *crew_packet(void);
void crew_give(struct crew_packet *p);
/* Take one; it is given back empty. For the chief NULL: all wait, and there is none. A
 * member waits until there is one. */
struct crew_packet *crew_take(unsigned number);
void crew_empty(struct crew_packet *p);
/* Says the chief: from now on rests are taken, too; or not. */
void crew_take_rests(bool rests);
bool crew_takes_rests(void);
#endif
