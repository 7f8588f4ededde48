#!/usr/bin/env bash
# install.sh SOURCE BUILD: installs into an empty prefix, then compiles and runs the C example
# through pkg-config against what was installed, and looks at the man page.
set -eu
source=$1 build=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
DESTDIR=$folder/root meson install -C "$build" --no-rebuild >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
prefix=$(find "$folder/root" -type d -name pkgconfig -print -quit)
export PKG_CONFIG_PATH=$prefix PKG_CONFIG_SYSROOT_DIR=$folder/root
cd "$folder"
# shellcheck disable=SC2046 # flags are words
gcc -std=c11 -Wall -Wextra -Werror "$source/docs/examples/own_score.c" $(pkg-config --cflags --libs vpsde) -lm -o own_score
export LD_LIBRARY_PATH=$(dirname "$prefix")
./own_score >out
[ "$(grep -c 'log p' out)" = 4 ] || { cat out; exit 1; }
# The flow of a Gaussian is affine, so log p with the terminal N(0, I) is known to all digits.
/usr/bin/python3 - out <<'PY'
import math, re, sys
b = lambda t: 0.1 * t + 19.9 * t * t / 2
alpha = lambda t: math.exp(-b(t) / 2)
variance = lambda t: 0.25 * alpha(t) ** 2 - math.expm1(-b(t))
scale = math.sqrt(variance(1) / variance(1e-3))
for line in open(sys.argv[1]):
    *x, logp = map(float, re.findall(r"-?[0-9.]+", line))
    end = [2 * alpha(1) + scale * (v - 2 * alpha(1e-3)) for v in x]
    truth = sum(-v * v / 2 - math.log(2 * math.pi) / 2 + math.log(scale) for v in end)
    assert abs(logp - truth) < 1e-3, (line, truth)  # x is printed with four digits
PY
h5dump -d /runs/ddim/final -s 0,0 -c 2,2 own_score.h5 >/dev/null
"$(find "$folder/root" -path '*/bin/vpsde')" --version | grep -q '^vpsde [0-9]'
man -l "$(find "$folder/root" -name vpsde.1)" | grep -q 'likelihood'
