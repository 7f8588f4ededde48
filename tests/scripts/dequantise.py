"""dequantise.py VPSDE: 8-bit data through `likelihood`: every kind of dequantisation and its attributes, t_min that
follows from tau, rows that depend on their index alone, runs that are killed and resumed, memory that does not grow
with the number of rows beyond the file's own bytes."""
import os, re, signal, struct, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
CONFIG = """\
seed: 3
process: {schedule: vp-linear, terminal: exact%s}
model: {kind: gaussian-mixture, weights: [0.4, 0.6], means: [[-0.3, 0.1], [0.5, 0.2]], variances: [0.02, 0.05]}
data: {path: pixels.idx, range: [-1, 1]}
likelihood:
  integrator: {solver: dopri5, rtol: 1.0e-6, atol: 1.0e-6}
  dequantization: %s
"""
WIDTH = 2 / 255


def idx(path, values):
    with open(path, "wb") as f:
        f.write(struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape))
        f.write(values.astype(np.uint8).tobytes())


def configure(path, dequantization, process=""):
    with open(path, "w") as f:
        f.write(CONFIG % (process, dequantization))


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout + result.stderr


def scores(path):
    with h5py.File(path) as f:
        group = f["likelihood/dopri5"]
        text = {key: value.decode() if isinstance(value, bytes) else value for key, value in group.attrs.items()}
        return text, {name: group[name][:] for name in group}


def kinds():
    """Bits per dimension agree where the law is broad; one draw tells no gap, several do."""
    bits = {}
    for name, value in (("none", "none"), ("uniform", "uniform"), ("eight", "{kind: uniform, draws: 8}"),
                        ("normal", "{kind: truncated-normal, tau: 3, draws: 8}")):
        configure(name + ".yaml", value)
        out = run("likelihood", name + ".yaml", "-o", name + ".h5")
        attrs, column = scores(name + ".h5")
        bits[name] = column["bits_per_dim"]
        log_p = column["logp"] + 2 * np.log(WIDTH)
        assert np.allclose(bits[name], -log_p / (2 * np.log(2)), rtol=0, atol=1e-12)
        total = column["prior_logp"] + column["delta_logp"] + column["dequantisation_logp"]
        assert np.allclose(column["logp"], total, rtol=0, atol=1e-12)
        assert attrs["level_width"] == WIDTH and attrs["bits_offset"] == -np.log2(WIDTH)
        assert "log P" in attrs["bits_convention"] and attrs["dequantization"] == value.split(",")[0].split()[-1], attrs
        gap = column["dequantisation_gap"]
        assert (gap == 0).all() if name == "none" else np.isnan(gap).all() if name == "uniform" else (gap >= 0).all()
        assert np.isnan(column["budget"]).all() == (name == "uniform"), out
    assert np.allclose(bits["uniform"], bits["none"], atol=0.2), np.abs(bits["uniform"] - bits["none"]).max()
    assert np.allclose(bits["eight"], bits["none"], atol=0.1)
    assert 0 < np.mean(bits["normal"] - bits["eight"]) < 0.5  # its model is p at t_min, on levels all but a Dirac
    assert attrs["dequantization_draws"] == 8 and abs(attrs["dequantization_tau"] - 3) < 1e-9
    sigma = np.sqrt(-np.expm1(-(0.1 * attrs["t_min"] + 19.9 / 2 * attrs["t_min"] ** 2)))
    assert abs(WIDTH / 2 * np.sqrt(1 - sigma ** 2) / sigma - 3) < 1e-6, attrs["t_min"]
    return attrs["t_min"]


def times(t_min):
    """tau and process.t_min: either gives the other, both must agree."""
    configure("t.yaml", "truncated-normal", process=", t_min: 1.0e-5")
    run("likelihood", "t.yaml", "-o", "t.h5", "-q", "--set", "data.count=3")
    attrs, _ = scores("t.h5")
    assert attrs["t_min"] == 1e-5 and 3.8 < attrs["dequantization_tau"] < 4, attrs
    run("likelihood", "t.h5", "-o", "again.h5", "-q")  # its resolved configuration has both
    assert "give one of the two" in run("likelihood", "t.yaml", "-o", "no.h5", "--set",
                                        "likelihood.dequantization={kind: truncated-normal, tau: 3}", code=3)
    run("likelihood", "t.yaml", "-o", "both.h5", "-q", "--set", "data.count=3", "--set",
        f"process.t_min={t_min!r}", "--set",
        "likelihood.dequantization={kind: truncated-normal, tau: 3}")
    a, b = scores("both.h5"), scores("normal.h5")
    assert a[0]["t_min"] == b[0]["t_min"]
    assert "does not have" in run("likelihood", "normal.yaml", "-o", "no.h5", "--set",
                                  "likelihood.dequantization.tau=0.01", "--set", "data.range=[-1e-4, 1e4]", code=3)
    np.save("real.npy", np.zeros((2, 2)))
    assert "8-bit" in run("likelihood", "normal.yaml", "-o", "no.h5", "--set", "data.path=real.npy", code=4)
    assert not os.path.exists("no.h5")


