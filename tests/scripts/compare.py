"""compare.py VPSDE SOURCE: a comparison's numbers are those of `vpsde sample` and numpy, and its mistakes are told."""
import os, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
BASE = """\
seed: 11
process: {schedule: vp-linear}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
sampler: {grid: uniform-lambda, count: 37}
compare:
  steps: [4, 9]
  seeds: 2
  solvers: [ddim, {solver: heun, grid: karras, clock: lambda, label: heun-k}, {solver: dopri5, rtol: [1.0e-2, 1.0e-4], atol: [1.0e-3, 1.0e-5]}]
  reference: {solver: gsl-rk8pd, rtol: 1.0e-11, atol: 1.0e-11}
"""


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stderr)
    return result


def final(entry, seed):
    """(samples, mean nfe) of `vpsde sample` with this solver."""
    run("sample", "base.yaml", "-o", "one.h5", "-q", "--force", "--set", "log.times=none", "--set", f"seed={seed}",
        "--set", f"sampler.solver=[{entry}]")
    with h5py.File("one.h5") as f:
        group = next(iter(f["runs"].values()))
        return group["final"][:], group["nfe"][:].mean()


def columns(path):
    with h5py.File(path) as f:
        return {key: item[:] for key, item in f["compare"].items() if isinstance(item, h5py.Dataset)}, dict(f["compare/solver"].attrs)


def table(path, name):
    with h5py.File(path) as f:
        return {key: item[:] for key, item in f[name].items()}


