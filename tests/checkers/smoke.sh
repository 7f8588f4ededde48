#!/usr/bin/env bash
# smoke.sh THREADS COMMAND...: the verbs on tiny cases, run by COMMAND ("valgrind ... vpsde"). A file
# that a verb must refuse has to be refused with a sentence. Last line: N commands.
set -eu
threads=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
n=0
run() { # exit code, words of the command line;99 is the code of the checker
  local want=$1 code=0
  shift
  "${command[@]}" "$@" >out 2>err || code=$?
  n=$((n + 1))
  [ "$code" = "$want" ] && return
  echo "$*: exit code $code, not $want"
  cat out err
  exit 1
}
command=("$@")

cat >mixture.yaml <<'YAML'
seed: 7
process: {schedule: vp-linear, beta_min: 0.1, beta_max: 20, terminal: exact}
model:
  kind: gaussian-mixture
  weights: [0.3, 0.7]
  means: [[-2, 0], [2, 1]]
  covariances: [[[0.05, 0], [0, 0.05]], [[0.1, 0.06], [0.06, 0.1]]]
data: {path: points.npy}
sampler:
  solver: [ddim, heun, {solver: euler-maruyama, steps: 20}, {solver: pc-langevin, steps: 10},
           {solver: dopri5, rtol: 1.0e-2, atol: 1.0e-2}, {solver: cvode-adams, rtol: 1.0e-2, atol: 1.0e-2}]
  steps: 8
  count: 48
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-2, atol: 1.0e-2}, trace: exact}
elbo: {steps: 8}
YAML
cat >mlp.yaml <<'YAML'
seed: 3
process: {schedule: vp-linear}
model: {kind: mlp, hidden: 16, layers: 2}
data: {path: points.npy}
train: {steps: 12, batch: 16, warmup: 2}
YAML
cat >net.yaml <<'YAML'
seed: 3
model: {path: net.safetensors}
data: {path: points.npy}
sampler: {solver: [heun, {solver: dopri5, rtol: 1.0e-2, atol: 1.0e-2}], steps: 6, count: 24}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-2, atol: 1.0e-2}, trace: {kind: hutchinson, probes: 1}}
YAML
/usr/bin/python3 - <<'PY'
import numpy as np
np.save("points.npy", np.random.default_rng(1).normal(size=(24, 2)))
PY

run 0 sample mixture.yaml -o a.h5 -q --threads "$threads"
run 0 likelihood mixture.yaml -o b.h5 -q --threads "$threads"
run 0 elbo mixture.yaml -o c.h5 -q --threads "$threads"
run 0 train mlp.yaml -o net.safetensors -q --threads "$threads"
run 0 sample net.yaml -o d.h5 -q --threads "$threads"
run 0 likelihood net.yaml -o e.h5 -q --threads "$threads"
run 0 report a.h5 -o a.html
run 0 report b.h5 -o b.html
run 0 info a.h5
run 0 info net.safetensors

# Hostile files: the seeds of the fuzz targets, and ours cut short.
head -c 500 net.safetensors >cut.safetensors
head -c 3000 a.h5 >cut.h5
printf '\377\377\377\377\377\377\377\177{' >long.safetensors
printf 'model: [[[[[{{{{' >open.yaml
printf '\223NUMPY\1\0\377\377' >short.npy
for hostile in cut.safetensors cut.h5 long.safetensors; do
  code=0
  "${command[@]}" info "$hostile" >out 2>err || code=$?
  n=$((n + 1))
  [ "$code" -ge 1 ] && [ "$code" -lt 99 ] && [ -s err ] || { echo "info $hostile: exit code $code"; cat out err; exit 1; }
done
for hostile in open.yaml "mixture.yaml --set data.path=short.npy"; do
  code=0
  # shellcheck disable=SC2086 # words
  "${command[@]}" likelihood $hostile -o f.h5 -q >out 2>err || code=$?
  n=$((n + 1))
  [ "$code" -ge 1 ] && [ "$code" -lt 99 ] && [ -s err ] || { echo "likelihood $hostile: exit code $code"; cat out err; exit 1; }
done
echo "$n commands"