def bound():
    """The largest tau of a trained network, as its refusal says it, is taken."""
    with open("net.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\nmodel: {kind: mlp, hidden: 8, layers: 1, time_features: 4}\n"
                "data: {path: pixels.idx, range: [-1, 1]}\ntrain: {steps: 2, batch: 8}\n")
    run("train", "net.yaml", "-o", "net.safetensors", "-q")
    ask = ("likelihood", "normal.yaml", "-o", "bound.h5", "-q", "--set", "model={path: net.safetensors}", "--set",
           "process.terminal=standard-normal", "--set", "data.count=1", "--set")
    refused = run(*ask, "likelihood.dequantization.tau=100", code=3)
    said = re.search(r"expected at most ([\d.]+),", refused)[1]
    run(*ask, "likelihood.dequantization.tau=" + said)


def alone():
    """Rows 20 .. 22 alone have the bits they have among the others."""
    for name in ("eight", "normal"):
        run("likelihood", name + ".yaml", "-o", "part.h5", "--force", "-q", "--threads", "2", "--set", "data.first=20",
            "--set", "data.count=3")
        whole, part = scores(name + ".h5")[1], scores("part.h5")[1]
        for column in whole:
            assert whole[column][20:23].tobytes() == part[column].tobytes(), column


def resumed():
    """Killed anywhere, a run goes on to the same bits."""
    configure("long.yaml", "{kind: truncated-normal, draws: 4}")
    extra = ["--set", "data.path=many.idx", "-q"]
    start = time.monotonic()
    run("likelihood", "long.yaml", "-o", "long.h5", *extra)
    seconds, cut = time.monotonic() - start, 0
    for share in (0.3, 0.5, 0.7):
        process = subprocess.Popen([vpsde, "likelihood", "long.yaml", "-o", "cut.h5", *extra])
        time.sleep(share * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not os.path.exists("cut.h5.parts/manifest"):
            continue
        cut += 1
        run("resume", "cut.h5", "-q")
        whole, again = scores("long.h5"), scores("cut.h5")
        assert whole[0]["t_min"] == again[0]["t_min"]
        for column in whole[1]:
            assert whole[1][column].tobytes() == again[1][column].tobytes(), column
        os.remove("cut.h5")
    assert cut > 0


def peak(rows):
    """Peak memory in MB of a likelihood and an elbo of so many rows of 784 bytes."""
    values = np.random.default_rng(1).integers(0, 256, (rows, 28, 28), np.uint8)
    idx("images.idx", values)
    with open("images.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\nmodel: {kind: gaussian-mixture, weights: [1], means: [[%s]], variances: [0.3]}\n" % ", ".join(["0"] * 784))
        f.write("data: {path: images.idx}\nelbo: {steps: 2}\nlikelihood: {integrator: {solver: dopri5, rtol: 1.0e-2, "
                "atol: 1.0e-2}, budget: false, dequantization: uniform}\n")
    return np.array([watched(verb, "images.yaml", "-o", "images.h5", "--force", "-q") for verb in ("likelihood", "elbo")])


def watched(*arguments):
    """High water of the command's own memory: what wait4 tells has this program's in it."""
    child, high = subprocess.Popen([vpsde, *arguments]), 0
    while child.poll() is None:
        with open(f"/proc/{child.pid}/status") as f:
            lines = [line for line in f if line.startswith("VmHWM")]
        high = max([high] + [int(line.split()[1]) / 1024 for line in lines])
        time.sleep(0.002)
    assert child.returncode == 0, (arguments, child.returncode)
    return high


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    rng = np.random.default_rng(7)
    idx("pixels.idx", rng.integers(60, 200, (40, 2)))
    idx("many.idx", rng.integers(60, 200, (6000, 2)))
    t_min = kinds()
    times(t_min)
    bound()
    alone()
    resumed()
    few, many = peak(1000), peak(10000)
    print("peak memory [MB] of 1000 and 10000 rows of 784 bytes: likelihood %.0f %.0f, elbo %.0f %.0f" %
          (few[0], many[0], few[1], many[1]))
    # the file is in memory as it is, and once more while it is read: 2 x 6.7 MB
    assert (many - few < 2 * 9000 * 784 / 2 ** 20 + 4).all(), (few, many)
