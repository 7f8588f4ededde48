#!/usr/bin/env bash
# coverage.sh BUILD: every test once on a build that counts lines and branches, then coverage.py's figures, which decide
# the exit code. Each function is counted once: without clones of kernels for other processors and without copies in its
# callers. The counts are files that anybody may write: faults.py runs the command as another user too.
set -eu
cd "$(dirname "$0")/../.."
build=$1
umask 0
[ -f "$build/build.ninja" ] || meson setup "$build" -Db_coverage=true -Dbuildtype=debug -Doptimization=1 -Dc_args="-DVPSDE_NO_CLONES -Dalways_inline=noinline -fno-inline" >"$build.log" 2>&1
ninja -C "$build" >>"$build.log" 2>&1 || { tail -20 "$build.log"; exit 1; }
chmod -R a+rwX "$build"
find "$build" -name '*.gcda' -delete
meson test -C "$build" --no-rebuild --num-processes 2 --timeout-multiplier 4 >>"$build.log" 2>&1 || echo "not every test passed: $build.log"
/usr/bin/python3 tests/checkers/coverage.py "$build"
