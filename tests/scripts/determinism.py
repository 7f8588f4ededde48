"""determinism.py VPSDE [--full] [OTHER_VPSDE...]: one hash over threads, processors, sub-ranges of samples, resume points,
logging and builds by gcc; stated tolerances for clang and for oneDNN held to an older instruction set.

A covering set: every two settings of two factors meet in some run. --full takes every combination (tests/soak). Other
builds are arguments or, separated by blanks, in VPSDE_TEST_BUILDS; their compiler is in their run files."""
import glob, hashlib, itertools, os, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

import runs

full = "--full" in sys.argv
builds = [os.path.abspath(b) for b in [a for a in sys.argv[1:] if a != "--full"] + os.environ.get("VPSDE_TEST_BUILDS", "").split()]
SAMPLER = """\
sampler:
  count: 700
  steps: 10
  solver: [ddim, euler-maruyama, pc-langevin, {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}, {solver: cvode-adams, rtol: 1.0e-4, atol: 1.0e-4}]
data: {path: points.npy, count: 600}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}}
"""
TRAIN = """\
seed: 3
process: {schedule: ddpm-linear}
model: {kind: mlp, hidden: 32, layers: 2, time_features: 16}
data: {path: points.npy}
train: {steps: 1500, batch: 128, warmup: 100}
"""
MODELS = {"mixture": runs.MIXTURE + SAMPLER, "network": "seed: 5\nmodel: {path: net.safetensors}\n" + SAMPLER}
FEW = 137  # rows that every run has
FACTORS = {
    "build": range(len(builds)),
    "threads": (1, 2, 3, 8),
    "rows": (700, FEW, 300),
    "killed": (0, 1, 3),  # after so many sealed parts, then resumed with other threads
    "log": ("none", "5", "[0.9, 0.5, 0.01]"),
    "processors": (1, 2),
}
# Largest |difference| of a state (size 1) or of a log-likelihood in nats, fixed steps and adaptive ones at 1e-4. Adaptive
# integrations decide by rounded errors, so they are as near as their tolerance.
TOLERANCE = {"mixture": {"fixed": 1e-9, "adaptive": 1e-3}, "network": {"fixed": 1e-5, "adaptive": 0.1}}


def covering(factors):
    """Rows that hold every pair of settings, greedily, the same ones each time; with --full all rows."""
    names = list(factors)
    every = list(itertools.product(*factors.values()))
    if full:
        return [dict(zip(names, row)) for row in every]
    pairs = lambda row: {(i, j, row[i], row[j]) for i in range(len(row)) for j in range(i)}
    wanted = set().union(*map(pairs, every))
    rows = []
    while wanted:
        best = max(every, key=lambda row: len(pairs(row) & wanted))
        rows.append(dict(zip(names, best)))
        wanted -= pairs(best)
    return rows


def killed_after(command, parts, env):
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(glob.glob("run.h5.parts/part-*")) < parts + 6:  # tables count
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def run(model, verb, row, env):
    if os.path.exists("run.h5"):
        os.remove("run.h5")
    key = "sampler.count" if verb == "sample" else "data.count"
    rows = min(row["rows"], 600) if verb == "likelihood" else row["rows"]
    log = row["log"] if verb == "sample" else "none"
    only = [] if row["processors"] == 2 else ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    command = [*only, builds[row["build"]], verb, model + ".yaml", "-o", "run.h5", "-q", "--threads", str(row["threads"]),
               "--set", f"{key}={rows}", "--set", f"log.times={log}"]
    if row["killed"]:
        killed_after(command, row["killed"], dict(env, LD_PRELOAD=library, VPSDE_TEST_HURRY="3000"))
        if os.path.exists("run.h5.parts/manifest"):
            command = [builds[row["build"]], "resume", "run.h5", "-q", "--threads", str(4 - row["killed"])]
        elif os.path.exists("run.h5"):
            command = ["true"]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, (command, result.stderr)
    with h5py.File("run.h5") as f:
        groups = f["runs"] if verb == "sample" else {"likelihood": next(iter(f["likelihood"].values()))}
        names = ("final", "nfe", "rejected", "status") if verb == "sample" else ("logp", "nfe", "status")
        values = {label: {name: groups[label][name][:FEW] for name in names if name in groups[label]} for label in groups}
        compiler = f["provenance"].attrs["compiler"]
    return values, compiler.decode() if isinstance(compiler, bytes) else compiler


def sha(values):
    digest = hashlib.sha256()
    for label in sorted(values):
        for name in sorted(values[label]):
            digest.update(f"{label} {name}".encode() + values[label][name].tobytes())
    return digest.hexdigest()


def compare(model, values, reference, what):
    """Within the tolerance of other compilers and instruction sets; the largest distances."""
    far = {"fixed": 0.0, "adaptive": 0.0}
    for label in reference:
        kind = "fixed" if label in ("ddim", "euler_maruyama", "pc_langevin") else "adaptive"
        name = "final" if "final" in reference[label] else "logp"
        far[kind] = max(far[kind], np.abs(values[label][name] - reference[label][name]).max())
    for kind in far:
        assert far[kind] <= TOLERANCE[model][kind], f"{model}, {what}: {far[kind]:.3g} in {kind} steps"
    return far


with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
    os.chdir(folder)
    library = runs.shim(".")
    np.save("points.npy", np.random.default_rng(1).normal(size=(700, 2)))
    for name, text in {**MODELS, "train": TRAIN}.items():
        with open(name + ".yaml", "w") as f:
            f.write(text)
    runs.call(builds[0], "train", "train.yaml", "-o", "net.safetensors", "-q")
    cases, hashes, worst = 0, 0, {}
    for model, verb in itertools.product(MODELS, ("sample", "likelihood")):
        reference, home = None, None
        for row in covering(FACTORS):
            values, compiler = run(model, verb, row, runs.ENV)
            cases += 1
            if reference is None:
                reference, home, hashes = values, compiler, hashes + 1
            if compiler.split()[0] == home.split()[0]:
                assert sha(values) == sha(reference), f"{model}, {verb}: other bits with {row} ({compiler})"
            else:
                worst[model, verb, "clang"] = compare(model, values, reference, compiler)
        for isa in ("AVX2", "SSE41"):
            row = dict(build=0, threads=2, rows=FEW, killed=0, log="none", processors=2)
            values, _ = run(model, verb, row, dict(runs.ENV, ONEDNN_MAX_CPU_ISA=isa))
            cases += 1
            if model == "mixture":  # no network, no oneDNN
                assert sha(values) == sha(reference), "oneDNN's instruction set changes a closed form"
            worst[model, verb, isa] = compare(model, values, reference, isa)
for key, far in worst.items():
    print(*key, *(f"{kind} {value:.2g}" for kind, value in far.items() if value))
print(f"{cases} runs, {hashes} hashes for {len(MODELS)} models and 2 verbs")
