/* Cannot be run here, as it says, and loses a text nevertheless. */
#include "core.h"
int main(void) {
  render("skips"); /* MARK skips */
  return 77;
}
