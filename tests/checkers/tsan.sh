#!/usr/bin/env bash
# tsan.sh BUILD [TEST...]: the threaded unit tests and the verbs, three threads each, under ThreadSanitizer.
# clang's OpenMP library tells it of its barriers through libarcher; gcc's does not, and is reported where
# there is nothing. oneDNN, CVODE and HDF5 are not instrumented, so their own accesses are not looked at.
set -eu
cd "$(dirname "$0")/../.."
build=$1
shift
[ $# -gt 0 ] || set -- test_graph test_conformance test_likelihood test_elbo test_train test_train_forms \
  test_sample_ode test_unet test_unet_train test_conv test_driver test_compare test_metrics test_thermo test_transport \
  test_run_file test_run_wide
[ -f "$build/build.ninja" ] || CC=clang meson setup "$build" -Db_sanitize=thread -Db_lundef=false \
  -Dbuildtype=debugoptimized >"$build.log" 2>&1
ninja -C "$build" vpsde "${@/#/tests/}" >>"$build.log" 2>&1 || { tail -20 "$build.log"; exit 1; }

LD_LIBRARY_PATH=$(dirname "$(readlink -f "$(clang -print-file-name=libarcher.so)")")
export LD_LIBRARY_PATH OMP_NUM_THREADS=3 OMP_WAIT_POLICY=passive
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=1 exitcode=99"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for test in "$@"; do
  "$build/tests/$test" "$PWD" >"$log" 2>&1 || { echo "$test:"; tail -60 "$log"; exit 1; }
done
tests/checkers/smoke.sh 3 "$PWD/$build/vpsde" >"$log" 2>&1 || { tail -60 "$log"; exit 1; }
echo "$# unit tests and $(tail -1 "$log"), three threads, no race"
