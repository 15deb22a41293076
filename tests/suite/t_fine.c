#include "core.h"
int main(void) {
  list_free(list_push(list_push(0, "a"), "b"));
  return 0;
}
