/* Loses ten texts. */
#include "core.h"
int main(void) {
  for (int i = 0; i < 10; i++)
    render("it"); /* MARK forgets */
  return 0;
}
