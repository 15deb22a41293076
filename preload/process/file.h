/* file.h - which file this process records into: `settings.file` is the main process's,
 * others take `settings.file`.PID. */
#ifndef ULLAGE_FILE_H
#define ULLAGE_FILE_H

#include <limits.h>
#include <stdbool.h>

/* Open the recording's file for this process. A file of this very process, from before an
 * exec, is renamed FILE.1, FILE.2, ... 0, or -errno. */
int file_open(void);
/* Make `settings.file` what the main process's recording is called by now. */
void file_find_main(void);
/* For say_begin: is it for this process to say what is so for a tree of them? */
bool file_speaks_for_all(void);
/* There will be no recording, and why: count it for the tree of processes, and say so. */
void file_failed(int error);
/* At the end, for a tree without `ullage run`: say that some of it has no recording, or
 * half of one, because the tree had all the room that it may have. */
void file_say_bound(void);
/* This process, which may make files, is about to become `user`, who perhaps may not: of
 * a program that it executes then the recording gets FILE.PID.heir, which is made now. */
void file_make_heir(unsigned user);
/* The first child that it forks then gets it, at once, for its parent may end: before the
 * fork, in the child (is there one for it?), and in both when that is done. */
void file_will_fork(void);
bool file_is_heir(void);
void file_has_forked(void);
/* Is this process the one that `settings.file` belongs to? */
bool file_is_main(void);
/* A name beside `path`; false when there is no room. */
bool file_name(char to[PATH_MAX], const char *path, const char *suffix);
#endif
