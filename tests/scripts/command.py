"""command.py VPSDE SOURCE: the verbs, end to end on small things, with their exit codes and outputs."""
import os, re, resource, signal, subprocess, sys, tempfile, time

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
    assert verbs == ["train", "sample", "likelihood", "elbo", "encode", "decode", "interpolate", "edit", "inpaint", "compare", "thermo", "transport", "fokker-planck", "verify", "report", "resume", "rerun", "check", "info", "list", "bench"], verbs
    for verb in verbs:
        text = run(verb, "--help").stdout
        assert "Usage: vpsde " + verb in text, text
        assert "--set" not in text or "relative to the folder of CONFIG" in " ".join(text.split()), text
    assert run("--version").stdout.startswith("vpsde ")
    assert "sample" in run("--help").stdout
    for what in ("solvers", "schedules", "grids", "models"):
        lines = run("list", what).stdout.splitlines()
        names = [line.split()[0] for line in lines]
        assert len(names) == len(set(names)) >= 2 and not any(line[0] == " " for line in lines), (what, names)


def paths_of_set():
    """--set takes paths as the configuration does: from its folder."""
    os.mkdir("elsewhere")
    with open("elsewhere/away.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\nmodel: {kind: gaussian-mixture, weights: [1], means: [[0, 0]], variances: [0.5]}\ndata: {path: none.npy}\n")
    np.save("elsewhere/away.npy", np.zeros((3, 2)))
    assert "rows 0 to 2 of 3" in run("check", "elsewhere/away.yaml", "--set", "data.path=away.npy").stdout
    assert os.path.abspath("elsewhere/elsewhere/away.npy") in run("check", "elsewhere/away.yaml", "--set", "data.path=elsewhere/away.npy", code=4).stderr


def check():
    text = run("check", MIXTURE).stdout
    assert "ddim: 4096 samples, 2.048e+05 evaluations" in text, text
    assert "likelihood" in text and " s, " in text and "MB" in text, text
    resolved = run("check", MIXTURE, "--resolved").stdout
    with open("resolved.yaml", "w") as f:
        f.write(resolved)
    assert run("check", "resolved.yaml", "--resolved").stdout == resolved, "resolving is not idempotent"


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def estimates():
    """The seconds that check tells are those of the processor, within a factor of 3; the chain's evaluations are told, too."""
    sets = ("--threads", "1", "--set", "likelihood.estimators=[pf-ode, chain]", "--set", "elbo.draws=8")
    out = run("check", MIXTURE, *sets).stdout
    told = {label: (float(n), float(s)) for label, n, s in re.findall(r"^(?:sample|likelihood|elbo) +(\S+): .* (\S+) evaluations, about (\S+) s, ", out, re.M)}
    assert list(told)[-2:] == ["gsl-rk8pd", "chain"] and out.count("chain") == 1, out
    stochastic, adaptive = "{solver: euler-maruyama, steps: 500}", "{solver: cvode-adams, rtol: 1e-6, atol: 1e-6}"
    for verb, solver, labels in (("sample", stochastic, ["euler-maruyama"]), ("sample", adaptive, ["cvode-adams"]), ("likelihood", "ddim", ["gsl-rk8pd", "chain"])):
        before = cpu_s()
        run(verb, MIXTURE, "-o", "timed.h5", "-q", "--force", *sets, "--set", "sampler.solver=[%s]" % solver)
        took, estimate = cpu_s() - before, sum(told[label][1] for label in labels)
        assert took / 3 < estimate < 3 * took, (labels, took, estimate)
    with h5py.File("timed.h5") as f:
        assert f["elbo/chain/nfe"][:].sum() == told["chain"][0] == 2048000, told


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


