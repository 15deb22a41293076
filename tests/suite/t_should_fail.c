/* Is meant to fail, and loses a text: the one must not hide the other. */
#include "core.h"
int main(void) {
  render("should"); /* MARK should_fail */
  return 1;
}
