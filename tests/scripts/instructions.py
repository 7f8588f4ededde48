"""instructions.py VPSDE SOURCE [--update]: instructions of vpsde's own code in fixed small cases, against tests/bench/instructions.txt.

Callgrind counts them; libraries (libm, HDF5, oneDNN and what it compiles at run time, libgomp) are left out, so processor and
library versions matter little: valgrind shows every machine with AVX2 the same processor. A case that takes more than 5 %
above its line fails, unless the file was changed on purpose (--update). Counted twice, a case must agree within 0.1 %.
Another compiler or no valgrind: nothing is compared, and said so. A build that counts its lines counts those instructions too: skipped (77).
"""
import os, re, shutil, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np

import runs

LIMIT, REPEAT = 1.05, 1.001
vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
update = "--update" in sys.argv
table = source + "/tests/bench/instructions.txt"
ENV = dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", DNNL_MAX_CPU_ISA="SSE41", LC_ALL="C")
MIXTURE = """\
seed: 7
process: {schedule: vp-linear}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
data: {path: points.npy, count: 40}
sampler: {solver: ddim, steps: 20, count: 500}
log: {times: none}
"""
NETWORK = "model: {path: net.safetensors}\nsampler: {solver: ddim, steps: 5, count: 256}\nlog: {times: none}\n"
TRAIN = """\
process: {schedule: vp-linear}
model: {kind: mlp, hidden: 64, layers: 2}
data: {path: points.npy}
train: {steps: 4, batch: 32}
"""


def sampled(solver, *more):
    return ["sample", "mixture.yaml", "--set", "sampler.solver=" + solver, *more]


CASES = {  # -o and the number of threads are added to those that write
    "start": ["--version"],
    "configuration": ["check", "mixture.yaml", "--resolved"],
    "euler-maruyama": sampled("euler-maruyama"),
    "dpmpp-2m": sampled("dpmpp-2m"),
    "sra1": sampled("sra1"),
    "pc-langevin": sampled("pc-langevin"),
    "dopri5": sampled("[{solver: dopri5, rtol: 1e-4, atol: 1e-4}]", "--set", "sampler.count=100"),
    "run-file": sampled("ddim", "--set", "log={times: all, fields: [x, eps, x0], dtype: float64}"),
    "likelihood": ["likelihood", "mixture.yaml", "--set", "likelihood={integrator: {solver: dopri5, rtol: 1e-4, atol: 1e-4}, budget: false}"],
    "mlp": ["sample", "net.yaml"],
    "train": ["train", "train.yaml"],
}


def own(path):
    """Self cost of the functions in the command's own object file, HDF5's left out, which is linked into it."""
    names, functions, here, foreign, total, inclusive = {}, {}, None, False, 0, False
    for line in open(path):
        found = re.match(r"(c?ob)=\((\d+)\)(?: (.*))?", line)
        if found:
            if found[3]:
                names[found[2]] = found[3]
            if found[1] == "ob":
                here = names[found[2]]
        elif found := re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line):
            if found[3]:
                functions[found[2]] = found[3]
            if found[1] == "fn":
                foreign = functions[found[2]].startswith("H5")
        elif line.startswith("calls="):
            inclusive = True
        elif re.match(r"[0-9+*-]", line):
            if not inclusive and here == vpsde and not foreign:
                total += int(line.split()[1])
            inclusive = False
    return total


def count(name, turn):
    words = list(CASES[name])
    if words[0] in ("sample", "likelihood", "train"):
        words += ["-o", f"{name}-{turn}" + (".safetensors" if words[0] == "train" else ".h5"), "--threads", "1", "-q"]
    profile = f"{name}-{turn}.callgrind"
    command = ["valgrind", "--tool=callgrind", "--dump-line=no", "--callgrind-out-file=" + profile, vpsde, *words]
    result = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, (name, result.stdout, result.stderr)
    counted = own(profile)
    assert counted > 0, f"{name}: nothing of {vpsde} in the profile"
    return counted


def prepare():
    np.save("points.npy", np.random.default_rng(3).normal(size=(64, 2)) * 0.3 + [2, 1])
    for name, text in (("mixture", MIXTURE), ("net", NETWORK), ("train", TRAIN)):
        with open(name + ".yaml", "w") as file:
            file.write(text)
    subprocess.run([vpsde, "train", "train.yaml", "-o", "net.safetensors", "-q"], check=True, env=ENV)
    with h5py.File("net.h5") as f:
        compiler = f["provenance"].attrs["compiler"]
    return compiler.decode() if isinstance(compiler, bytes) else compiler


def write(compiler, counts):
    with open(table, "w") as file:
        file.write("# Instructions of vpsde's own code, by tests/scripts/instructions.py VPSDE SOURCE --update\n")
        file.write(f"compiler {compiler}\n")
        file.writelines(f"{name} {n}\n" for name, n in counts.items())


def compare(before, counts):
    worse = []
    for name, n in counts.items():
        old = before.get(name)
        change = f"{100 * (n / old - 1):+.2f} %" if old else "new"
        print(f"{name:16} {old or 0:12d} {n:12d}  {change}")
        if not old or n > LIMIT * old:
            worse.append(name)
    worse += [name + " (no such case)" for name in set(before) - set(counts)]
    assert not worse, (f"more instructions than tests/bench/instructions.txt allows: {', '.join(worse)}; where that is on purpose: "
                       "tests/scripts/instructions.py VPSDE SOURCE --update, and commit the file")


def main():
    if b".gcda" in open(vpsde, "rb").read():
        print("not compared: this build counts lines and branches")
        sys.exit(77)
    if not shutil.which("valgrind"):
        return print("not compared: no valgrind here")
    with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
        os.chdir(folder)
        compiler = prepare()
        lines = [line.rsplit(None, 1) if not line.startswith("compiler") else line.split(None, 1)
                 for line in (open(table) if os.path.exists(table) else []) if not line.startswith("#")]
        before = {name: value.strip() for name, value in lines}
        if not update and before.pop("compiler", None) != compiler:
            return print(f"not compared: built by {compiler}, tests/bench/instructions.txt is of another compiler")
        turns = [(name, turn) for name in CASES for turn in (0, 1)]
        with ThreadPoolExecutor(2) as pool:
            counted = dict(zip(turns, pool.map(lambda t: count(*t), turns)))
        os.chdir("/")
    for name in CASES:
        one, two = counted[name, 0], counted[name, 1]
        assert max(one, two) <= REPEAT * min(one, two), f"{name}: {one} instructions, then {two}"
    counts = {name: counted[name, 0] for name in CASES}
    if update:
        return write(compiler, counts)
    compare({name: int(value) for name, value in before.items()}, counts)


main()