def edits_and_inpaintings():
    points = np.load(os.path.join(source, "experiments/mixture-points.npy"))[5:105]
    rows = ("-q", "--set", "data.first=5", "--set", "data.count=100")
    solvers = ("--set", "sampler.solver=[sra1, {solver: dopri5, rtol: 1e-8, atol: 1e-8}, {solver: ddim, grid: equal-dissipation}]")
    run("edit", MIXTURE, "-o", "edit.h5", "--set", "edit.t0=0.3", *solvers, *rows)
    with h5py.File("edit.h5") as f:
        for g in f["runs"].values():
            assert g["t"][0] == 0.3 and g.attrs["terminal"] == b"data" and list(g["source"][:3]) == [5, 6, 7]
            assert np.allclose(g["distance"][:], np.linalg.norm(g["final"][:] - points, axis=1), rtol=1e-12)
        alpha, sigma = f["runs/sra1/alpha"][0], f["runs/sra1/sigma"][0]
        noise = (f["runs/sra1/x"][:, 0] - alpha * points) / sigma
        assert abs(noise.mean()) < 0.5 and 0.6 < noise.var() < 1.5, (noise.mean(), noise.var())
        assert np.array_equal(f["runs/sra1/x"][:, 0], f["runs/dopri5/x"][:, 0]), "all start from the same states"
    np.save("mask.npy", np.array([True, False]))
    np.save("points.npy", points)
    for name, mask in (("list", "[1, 0]"), ("file", os.path.abspath("mask.npy"))):
        run("inpaint", MIXTURE, "-o", "by-%s.h5" % name, "--set", "inpaint.mask=" + mask, "--set", "inpaint.resamples=3", "--set",
            "sampler.solver=[ancestral, dpmpp-2m]", *rows)
    with h5py.File("by-list.h5") as a, h5py.File("by-file.h5") as b:
        for label in ("ancestral", "dpmpp_2m"):
            final = a["runs"][label]["final"][:]
            assert np.array_equal(final[:, 0], points[:, 0]) and not np.array_equal(final[:, 1], points[:, 1])
            assert np.array_equal(final, b["runs"][label]["final"][:]) and (a["runs"][label]["nfe"][:] == 150).all()
        assert len(b["inputs"].attrs["mask_sha256"]) == 64 and "mask" not in a["inputs"].attrs
    for verb, sets, code, words in (
            ("inpaint", ["inpaint.mask={rows: [0, 1]}"], 3, "rows and columns are for images"),
            ("inpaint", ["inpaint.mask=[1, 2]"], 3, "expected 2 numbers, 1 (known) or 0"),
            ("inpaint", ["inpaint.mask=[1]"], 3, "expected 2 numbers"),
            ("inpaint", ["inpaint.mask=/nowhere.npy"], 4, "/nowhere.npy"),
            ("inpaint", ["inpaint.mask=%s/points.npy" % os.getcwd()], 4, "a mask has"),
            ("inpaint", ["inpaint.jump_length=4"], 3, "inpaint.mask"),
            ("inpaint", ["inpaint.mask=[1, 0]", "sampler.solver=[dopri5]", "sampler.rtol=1e-3", "sampler.atol=1e-3"], 3, "chooses its own steps"),
            ("inpaint", ["inpaint.mask=[1, 0]", "sampler.init=x.npy"], 3, "made from the rows of data"),
            ("edit", ["edit.t0=1e-4"], 3, "expected a time above t_min"),
            ("edit", [], 3, "edit.t0"),
            ("edit", ["edit.t0=0.5", "log.times=[0.6]"], 3, "expected times in [0.001, 0.5]")):
        sets = [word for pair in sets for word in ("--set", pair)]
        refused = run(verb, MIXTURE, "-o", "bad.h5", "-q", *sets, code=code)
        assert words in refused.stderr, (refused.stderr, words)
    out = run("check", MIXTURE, "--set", "edit.t0=0.3", "--set", "inpaint.mask=[1, 0]", "--set", "sampler.count=null").stdout
    assert "sample " not in out, out


