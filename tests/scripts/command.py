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
    assert verbs == ["train", "sample", "likelihood", "resume", "check", "info", "list"], verbs
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


def entries_inherit_key_by_key():
    with open("list.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\n"
                "model: {kind: gaussian-mixture, weights: [1], means: [[0, 0]], variances: [0.5]}\n"
                "sampler: {solver: [ddim, {solver: heun, steps: 5}], steps: 10, grid: uniform-t, last_step: tweedie, count: 3}\n")
    run("sample", "list.yaml", "-o", "list.h5", "-q")
    with h5py.File("list.h5") as f:
        assert (f["runs/ddim/nfe"][:] == 11).all() and (f["runs/heun/nfe"][:] == 11).all()
        assert {f["runs"][k].attrs["grid"] for k in f["runs"]} in ({b"uniform-t"}, {"uniform-t"})
    assert "ddim" in run("check", "list.h5").stdout, "a run file is a valid configuration"
    run("sample", "list.yaml", "-o", "adaptive.h5", "-q", "--set", "sampler.solver=dopri5", "--set", "sampler.steps=null",
        "--set", "sampler.rtol=1e-4", "--set", "sampler.atol=1e-4", "--set", "log.times=[0.25, 0.5]")
    with h5py.File("adaptive.h5") as f:
        assert list(f["runs/dopri5/t"][:]) == [0.5, 0.25], list(f["runs/dopri5/t"][:])
    with open("/dev/full", "w") as full:
        assert subprocess.run([vpsde, "list", "solvers"], stdout=full, stderr=subprocess.DEVNULL).returncode == 6


def betas_from_a_file():
    np.save("betas.npy", np.linspace(1e-4, 0.02, 1000))
    np.save("normal.npy", np.zeros((2, 1)))
    with open("betas.yaml", "w") as f:
        f.write("process: {schedule: table, betas: betas.npy}\n"
                "model: {kind: gaussian-mixture, weights: [1], means: [[1]], variances: [0.5]}\n"
                "sampler: {solver: [ancestral], steps: 20, count: 3}\n")
    run("sample", "betas.yaml", "-o", "betas.h5", "-q")
    run("sample", "betas.yaml", "-o", "linear.h5", "-q", "--set", "process.schedule=ddpm-linear", "--set", "process.betas=null")
    with h5py.File("betas.h5") as a, h5py.File("linear.h5") as b:
        assert a["inputs"].attrs["betas"].decode().endswith("/betas.npy") and len(a["inputs"].attrs["betas_sha256"]) == 64
        assert np.abs(a["runs/ancestral/final"][:] - b["runs/ancestral/final"][:]).max() < 1e-12


def inputs_are_spared():
    np.save("rows.npy", np.zeros((3, 2)))
    with open("spare.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\n"
                "model: {kind: gaussian-mixture, weights: [1], means: [[0, 0]], variances: [0.5]}\n"
                "data: {path: rows.npy}\nsampler: {solver: ddim, steps: 5, count: 3}\n"
                "likelihood: {integrator: {solver: dopri5}}\n")
    before = open("spare.yaml").read(), open("rows.npy", "rb").read()
    run("sample", "spare.yaml", "-o", "spare.yaml", "--force", code=7)
    run("likelihood", "spare.yaml", "-o", "rows.npy", "--force", code=7)
    assert before == (open("spare.yaml").read(), open("rows.npy", "rb").read())


def a_run_file_is_a_configuration_of_any_verb():
    run("sample", "spare.yaml", "-o", "spare.h5", "-q")
    run("likelihood", "spare.yaml", "-o", "direct.h5", "-q")
    run("likelihood", "spare.h5", "-o", "through.h5", "-q")
    with h5py.File("direct.h5") as a, h5py.File("through.h5") as b:
        assert np.array_equal(a["likelihood/dopri5/logp"][:], b["likelihood/dopri5/logp"][:])
    run("sample", "spare.yaml", "-o", "zero.h5", "-q", "--set", "process.t_min=0", "--set", "log.times=none", "--set",
        "sampler.solver=dopri5", "--set", "sampler.rtol=1e-4", "--set", "sampler.atol=1e-4", "--set", "sampler.steps=null")
    failed = run("likelihood", "spare.yaml", "-o", "few.h5", "--set", "likelihood.integrator.max_steps=3", code=5)
    assert "nan" not in failed.stdout, failed.stdout


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


