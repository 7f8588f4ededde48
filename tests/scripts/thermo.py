"""thermo.py VPSDE: the verb from its configuration to its file: figures on the terminal and attributes are those of the
columns, bits depend on neither threads nor an interruption, reverse paths are those of euler-maruyama, networks run on
rows of data, and what would change the force is refused.
"""
import os, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
CONFIG = """\
seed: 4
process: {schedule: vp-linear, t_min: 0.01, terminal: exact}
model: {kind: gaussian-mixture, weights: [0.4, 0.6], means: [[-0.6, 0], [0.6, 0.3]], variances: [0.7, 0.9]}
sampler: {solver: euler-maruyama, grid: uniform-t, steps: 100, count: 1500}
log: {times: all, dtype: float64}
thermo: {schedule: {nodes: 8, samples: 8, steps: 10}}
"""
NETWORK = """\
process: {schedule: vp-linear, t_min: 0.01}
model: {path: net.safetensors}
data: {path: rows.npy, first: 5, count: 50}
sampler: {solver: euler-maruyama, grid: uniform-t, steps: 20, count: 90}
thermo: {probes: %d, schedule: {nodes: 8, samples: 8, steps: 10}}
"""
CLASSES = """\
process: {schedule: vp-linear, t_min: 0.01}
model: {kind: gaussian-mixture, weights: [0.5, 0.5], means: [[-1], [1]], variances: [0.01, 1], classes: [0, 1]}
sampler: {solver: euler-maruyama, steps: 10, count: 20}
"""
TRAIN = """\
process: {schedule: vp-linear}
model: {kind: mlp, hidden: 8, layers: 1, time_features: 8}
data: {path: rows.npy}
train: {steps: 20, batch: 16}
"""


def run(*words, code=0):
    result = subprocess.run([vpsde, *words], capture_output=True, text=True)
    assert result.returncode == code, (words, result.returncode, result.stdout, result.stderr)
    return result.stdout if code == 0 else result.stderr


def everything(path):
    """All datasets and attributes below /thermo, as bytes."""
    out = {}
    with h5py.File(path) as file:
        def visit(name, node):
            if isinstance(node, h5py.Dataset):
                out[name] = node[()].tobytes()
            for key, value in node.attrs.items():
                if key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
                    out[name + "@" + key] = np.asarray(value).tobytes()
        file["thermo"].visititems(visit)
        visit("", file["thermo"])
    return out


def check_figures():
    told = run("thermo", "c.yaml", "-o", "a.h5", "--threads", "2")
    with h5py.File("a.h5") as file:
        f, forward, reverse, relaxation = (file["thermo" + g] for g in ("", "/forward", "/reverse", "/relaxation"))
        a = dict(f.attrs)
        work, gain = reverse["work"][:], forward["entropy_production"][:] - forward["martingale"][:]
        assert abs(a["work"] - work.mean()) < 1e-12 and abs(a["delta_f"] - gain.mean()) < 1e-12
        assert abs(a["work_stderr"] - work.std(ddof=1) / len(work) ** 0.5) < 1e-12
        assert abs(a["eta_gen"] - gain.mean() / work.mean()) < 1e-12
        assert abs(a["ift"] - np.exp(-reverse["entropy_production"][:]).mean()) < 1e-12
        assert abs(a["path_kl"] - forward["log_ratio"][:].mean()) < 1e-12
        assert abs(f["work"][-1] - work.mean()) < 1e-12 and abs(f["heat"][-1] - reverse["heat"][:].mean()) < 1e-12
        assert abs(relaxation["heat"][0] - forward["heat"][:].mean()) < 1e-12 and f["work"][0] == relaxation["work"][0] == 0
        assert np.all(np.diff(f["t"][:]) < 0) and f["t"][-1] == 0.01 and len(f["t"]) == 101
        loss = f["free_energy_integral"][-1] - f["free_energy_integral"][0]
        assert abs(loss - reverse["rate_integral"][:].mean()) < 1e-12
        assert a["delta_f_source"] == b"log p" or a["delta_f_source"] == "log p"
        for name, truth in (("eta_gen", 0.5), ("ift", 1), ("ift_relaxation", 1), ("ift_chain", 1), ("bar", 0), ("crooks_slope", 1)):
            assert abs(a[name] - truth) < 5 * a[name + "_stderr"] + (0.02 if name == "eta_gen" else 0), (name, a[name])
        line = next(l for l in told.splitlines() if l.startswith("efficiency, eta_gen")).split()
        assert line[2:5] == ["%.6g" % a["eta_gen"], "%.2g" % a["eta_gen_stderr"], "0.5"], line
        run("sample", "c.yaml", "-o", "s.h5", "-q")
        with h5py.File("s.h5") as s:
            x = next(iter(s["runs"].values()))["x"][:]
        energy = (x ** 2).sum(2) / 2
        assert abs(energy[:, -1] - energy[:, 0] - reverse["energy_change"][:]).max() < 1e-11
        assert abs(energy.mean(0) - f["energy"][:]).max() < 1e-11


