#!/bin/sh
# automake.sh [ARGUMENT]... - `make check` with each test under ullage: one that leaks or
# frees something wrongly fails by 99, a hard error, which neither XFAIL_TESTS nor a skip
# hides. For tests that are programs; those in scripts have LOG_COMPILERs of their own, such
# as SH_LOG_COMPILER="ullage check -- sh". What was found is in each test's .log.
exec make check VERBOSE=1 LOG_COMPILER="ullage check --" "$@"
