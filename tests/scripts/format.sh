#!/usr/bin/env bash
# The code is clang-format clean; functions and files keep their size.
set -eu
cd "$1"
find core sde models solvers experiments analysis tests include -name '*.[ch]' -print0 |
  xargs -0 clang-format --dry-run -Werror
long=$(find core sde models solvers experiments analysis include -name '*.[ch]' -print0 | xargs -0 wc -l |
  awk '$2 != "total" && $1 > 400 { print $2 ": " $1 " lines" }')
[ -z "$long" ] || { echo "$long"; exit 1; }
