"""compare.py VPSDE SOURCE: a comparison's numbers are those of `vpsde sample` and numpy, and its mistakes are told."""
import os, subprocess, sys, tempfile

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
        return {key: f["compare"][key][:] for key in f["compare"]}, dict(f["compare/solver"].attrs)


def numbers():
    table = run("compare", "base.yaml", "-o", "base.h5").stdout
    assert "heun-k" in table and "median within nfe" in table and "best within 200: " in table, table
    c, attributes = columns("base.h5")
    assert attributes["flag_meanings"].decode().split() == ["ddim", "heun-k", "dopri5"]
    assert len(c["case"]) == 12 and (c["failed"] == 0).all()
    assert (c["steps"] == [4, 4, 9, 9, 4, 4, 9, 9, -1, -1, -1, -1]).all()
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


def bits():
    """Threads change nothing, and an interrupted comparison ends with the same bits."""
    expected, _ = columns("base.h5")
    run("compare", "base.yaml", "-o", "threads.h5", "-q", "--threads", "3")
    for key, values in columns("threads.h5")[0].items():
        assert values.tobytes() == expected[key].tobytes(), key
    run("resume", "threads.h5")
    checked = subprocess.run([sys.executable, source + "/tests/check_run_file.py", "base.h5"], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stdout, checked.stdout


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


def mistakes():
    for sets, words in (
        (["compare.solvers=[ddmi]"], "unknown solver 'ddmi'; did you mean ddim"),
        (["compare.solvers=[ddim, ddim]"], "two entries are called 'ddim'; give one a label"),
        (["compare.solvers=[]"], "solvers: [ddim, ...] or solvers: deterministic is required"),
        (["compare.solvers=[euler-maruyama]"], "euler-maruyama is stochastic and the reference gsl-rk8pd is deterministic"),
        (["compare.solvers=[{solver: ddim, last_step: euler}]"], "ddim ends with last_step: euler and the reference with stop"),
        (["compare.solvers=[{solver: ddim, grid: user}]"], "ddim has the grid user, whose times are listed"),
        (["compare.solvers=[{solver: dopri5, rtol: [1e-3, 1e-4], atol: [1e-3]}]"], "1 values; expected one for each of 2 rtol"),
        (["compare.solvers=[dopri5]"], "dopri5 chooses its own steps; expected tolerances"),
        (["compare.solvers=[ddim]", "compare.steps=null"], "ddim takes fixed steps; expected steps"),
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


def starts():
    """Given start states are everybody's, and `check` knows the section."""
    np.save("starts.npy", np.random.default_rng(1).normal(size=(37, 2)))
    run("compare", "base.yaml", "-o", "init.h5", "-q", "--set", "sampler.init=starts.npy")
    c, _ = columns("init.h5")
    for name in ("rmse", "median", "p99", "nfe"):
        assert (c[name][0::2] == c[name][1::2]).all(), name
    text = run("check", "base.yaml").stdout
    assert "3 solvers, 12 cases of 37 samples" in text, text
    resolved = run("check", "base.yaml", "--resolved").stdout
    with open("resolved.yaml", "w") as f:
        f.write(resolved)
    assert run("check", "resolved.yaml", "--resolved").stdout == resolved


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("base.yaml", "w") as f:
        f.write(BASE)
    numbers()
    bits()
    budgets()
    all_deterministic()
    failures()
    mistakes()
    starts()
print("a comparison's numbers are those of its runs")
