#include "core.h"
int main(void) {
  third_init();
  return 0;
}
