"""command.py VPSDE SOURCE: the verbs, end to end on small things, with their exit codes and outputs."""
import os, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MIXTURE = os.path.join(source, "experiments/mixture.yaml")
TRAIN = """\
seed: 3
process: {schedule: ddpm-linear}
model: {kind: mlp, hidden: 16, layers: 1, time_features: 16}
data: {path: points.npy}
train: {steps: 40, batch: 64, warmup: 5, decay: cosine, checkpoint_every: 10}
"""


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stderr)
    return result


def helps():
    verbs = [line.split()[0] for line in run("list", "verbs").stdout.splitlines()]
    assert verbs == ["train", "sample", "likelihood", "check", "info", "list"], verbs
    for verb in verbs:
        text = run(verb, "--help").stdout
        assert "Usage: vpsde " + verb in text, text
    assert run("--version").stdout.startswith("vpsde ")
    assert "sample" in run("--help").stdout
    for what in ("solvers", "schedules", "grids", "models"):
        names = [line.split()[0] for line in run("list", what).stdout.splitlines()]
        assert len(names) == len(set(names)) >= 2, (what, names)


def check():
    text = run("check", MIXTURE).stdout
    assert "ddim: 4096 samples, 2.048e+05 evaluations" in text, text
    assert "likelihood" in text and " s, " in text and "MB" in text, text
    resolved = run("check", MIXTURE, "--resolved").stdout
    with open("resolved.yaml", "w") as f:
        f.write(resolved)
    assert run("check", "resolved.yaml", "--resolved").stdout == resolved, "resolving is not idempotent"


def sample_and_likelihood():
    out = run("sample", MIXTURE, "-o", "run.h5", "--set", "sampler.count=100").stdout
    assert "euler_maruyama" in out and "nfe/sample" in out, out
    with h5py.File("run.h5") as f:
        assert sorted(f["runs"]) == sorted(["ddim", "heun", "euler_maruyama", "pc_langevin", "dopri5", "cvode_adams"])
        assert (f["runs/ddim/nfe"][:] == 50).all() and (f["runs/heun/nfe"][:] == 100).all()
        starts = [f["runs"][label]["x"][:, 0] for label in f["runs"]]
        assert all(np.array_equal(s, starts[0]) for s in starts), "same noise for every solver"
        np.save("starts.npy", f["runs/ddim/x"][:, 0].astype(np.float64))
    run("sample", MIXTURE, "-o", "init.h5", "--set", "sampler.count=100", "--set", "sampler.init=%s/starts.npy" % os.getcwd(), "-q")
    with h5py.File("init.h5") as a, h5py.File("run.h5") as b:
        assert np.abs(a["runs/heun/final"][:] - b["runs/heun/final"][:]).max() < 1e-4
    out = run("likelihood", MIXTURE, "-o", "logp.h5").stdout
    points = np.load(os.path.join(source, "experiments/mixture-points.npy"))
    with h5py.File("logp.h5") as f:
        logp = f["likelihood/gsl_rk8pd/logp"][:]

    def density(x, mean, covariance):
        d = x - mean
        return np.exp(-0.5 * (d @ np.linalg.inv(covariance) * d).sum(1)) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))

    alpha2 = np.exp(-(0.1 * 1e-5 + 19.9 * 1e-10 / 2))  # log p_t at t_min = 1e-5
    parts = [(0.3, [-2, 0], [[.05, 0], [0, .05]]), (0.7, [2, 1], [[.1, .06], [.06, .1]])]
    truth = np.log(sum(w * density(points, np.sqrt(alpha2) * np.array(m), alpha2 * np.array(c) + (1 - alpha2) * np.eye(2)) for w, m, c in parts))
    assert np.abs(logp - truth).max() < 1e-7, np.abs(logp - truth).max()
    assert "/runs/ddim/final" in run("info", "run.h5").stdout
    run("info", os.path.join(source, "experiments/mixture-points.npy"))


def train_and_resume():
    rng = np.random.default_rng(1)
    np.save("points.npy", rng.normal(size=(500, 2)))
    with open("train.yaml", "w") as f:
        f.write(TRAIN)
    run("train", "train.yaml", "-o", "whole.safetensors")
    process = subprocess.Popen([vpsde, "train", "train.yaml", "-o", "cut.safetensors", "--set", "train.steps=40", "-q"])
    for _ in range(2000):
        if process.poll() is not None or os.path.exists("cut.state.safetensors"):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    code = process.wait()
    assert code in (0, 143), code
    if code == 143:
        run("train", "train.yaml", "-o", "cut.safetensors", "--resume", "-q")
    same = [open(name + ".safetensors", "rb").read() for name in ("whole", "cut")]
    assert same[0] == same[1], "a resumed training has other weights"
    out = subprocess.run(["h5diff", "--exclude-path=/provenance", "whole.h5", "cut.h5"], capture_output=True, text=True)
    assert out.returncode == 0, out.stdout
    run("train", "train.yaml", "-o", "whole.safetensors", code=7)
    assert "mlp" in run("info", "whole.safetensors").stdout
    with open("run.yaml", "w") as f:
        f.write("model: {path: whole.safetensors}\nsampler: {solver: ddim, steps: 5, count: 3}\n")
    run("sample", "run.yaml", "-o", "net.h5")
    mismatch = run("sample", "run.yaml", "-o", "x.h5", "--set", "process.schedule=cosine", code=3).stderr
    assert "cosine" in mismatch and "ddpm-linear" in mismatch, mismatch
    run("sample", "run.yaml", "-o", "x.h5", "--set", "process.schedule=cosine", "--set", "process.override=true")


def stops():
    process = subprocess.Popen([vpsde, "sample", MIXTURE, "-o", "long.h5", "-q", "--set", "sampler.count=5000000", "--set", "log.times=none"])
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert process.wait(timeout=60) == 130
    assert time.monotonic() - begin < 10, "stopping took too long"
    with h5py.File("long.h5") as f:
        assert f.attrs["status"] in (b"interrupted", "interrupted"), f.attrs["status"]


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    helps()
    check()
    sample_and_likelihood()
    train_and_resume()
    stops()
print("the command does what its manual says")
