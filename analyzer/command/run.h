/* run.h - `ullage run`: start a program under the preload, be like it from outside. */
#ifndef ULLAGE_RUN_H
#define ULLAGE_RUN_H

/* argv[0] is "run". Returns the exit status; a program that was ended by a signal ends
 * this process by the same signal. */
int run_main(int argc, char *argv[]);
#endif
