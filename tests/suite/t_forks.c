/* The child loses a text. */
#include "core.h"
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    render("forked"); /* MARK forks */
    return 0;
  }
  waitpid(child, &status, 0);
  return status != 0;
}
