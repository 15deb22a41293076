#include "base/thread.h"

_Thread_local struct thread_state thread_state __attribute__((tls_model("initial-exec")));