def check_bits():
    run("thermo", "c.yaml", "-o", "b.h5", "-q", "--threads", "1")
    run("thermo", "s.h5", "-o", "from-run.h5", "-q")
    whole = everything("a.h5")
    assert len(whole) > 100 and everything("b.h5") == whole and everything("from-run.h5") == whole
    longer = ["--set", "sampler.count=60000"]
    child = subprocess.Popen([vpsde, "thermo", "c.yaml", "-o", "d.h5", "-q", "--threads", "1", *longer], stderr=subprocess.PIPE)
    while not os.path.exists("d.h5.parts/part-000000-000000") and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGTERM)
    child.communicate()
    assert child.returncode == 128 + signal.SIGTERM, child.returncode
    run("resume", "d.h5", "-q")
    run("thermo", "c.yaml", "-o", "e.h5", "-q", *longer)
    assert everything("d.h5") == everything("e.h5")


def check_networks():
    run("train", "train.yaml", "-o", "net.safetensors", "-q")
    for probes in (0, 1):
        with open("net.yaml", "w") as file:
            file.write(NETWORK % probes)
        told = run("thermo", "net.yaml", "-o", "net.h5", "--force")
        with h5py.File("net.h5") as file:
            a, f = dict(file["thermo"].attrs), file["thermo"]
            assert np.isnan(a["entropy_change"]) and np.isnan(a["entropy_change_stderr"]) and np.isfinite(a["eta_gen"]) and "ift" not in a and "path KL," not in told
            assert np.isfinite(a["t_conf"]) == np.isfinite(f["t_conf"][:]).all() == (probes > 0)
            assert abs(a["delta_f"] - f["forward/rate_integral"][:].mean()) < 1e-12
            entropy = f["relaxation/entropy"][:]
            assert abs(entropy[0] - np.log(2 * np.pi * np.e)) < 1e-12 and np.isfinite(entropy).all()
    with h5py.File("net.h5") as file:
        assert file["thermo/forward/heat"].shape == (90,)
    assert "draws no samples" in run("thermo", "net.yaml", "-o", "no.h5", "--set", "thermo.from=model", code=3)


def check_classes():
    """The pilots that place grids and those that judge them are of the same classes: of the second one alone, N(1, 1), there is no geometry."""
    run("thermo", "classes.yaml", "-o", "classes.h5", "-q")
    with h5py.File("classes.h5") as file:
        grids = file["thermo/grids"]
        names = grids["grid"].attrs["flag_meanings"]
        names = (names.decode() if isinstance(names, bytes) else names).split()
        eta = dict(zip(names, grids["efficiency"][:]))
        assert eta["geodesic"] > 0.95 and eta["geodesic"] > max(v for k, v in eta.items() if k != "geodesic"), eta


def check_refusals():
    for override, words in (("sampler.clip=[-3, 3]", "expected no sampler.clip"),
                            ("thermo.count=10000001", "10000001 paths, whose values are all kept in memory"),
                            ("sampler.init=rows.npy", "expected no sampler.init"),
                            ("sampler.solver=[{solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}]", "chooses its own steps")):
        text = run("thermo", "c.yaml", "-o", "no.h5", "--set", override, "--set", "sampler.count=20", "--set", "log.times=3", code=3)
        assert words in text, text
        assert not os.path.exists("no.h5") and not os.path.exists("no.h5.parts"), override


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    np.save("rows.npy", np.random.default_rng(2).normal(size=(60, 2)) * 0.5)
    for name, text in (("c", CONFIG), ("train", TRAIN), ("classes", CLASSES)):
        with open(name + ".yaml", "w") as file:
            file.write(text)
    check_figures()
    check_bits()
    check_networks()
    check_classes()
    check_refusals()
    os.chdir("/")