def numbers():
    table = run("compare", "base.yaml", "-o", "base.h5").stdout
    assert "heun-k" in table and "median within nfe" in table and "best within 5: " in table, table
    shown, _ = cells(table)
    c, attributes = columns("base.h5")
    assert attributes["flag_meanings"].decode().split() == ["ddim", "heun-k", "dopri5"]
    assert len(c["case"]) == 12 and (c["failed"] == 0).all()
    assert (c["steps"] == [4, 4, 9, 9, 4, 4, 9, 9, -1, -1, -1, -1]).all()
    means = {}
    references = [final("{solver: gsl-rk8pd, rtol: 1.0e-11, atol: 1.0e-11}", 11 + seed)[0] for seed in (0, 1)]
    for i in range(12):
        tolerances = f"rtol: {c['rtol'][i]}, atol: {c['atol'][i]}"
        entry = ["{solver: ddim, steps: %d}" % c["steps"][i], "{solver: heun, grid: karras, clock: lambda, steps: %d}" % c["steps"][i],
                 "{solver: dopri5, %s}" % tolerances][c["solver"][i]]
        x, nfe = final(entry, 11 + c["seed"][i])
        distance = np.linalg.norm(x - references[c["seed"][i]], axis=1)
        assert c["nfe"][i] == nfe, (i, c["nfe"][i], nfe)
        for name, value in (("rmse", np.sqrt((distance**2).mean())), ("median", np.median(distance)), ("p99", np.quantile(distance, 0.99))):
            assert abs(c[name][i] - value) <= 1e-13 * value, (i, name, c[name][i], value)
            means[name, i] = value
            assert c[name + "_low"][i] <= c[name + "_high"][i] and (name != "rmse" or c["rmse_low"][i] < value < c["rmse_high"][i])
    for (name, i), value in means.items():
        assert i % 2 or shown[name][i // 2] == "%.3e" % ((value + means[name, i + 1]) / 2), (name, i)


def bits():
    """Threads change nothing, and an interrupted comparison ends with the same bits."""
    expected, _ = columns("base.h5")
    run("compare", "base.yaml", "-o", "threads.h5", "-q", "--threads", "3")
    for key, values in columns("threads.h5")[0].items():
        assert values.tobytes() == expected[key].tobytes(), key
    run("resume", "threads.h5")
    checked = subprocess.run([sys.executable, source + "/tests/check_run_file.py", "base.h5"], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stdout, checked.stdout


def law():
    """Weak metrics against numpy, from the exact moments and from the samples of `vpsde sample`; an exact sample's row."""
    c, attributes = columns("base.h5")
    a2 = np.exp(-(0.1e-3 + 0.5 * 19.9e-6))
    mean = np.sqrt(a2) * np.array([0.8, 0.7])
    covariance = (1 - a2 + a2 * 0.085) * np.eye(2) + a2 * 0.21 * np.outer([4, 1], [4, 1])
    x, _ = final("{solver: ddim, steps: 4}", 11)
    assert abs(c["mean"][0] - np.linalg.norm(x.mean(0) - mean)) < 1e-12
    assert abs(c["covariance"][0] - np.linalg.norm(np.cov(x.T, bias=True) - covariance)) < 1e-12
    assert (c["cross_entropy"] > 0).all() and (c["thermometer"] > 0).all()
    floor = table("base.h5", "compare/floor")
    assert list(floor["seed"]) == [0, 1, -1] and "rmse" not in floor
    for name in ("energy", "mmd", "sliced_wasserstein", "marginal", "mean", "covariance", "cross_entropy", "thermometer"):
        assert np.isfinite(floor[name]).all() and (floor[name + "_low"] < floor[name + "_high"]).all(), name
        assert floor[name][2] == floor[name][:2].sum() / 2, name
    pooled = table("base.h5", "compare/pooled")
    assert (pooled["seed"] == -1).all() and len(pooled["level"]) == 6
    for name in ("median", "energy", "nfe"):
        assert (pooled[name] == (c[name][0::2] + c[name][1::2]) / 2).all(), name
    names = [key[:-4] for key in pooled if key.endswith("_low")]
    for name in names:  # Zou & Donner 2008
        assert np.allclose(pooled[name], (c[name][0::2] + c[name][1::2]) / 2, rtol=1e-15)
        for end in ("_low", "_high"):
            half = np.hypot(c[name][0::2] - c[name + end][0::2], c[name][1::2] - c[name + end][1::2]) / 2
            assert np.allclose(abs(pooled[name] - pooled[name + end]), half, rtol=1e-9), (name, end)
    assert len(names) == 11, names


def cells(text):
    """The terminal's first table as {column: texts}, and the exact sample's row."""
    heads, *lines = [line.split() for line in text.splitlines()]
    rows = [line for line in lines[: next(i for i, line in enumerate(lines) if len(line) != len(heads))]]
    exact = next(line[3:] for line in lines if line[:1] == ["(an"])
    return {name: [row[k] for row in rows] for k, name in enumerate(heads)}, dict(zip(heads[3:-1], exact))


def distances(x, y):
    return np.linalg.norm(x[:, None] - y[None], axis=2)


def of_pairs(x, y, kernel):
    """Mean over i != j of k(x_i, y_j) + k(y_i, x_j) - k(x_i, x_j) - k(y_i, y_j)."""
    h = kernel(distances(x, y)) + kernel(distances(y, x)) - kernel(distances(x, x)) - kernel(distances(y, y))
    return (h.sum() - np.trace(h)) / (len(x) * (len(x) - 1))


def root(a):
    values, vectors = np.linalg.eigh(a)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def measured(x, y, data):
    """Metrics of samples x of BASE's mixture at t_min, y the law's rows."""
    a2 = np.exp(-(0.1e-3 + 0.5 * 19.9e-6))
    v = a2 * np.array([0.05, 0.1]) + 1 - a2
    away = x[:, None] - np.sqrt(a2) * np.array([[-2, 0], [2, 1]])
    square = (away**2).sum(2)
    log_p = np.log([0.3, 0.7]) - np.log(2 * np.pi * v) - square / (2 * v)
    total = np.logaddexp(log_p[:, 0], log_p[:, 1])
    share = np.exp(log_p - total[:, None])
    score = -(share[..., None] * away / v[:, None]).sum(1)
    divergence = (share * (square / v**2 - 2 / v)).sum(1) - (score**2).sum(1)
    h = np.median(distances(y, y)[np.triu_indices(len(y), 1)])
    dct = np.array([[1, 1], [1, -1]]) / np.sqrt(2)  # orthonormal DCT-II of two values
    f, g = x @ dct.T, data @ dct.T
    c, other = np.cov(f.T, bias=True), np.cov(g.T, bias=True)
    return {
        "mean": np.linalg.norm(x.mean(0) - y.mean(0)), "covariance": np.linalg.norm(np.cov(x.T, bias=True) - np.cov(y.T, bias=True)),
        "energy": of_pairs(x, y, lambda r: r), "mmd": of_pairs(x, y, lambda r: -np.exp(-(r**2) / (2 * h * h))),
        "marginal": abs(np.sort(x, 0) - np.sort(y, 0)).mean(), "cross-entropy": -total.mean(),
        "thermometer": (score**2).sum(1).mean() / -divergence.mean(), "nearest-data": distances(x, data).min(1).mean(),
        "frechet-dct": ((f.mean(0) - g.mean(0)) ** 2).sum() + np.trace(c + other - 2 * root(root(c) @ other @ root(c))),
    }


def recomputed():
    """What the terminal shows, to its last digit, by numpy from the samples of `vpsde sample`."""
    rng = np.random.default_rng(8)
    data = np.where(rng.random((160, 1)) < 0.3, [-2, 0], [2, 1]) + rng.normal(size=(160, 2)) * 0.3
    np.save("law.npy", data)
    names = "mean covariance energy mmd marginal cross-entropy thermometer nearest-data frechet-dct".split()
    text = run("compare", "base.yaml", "-o", "again.h5", "--set", "compare.reference=data", "--set", "data.path=law.npy",
               "--set", "compare.solvers=[ddim, euler-maruyama]", "--set", f"compare.metrics=[{', '.join(names)}]").stdout
    shown, exact = cells(text)
    levels = list(zip(shown["solver"], shown["steps|tol"]))
    assert levels == [("ddim", "4"), ("ddim", "9"), ("euler-maruyama", "4"), ("euler-maruyama", "9")] and shown["failed"] == ["0"] * 4, levels
    for k, (solver, steps) in enumerate(levels):
        runs = [measured(final("{solver: %s, steps: %s}" % (solver, steps), 11 + k)[0], data[37 * k : 37 * k + 37], data) for k in (0, 1)]
        for name in names:
            value = (runs[0][name] + runs[1][name]) / 2
            assert shown[name][k] == "%.3e" % value, (solver, steps, name, shown[name][k], value)
    floor = [measured(data[37 * k + 74 : 37 * k + 111], data[37 * k : 37 * k + 37], data) for k in (0, 1)]  # each seed's own rows
    assert exact == {name: "%.3e" % ((floor[0][name] + floor[1][name]) / 2) for name in names}, (exact, floor)


def sentences(path, text):
    """The lines that say who is best, from /compare/pooled and the differences of /compare/verdict."""
    p, v, floor = table(path, "compare/pooled"), table(path, "compare/verdict"), table(path, "compare/floor")
    with h5py.File(path) as f:
        labels = f["compare/solver"].attrs["flag_meanings"].decode().split()
        assert f["compare/verdict/next"].attrs["flag_meanings"].decode().split() == [*labels, "nobody"]
        name = f["compare"].attrs["leading_metric"].decode().replace("-", "_")
    assert name in ("median", "energy"), name
    lines, kept, answer = [], [], None
    for i, budget in enumerate(v["budget"]):
        within = {}  # an entry's level with the most evaluations
        for level in np.argsort(p["nfe"], kind="stable"):
            if p["nfe"][level] <= budget:
                within[p["solver"][level]] = p[name][level]
        ranked = sorted(sorted(within), key=lambda s: within[s])
        if not ranked:
            continue
        line = "best within %g: %s, %.1e" % (budget, labels[ranked[0]], within[ranked[0]])
        if len(ranked) > 1:
            difference, low, high = within[ranked[1]] - within[ranked[0]], v["difference_low"][i], v["difference_high"][i]
            line += "; next %s, %.1e: the difference %.1e (%.1e to %.1e) is %s" % (
                labels[ranked[1]], within[ranked[1]], difference, low, high, "real" if v["is_real"][i] else "not resolved")
            assert v["is_real"][i] == (v["ties"][i] == 0) and (low > 0 or v["ties"][i] > 0), i
        else:
            assert labels[ranked[0]] and v["next"][i] == len(labels) and v["ties"][i] == v["is_real"][i] == 0
        if answer != (answer := line.split(": ", 1)[1]):  # each answer once
            lines.append(line)
            kept.append(i)
    told = [line.split("; cannot be told from the best: ") for line in text.splitlines() if line.startswith("best within")]
    assert [line for line, *_ in told] == lines and lines, (lines, text)
    counts = [len(names[0].split(", ")) if names else 0 for _, *names in told]
    assert counts == list(v["ties"][kept]), (counts, v)
    head = next(line for line in text.splitlines() if " within nfe" in line).split()[3:]
    covered = [b for a, b in zip([-np.inf, *v["budget"]], v["budget"]) if a == -np.inf or ((p["nfe"] > a) & (p["nfe"] <= b)).any()]
    assert head == ["%g" % b for b in covered], (head, covered)
    return told


def verdicts():
    """Who is best, by paired differences; the order that a solver shows."""
    sets = ("--set", "compare.steps=[40, 80, 160, 320]", "--set", "compare.solvers=[ddim, heun, {solver: ddim, label: twin}]", "--set", "compare.budget=nfe")
    text = run("compare", "base.yaml", "-o", "verdict.h5", *sets).stdout
    v = table("verdict.h5", "compare/verdict")
    assert list(v["budget"]) == [40, 80, 160, 320] and (v["best"] == 1).all() and (v["is_real"] == 1).all() and (v["ties"] == 0).all()
    assert (v["difference_low"] > 0).all() and (v["difference_low"] < v["difference"]).all() and (v["difference"] < v["difference_high"]).all()
    assert np.allclose(v["difference"], v["next_value"] - v["best_value"], rtol=1e-12)
    assert "best within 320: heun, " in text and "is real" in text, text
    sentences("verdict.h5", text)
    told = sentences("laws.h5", run("compare", "base.yaml", "-o", "laws.h5", "--set", "compare.solvers=[ddim, euler-maruyama, heun]", "--set", "compare.steps=[5, 20]").stdout)
    assert 0 < len(told) <= 4 < len(table("laws.h5", "compare/verdict")["budget"]), "no case took more than 40 evaluations"
    order = table("verdict.h5", "compare/order")
    with h5py.File("verdict.h5") as f:
        metric = f["compare/order/metric"].attrs["flag_meanings"].decode().split().index("median")
    orders = {k: o for k, m, o in zip(order["solver"], order["metric"], order["order"]) if m == metric}
    assert 0.8 < orders[0] < 1.2 and 1.6 < orders[1] < 2.4 and orders[2] == orders[0], orders
    run("compare", "base.yaml", "-o", "twins.h5", *sets, "--set", "compare.solvers=[ddim, {solver: ddim, label: twin}]", "-q")
    v = table("twins.h5", "compare/verdict")
    assert (v["is_real"] == 0).all() and (v["difference"] == 0).all() and (v["difference_low"] == 0).all() and (v["ties"] == 1).all(), v
    text = run("compare", "base.yaml", "-o", "third.h5", *sets, "--set", "compare.solvers=[ddim, heun, {solver: heun, label: twin}]").stdout
    v = table("third.h5", "compare/verdict")  # the best two are one: neither is it, however far the third is
    assert (v["is_real"] == 0).all() and (v["ties"] == 1).all(), v
    assert text.count("is not resolved; cannot be told from the best: twin\n") == 4, text
    widths = []
    for names in ("ddim, heun", "ddim, heun, {solver: ddim, label: twin}"):  # Bonferroni: wider with more entries
        run("compare", "base.yaml", "-o", "wide.h5", "--force", "-q", *sets, "--set", f"compare.solvers=[{names}]")
        v = table("wide.h5", "compare/verdict")
        assert (v["best"] == 1).all() and (v["next"] == 0).all(), v
        widths.append(v["difference_high"] - v["difference_low"])
    assert (widths[1] > widths[0]).all() and (widths[1] < 1.6 * widths[0]).all(), widths


def stable():
    """The ranking is the same under another seed wherever the intervals say that a difference is real."""
    solvers = "compare.solvers=[ddim, heun, dpmpp-2m, dpm-solver-2, unipc, rk4, deis, lms]"
    sets = ("--set", solvers, "--set", "compare.budget=nfe", "--set", "compare.steps=[10, 40]", "--set", "sampler.count=400", "--set", "compare.metrics=[median]", "-q")
    values, real = [], []
    for seed in (100, 200):
        run("compare", os.path.join(source, "experiments", "ring.yaml"), "-o", "ring.h5", "--force", *sets, "--set", f"seed={seed}")
        p = table("ring.h5", "compare/pooled")
        values.append(p["median"])
        v = table("ring.h5", "compare/verdict")
        real.append((v["best"], v["is_real"]))
        low, high = p["median_low"], p["median_high"]
    for a, b in ((a, b) for a in range(len(low)) for b in range(len(low)) if high[a] < low[b]):
        assert values[0][a] < values[0][b] and values[1][a] < values[1][b], (a, b, values)
    both = real[0][1].astype(bool) & real[1][1].astype(bool)
    assert both.any() and (real[0][0] == real[1][0])[both].all(), real


def references():
    """Noisy solvers beside others: weak metrics alone; exact draws and data as the reference."""
    run("compare", "base.yaml", "-o", "mixed.h5", "-q", "--set", "compare.solvers=[ddim, euler-maruyama]", "--set", "compare.seeds=1")
    c, _ = columns("mixed.h5")
    assert np.isnan(c["rmse"][2:]).all() and np.isfinite(c["rmse"][:2]).all() and np.isfinite(c["energy"]).all() and (c["failed"] == 0).all()
    run("compare", "base.yaml", "-o", "exact.h5", "-q", "--set", "compare.solvers=[ddim, euler-maruyama]", "--set", "compare.seeds=1", "--set", "compare.reference=exact")
    e, _ = columns("exact.h5")
    assert "rmse" not in e
    for name in ("energy", "sliced_wasserstein", "cross_entropy"):
        assert e[name].tobytes() == c[name].tobytes(), name
    rng = np.random.default_rng(5)
    np.save("rows.npy", np.where(rng.random((80, 1)) < 0.3, [-2, 0], [2, 1]) + rng.normal(size=(80, 2)) * 0.3)
    run("compare", "base.yaml", "-o", "data.h5", "-q", "--set", "compare.reference=data", "--set", "data.path=rows.npy", "--set", "compare.seeds=1")
    d, _ = columns("data.h5")
    assert {"frechet_dct", "nearest_data", "energy"} <= set(d) and "rmse" not in d
    rows, (x, _) = np.load("rows.npy"), final("{solver: ddim, steps: 9}", 11)
    nearest = np.linalg.norm(x[:, None] - rows[None], axis=2).min(1).mean()
    assert abs(d["nearest_data"][1] - nearest) < 1e-12, (d["nearest_data"], nearest)
    floor = table("data.h5", "compare/floor")
    assert np.isfinite(floor["energy"]).all() and floor["nearest_data"][0] == 0
    few = run("compare", "base.yaml", "-o", "few.h5", "--set", "compare.reference=data", "--set", "data.path=rows.npy", "--set", "data.count=36", code=4)
    assert "36 rows from data.first on, compare.reference data needs one for each of 37 samples of 2 seeds" in few.stderr, few.stderr


def resumed():
    """Stopped in the middle, a comparison ends with the same bits, the differences included."""
    sets = ("--set", "sampler.count=300", "--set", "compare.solvers=[ddim, heun, dpmpp-2m]", "--set", "compare.steps=[20, 60, 100]", "--set", "compare.metrics=[median, energy]", "-q")
    run("compare", "base.yaml", "-o", "whole.h5", *sets)
    process = subprocess.Popen([vpsde, "compare", "base.yaml", "-o", "half.h5", *sets], stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(os.scandir("half.h5.parts") if os.path.isdir("half.h5.parts") else ()):
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.wait()
    if not os.path.exists("half.h5"):
        run("resume", "half.h5", "-q")
    for name in ("compare", "compare/pooled", "compare/floor", "compare/verdict", "compare/order"):
        with h5py.File("whole.h5") as a, h5py.File("half.h5") as b:
            for key, item in a[name].items():
                if isinstance(item, h5py.Dataset):
                    assert item[:].tobytes() == b[name][key][:].tobytes(), (name, key)


def budgets():
    """By network calls: Heun takes half the steps, and none where one step is more than the budget."""
    run("compare", "base.yaml", "-o", "nfe.h5", "-q", "--set", "compare.budget=nfe", "--set", "compare.steps=[1, 5, 10]", "--set", "compare.seeds=1")
    c, _ = columns("nfe.h5")
    assert list(c["steps"]) == [1, 5, 10, 2, 5, -1, -1] and list(c["nfe"][:5]) == [1, 5, 10, 4, 10], c
    assert list(c["budget"][:5]) == [1, 5, 10, 5, 10] and np.isnan(c["budget"][5:]).all()
    none = run("compare", "base.yaml", "-o", "none.h5", "--set", "compare.budget=nfe", "--set", "compare.steps=[1]", "--set", "compare.solvers=[heun]", code=3)
    assert "no solver makes a step within 1 evaluations" in none.stderr, none.stderr


def all_deterministic():
    """Every solver without noise by one word; and noisy ones along one path, against a finer one of their kind."""
    run("compare", "base.yaml", "-o", "all.h5", "-q", "--set", "compare.solvers=deterministic", "--set", "compare.tolerances=[1e-3]",
        "--set", "compare.steps=[20]", "--set", "compare.seeds=1", "--set", "compare.metrics=[median]")
    c, attributes = columns("all.h5")
    words = attributes["flag_meanings"].decode().split()
    assert {"ddim", "heun", "dopri5", "cvode-adams"} <= set(words) and "euler-maruyama" not in words, words
    run("compare", "base.yaml", "-o", "more.h5", "-q", "--set", "compare.solvers=[deterministic, {solver: heun, clock: t, label: heun-t}]",
        "--set", "compare.tolerances=[1e-3]", "--set", "compare.steps=[20]", "--set", "compare.seeds=1")
    more, attributes = columns("more.h5")
    assert attributes["flag_meanings"].decode().split() == [*words, "heun-t"] and more["median"][:-1].tobytes() == c["median"].tobytes()
    assert len(c["case"]) == len(words) and "median" in c and "rmse" not in c
    run("compare", "base.yaml", "-o", "noisy.h5", "-q", "--set", "compare.solvers=[euler-maruyama]", "--set", "compare.steps=[250, 1000]",
        "--set", "compare.reference={solver: euler-maruyama, steps: 8000}", "--set", "sampler.grid=uniform-t")
    c, _ = columns("noisy.h5")
    assert (c["median"][2:] < 0.5 * c["median"][:2]).all(), c["median"]


def failures():
    """Samples that fail in the reference have no distance; the run says so with exit code 5."""
    result = run("compare", "base.yaml", "-o", "failed.h5", "-q", "--set", "compare.reference.max_steps=3", code=5)
    c, _ = columns("failed.h5")
    assert (c["failed"] == 37).all() and np.isnan(c["median"]).all() and "444 of 444 samples failed" in result.stderr, result.stderr
    v = table("failed.h5", "compare/verdict")
    assert (v["best"] == 3).all() and (v["next"] == 3).all() and (v["is_real"] == 0).all(), v
    text = run("compare", "base.yaml", "-o", "lost.h5", "--set", "compare.solvers=[ddim, heun, {solver: dopri5, rtol: [1e-4], atol: [1e-4], max_steps: 9}]", code=5).stdout
    v = table("lost.h5", "compare/verdict")
    assert "; not ranked, for samples failed: dopri5\n" in text and v["unranked"].max() == 1 and (v["best"] < 2).any() and (v["best"] != 2).all(), (text, v)


def mistakes():
    for sets, words in (
        (["compare.solvers=[ddmi]"], "unknown solver 'ddmi'; did you mean ddim"),
        (["compare.solvers=[ddim, ddim]"], "two entries are called 'ddim'; give one a label"),
        (["compare.solvers=[]"], "solvers: [ddim, ...] or solvers: deterministic is required"),
        (["compare.solvers=[euler-maruyama]", "compare.metrics=[rmse]"], "rmse needs a reference solver of the solvers' kind, deterministic or not"),
        (["compare.reference=exact", "compare.metrics=[median]"], "median needs a reference solver"),
        (["compare.metrics=[nearest-data]"], "nearest-data needs the section data"),
        (["compare.reference=data"], "there is no section data"),
        (["compare.metrics=[thermometer]", "process.t_min=0", "sampler.grid=uniform-t"], "thermometer needs a model with derivatives"),
        (["compare.solvers=[{solver: ddim, last_step: euler}]"], "ddim ends with last_step: euler and the reference with stop"),
        (["compare.solvers=[{solver: ddim, grid: user}]"], "ddim has the grid user, whose times are listed"),
        (["compare.solvers=[{solver: dopri5, rtol: [1e-3, 1e-4], atol: [1e-3]}]"], "1 values; expected one for each of 2 rtol"),
        (["compare.solvers=[dopri5]"], "dopri5 chooses its own steps; expected tolerances"),
        (["compare.solvers=[ddim]", "compare.steps=null"], "ddim takes fixed steps; expected steps"),
        (["compare.metrics=[cross-entropy]", "sampler.clip=[-3, 3]"], "cross-entropy needs a model that knows log p, sampled without guidance, init and clipping"),
        (["compare.metrics=[thermometer]", "sampler.dynamic_threshold={quantile: 0.9, min: 3}"], "thermometer needs a model with derivatives, sampled without guidance"),
        (["compare.reference=exact", "sampler.clip=[-3, 3]"], "has no exact draws of its samples' law"),
        (["sampler.init=starts.npy"], "2 seeds from the same start states of sampler.init are one; expected 1"),
        (["compare.steps=[5.5]"], "5.5; expected whole numbers"),
        (["compare.steps=[0]"], "0; expected whole numbers from 1 to 1e+06"),
        (["compare.tolerances=[2]"], "2; expected tolerances from 1e-14 to 1"),
        (["compare.budget=calls"], "steps"),
        (["compare.metrics=[medain]"], "median"),
        (["compare.metrics=[]"], "the list is empty"),
        (["compare.reference=ddim"], "steps"),
        (["compare.seed=3"], "seeds"),
        (["sampler.count=null"], "count"),
    ):
        arguments = [word for item in sets for word in ("--set", item)]
        error = run("compare", "base.yaml", "-o", "bad.h5", *arguments, code=3).stderr
        assert words in error and error.count("\n") == 1, (sets, error)
        assert not os.path.exists("bad.h5") and not os.path.exists("bad.h5.parts"), sets
    many = ", ".join("{solver: ddim, label: d%d}" % i for i in range(65))
    assert "more than 64 solvers; expected at most 64" in run("compare", "base.yaml", "-o", "bad.h5", "--set", f"compare.solvers=[{many}]", code=3).stderr


def networks():
    """A network's default reference is one that float32 can give; a tighter one is warned of."""
    np.save("points.npy", np.random.default_rng(3).normal(size=(64, 2)))
    with open("train.yaml", "w") as f:
        f.write("seed: 3\nprocess: {schedule: vp-linear}\nmodel: {kind: mlp, hidden: 8, layers: 1}\ndata: {path: points.npy}\ntrain: {steps: 30, batch: 16, warmup: 5}\n")
    run("train", "train.yaml", "-o", "net.safetensors", "-q")
    with open("net.yaml", "w") as f:
        f.write("seed: 3\nmodel: {path: net.safetensors}\nsampler: {count: 9, grid: uniform-lambda}\ncompare: {solvers: [ddim], steps: [10]}\n")
    assert "warning" not in run("compare", "net.yaml", "-o", "network.h5").stderr
    with h5py.File("network.h5") as f:
        of = f["compare"].attrs
        assert of["reference"].decode() == "cvode-adams" and of["reference_rtol"] == of["reference_atol"] == 1e-5, dict(of)
    tight = ("--set", "compare.reference={solver: dopri5, rtol: 1e-8}", "--force")
    error = run("compare", "net.yaml", "-o", "network.h5", *tight).stderr
    assert "warning: compare.reference: rtol 1e-08 and atol 1e-08 are below what a network in float32 gives, about 1e-07" in error, error
    assert not run("compare", "net.yaml", "-o", "network.h5", "-q", *tight).stderr
    assert "warning" not in run("compare", "base.yaml", "-o", "closed.h5").stderr


def starts():
    """Given start states are everybody's, and `check` knows the section."""
    np.save("starts.npy", np.random.default_rng(1).normal(size=(37, 2)))
    run("compare", "base.yaml", "-o", "init.h5", "-q", "--set", "sampler.init=starts.npy", "--set", "compare.seeds=1")
    c, _ = columns("init.h5")
    run("compare", "base.yaml", "-o", "other.h5", "-q", "--set", "sampler.init=starts.npy", "--set", "compare.seeds=1", "--set", "seed=99")
    other, _ = columns("other.h5")
    for name in ("rmse", "median", "p99", "nfe"):
        assert (c[name] == other[name]).all(), name
    assert "cross_entropy" not in c and "thermometer" not in c and "mean" in c  # of the reference's law
    with h5py.File("init.h5") as f:
        assert f["compare"].attrs["target"].decode() == "reference" and f["compare"].attrs["ideal_rmse"] == 0
    text = run("check", "base.yaml").stdout
    assert "3 solvers, 12 cases of 37 samples" in text, text
    names = [line.split()[0] for line in run("list", "metrics").stdout.splitlines()]
    assert len(names) == 13 and names[:3] == ["rmse", "median", "p99"] and "frechet-dct" in names, names
    resolved = run("check", "base.yaml", "--resolved").stdout
    with open("resolved.yaml", "w") as f:
        f.write(resolved)
    assert run("check", "resolved.yaml", "--resolved").stdout == resolved


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("base.yaml", "w") as f:
        f.write(BASE)
    numbers()
    law()
    recomputed()
    bits()
    verdicts()
    stable()
    references()
    resumed()
    budgets()
    all_deterministic()
    failures()
    mistakes()
    networks()
    starts()
print("a comparison's numbers are those of its runs")
