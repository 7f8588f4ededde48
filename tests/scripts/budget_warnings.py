"""budget_warnings.py VPSDE: what `likelihood` says on stderr about its error budget, and when it says nothing."""
import os, subprocess, sys, tempfile

import numpy as np

vpsde = os.path.abspath(sys.argv[1])
MIXTURE = """\
seed: 4
process: {schedule: vp-linear, terminal: exact, t_min: 1.0e-6}
model: {kind: gaussian-mixture, weights: [0.4, 0.6], means: [[-0.4, 0.3], [0.5, 0]], covariances: [[[0.9, 0.4], [0.4, 0.8]], [[0.7, -0.3], [-0.3, 0.9]]]}
data: {path: rows.npy}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-6, atol: 1.0e-6}}
"""
TRAIN = """\
seed: 4
process: {schedule: vp-linear}
model: {kind: mlp, hidden: 16, layers: 1, time_features: 8}
data: {path: rows.npy}
train: {steps: 300, batch: 32, warmup: 10, learning_rate: 3.0e-3, ema: 0.9}
"""
NETWORK = """\
seed: 4
model: {path: small.safetensors}
data: {path: rows.npy}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}}
"""


def warnings(path, *pairs):
    sets = [word for pair in pairs for word in ("--set", pair)]
    result = subprocess.run([vpsde, "likelihood", path, "-o", "out.h5", "--force", *sets], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return [line for line in result.stderr.splitlines() if "warning" in line]


def expect(lines, *words):
    assert len(lines) == len(words) and all(w in l for w, l in zip(words, lines)), (lines, words)


def closed_forms():
    advice = "probes in 2 dimensions: the exact trace costs no more"
    probes = "likelihood.trace={kind: hutchinson, probes: %d, distribution: %s}"
    expect(warnings("mixture.yaml"))
    expect(warnings("mixture.yaml", "process.t_min=1e-2"), "truncation makes up")
    expect(warnings("mixture.yaml", "process.terminal=standard-normal", "process.t_max=0.5"), "terminal makes up")
    expect(warnings("mixture.yaml", probes % (8, "sphere")), "trace_halfwidth makes up", advice)
    for k, kind in ((1, "gaussian"), (1, "rademacher"), (5, "rademacher")):
        found = warnings("mixture.yaml", probes % (k, kind))
        assert "trace_halfwidth is not known" in found[0] and (k == 1 or advice in found[-1]), found
    expect(warnings("mixture.yaml", "process.t_min=1e-2", "likelihood.budget=false"))


def networks():
    subprocess.run([vpsde, "train", "train.yaml", "-o", "small.safetensors", "-q"], check=True, timeout=300)
    float32 = "is below what float32 can give"
    assert not any(float32 in line for line in warnings("network.yaml")), "1e-4 is within float32"
    tight = warnings("network.yaml", "likelihood.integrator.atol=1e-8")
    assert any("logp_atol 1e-08 " + float32 in line for line in tight), tight
    assert not any(float32 in line for line in warnings("network.yaml", "likelihood.integrator.atol=1e-8", "likelihood.budget=false"))


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    np.save("rows.npy", np.random.default_rng(3).normal(size=(40, 2)))
    for name, text in (("mixture.yaml", MIXTURE), ("train.yaml", TRAIN), ("network.yaml", NETWORK)):
        with open(name, "w") as f:
            f.write(text)
    closed_forms()
    networks()
