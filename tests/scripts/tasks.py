"""tasks.py VPSDE SOURCE: encode, decode and interpolate: closed forms, round trips, equal bits, mistakes."""
import os, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
GAUSS = """\
seed: 5
process: {schedule: vp-linear}
model: {kind: gaussian-mixture, weights: [1], means: [[0.5, -1, 2]], variances: 0.3}
data: {path: gauss.npy}
sampler: {solver: [dopri5, heun, {solver: ddim, label: ddim-i}], rtol: 1.0e-7, atol: 1.0e-7, steps: 200}
"""
MIXTURE = """\
seed: 5
process: {schedule: vp-linear}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
data: {path: points.npy}
sampler: {solver: [dopri5, {solver: ddim, steps: 20}], rtol: 1.0e-5, atol: 1.0e-5}
log: {times: 3}
"""


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result


def same(a, b):
    out = subprocess.run(["h5diff", "--exclude-path=/provenance", "--exclude-path=/inputs", a, b], capture_output=True, text=True)
    assert out.returncode == 0, (a, b, out.stdout, out.stderr)
    checked = subprocess.run([sys.executable, source + "/tests/check_run_file.py", a], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stdout, checked.stdout


def b_of(t):
    return 0.1 * t + 19.9 * t * t / 2


def closed_form():
    """A Gaussian's latents are its quantiles: z = a1 m + sqrt(V1/V) (x - a m)."""
    x = np.random.default_rng(1).normal(size=(50, 3)) * 0.55 + [0.5, -1, 2]
    np.save("gauss.npy", x)
    out = run("encode", "gauss.yaml", "-o", "gauss.h5").stdout
    assert "round trip" in out and "nfe there" in out and "99 % (tol)" in out, out
    a, a1 = np.exp(-b_of(1e-3) / 2), np.exp(-b_of(1) / 2)
    V, V1 = 0.3 * a * a + 1 - a * a, 0.3 * a1 * a1 + 1 - a1 * a1
    exact = a1 * np.array([0.5, -1, 2]) + np.sqrt(V1 / V) * (x - a * np.array([0.5, -1, 2]))
    with h5py.File("gauss.h5") as f:
        for label, error, back in (("dopri5", 1e-6, 1e-6), ("heun", 1e-2, 1e-4), ("ddim_i", 0.3, 0.1)):
            g = f["runs"][label]
            assert np.abs(g["final"][:] - exact).max() < error, (label, np.abs(g["final"][:] - exact).max())
            assert g.attrs["direction"] == b"data-to-noise" and (np.diff(g["t"][:]) > 0).all()
            assert np.abs(g["round_trip"][:] - x).max() < back and np.array_equal(g["round_trip_error"][:], np.abs(g["round_trip"][:] - x).max(1))
            assert np.array_equal(g["x"][:, 0], x.astype(np.float32)) and np.array_equal(g["x"][:, -1], g["final"][:].astype(np.float32))
            assert (g["nfe"][:] > 0).all() and (g["round_trip_nfe"][:] > 0).all() and (g["status"][:] == 0).all()


def there_and_back():
    """A run file of encode decodes to its own round trip; latents from a dataset do, too."""
    run("encode", "mixture.yaml", "-o", "latents.h5", "-q", "--set", "data.first=3", "--set", "data.count=500")
    run("decode", "latents.h5", "-o", "decoded.h5", "-q")
    run("sample", "mixture.yaml", "-o", "sampled.h5", "-q", "--set", "sampler.init=latents.h5:/runs/dopri5/final", "--set", "sampler.count=500",
        "--set", f"sampler.rtol={0.1 * 1e-5}", "--set", f"sampler.atol={0.1 * 1e-5}", "--set", "sampler.solver=[dopri5]")
    run("decode", "mixture.yaml", "-o", "given.h5", "-q", "--set", "sampler.init=latents.h5:/runs/dopri5/final", "--set", "sampler.solver=[dopri5]")
    x = np.load("points.npy")[3:503]
    with h5py.File("latents.h5") as f, h5py.File("decoded.h5") as g, h5py.File("sampled.h5") as s, h5py.File("given.h5") as h:
        for label in ("dopri5", "ddim"):
            assert g["runs"][label]["final"][:].tobytes() == f["runs"][label]["round_trip"][:].tobytes(), label
            assert list(g["runs"][label]["sample"][:2]) == [3, 4]
            assert np.array_equal(g["runs"][label]["nfe"][:], f["runs"][label]["round_trip_nfe"][:])
        assert np.median(f["runs/dopri5/round_trip_error"][:]) < 1e-4 and np.quantile(f["runs/dopri5/round_trip_error"][:], 0.99) < 5e-4
        assert np.abs(g["runs/dopri5/final"][:] - x).max() < 0.1
        for other in (s, h):
            assert other["runs/dopri5/final"][:].tobytes() == g["runs/dopri5/final"][:].tobytes()
        assert g["inputs"].attrs["latents"].decode().endswith("/latents.h5")
    once = run("encode", "mixture.yaml", "-o", "once.h5", "--set", "encode.round_trip=false", "--set", "data.count=40").stdout
    assert "round trip" not in once, once
    with h5py.File("once.h5") as f:
        assert "round_trip" not in f["runs/dopri5"]


def bits():
    """Threads, neighbours, pieces and interruptions change nothing."""
    table = run("encode", "many.yaml", "-o", "whole.h5").stdout.split("round trip")[1]
    run("encode", "many.yaml", "-o", "threads.h5", "-q", "--threads", "1")
    same("whole.h5", "threads.h5")
    run("encode", "many.yaml", "-o", "few.h5", "-q", "--set", "data.first=8190", "--set", "data.count=5")
    with h5py.File("whole.h5") as f, h5py.File("few.h5") as g:
        for key in ("final", "x", "round_trip", "nfe", "sample"):
            assert f["runs/dopri5"][key][8190:8195].tobytes() == g["runs/dopri5"][key][:].tobytes(), key
    run("interpolate", "many.yaml", "-o", "arcs.h5", "-q", "--set", "data.count=1501")
    for verb, whole, sets in (("encode", "whole.h5", ()), ("interpolate", "arcs.h5", ("--set", "data.count=1501"))):
        for how, parts in ((signal.SIGKILL, 1), (signal.SIGTERM, 1), (signal.SIGKILL, 2)):
            cut(verb, sets, how, parts)
            if not os.path.exists("cut.h5"):
                told = run("resume", "cut.h5", "--threads", "2").stdout
                assert verb != "encode" or told.split("round trip")[1] == table, (told, table)
            same(whole, "cut.h5")
            os.remove("cut.h5")


def cut(verb, sets, how, parts):
    """Starts the verb and ends it once so many parts are there, if it is not faster."""
    process = subprocess.Popen([vpsde, verb, "many.yaml", "-o", "cut.h5", "-q", "--force", *sets], stderr=subprocess.DEVNULL)
    for _ in range(20000):
        there = os.listdir("cut.h5.parts") if os.path.isdir("cut.h5.parts") else []
        if process.poll() is not None or sum(name.startswith("part-") and not name.endswith(".tmp") for name in there) >= parts:
            break
        time.sleep(0.001)
    process.send_signal(how)
    process.wait()


def interpolation():
    x = np.load("points.npy")
    run("interpolate", "mixture.yaml", "-o", "between.h5", "-q", "--set", "interpolate.pairs=[[0, 1], [7, 7], [4, 2]]", "--set", "interpolate.points=5",
        "--set", "data.count=10")
    with h5py.File("between.h5") as f:
        g = f["runs/dopri5"]
        assert list(g["first_row"][:]) == [0] * 5 + [7] * 5 + [4] * 5 and list(g["second_row"][:]) == [1] * 5 + [7] * 5 + [2] * 5
        assert list(g["weight"][:]) == [0, 0.25, 0.5, 0.75, 1] * 3 and g["final"].shape == (15, 2)
        ends = g["final"][:][[0, 4, 5, 9, 10, 14]]
        assert np.abs(ends - x[[0, 1, 7, 7, 4, 2]]).max() < 5e-4, ends
        z, z7 = g["latent"][:], g["latent"][5:10]
        assert (z7 == z7[0]).all()
        u = z / np.linalg.norm(z, axis=1)[:, None]
        for p in (0, 10):
            angle = np.arccos(np.clip((u[p] * u[p + 4]).sum(), -1, 1))
            assert np.allclose([(u[p] * u[p + k]).sum() for k in range(5)], np.cos(angle * np.arange(5) / 4), atol=1e-12)
            assert np.allclose(np.linalg.norm(z[p:p + 5], axis=1), np.linspace(np.linalg.norm(z[p]), np.linalg.norm(z[p + 4]), 5))
        assert (g["encode_nfe"][:] > 0).all()
    run("encode", "mixture.yaml", "-o", "ends.h5", "-q", "--set", "data.count=10")
    with h5py.File("between.h5") as f, h5py.File("ends.h5") as e:
        assert f["runs/dopri5/latent"][0].tobytes() == e["runs/dopri5/final"][0].tobytes()
        assert f["runs/dopri5/latent"][4].tobytes() == e["runs/dopri5/final"][1].tobytes()
    run("interpolate", "mixture.yaml", "-o", "chain.h5", "-q", "--set", "data.first=5", "--set", "data.count=4")
    with h5py.File("chain.h5") as f:
        assert list(f["runs/ddim/first_row"][::9]) == [5, 6, 7] and list(f["runs/ddim/second_row"][::9]) == [6, 7, 8]


def classes():
    """Rows have the classes of their numbers, latents keep them; between two rows it is that of the nearer one."""
    sets = ("--set", "model.classes=[0, 1]", "--set", "sampler.solver=[dopri5]")
    run("encode", "mixture.yaml", "-o", "classes.h5", "-q", *sets, "--set", "sampler.classes=[1, 0, -1]", "--set", "data.first=4", "--set", "data.count=30")
    run("encode", "mixture.yaml", "-o", "none.h5", "-q", *sets, "--set", "sampler.classes=none", "--set", "data.first=4", "--set", "data.count=30")
    run("decode", "classes.h5", "-o", "classes2.h5", "-q")
    run("interpolate", "mixture.yaml", "-o", "classes3.h5", "-q", *sets, "--set", "sampler.classes=[1, 0, -1]", "--set", "interpolate.pairs=[[4, 6]]",
        "--set", "interpolate.points=4", "--set", "data.count=30")
    with h5py.File("classes.h5") as f, h5py.File("none.h5") as n, h5py.File("classes2.h5") as g, h5py.File("classes3.h5") as i:
        expected = np.array([1, 0, -1])[np.arange(4, 34) % 3]
        assert np.array_equal(f["runs/dopri5/class"][:], expected) and np.array_equal(g["runs/dopri5/class"][:], expected)
        assert np.array_equal((f["runs/dopri5/final"][:] == n["runs/dopri5/final"][:]).all(1), expected == -1)
        assert g["runs/dopri5/final"][:].tobytes() == f["runs/dopri5/round_trip"][:].tobytes()
        assert list(i["runs/dopri5/class"][:]) == [0, 0, 1, 1]
        assert i["runs/dopri5/latent"][0].tobytes() == f["runs/dopri5/final"][0].tobytes()
        assert np.abs(i["runs/dopri5/final"][:][[0, 3]] - np.load("points.npy")[[4, 6]]).max() < 5e-3


def own_classes():
    """data.labels: rows go there and back, are edited and filled in in their own class, unless sampler.classes says another; samples cycle."""
    labels = np.random.default_rng(8).integers(-1, 2, 20000)
    np.save("labels.npy", labels)
    np.save("mask.npy", np.array([1, 0]))
    model = ("--set", "model.classes=[0, 1]", "--set", "sampler.solver=[ddim]", "--set", "sampler.steps=20")
    rows = ("--set", "data.first=4", "--set", "data.count=30")
    own, listed = ("--set", "data.labels=labels.npy"), ("--set", f"sampler.classes={[int(c) for c in labels[:34]]}")
    for verb, more in (("encode", ()), ("edit", ("--set", "edit.t0=0.4")), ("inpaint", ("--set", "inpaint.mask=mask.npy")),
                       ("interpolate", ("--set", "interpolate.points=4"))):
        for name, how in (("own", own), ("listed", listed), ("cycle", own + ("--set", "sampler.classes=cycle"))):
            run(verb, "mixture.yaml", "-o", f"{verb}-{name}.h5", "-q", *model, *rows, *how, *more)
        with h5py.File(f"{verb}-own.h5") as f, h5py.File(f"{verb}-listed.h5") as g, h5py.File(f"{verb}-cycle.h5") as c:
            f, g, c = f["runs/ddim"], g["runs/ddim"], c["runs/ddim"]
            assert verb == "interpolate" or np.array_equal(f["class"][:], labels[4:34]), (verb, f["class"][:])
            assert np.array_equal(f["class"][:], g["class"][:]) and f["final"][:].tobytes() == g["final"][:].tobytes(), verb
            assert not np.array_equal(f["class"][:], c["class"][:]) and (f["final"][:] != c["final"][:]).any(), verb
        run("rerun", f"{verb}-own.h5", "-q")
    run("decode", "encode-own.h5", "-o", "decode-own.h5", "-q")
    run("sample", "mixture.yaml", "-o", "sample-own.h5", "-q", *model, *own, "--set", "sampler.count=4")
    with h5py.File("encode-own.h5") as f, h5py.File("decode-own.h5") as g, h5py.File("sample-own.h5") as s:
        assert np.array_equal(g["runs/ddim/class"][:], labels[4:34]) and g["runs/ddim/final"][:].tobytes() == f["runs/ddim/round_trip"][:].tobytes()
        assert list(s["runs/ddim/class"][:]) == [0, 1, 0, 1]
    with h5py.File("encode-own.h5", "a") as f:
        f["runs/ddim/class"][3] = 2
    assert "/class: class 2; the model's classes are 0 to 1" in run("decode", "encode-own.h5", "-o", "no.h5", code=4).stderr
    none = run("edit", "mixture.yaml", "-o", "no.h5", *model, "--set", "sampler.classes=labels", code=3).stderr
    assert "sampler.classes: labels, but data has none; expected data.labels" in none, none


def levels():
    """8-bit rows as they are, or spread over their level with the noise of a likelihood."""
    levels = np.random.default_rng(3).integers(0, 256, (6, 2)).astype(np.uint8)
    np.save("levels.npy", levels)
    sets = ("--set", "data.path=levels.npy", "--set", "log.dtype=float64")
    run("encode", "mixture.yaml", "-o", "levels.h5", "-q", *sets)
    run("encode", "mixture.yaml", "-o", "spread.h5", "-q", *sets, "--set", "encode.dequantization=uniform")
    with h5py.File("levels.h5") as f, h5py.File("spread.h5") as g:
        x, y = f["runs/ddim/x"][:, 0], g["runs/ddim/x"][:, 0]
        assert np.abs(x - (levels / 127.5 - 1)).max() < 1e-15
        assert 0 < np.abs(x - y).min() and np.abs(x - y).max() <= 1 / 255
    refused = run("encode", "mixture.yaml", "-o", "bad.h5", "--set", "encode.dequantization=uniform", code=4).stderr
    assert "dequantization uniform is for 8-bit data" in refused, refused


def failures():
    """Rows that fail are flagged, and everything made of them; the others are not touched."""
    sets = ("--set", "sampler.solver=[{solver: dopri5, max_steps: 12}]", "--set", "data.count=40")
    out = run("encode", "mixture.yaml", "-o", "failed.h5", *sets, code=5)
    with h5py.File("failed.h5") as f:
        g = f["runs/dopri5"]
        bad = g["status"][:] != 0
        assert bad.any() and np.isnan(g["final"][:][bad]).all() and np.isnan(g["round_trip_error"][:][bad]).all()
    assert " failed" in out.stderr and "nan" not in out.stdout, (out.stdout, out.stderr)
    run("decode", "failed.h5", "-o", "failed2.h5", "-q", code=5)
    with h5py.File("failed2.h5") as f:
        assert (f["runs/dopri5/status"][:][bad] == 1).all()
    run("interpolate", "mixture.yaml", "-o", "failed3.h5", "-q", *sets, code=5)


def mistakes():
    for verb, sets, code, words in (
        ("encode", ["sampler.solver=[{solver: euler-maruyama, steps: 5}]"], 3, "sampler euler-maruyama: euler-maruyama cannot encode: the way from data to noise"),
        ("encode", ["sampler.solver=[gotta-go-fast]"], 3, "gotta-go-fast cannot encode"),
        ("encode", ["sampler.last_step=tweedie"], 3, "last_step: encoding begins at t_min; expected stop, got tweedie"),
        ("encode", ["process.t_min=0", "sampler.grid=uniform-t"], 3, "ddim has no step from t = 0"),
        ("encode", ["encode.roundtrip=true"], 3, "unknown key 'roundtrip'; did you mean 'round_trip'"),
        ("encode", ["encode.safety=2"], 3, "encode.safety"),
        ("encode", ["encode.dequantization=normal"], 3, "encode.dequantization"),
        ("encode", ["data=null"], 3, "data.path"),
        ("encode", ["data.count=999999"], 4, "reach past the end"),
        ("decode", [], 3, "there are no latents; expected decode.from: RUN.h5"),
        ("decode", ["decode.from=none.h5"], 4, "none.h5"),
        ("decode", ["decode.from=decoded.h5", "sampler.solver=[heun]", "sampler.steps=5"], 4, "/runs/heun"),
        ("decode", ["decode.from=gauss.h5", "sampler.solver=[dopri5]"], 4, "rows have 3 values, the model takes 2"),
        ("decode", ["sampler.init=points.npy", "sampler.count=999999"], 4, "sampler.init needs 999999 rows of 2"),
        ("interpolate", ["interpolate.pairs=[[0, 1, 2]]"], 3, "expected consecutive, or a list of pairs of rows"),
        ("interpolate", ["interpolate.pairs=[0, 1]"], 3, "expected consecutive, or a list of pairs of rows"),
        ("interpolate", ["interpolate.pairs=[[0, 1.5]]"], 3, "1.5; expected numbers of rows, from 0"),
        ("interpolate", ["interpolate.pairs=[[0, 10]]", "data.count=10"], 3, "interpolate.pairs: row 10; the data's are 0 to 9"),
        ("interpolate", ["interpolate.pairs=random"], 3, "interpolate.pairs"),
        ("interpolate", ["interpolate.points=1"], 3, "interpolate.points"),
        ("interpolate", ["data.count=1"], 4, "interpolate needs two rows or more"),
    ):
        arguments = [part for text in sets for part in ("--set", text)]
        result = run(verb, "mixture.yaml", "-o", "mistake.h5", *arguments, code=code)
        assert words in result.stderr and result.stderr.count("\n") == 1, (words, result.stderr)
        assert not os.path.exists("mistake.h5") and not os.path.exists("mistake.h5.parts"), (verb, sets)
    run("decode", "latents.h5", "-o", "latents.h5", "--force", code=7)
    check = run("check", "latents.h5").stdout
    assert "dopri5" in check, check


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    rng = np.random.default_rng(2)
    pick = rng.random(20000) < 0.3
    np.save("points.npy", np.where(pick[:, None], [-2, 0], [2, 1]) + np.sqrt(np.where(pick, 0.05, 0.1))[:, None] * rng.normal(size=(20000, 2)))
    for name, text in (("gauss", GAUSS), ("mixture", MIXTURE), ("many", MIXTURE)):
        with open(name + ".yaml", "w") as f:
            f.write(text)
    closed_form()
    there_and_back()
    interpolation()
    classes()
    own_classes()
    levels()
    failures()
    mistakes()
    bits()
print("rows go to noise and come back")