def images():
    """A network trained on images keeps their shape; run files name what they were made with."""
    np.save("images.npy", np.random.default_rng(2).integers(0, 256, (60, 4, 6)).astype(np.uint8))
    with open("images.yaml", "w") as f:
        f.write(TRAIN.replace("points.npy", "images.npy"))
    with open("images-run.yaml", "w") as f:
        f.write("model: {path: images.safetensors}\nsampler: {solver: ddim, steps: 3, count: 5}\n")
    refused = run("train", "images.yaml", "-o", "images.safetensors", "--set", "model.shape=[1, 4, 5]", code=3).stderr
    assert "model.shape" in refused and "24" in refused, refused
    refused = run("train", "images.yaml", "-o", "images.safetensors", "--set", "model.shape=[4, 6]", code=3).stderr
    assert "[channel, row, column]" in refused, refused
    run("train", "images.yaml", "-o", "images.safetensors", "--set", "train.warmup=400", "--set", "data.pool=2", "-q")
    assert "6 = 1 x 2 x 3" in run("info", "images.safetensors").stdout
    run("sample", "images-run.yaml", "-o", "images-run.h5", "--threads", "2", "-q")
    with h5py.File("images-run.h5") as f:
        assert f["runs/ddim/final"].shape == (5, 1, 2, 3)
        facts = f["provenance"].attrs
        assert facts["threads"] == 2
        for name in ("commit", "compiler", "gsl", "sundials", "onednn", "onednn_isa"):
            assert len(facts[name]) > 0, name


def keeps_to_trained_times():
    """A network of 50 DDPM steps knows t = 0.02 and later."""
    with open("few.yaml", "w") as f:
        f.write(TRAIN.replace("ddpm-linear", "ddpm-linear, steps: 50"))
    run("train", "few.yaml", "-o", "few.safetensors", "-q")
    with open("known.yaml", "w") as f:
        f.write("model: {path: few.safetensors}\ndata: {path: points.npy, count: 4}\n"
                "sampler: {solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3, last_step: euler, count: 3}\n"
                "log: {times: 3, fields: [x, eps, x0]}\nlikelihood: {integrator: {solver: dopri5}}\n")
    assert "t_min: 0.02\n" in run("check", "known.yaml", "--resolved").stdout
    for verb in ("sample", "likelihood"):
        run(verb, "known.yaml", "-o", verb + ".known.h5")
        words = run(verb, "known.yaml", "-o", "x.h5", "--force", "--set", "process.t_min=1e-3", code=3).stderr
        assert "0.001" in words and "0.02" in words and "override" in words, words
        run(verb, "known.yaml", "-o", "x.h5", "--force", "--set", "process.t_min=1e-3", "--set", "process.override=true")
    with h5py.File("sample.known.h5") as f:
        group = f["runs/dopri5"]
        assert group["t"][-1] == 0 and np.all(group["x"][:, -1] == group["x0"][:, -1])
        assert np.all(np.isnan(group["eps"][:, -1])) and np.all(np.isfinite(group["eps"][:, :-1]))


def stops():
    process = subprocess.Popen([vpsde, "sample", MIXTURE, "-o", "long.h5", "-q", "--set", "sampler.count=5000000", "--set", "log.times=none"], stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert process.wait(timeout=60) == 130
    assert time.monotonic() - begin < 10, "stopping took too long"
    assert not os.path.exists("long.h5") and os.path.exists("long.h5.parts/manifest")
    assert "vpsde resume long.h5" in process.stderr.read()
    again = run("sample", MIXTURE, "-o", "long.h5", code=7).stderr
    assert "vpsde resume long.h5" in again and "--force" in again, again


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    helps()
    check()
    entries_inherit_key_by_key()
    betas_from_a_file()
    inputs_are_spared()
    a_run_file_is_a_configuration_of_any_verb()
    sample_and_likelihood()
    train_and_resume()
    images()
    stops()
print("the command does what its manual says")
