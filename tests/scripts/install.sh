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
# log p of the printed rows under N(2, 0.25 I), within the PF-ODE's N(0, I) terminal and t_min
awk '{ gsub(/[(),]/, " "); x = $3 - 2; y = $4 - 2; truth = -(x*x + y*y) / 0.5 - log(2 * 3.14159265358979 * 0.25);
       if ((truth - $8)^2 > 0.02^2) { print "off:", $0, truth; exit 1 } }' out
h5dump -d /runs/ddim/final -s 0,0 -c 2,2 own_score.h5 >/dev/null
"$folder/root$(dirname "$(dirname "$(dirname "$(echo "$prefix" | sed "s|$folder/root||")")")")/bin/vpsde" --version | grep -q '^vpsde [0-9]'
man -l "$(find "$folder/root" -name vpsde.1)" | grep -q 'likelihood'
