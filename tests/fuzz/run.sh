#!/usr/bin/env bash
# Fuzzes every target, or those named, with clang's libFuzzer.
#   run.sh BUILD 20s [TARGET...]        20 s each, under ASan and UBSan
#   run.sh BUILD 40000000 [TARGET...]   so many inputs each: nine tenths without ASan, a tenth with it
# Both builds have leak detection and UBSan. Inputs start from tests/fuzz/corpus and from what BUILD/found/TARGET
# has from before. VPSDE_FUZZ_TIMEOUT: seconds of wall time an input may take where the machine is
# busy with other things (20). An input that crashes, leaks, takes 256 MiB or over a second of processor time is a
# finding: BUILD/found/TARGET-*, exit code 1. Exit code 77: no libFuzzer here.
set -u
build=$1 limit=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
targets=${*:-$(sed -n '/^fuzz_targets/,/^}/p' "$here/meson.build" | grep -o "'[a-z0-9_]*':" | tr -d "':")}
found=$build/found
mkdir -p "$found"
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n > 9; }' >"$build/probe.c"
clang -fsanitize=fuzzer,address "$build/probe.c" -o "$build/probe" 2>/dev/null || { echo "clang has no libFuzzer here"; exit 77; }

make_build() { # asan or fast, what its code is compiled with...
  local folder=$build/$1 names=
  shift
  if [ ! -e "$folder/build.ninja" ]; then
    CC=clang meson setup "$folder" "$here/../.." --buildtype=debugoptimized -Db_lundef=false \
      "-Dc_args=['-fsanitize=fuzzer-no-link','-gline-tables-only'$(printf ",'%s'" "$@")]" "-Dc_link_args=['$1']" \
      >"$folder.log" || { cat "$folder.log"; exit 1; }
  fi
  for t in $targets; do names="$names tests/fuzz/fuzz_$t"; done
  ninja -C "$folder" -j2 $names >"$folder.log" || { tail -20 "$folder.log"; exit 1; }
}

stat() { sed -n "s/stat::$1: *//p" "$2"; }

# A slow input is one that is slow when nothing else runs in its process: libFuzzer goes by the clock.
keep_slow() { # binary, input
  local TIMEFORMAT=%U seconds
  seconds=$({ time "$1" "$2" >/dev/null 2>&1; } 2>&1)
  case $seconds in 0.*) rm "$2" ;; esac
}

fuzz() { # build, target, when to stop, log
  local binary=$build/$1/tests/fuzz/fuzz_$2 dict=
  [ ! -e "$here/$2.dict" ] || dict=-dict=$here/$2.dict
  mkdir -p "$found/$2"
  nice -n 10 "$binary" "$3" -timeout=${VPSDE_FUZZ_TIMEOUT:-20} -report_slow_units=1 -rss_limit_mb=256 -malloc_limit_mb=256 -max_len=4096 \
    -print_final_stats=1 -artifact_prefix="$found/$2-" $dict "$found/$2" "$here/corpus/$2" >"$4" 2>&1
  for slow in "$found/$2"-slow-unit-*; do [ ! -e "$slow" ] || keep_slow "$binary" "$slow"; done
}

findings() { ls "$found" | grep -cE -- "^${1:-[a-z0-9_]*}-(crash|leak|oom|timeout|slow-unit)-" || true; }

export ASAN_OPTIONS=quarantine_size_mb=16:allocator_may_return_null=1 OMP_NUM_THREADS=1
make_build asan -fsanitize=address,undefined -fno-sanitize-recover=all
[ "$limit" != "${limit%s}" ] || make_build fast -fsanitize=undefined,leak -fsanitize-trap=undefined
for old in $(ls "$found" | grep -E -- '-(crash|leak|oom|timeout|slow-unit)-'); do # mended since?
  timeout 60 "$build/asan/tests/fuzz/fuzz_${old%%-*}" "$found/$old" >/dev/null 2>&1 && rm "$found/$old"
done
line=
for t in $targets; do
  runs=0 peak=0 logs=$found/$t.asan
  if [ "$limit" != "${limit%s}" ]; then
    fuzz asan "$t" "-max_total_time=${limit%s}" "$found/$t.asan"
  else
    fuzz fast "$t" "-runs=$((limit / 10 * 9))" "$found/$t.fast"
    fuzz asan "$t" "-runs=$((limit / 10))" "$found/$t.asan"
    logs="$found/$t.fast $logs"
  fi
  for log in $logs; do
    n=$(stat number_of_executed_units "$log") mb=$(stat peak_rss_mb "$log")
    [ -n "$n" ] || { tail -20 "$log"; echo "$t: ended early, see $log"; cp "$log" "$found/$t-crash-log"; }
    runs=$((runs + ${n:-0})) peak=$((${mb:-0} > peak ? ${mb:-0} : peak))
  done
  echo "$t: $runs inputs, peak $peak MB, $(findings "$t") findings"
  line="$line, $t $((runs / 1000)) k"
done
for input in $(ls "$found" | grep -E -- '-(crash|leak|oom|timeout|slow-unit)-'); do
  echo "finding: $found/$input; again: $build/asan/tests/fuzz/fuzz_${input%%-*} $found/$input"
done
all=$(findings)
echo "$all findings; inputs: ${line#, }"
[ "$all" = 0 ]
