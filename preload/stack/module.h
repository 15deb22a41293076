/* module.h - the loaded objects that call stacks lead through.
 *
 * A module is recorded (UL_MODULES) when an address in it is first met, found without the
 * loader's lock (_dl_find_object), and kept for ever by what it is: its build id and how
 * it is laid out, or without a build id also its name or place. When it is gone, its
 * record is closed; when the same object comes back, wherever that is, its record is
 * reopened and `loads` counts it: a dlopen/dlclose loop needs one record. An object that
 * is loaded twice at once has two. */
#ifndef ULLAGE_MODULE_H
#define ULLAGE_MODULE_H

#include "recording/table.h"

#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The code (format.h) of the return address `address`; of no module if there is none that
 * holds it, the table is full or there is no recording. Any thread, errno kept; takes the
 * module lock (and in it the table's) for a module that is new. */
uint64_t module_code(uint64_t address);
/* The address that a code stands for, as the object was loaded last. */
static inline uint64_t module_address(uint64_t code) {
  uint16_t module = ul_code_module(code);
  uint64_t offset = ul_code_offset(code);
  if (module >= table_count(UL_MODULES)) return offset;
  return ((const struct ul_module *)table_at(UL_MODULES, module))->bias + offset;
}

/* Where to read the unwind table of the code at `address`, in memory. */
struct module_unwind {
  uint64_t start, end;   /* span of the module */
  uint64_t eh_frame_hdr; /* its PT_GNU_EH_FRAME, 0 if it has none */
  /* What is mapped around that, readable as long as the module is; empty if not
   * known. */
  uint64_t table_start, table_end;
};
bool module_find(uint64_t address, struct module_unwind *found);

/* Where the loader lies. (AT_BASE is 0 if it runs as a command.) */
uint64_t module_loader(void);

/* Close the records of modules that are no longer there; true if there were
 * any. `gone` is called for each, with no lock held. */
bool module_poll(void (*gone)(uint64_t start, uint64_t end));
/* Raised by every module_poll() that found something. */
extern _Atomic uint64_t module_generations;
static inline uint64_t module_generation(void) {
  return atomic_load_explicit(&module_generations, memory_order_acquire);
}

uint32_t module_count(void); /* met so far, again when they came back */

/* dl_iterate_phdr over the modules met so far, without the loader's lock. */
int module_iterate(int (*visit)(struct dl_phdr_info *, size_t, void *), void *data);

void module_fork_prepare(void);
void module_fork_parent(void);
void module_fork_child(void);
#endif
