"""bench.py VPSDE SOURCE: `vpsde bench` measures machine and configurations, its three outputs agree, its shares sum to 1."""
import json, os, subprocess, sys, tempfile

import h5py
import numpy as np

import runs

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SHARES = ["network", "solver", "noise", "log", "start_up", "rest"]
CONFIG = runs.MIXTURE + """\
sampler: {count: 300, solver: [ddim, euler-maruyama, {solver: dopri5, label: ode, rtol: 1.0e-3, atol: 1.0e-3}], steps: 10}
log: {times: 3, fields: [x, eps]}
"""


def names(group):
    words = group["name"].attrs["flag_meanings"].decode().split()
    return [words[i] for i in group["name"][()]]


def same(rows, group, row):
    """JSON against the run file."""
    assert [r[row] for r in rows] == names(group)
    for column in set(rows[0]) - {row}:
        values = np.array([np.nan if r[column] is None else r[column] for r in rows])
        np.testing.assert_allclose(values, group[column][()], rtol=1e-8, err_msg=column)


def machine():
    told = json.loads(runs.call(vpsde, "bench", "--json", "-o", "machine.h5", "--threads", 2))
    assert told["machine"]["threads"] == 2 and told["machine"]["version"] and told["machine"]["cpu"]
    with h5py.File("machine.h5") as f:
        assert f.attrs["verb"] == b"bench" and f["provenance"].attrs["isa"].decode() == told["machine"]["isa"]
        for table, row in (("ceilings", "ceiling"), ("solvers", "solver"), ("models", "model")):
            same(told[table], f["bench/" + table], row)
    one, both = told["ceilings"]
    assert one["threads"] == 1 and both["threads"] == 2 and both["disk"] is None
    assert all(one[k] > 0 for k in ("flops", "memory", "normals", "disk"))
    listed = [line.split() for line in runs.call(vpsde, "list", "solvers").splitlines()]
    measured = {r["solver"]: r for r in told["solvers"]}
    assert len(measured) > 40 and set(measured) < {words[0] for words in listed}
    assert "dopri5" not in measured and measured["heun"]["nfe_per_step"] == 2
    assert all(0 < r["step"] < 1e-4 for r in measured.values())
    assert measured["ddim"]["noise"] == 0 < measured["euler-maruyama"]["noise"]
    assert [(r["model"], r["rows"]) for r in told["models"]] == [
        (m, n) for m in ("gaussian-mixture", "mlp", "unet") for n in (1, 64, 4096)]
    assert told["models"][-1]["seconds"] is None and told["models"][0]["seconds"] > 0  # 4096 images take too long
    assert os.listdir(".") == ["machine.h5"], os.listdir(".")


def profile():
    with open("mixture.yaml", "w") as file:
        file.write(CONFIG)
    os.mkdir("there")
    for threads in (1, 2):
        told = json.loads(runs.call(vpsde, "bench", "mixture.yaml", "--json", "--force", "-o", "profile.h5", "--folder", "there", "--threads", threads))
        assert set(told) == {"machine", "models", "profile"}
        with h5py.File("profile.h5") as f:
            same(told["profile"], f["bench/profile"], "run")
            assert f["model"].attrs["kind"] == b"gaussian-mixture"
        for r in told["profile"]:
            assert abs(sum(r[s] for s in SHARES) - 1) < 1e-9, r
            assert all(-0.02 < r[s] < 1 for s in SHARES), r  # clocks of threads that were put to sleep
            assert r["wall"] > 0 and abs(r["samples_per_second"] * r["wall"] / 300 - 1) < 1e-6
        ddim, em, ode = told["profile"]
        assert [r["run"] for r in told["profile"]] == ["ddim", "euler-maruyama", "ode"]
        # 10 steps; the log asks at three nodes, and two of its answers are taken over by steps
        assert ddim["evaluations"] == em["evaluations"] == 300 * (10 + 1) and ode["evaluations"] > 300 * 10
        assert ddim["noise"] == 0 < em["noise"] and ode["solver"] > 0
    assert not os.listdir("there")
    # One sample's steps are so short that a reading of the clock counted twice would show.
    told = json.loads(runs.call(vpsde, "bench", "mixture.yaml", "--json", "--threads", 1, "--set", "sampler.count=1", "--set", "sampler.steps=200000",
                                "--set", "sampler.solver=euler-maruyama", "--set", "log.times=none"))
    assert told["profile"][0]["rest"] > -0.005, told["profile"]


def refusals():
    assert "one CONFIG expected" in runs.call(vpsde, "bench", "mixture.yaml", "mixture.yaml", code=2)
    assert "nowhere" in runs.call(vpsde, "bench", "--folder", "nowhere", code=6)
    assert "nowhere" in runs.call(vpsde, "bench", "mixture.yaml", "--folder", "nowhere", code=6)
    assert "profile.h5" in runs.call(vpsde, "bench", "mixture.yaml", "-o", "profile.h5", code=7)
    assert "input of this run" in runs.call(vpsde, "bench", "mixture.yaml", "-o", "mixture.yaml", "--force", code=7)
    assert runs.call(vpsde, "bench", "mixture.yaml", "-q") == ""
    text = runs.call(vpsde, "bench", "mixture.yaml")
    assert "network %" in text and "euler-maruyama" in text


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    machine()
    profile()
    refusals()
    os.chdir("/")
print("bench measures what it says")
