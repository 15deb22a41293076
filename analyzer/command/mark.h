/* mark.h - `ullage mark`: a moment of a running process gets a name. */
#ifndef ULLAGE_MARK_H
#define ULLAGE_MARK_H

/* argv[0] is "mark". Returns the exit status. */
int mark_main(int argc, char *argv[]);
#endif
