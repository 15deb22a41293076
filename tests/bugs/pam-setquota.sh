#!/bin/sh
# Linux-PAM 1.5.2 (Debian 12): each session loses a number of /etc/login.defs (linux-pam #646)
# right: pam_sm_open_session of pam_setquota.so, a module that is loaded for each session and
# unloaded again: it forgets what pam_modutil_search_key has found for it.
. "$(dirname "$0")/common.sh"
N=${1:-5000}
need gcc libpam0g-dev libpam-modules
only libpam-modules 1.5.2
cat >sessions.c <<'C'
/* A server that opens a session for each who logs in. */
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int answer(int n, const struct pam_message **asked, struct pam_response **to, void *u) {
  (void)n, (void)asked, (void)to, (void)u;
  return PAM_CONV_ERR;
}

static int session(const char *directory) {
  const struct pam_conv by = {answer, NULL};
  pam_handle_t *pam;
  if (pam_start_confdir("server", "root", &by, directory, &pam) != PAM_SUCCESS) exit(1);
  int status = pam_open_session(pam, 0);
  pam_close_session(pam, 0);
  pam_end(pam, status);
  return status;
}

int main(int argc, char **argv) {
  char directory[4096];
  int good = 0, n = argc > 1 ? atoi(argv[1]) : 1;
  if (!getcwd(directory, sizeof directory)) return 1;
  for (int i = 0; i < n; i++)
    good += session(directory) == PAM_SUCCESS;
  printf("%d sessions\n", good);
  return 0;
}
C
printf '%s\n' 'session required pam_setquota.so bsoftlimit=1000' 'session required pam_permit.so' >server
gcc -g -O1 -o sessions sessions.c -lpam
exec ${TOOL:-} ./sessions "$N"
