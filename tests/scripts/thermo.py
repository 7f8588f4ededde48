"""thermo.py VPSDE: the verb from its configuration to its file: figures on the terminal and attributes are those of the
columns, bits depend on neither threads nor an interruption, reverse paths are those of euler-maruyama, networks run on
rows of data, samples that were logged for it are the reverse paths, classes are those of the run, and what would change
the force is refused.
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
    told = run("thermo", "s.h5", "-o", "from-run.h5")
    assert told.startswith("reverse paths: simulated anew from the configuration in s.h5, whose samples were stored without log.fields: [x, eps, kernel] (it has no eps, kernel);"), told
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


def logged(solver, name, *more, fields="[x, eps, kernel]"):
    run("sample", "c.yaml", "-o", name, "-q", "--set", f"sampler.solver=[{solver}]", "--set", f"log.fields={fields}", *more)


def agree(first, second, tolerance):
    """Figures and columns of two runs; facts that say where paths are from apart."""
    with h5py.File(first) as a, h5py.File(second) as b:
        for group in ("thermo", "thermo/forward", "thermo/reverse", "thermo/relaxation"):
            values = {n: (d[()], b[group][n][()]) for n, d in a[group].items() if isinstance(d, h5py.Dataset)}
            values.update({n: (v, b[group].attrs[n]) for n, v in a[group].attrs.items() if isinstance(v, float)})
            assert len(values) > 10 and set(a[group]) == set(b[group]), group
            for n, (u, v) in values.items():
                if n.startswith("first_law"):
                    assert np.max(np.abs(v)) < 1e-11
                else:
                    assert np.allclose(u, v, rtol=tolerance, atol=tolerance, equal_nan=True), (group, n, np.nanmax(np.abs(u - v)))


def check_recorded():
    """Of euler-maruyama the same as simulated; of any other kernel by the formulas of docs/thermo.md from what is stored."""
    logged("euler-maruyama", "em.h5")
    told = run("thermo", "em.h5", "-o", "em-read.h5")
    assert told.startswith("reverse paths: read from ") and "the 1500 first of 1500 samples by euler-maruyama, not simulated; forward paths: simulated" in told, told
    told = run("thermo", "em.h5", "-o", "em-anew.h5", "--set", "thermo.run=")
    assert "read from" not in told
    agree("em-read.h5", "em-anew.h5", 1e-11)
    logged("euler-maruyama", "single.h5", "--set", "log.dtype=float32")
    run("thermo", "single.h5", "-o", "single-read.h5", "-q")
    agree("single-read.h5", "em-anew.h5", 2e-3)
    run("thermo", "em.h5", "-o", "few.h5", "-q", "--set", "thermo.count=70")
    with h5py.File("few.h5") as few, h5py.File("em-read.h5") as whole:
        assert (few["thermo/reverse/work"][:] == whole["thermo/reverse/work"][:70]).all()
    run("rerun", "em-read.h5", "-q")
    # eps of a centred Gaussian is a multiple of x, so that the step's two numbers are one.
    centred = ("--set", "model.weights=[1]", "--set", "model.means=[[0, 0]]", "--set", "model.variances=[0.25]")
    for dtype, tolerance in ("float64", 1e-11), ("float32", 2e-3):
        logged("euler-maruyama", "centred.h5", *centred, "--force", "--set", "sampler.count=200", "--set", "log.dtype=" + dtype)
        run("thermo", "centred.h5", "-o", "centred-read.h5", "-q", "--force")
        run("thermo", "centred.h5", "-o", "centred-anew.h5", "-q", "--force", "--set", "thermo.run=")
        agree("centred-read.h5", "centred-anew.h5", tolerance)
    for solver in ("ancestral", "{solver: ancestral, variance: optimal}", "sde-dpmpp-2m"):
        logged(solver, "other.h5", "--force", "--set", "sampler.count=600")
        run("thermo", "other.h5", "-o", "other-read.h5", "-q", "--force", "--threads", "2")
        check_formulas("other.h5", "other-read.h5", one_step="2m" not in solver)


def check_formulas(sampled, measured, one_step):
    with h5py.File(sampled) as file:
        r = next(iter(file["runs"].values()))
        x, eps, mean, c, sigma, alpha = (r[n][:] for n in ("x", "eps", "kernel_mean", "kernel_std", "sigma", "alpha"))
    b, s = -2 * np.log(alpha), -eps / sigma[:, None]
    h, dx, f = -np.diff(b)[:, None], np.diff(x, axis=1), x + 2 * s
    work = ((x + s)[:, 1:] + (x + s)[:, :-1]) * dx
    heat = (f[:, 1:] + f[:, :-1]) / 2 * dx
    c = c[:-1, None]
    kernels = ((dx + h / 2 * f[:, 1:]) ** 2 - (x[:, 1:] - mean[:, :-1]) ** 2) / (2 * c ** 2)
    v = -np.expm1(-h)
    up = -((x[:, :-1] - np.exp(-h / 2) * x[:, 1:]) ** 2 / v + np.log(2 * np.pi * v)) / 2
    down = -((x[:, 1:] - mean[:, :-1]) ** 2 / c ** 2 + np.log(2 * np.pi * c ** 2)) / 2
    with h5py.File(measured) as file:
        g, a = file["thermo/reverse"], file["thermo"].attrs
        for name, value in (("work", work), ("heat", heat)):
            assert np.allclose(g[name][:], value.sum((1, 2)), rtol=1e-11, atol=1e-11), name
        assert np.allclose(g["entropy_production"][:] - g["entropy_change"][:], kernels.sum((1, 2)), rtol=1e-9, atol=1e-9)
        assert g.attrs["paths"] in (b"recorded by sample", "recorded by sample")
        start = g["entropy_change"][:] + g["log_ratio"][:] + g["log_weight"][:]  # -log p + log p_T + log p
        assert np.allclose(g["log_weight"][:], start - (up - down).sum((1, 2)), rtol=1e-9, atol=1e-9)
        assert ("ift_chain" in a) == one_step and abs(a["ift"] - 1) < 5 * a["ift_stderr"]
        if one_step:
            for name, truth in (("ift_chain", 1), ("bar", 0), ("crooks_slope", 1)):
                assert abs(a[name] - truth) < 5 * a[name + "_stderr"], (name, a[name])
        else:
            assert np.isnan(file["thermo/forward/log_ratio"][:]).all()


def check_record_refusals():
    for override, words in (("sampler.steps=50", "changed by --set sampler.steps=50"), ("seed=5", "changed by --set seed=5")):
        told = run("thermo", "em.h5", "-o", "changed.h5", "--force", "--set", override, "--set", "thermo.count=20")
        assert told.startswith("reverse paths: simulated anew") and words in told, told
    path = os.path.abspath("em.h5")
    for override, words in (("sampler.steps=50", "expected 1500 samples of 51 states of 2 values"), ("thermo.count=1501", "has 1500 samples; thermo.count asks for 1501"),
                            ("sampler.grid=uniform-lambda", "node 1 is at t ="), ("process.terminal=standard-normal", "starts from terminal 'exact'"),
                            ("model.weights=[0.5, 0.5]", "was sampled from"), ("sampler.solver=heun", "has no samples of heun")):
        text = run("thermo", "c.yaml", "-o", "no.h5", "--set", "thermo.run=" + path, "--set", override, code=4)
        assert words in text, text
    np.save("start.npy", np.zeros((20, 2)))
    classes = ("--set", "model.classes=[0, 1]")
    for force in ("clip=[-0.5, 0.5]", "dynamic_threshold={quantile: 0.9, min: 0.3}", "guidance=2", "init=start.npy"):
        logged("euler-maruyama", "forced.h5", *classes, "--force", "--set", "sampler.count=20", "--set", "sampler." + force)
        text = run("thermo", "c.yaml", "-o", "no.h5", *classes, "--set", "thermo.count=20", "--set", "thermo.run=" + os.path.abspath("forced.h5"), code=4)
        assert "was sampled with sampler." + force.split("=")[0].replace("dynamic_threshold", "clip or dynamic_threshold") in text, text
    text = run("thermo", "c.yaml", "-o", "no.h5", "--set", "thermo.run=" + os.path.abspath("em-read.h5"), code=4)
    assert "is no run file of sample" in text, text
    text = run("thermo", "c.yaml", "-o", "no.h5", "--set", "thermo.run=" + os.path.abspath("s.h5"), code=4)
    assert "log.fields: [x, eps, kernel] (it has no eps, kernel)" in text, text
    logged("euler-maruyama", "thin.h5", "--set", "log.times=11", "--set", "sampler.count=5")
    assert "stored without log.times: all;" in run("thermo", "thin.h5", "-o", "thin-read.h5")
    logged("ddim", "flow.h5", "--set", "sampler.count=5")
    assert "(it has no kernel)" in run("thermo", "flow.h5", "-o", "flow-read.h5")
    text = run("sample", "c.yaml", "-o", "no.h5", "--set", "sampler.solver=sra1", "--set", "log.fields=[kernel]", code=3)
    assert "log.fields: kernel: a step of sra1 is no draw from one Gaussian of known width" in text, text


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
    run("sample", "net.yaml", "-o", "asked.h5", "-q", "--set", "log={times: all, fields: [x, eps, kernel]}")
    read = ("thermo", "net.yaml", "-o", "asked-read.h5", "--force", "--set", "thermo.run=" + os.path.abspath("asked.h5"))
    assert "the 90 first of 90 samples" in run(*read)
    assert "asked at label 1000 t -1, the configuration asks at 500 t -1" in run(*read, "--set", "process.label_scale=500", "--set", "process.override=true", code=4)
    assert "its network gave eps in float32, the configuration's gives v in float32" in run(*read, "--set", "model.prediction=v", "--set", "process.override=true", code=4)
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


def check_classes_of_paths():
    """Paths of class 1 alone are N(1, 1)'s, and those at rows of data have the rows' classes."""
    run("thermo", "classes.yaml", "-o", "one.h5", "-q", "--set", "sampler.classes=[1]", "--set", "sampler.steps=100", "--set", "thermo.count=2000")
    with h5py.File("one.h5") as file:
        f, up = file["thermo"], file["thermo/relaxation"]
        alpha2 = f["alpha"][-1] ** 2
        for name, group, truth in (("energy", up, (1 + alpha2) / 2), ("energy", f, (1 + alpha2) / 2), ("free_energy", up, alpha2 / 2)):
            assert abs(group[name][-1] - truth) < 5 * group[name + "_stderr"][-1] + (0.02 if group is f else 0), (name, group[name][-1], truth)
        assert abs(f["t_conf"][-1] - 1) < 5 * f["t_conf_stderr"][-1]
    at_rows = ["--set", "thermo.from=data", "--set", "data.path=line.npy"]
    assert "expected data.labels, or sampler.classes: none" in run("thermo", "classes.yaml", "-o", "no.h5", *at_rows, code=3)
    run("thermo", "classes.yaml", "-o", "none.h5", "-q", *at_rows, "--set", "sampler.classes=none")
    run("thermo", "classes.yaml", "-o", "rows.h5", "-q", *at_rows, "--set", "data.labels=labels.npy", "--set", "thermo.count=400", "--set", "sampler.steps=200")
    with h5py.File("rows.h5") as file:
        surprise = file["thermo/relaxation/entropy"][-1]  # of each row under its own class
    v = np.array([0.01, 1])
    alpha2 = np.exp(-(0.1 * 0.01 + 19.9 * 0.01 ** 2 / 2))
    v = alpha2 * v + 1 - alpha2
    assert abs(surprise - np.mean(0.5 * np.log(2 * np.pi * np.e * v))) < 0.1, surprise
    run("sample", "classes.yaml", "-o", "cycle.h5", "-q", "--set", "log={times: all, fields: [x, eps, kernel], dtype: float64}")
    run("thermo", "cycle.h5", "-o", "cycle-read.h5", "-q")
    run("thermo", "cycle.h5", "-o", "cycle-anew.h5", "-q", "--set", "thermo.run=")
    agree("cycle-read.h5", "cycle-anew.h5", 1e-11)
    text = run("thermo", "classes.yaml", "-o", "no.h5", "--set", "thermo.run=" + os.path.abspath("cycle.h5"), "--set", "sampler.classes=[1]", code=4)
    assert "sample 0 has class 0, sampler.classes says 1" in text, text


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
    line = np.random.default_rng(3).normal(size=400)
    labels = np.arange(400) % 2
    np.save("line.npy", np.where(labels == 0, -1 + 0.1 * line, 1 + line)[:, None])
    np.save("labels.npy", labels.astype(np.uint8)[:, None])
    for name, text in (("c", CONFIG), ("train", TRAIN), ("classes", CLASSES)):
        with open(name + ".yaml", "w") as file:
            file.write(text)
    check_figures()
    check_bits()
    check_recorded()
    check_record_refusals()
    check_networks()
    check_classes()
    check_classes_of_paths()
    check_refusals()
    os.chdir("/")
