#include "core.h"
#include <stdlib.h>
int main(void) {
  char *volatile p = render("twice");
  free(p); /* MARK freed first */
  free(p); /* MARK freed again */
  return 0;
}