def classes_and_guidance():
    both = ("--set", "model.classes=[0, 1]", "--set", "sampler.count=40", "-q", "--set", "sampler.solver=[ddim, heun]")
    run("sample", MIXTURE, "-o", "cycle.h5", *both)
    run("sample", MIXTURE, "-o", "weight-0.h5", *both, "--set", "sampler.guidance=0")
    run("sample", MIXTURE, "-o", "guided.h5", *both, "--set", "sampler.guidance=2", "--set", "sampler.classes=[1, -1, 0]")
    run("sample", MIXTURE, "-o", "none.h5", *both, "--set", "sampler.classes=none")
    run("sample", MIXTURE, "-o", "plain.h5", *both[2:])
    with h5py.File("cycle.h5") as a, h5py.File("weight-0.h5") as z, h5py.File("guided.h5") as g, h5py.File("none.h5") as n, h5py.File("plain.h5") as p:
        final = lambda f: f["runs/ddim/final"][:]
        assert list(a["runs/ddim/class"][:4]) == [0, 1, 0, 1] and list(g["runs/ddim/class"][:4]) == [1, -1, 0, 1]
        assert np.array_equal(final(a), final(z)) and np.array_equal(final(n), final(p)) and "class" not in n["runs/ddim"]
        assert ((final(a)[:, 0] > 0) == (a["runs/ddim/class"][:] == 1)).all(), "class 1 lies at (2, 1)"
        assert g["runs/ddim"].attrs["guidance"] == 2 and (g["runs/ddim/nfe"][:] == 100).all() and (a["runs/ddim/nfe"][:] == 50).all()
    assert "ddim: 4096 samples, 4.096e+05" in run("check", MIXTURE, *both[:2], "--set", "sampler.guidance=1").stdout
    for sets, words in ((["sampler.guidance=1"], "gaussian-mixture has no classes"), (["sampler.classes=none"], "has no classes"),
                        (["model.classes=[0, 1]", "sampler.classes=[0, 2]"], "2; the model's classes are 0 to 1"),
                        (["model.classes=[0, 1]", "sampler.classes=[]"], "sampler.classes"),
                        (["model.classes=[0, 1]", "sampler.classes=none", "sampler.guidance=1"], "but classes: none"),
                        (["model.classes=[0, 2]"], "class of component 1"), (["model.classes=[0]"], "must be 2 whole numbers"),
                        (["model.classes=[0, 0.5]"], "must be whole numbers")):
        sets = [word for pair in sets for word in ("--set", pair)]
        refused = run("sample", MIXTURE, "-o", "bad.h5", "-q", *sets, code=3)
        assert words in refused.stderr, (refused.stderr, words)


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


def defaults():
    with open("defaults.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\nmodel: {kind: gaussian-mixture, weights: [1], means: [[0, 0]], variances: [0.5]}\n"
                "data: {path: rows.npy}\nsampler: {count: 3}\n")
    run("sample", "defaults.yaml", "-o", "defaults.h5", "-q")
    with h5py.File("defaults.h5") as f:
        assert list(f["runs"]) == ["unipc"] and (f["runs/unipc/nfe"][:] == 25).all()
    for sets, wanted in (([], (1e-6, 1e-6, 1e-5)), (["atol=1e-4"], (1e-6, 1e-4, 1e-4)), (["rtol=1e-4", "logp_atol=1e-3"], (1e-4, 1e-6, 1e-3))):
        words = [word for key in sets for word in ("--set", "likelihood.integrator." + key)]
        run("likelihood", "defaults.yaml", "-o", "defaults.h5", "-q", "--force", *words)
        with h5py.File("defaults.h5") as f:
            found = f["likelihood/dopri5"].attrs
            assert tuple(found[k] for k in ("rtol", "atol", "logp_atol")) == wanted, (sets, dict(found))


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


