#!/bin/sh
# meson.sh [BUILD] [ARGUMENT]... - `meson test` with each test under ullage: one that leaks
# or frees something wrongly fails by 99, a hard error, which neither should_fail nor a skip
# hides. ARGUMENTs are meson test's, such as the names of tests.
build=${1:-build}
[ $# -eq 0 ] || shift
exec meson test -C "$build" --print-errorlogs --wrapper "ullage check --" "$@"
