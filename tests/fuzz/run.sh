#!/bin/sh
# run.sh BUILD SECONDS [TARGET...]: builds the fuzz targets with clang in BUILD and runs each for SECONDS,
# one after another, from tests/fuzz/corpus and what BUILD/found/TARGET has from before. An input that
# crashes, leaks, or takes over a second or 256 MiB stays in BUILD/found as TARGET-*; exit code 1.
set -eu
build=$1 seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -e "$build/build.ninja" ]; then
  CC=clang meson setup "$build" "$here/../.." --buildtype=debugoptimized -Db_lundef=false \
    -Db_sanitize=address,undefined \
    "-Dc_args=['-fsanitize=fuzzer-no-link','-fno-sanitize-recover=all','-gline-tables-only']" >/dev/null
fi
targets=${*:-$(sed -n '/^fuzz_targets/,/^}/p' "$here/meson.build" | grep -o "'[a-z0-9_]*':" | tr -d "':")}
ninja -C "$build" -j2 $(for t in $targets; do echo "tests/fuzz/fuzz_$t"; done) >"$build/ninja.log" || { tail -20 "$build/ninja.log"; exit 1; }
failed=0 total=0 n=0
export ASAN_OPTIONS=quarantine_size_mb=16:allocator_may_return_null=1 OMP_NUM_THREADS=1
for t in $targets; do
  mkdir -p "$build/found/$t"
  dict=$here/$t.dict
  [ -e "$dict" ] && dict=-dict=$dict || dict=
  nice -n 10 "$build/tests/fuzz/fuzz_$t" -max_total_time="$seconds" -timeout=1 -rss_limit_mb=256 \
    -malloc_limit_mb=256 -max_len=4096 -print_final_stats=1 -artifact_prefix="$build/found/$t-" $dict \
    "$build/found/$t" "$here/corpus/$t" >"$build/found/$t.log" 2>&1 || failed=1
  runs=$(sed -n 's/stat::number_of_executed_units: *//p' "$build/found/$t.log")
  slow=$(sed -n 's/stat::slowest_unit_time_sec: *//p' "$build/found/$t.log")
  peak=$(sed -n 's/stat::peak_rss_mb: *//p' "$build/found/$t.log")
  total=$((total + ${runs:-0})) n=$((n + 1))
  echo "$t: ${runs:-0} inputs, slowest ${slow:-?} s, peak ${peak:-?} MB$(grep -m1 -o 'SUMMARY.*' "$build/found/$t.log" | sed 's/^/, /')"
done
echo "$n targets, $total inputs in $seconds s each, $(ls "$build/found" | grep -c -- - || true) findings"
exit $failed