def hdf5_files_of_others():
    """info lists what is in any HDF5 file, and describes one dataset of it as data."""
    with h5py.File("own.h5", "w") as f:
        f["x"], f["g/y"], f["g/one"] = np.zeros((5, 2)), np.zeros((3, 4), "u1"), np.float32(3)
        f["g/words"], f["soft"] = np.array([b"ab", b"c"]), h5py.SoftLink("/x")
        f.attrs["schema"] = 2.385
    os.link("own.h5", "own.hdf5")
    for name in ("own.h5", "own.hdf5"):
        told = run("info", name).stdout.splitlines()
        assert name in told[0] and "no run file of vpsde" in told[0] and name + ":/PATH" in told[0], told
        assert [" ".join(line.split()) for line in told[1:]] == [
            "/g", "/g/one () float32", "/g/words (2) text", "/g/y (3, 4) uint8", "/x (5, 2) float64"], told
    one = run("info", "own.h5:/g/y").stdout
    assert re.search(r"rows +3\nshape +\(4\)\ntype +uint8\n", one), one
    assert "a dataset was expected" in run("info", "own.h5:/g", code=4).stderr
    assert re.search(r"/runs/ddim/final +\(100, 2\) float64, .*, unit 1\n", run("info", "run.h5").stdout)


def one_row_has_no_spread():
    """Where a standard error over the rows would stand, there is a dash."""
    out = run("likelihood", MIXTURE, "-o", "one-row.h5", "--set", "data.count=1", "--set", "elbo.steps=20", "--set",
              "likelihood.estimators=[pf-ode, chain]").stdout.splitlines()
    shown = []
    for i, line in enumerate(out):
        end = line.find("+- s.e.") + len("+- s.e.")
        if "+- s.e." in line:
            shown += [row[:end].split()[-1] for row in out[i + 1 : i + (5 if line.startswith("estimator") else 2)]]
    assert shown == ["-"] * 6, (shown, out)


def log_p_on_the_way_and_its_gradient():
    set_ = ["--set", "sampler.count=20", "--set", "log.fields=[x, logp]", "--set", "process.terminal=exact"]
    run("sample", MIXTURE, "-o", "path.h5", "-q", *set_)
    out = run("sample", MIXTURE, "-o", "probed.h5", "--set", "log.trace={kind: hutchinson, probes: 4}", *set_).stdout
    assert "nfe/sample" in out and "logp" not in out, out
    with h5py.File("path.h5") as a, h5py.File("probed.h5") as b:
        for label in a["runs"]:
            one, other = a["runs"][label], b["runs"][label]
            assert one["logp"].shape == one["x"].shape[:2] and one["logp"].attrs["units"] == b"nat"
            assert np.array_equal(one["x"][:], other["x"][:]), "the log changes nothing"
            assert np.array_equal(one["logp"][:, 0], other["logp"][:, 0])
            assert not np.array_equal(one["logp"][:, -1], other["logp"][:, -1])
            assert (one["nfe_log"][:] > 0).all() and (one["jvp"][:] == 0).all() and (other["jvp"][:] > 0).all()
            assert other.attrs["logp_trace"] == b"hutchinson" and other.attrs["logp_probes"] == 4
    gradient = ["--set", "likelihood.gradient=true", "--set", "process.terminal=exact"]
    run("likelihood", MIXTURE, "-o", "gradient.h5", *gradient)
    points = np.load(os.path.join(source, "experiments/mixture-points.npy"))
    with h5py.File("gradient.h5") as f:
        (table,) = f["gradient"].values()
        (scores,) = f["likelihood"].values()
        assert table["grad_logp"].shape == points.shape
        assert np.abs(table["logp"][:] - scores["logp"][:]).max() < 1e-7
    run("sample", MIXTURE, "-o", "no.h5", "--set", "sampler.solver=dpm-adaptive", "--set", "sampler.rtol=0.01", "--set", "sampler.atol=0.01", *set_, code=3)


