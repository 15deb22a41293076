/* files.h - the symbol files of a machine, each opened once, whichever recordings need
 * it: a tree of a hundred processes is mostly one program and its libraries. */
#ifndef ULLAGE_NAMES_FILES_H
#define ULLAGE_NAMES_FILES_H

#include "names/symbol.h"

struct symbol_files;

struct symbol_files *symbol_files_new(void); /* NULL: no memory */
void symbol_files_free(struct symbol_files *);
/* While nobody uses one: closes them if they are many. They may be NULL. */
void symbol_files_bound(struct symbol_files *);
/* The file of that id: the same path, build id and, where there is none, time of the
 * recording. It belongs to the files. NULL: no memory. */
struct symbol_file *symbol_files_get(struct symbol_files *, const struct symbol_id *id);
#endif
