/* derived.h - names that a stripped object file still has for functions without a symbol.
 *
 *   by class   a function in a virtual table has the table's class, whose name stays in
 *              the file for dynamic_cast and exceptions: "Assimp::AssbinImporter [virtual
 *              5]" (Itanium C++ ABI 2.5.2, 2.9). Of the classes whose tables have it, the
 *              one that all others derive from; none if there is no such class.
 *   by table   a function pointer beside a text in an array of at least three such
 *              records, as interpreters, servers and applets have for their commands:
 *              "\"startswith\"". With an alias: "\"in\" or \"inside\"".
 *   by type    a function in a type of CPython's, which is an object in the file's data or
 *              is made of such: "\"xml.etree.ElementTree.XMLParser.__init__\"".
 *   by call    a function that is registered by a call with a text (registered.h), told as
 *              those of tables.
 *
 *   by itself  a function that passes its own name to what traces or tells errors
 *              (itself.h), if it has none of the others: "'ssl_conf_cmd_lookup'".
 *
 * They say what the function is for and are not its name: a reader should be told. The
 * last are names; but a text may have come with the code of a function that was inlined. */
#ifndef ULLAGE_DERIVED_H
#define ULLAGE_DERIVED_H

#include "names/code.h"

struct derived;

/* Looks through the whole file. The Elf and the code must outlive it. NULL: no memory. */
struct derived *derived_of(Elf *elf, const struct code *code);
void derived_free(struct derived *);
/* Of the function that begins there; to be freed; NULL: none. */
char *derived_name(const struct derived *, uint64_t start);
#endif
