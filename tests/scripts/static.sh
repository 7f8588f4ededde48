#!/usr/bin/env bash
# static.sh SOURCE [all]: no finding of cppcheck over the sources and the tests, and of clang-tidy over
# the parsers; `all`: of clang-tidy and of gcc -fanalyzer over every source. What is not asked for, or not
# there, is in .clang-tidy and tests/checkers/cppcheck.txt, each with its reason. Last line: the counts.
set -eu
cd "$1"
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
mkdir "$generated/experiments"
echo '#define VPSDE_COMMIT "unknown"' >"$generated/experiments/commit.h"
every="core sde models solvers experiments analysis"
# shellcheck disable=SC2046 # flags are words
flags=(-std=c11 -Iinclude -I. "-I$generated" -D_GNU_SOURCE '-DVPSDE_VERSION="0"' $(pkg-config --cflags hdf5-serial yaml-0.1 jansson libmd) $(pkg-config --cflags ompi-c 2>/dev/null))

cppcheck --quiet --error-exitcode=1 -j2 --std=c11 --enable=warning,portability --inline-suppr \
  --suppressions-list=tests/checkers/cppcheck.txt -Iinclude -I. -D_GNU_SOURCE -DVPSDE_VERSION='"0"' \
  --template='{file}:{line}: {severity}: {message} [{id}]' $every tests

# The two files that define what analyzed.h redefines are read without it.
# gcc 12 does not know that a call whose status is OK has set its result, nor that a loop fills an array.
# clang's analyzer, valgrind and the N-th failing malloc look for these four.
weak=(-Wno-analyzer-use-of-uninitialized-value -Wno-analyzer-null-dereference -Wno-analyzer-null-argument -Wno-analyzer-malloc-leak)
one() { # checker's words -- file
  local file=${*: -1} include="-include tests/checkers/analyzed.h"
  case $file in core/status.c | core/config_node.c) include= ;; esac
  case $1 in
    tidy) clang-tidy-14 --quiet "$file" -- "${flags[@]}" -fopenmp $include 2>/dev/null ;;
    gcc) timeout 600 gcc -O1 -fopenmp -fanalyzer "${weak[@]}" -Werror -S -o /dev/null "${flags[@]}" $include "$file" ;;
  esac
}
export -f one
over() { # checker, files: two at a time, as this machine's cores
  local checker=$1
  shift
  printf '%s\n' "$@" | xargs -P2 -I{} bash -c "flags=(${flags[*]@Q}); weak=(${weak[*]}); one $checker {}"
}

parsers="core/config*.c core/data*.c core/json.c core/number.c core/safetensors*.c experiments/run_manifest.c experiments/run_parts.c"
if [ "${2:-}" = all ]; then
  mapfile -t sources < <(find $every -name '*.c' | sort)
  over tidy "${sources[@]}"
  over gcc "${sources[@]}"
  echo "no finding: cppcheck; clang-tidy and gcc -fanalyzer over ${#sources[@]} sources"
else
  # shellcheck disable=SC2206 # patterns
  sources=($parsers)
  over tidy "${sources[@]}"
  echo "no finding: cppcheck; clang-tidy over ${#sources[@]} sources"
fi
