/* third.c - somebody else's library, which loses what it has at its start. */
#include "core.h"

#include <stdlib.h>

void third_init(void) {
  *(volatile char *)malloc(512) = 1; /* MARK third */
}
