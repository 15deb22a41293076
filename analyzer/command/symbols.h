/* symbols.h - what an ELF file defines for others and wants from others, told from as few
 * of its symbols as can be: node exports 75,000, and is looked at before it is started.
 */
#ifndef ULLAGE_SYMBOLS_H
#define ULLAGE_SYMBOLS_H

#include <libelf.h>
#include <stdbool.h>

/* Does it export the name? */
bool symbols_export(Elf *elf, const char *name);

/* The first that `sign` returns of names of functions, or NULL: of those that it wants
 * from others, and of those that it defines for itself alone, as far as it is not
 * stripped of them. */
typedef const char *symbols_sign(const char *name);
const char *symbols_wanted(Elf *elf, symbols_sign *sign);
const char *symbols_own(Elf *elf, symbols_sign *sign);
#endif
