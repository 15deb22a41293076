/* rights.c - the functions of libc by which a process gives up a right, or a view of the
 * files, that it might need to make a file where its parent did. A recording that has its
 * file needs neither (recording/window.h), once it is long; a forked child that has none
 * yet gets it before, and whoever becomes another user leaves a file for the program that
 * he may be then (process/file.c). Each does what the real one does. */
#include "base/next.h"
#include "process/process.h"

#include <grp.h>
#include <sched.h>
#include <sys/types.h>
#include <unistd.h>

/* Not in libc's headers. */
int capset(void *header, const void *data);
int pivot_root(const char *root, const char *old);

#define BECOMING(user, name, parameters, ...)                                            \
  EXPORT int name parameters {                                                           \
    NEXT(name);                                                                          \
    process_become(user);                                                                \
    return real(__VA_ARGS__);                                                            \
  }
#define SETTLED(name, parameters, ...)                                                   \
  EXPORT int name parameters {                                                           \
    NEXT(name);                                                                          \
    process_give_up();                                                                   \
    return real(__VA_ARGS__);                                                            \
  }

BECOMING(uid, setuid, (uid_t uid), uid)
SETTLED(seteuid, (uid_t euid), euid)
BECOMING(euid, setreuid, (uid_t ruid, uid_t euid), ruid, euid)
BECOMING(euid, setresuid, (uid_t ruid, uid_t euid, uid_t suid), ruid, euid, suid)
SETTLED(setgid, (gid_t gid), gid)
SETTLED(setegid, (gid_t egid), egid)
SETTLED(setregid, (gid_t rgid, gid_t egid), rgid, egid)
SETTLED(setresgid, (gid_t rgid, gid_t egid, gid_t sgid), rgid, egid, sgid)
SETTLED(setgroups, (size_t n, const gid_t *groups), n, groups)
SETTLED(initgroups, (const char *user, gid_t group), user, group)
SETTLED(capset, (void *header, const void *data), header, data)
SETTLED(chroot, (const char *path), path)
SETTLED(pivot_root, (const char *root, const char *old), root, old)
SETTLED(unshare, (int flags), flags)
SETTLED(setns, (int fd, int type), fd, type)
