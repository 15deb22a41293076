/* Loses a list: its head, and what that drags along. */
#include "core.h"
int main(void) {
  list_push(list_push(0, "first"), "second"); /* MARK list */
  return 0;
}
