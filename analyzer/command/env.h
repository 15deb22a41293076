/* env.h - `ullage env`: what a program's environment has to be, for whoever starts it. */
#ifndef ULLAGE_ENV_H
#define ULLAGE_ENV_H

/* argv[0] is "env". Returns the exit status. */
int env_main(int argc, char *argv[]);
#endif
