"""reproducible.py VPSDE: the same bits for any thread count, sub-range and logging, through the files."""
import os, subprocess, sys, tempfile

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
CONFIG = """\
seed: 11
process: {schedule: ddpm-linear}
model: {kind: mlp, hidden: 32, layers: 2, dim: 2}
data: {path: points.npy}
train: {steps: 60, batch: 200, warmup: 10, checkpoint_every: 20}
"""
RUN = """\
seed: 5
model: {path: net.safetensors}
data: {path: points.npy, count: 40}
sampler:
  solver: [ddim, euler-maruyama, pc-langevin, {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}, {solver: cvode-adams, rtol: 1.0e-4, atol: 1.0e-4}, {solver: gsl-rkf45, rtol: 1.0e-4, atol: 1.0e-4}]
  steps: 20
  count: 500
log: {times: 5}
likelihood: {integrator: {solver: cvode-adams, rtol: 1.0e-4, atol: 1.0e-4}, trace: {kind: hutchinson, probes: 3}}
"""


def call(*arguments):
    subprocess.run([vpsde, *arguments, "-q"], check=True, env=dict(os.environ, OMP_WAIT_POLICY="passive"))


def same(a, b):
    out = subprocess.run(["h5diff", "--exclude-path=/provenance", a, b], capture_output=True, text=True)
    assert out.returncode == 0 and not out.stdout.strip(), f"{a} and {b} differ:\n{out.stdout}{out.stderr}"


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    rng = np.random.default_rng(3)
    np.save("points.npy", rng.normal(size=(600, 2)) * 0.3 + np.sign(rng.normal(size=(600, 1))))
    for name, text in (("train.yaml", CONFIG), ("run.yaml", RUN)):
        with open(name, "w") as f:
            f.write(text)
    weights = []
    for threads in (1, 2, 3, 7):
        call("train", "train.yaml", "-o", f"net{threads}.safetensors", "--threads", str(threads))
        weights.append(open(f"net{threads}.safetensors", "rb").read())
        same("net1.h5", f"net{threads}.h5")
    assert all(w == weights[0] for w in weights), "trained weights differ over threads"
    call("train", "train.yaml", "-o", "half.safetensors", "--set", "train.steps=20")
    os.rename("net1.safetensors", "net.safetensors")
    for threads in (1, 2, 3, 7):
        call("sample", "run.yaml", "-o", f"s{threads}.h5", "--threads", str(threads))
        call("likelihood", "run.yaml", "-o", f"l{threads}.h5", "--threads", str(threads))
        same("s1.h5", f"s{threads}.h5")
        same("l1.h5", f"l{threads}.h5")
    call("sample", "run.yaml", "-o", "few.h5", "--set", "sampler.count=37")
    call("sample", "run.yaml", "-o", "nolog.h5", "--set", "log.times=none")
    call("sample", "s1.h5", "-o", "again.h5")
    same("s1.h5", "again.h5")  # a run file is a valid input
    with h5py.File("s1.h5") as full, h5py.File("few.h5") as few, h5py.File("nolog.h5") as nolog:
        assert len(full["runs"]) == 6
        for label in full["runs"]:
            a = full["runs"][label]
            for name in ("final", "nfe", "status", "rejected"):
                assert np.array_equal(a[name][:37], few["runs"][label][name][:]), (label, name, "37 of 500")
                assert np.array_equal(a[name][:], nolog["runs"][label][name][:]), (label, name, "logging")
            assert np.array_equal(a["x"][:, -1], a["final"][:].astype(np.float32)), label
print("same bits for 1, 2, 3, 7 threads, 37 of 500, with and without log, from the run file")
