/* Ends by a signal that nobody foresaw: what it lost cannot be known. */
#include "core.h"
#include <signal.h>
int main(void) {
  render("crashes");
  return raise(SIGSEGV);
}
