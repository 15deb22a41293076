/* Loses a text and fails: its leak matters as well. */
#include "core.h"
#include <stdlib.h>
int main(void) {
  render("aborts"); /* MARK aborts */
  abort();
}