def train_and_resume():
    rng = np.random.default_rng(1)
    np.save("points.npy", rng.normal(size=(500, 2)))
    with open("train.yaml", "w") as f:
        f.write(TRAIN)
    for section in ("likelihood: {budget: false}", "elbo: {steps: 20}"):  # of what the training will give
        with open("both.yaml", "w") as f:
            f.write(TRAIN + section + "\n")
        assert "mlp, 2 dimensions" in run("check", "both.yaml").stdout
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
    np.save("last.npy", np.load("images.npy")[..., None])
    last = ("train", "images.yaml", "-o", "last.safetensors", "-q", "--set", "data.path=last.npy")
    assert "(4, 6, 1) would be 4 channels of 6 x 1 pixels" in run(*last, code=4).stderr
    assert "the model's is (1, 4, 6)" in run(*last, "--set", "model.shape=[1, 4, 6]", code=4).stderr
    run(*last, "--set", "model.shape=[4, 6, 1]")
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
    for mask, known in (("{columns: [1, 3]}", [0, 1, 1, 0, 1, 1]), ("{rows: [1, 2], columns: [0, 1]}", [0, 0, 0, 1, 0, 0])):
        run("inpaint", "images-run.yaml", "-o", "images-filled.h5", "--force", "-q", "--set", "inpaint.mask=" + mask, "--set",
            "data.path=%s/images.npy" % os.getcwd(), "--set", "data.pool=2", "--set", "data.count=4")
        with h5py.File("images-filled.h5") as f:
            kept = f["runs/ddim/final"][:].reshape(4, 6)
            pooled = np.load("images.npy")[:4].reshape(4, 2, 2, 3, 2).astype(float).mean(axis=(2, 4)).reshape(4, 6)
            same = np.abs(kept - (pooled * 2 / 255 - 1)) <= 1.01 / 255
            assert (same[:, np.array(known) == 1]).all() and not same[:, np.array(known) == 0].all(), same
    layouts()
    refused = run("inpaint", "images-run.yaml", "-o", "bad.h5", "--set", "inpaint.mask={rows: [1, 3]}", "--set",
                  "data.path=%s/images.npy" % os.getcwd(), code=3).stderr
    assert "expected [first, end] with 0 <= first < end <= 2" in refused, refused


def layouts():
    """Rows with the axes of an image in another order are refused where they would be read; flat ones are the model's."""
    pictures = np.random.default_rng(3).integers(0, 256, (3, 1, 2, 3)).astype(np.uint8)
    args = ["--set", "data.path=%s/pictures.npy" % os.getcwd(), "-q", "--force"]
    logp = {}
    for name, shape, fits in (("as it is", (3, 1, 2, 3), True), ("grey", (3, 2, 3), True), ("flat", (3, 6), True), ("grey flat", (3, 1, 6), True),
                              ("last", (3, 2, 3, 1), False), ("turned", (3, 3, 2), False), ("turned last", (3, 3, 2, 1), False)):
        np.save("pictures.npy", pictures.reshape(shape))
        got = run("likelihood", "images-run.yaml", "-o", "images-logp.h5", *args, code=0 if fits else 4)
        if fits:
            with h5py.File("images-logp.h5") as f:
                logp[name] = f["likelihood/dopri5/logp"][:].tobytes()
        else:
            assert "(%s), the model's is (1, 2, 3)" % str(shape[1:])[1:-1] in got.stderr and "pictures.npy" in got.stderr, (name, got.stderr)
    assert len(set(logp.values())) == 1, logp
    np.save("pictures.npy", pictures.reshape(3, 2, 3, 1).astype(float))
    refused = run("sample", "images-run.yaml", "-o", "x.h5", "--force", "--set", "sampler.init=%s/pictures.npy" % os.getcwd(), "--set", "sampler.count=3", code=4)
    assert "(2, 3, 1), the model's is (1, 2, 3)" in refused.stderr, refused.stderr


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
    paths_of_set()
    check()
    estimates()
    entries_inherit_key_by_key()
    betas_from_a_file()
    edits_and_inpaintings()
    classes_and_guidance()
    inputs_are_spared()
    a_run_file_is_a_configuration_of_any_verb()
    defaults()
    sample_and_likelihood()
    hdf5_files_of_others()
    one_row_has_no_spread()
    log_p_on_the_way_and_its_gradient()
    train_and_resume()
    images()
    stops()
print("the command does what its manual says")
