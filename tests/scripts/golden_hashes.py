"""golden_hashes.py VPSDE [--write]: small fixed runs of closed-form models have the bits they had (tests/golden/hashes.json).

exp and log in double precision differ between kinds of CPU and versions of glibc, so the file names both, and the compiler.
Where one of them is another, a run that has other bits must have the same values to 1e-6. After a change that is meant to
change bits: --write, and say so in CHANGELOG.md."""
import json, os, sys, tempfile

import h5py
import numpy as np

import runs

vpsde = os.path.abspath(sys.argv[1])
GOLDEN = runs.ROOT + "/tests/golden/hashes.json"
GAUSSIAN = """\
seed: 5
process: {schedule: cosine}
model: {kind: gaussian-mixture, weights: [1], means: [[0.5, -1]], variances: [0.3]}
"""
SAMPLER = "sampler: {count: 40, steps: 12, solver: [%s]}\nlog: {times: 4}\n"
ADAPTIVE = ", ".join(f"{{solver: {name}, rtol: 1.0e-5, atol: 1.0e-5}}" for name in ("dopri5", "cvode-adams", "gsl-rkf45"))
END = "sampler: {solver: [{solver: heun, steps: 12, last_step: stop}, {solver: dopri5, rtol: 1.0e-5, atol: 1.0e-5}]}\n"
DATA = "data: {path: points.npy}\n"
RUNS = {
    "ode": ("sample", runs.MIXTURE + SAMPLER % "ddim, heun, dpmpp-2m, dpmpp-3m, unipc, deis, plms, rk4, edm-heun"),
    "sde": ("sample", runs.MIXTURE + SAMPLER % "ancestral, euler-maruyama, stochastic-heun, sra1, pc-langevin, sa-solver"),
    "adaptive": ("sample", runs.MIXTURE + SAMPLER.replace("steps: 12, ", "") % ADAPTIVE),
    "gaussian": ("sample", GAUSSIAN + SAMPLER % "ddim, heun, ancestral, euler-maruyama"),
    "likelihood": ("likelihood", runs.MIXTURE + DATA + "likelihood: {gradient: true, integrator: {solver: dopri5, rtol: 1.0e-6, atol: 1.0e-6}}\n"),
    "elbo": ("elbo", runs.MIXTURE + DATA + "elbo: {steps: 20, draws: 3}\n"),
    "encode": ("encode", runs.MIXTURE.replace("20}", "20, t_min: 1.0e-3}") + DATA + END),
    "interpolate": ("interpolate", runs.MIXTURE.replace("20}", "20, t_min: 1.0e-3}") + DATA + END + "interpolate: {points: 3}\n"),
    "edit": ("edit", runs.MIXTURE + DATA + "sampler: {solver: [ddim, ancestral], steps: 12}\nedit: {t0: 0.4}\n"),
    "compare": ("compare", runs.MIXTURE + "sampler: {count: 32}\ncompare: {solvers: [ddim, heun], steps: [5, 10], seeds: 2, reference: {solver: heun, steps: 60}}\n"),
}


def sketch(path):
    """Shape and up to five values of each dataset of floats."""
    out = {}

    def add(name, node):
        if isinstance(node, h5py.Dataset) and node.dtype.kind == "f" and not name.startswith("provenance"):
            flat = node[()].ravel()
            picked = flat[np.linspace(0, len(flat) - 1, min(5, len(flat))).astype(int)]
            out[name] = [None if np.isnan(x) else float(f"{x:.12g}") for x in picked]

    with h5py.File(path) as f:
        f.visititems(lambda name, node: add(name, node))
    return out


def near(a, b):
    if a.keys() != b.keys():
        return False
    return all((x is None) == (y is None) and (x is None or abs(x - y) <= 1e-6 * max(1, abs(x), abs(y)))
               for name in a for x, y in zip(a[name], b[name]))


def machine(path):
    with h5py.File(path) as f:
        facts = f["provenance"].attrs
        return {name: facts[name].decode() if isinstance(facts[name], bytes) else str(facts[name]) for name in ("cpu", "libc", "compiler")}


with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
    os.chdir(folder)
    np.save("points.npy", np.linspace(-3, 3, 60).reshape(30, 2))
    now = {}
    for name, (verb, text) in RUNS.items():
        with open(name + ".yaml", "w") as f:
            f.write(text)
        runs.call(vpsde, verb, name + ".yaml", "-o", name + ".h5", "-q")
        now[name] = {"sha256": runs.logical(name + ".h5", attributes=False), "values": sketch(name + ".h5")}
    here = machine("ode.h5")
if sys.argv[2:] == ["--write"]:
    with open(GOLDEN, "w") as f:
        f.write(json.dumps({"machine": here, "runs": now}, indent=0, separators=(",", ":")) + "\n")
    print(f"{GOLDEN}: {len(now)} runs")
    sys.exit()
with open(GOLDEN) as f:
    golden = json.load(f)
assert golden["runs"].keys() == now.keys(), (golden["runs"].keys(), now.keys())
other = {key: (golden["machine"][key], here[key]) for key in here if here[key] != golden["machine"][key]}
same = [name for name in now if now[name]["sha256"] == golden["runs"][name]["sha256"]]
for name in now.keys() - set(same):
    assert other, f"{name}: other bits than tests/golden/hashes.json on the same CPU, libc and compiler"
    assert near(now[name]["values"], golden["runs"][name]["values"]), f"{name}: not even near, {other}"
print(f"{len(same)} of {len(now)} runs have the golden bits" + (f"; here is another machine: {other}" if other else ""))
