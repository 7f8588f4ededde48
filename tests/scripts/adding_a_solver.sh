#!/usr/bin/env bash
# docs/adding-a-solver.md is true: the page shows the example file as it is, and a copy of the
# project with that file and that line passes the solver tests, its measured order included.
set -eu
source=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
/usr/bin/python3 - "$source" <<'PY'
import sys
root = sys.argv[1]
page, code = open(root + "/docs/adding-a-solver.md").read(), open(root + "/docs/examples/rk3.c").read()
assert code.rstrip() in page, "docs/adding-a-solver.md does not show docs/examples/rk3.c as it is"
PY
cp -r "$source" "$folder/copy" 2>/dev/null || true
rm -rf "$folder/copy/build" "$folder/copy/.git"
cd "$folder/copy"
cp docs/examples/rk3.c solvers/rk3.c
echo 'VPSDE_SOLVER(rk3)' >>solvers/registry.def
meson setup build >log 2>&1 || { cat log; exit 1; }
ninja -C build vpsde tests/test_solvers tests/test_conformance >log 2>&1 || { tail -50 log; exit 1; }
build/vpsde list solvers | grep -q '^rk3 '
build/tests/test_solvers "$PWD"
build/tests/test_conformance "$PWD"
