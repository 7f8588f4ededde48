"""bad_inputs.py VPSDE: each bad input gives one line, the right exit code, no output, no leak.

Runs the command given (also the sanitized one: a leak or an error changes the exit code).
"""
import json, os, struct, subprocess, sys, tempfile

vpsde = os.path.abspath(sys.argv[1])
GOOD = """\
seed: 7
process: {schedule: vp-linear, beta_min: 0.1, beta_max: 20}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
sampler: {solver: ddim, steps: 10, count: 4}
"""
DATA = GOOD + """\
data: {path: %s}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-5, atol: 1.0e-5}}
"""
NETWORK = """\
model: {path: %s}
sampler: {solver: ddim, steps: 10, count: 4}
"""


def npy(shape, payload, descr="<f8"):
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload


def safetensors(header, payload=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + payload


def tensor(offsets, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def config(text):
    return "sample", text, {}


def change(old, new):
    assert old in GOOD
    return config(GOOD.replace(old, new))


def data(payload, name="data.npy"):
    return "likelihood", DATA % name, {name: payload}


def network(payload):
    return "sample", NETWORK % "net.safetensors", {"net.safetensors": payload}


def mlp(prediction):
    """A whole little network of zeros; NETWORK has no process, so neither has it."""
    shapes = {"input.weight": (2, 1), "input.bias": (2,), "output.weight": (1, 2), "output.bias": (1,)}
    for name in ("time.0", "time.2", "layers.0.linear1", "layers.0.linear2"):
        shapes |= {name + ".weight": (2, 2), name + ".bias": (2,)}
    facts = {"vpsde.kind": "mlp", "vpsde.shape": "1", "vpsde.hidden": "2", "vpsde.layers": "1",
             "vpsde.time_features": "2", "vpsde.prediction": prediction}
    header, at = {"__metadata__": facts}, 0
    for name, shape in shapes.items():
        size = 4 * (shape[0] * shape[1] if len(shape) > 1 else shape[0])
        header[name], at = tensor((at, at + size), shape), at + size
    return safetensors(header, bytes(at))


def predicts(said, prediction):
    text = NETWORK.replace("%s}", "%s, prediction: " + prediction + "}") % "net.safetensors"
    return "sample", "process: {schedule: vp-linear}\n" + text, {"net.safetensors": mlp(said)}


nan = struct.pack("<d", float("nan"))


def plane(section):
    return "fokker-planck", GOOD + "fokker-planck: {" + section + "}\n", {}


def with_classes(section):
    verb, text, files = plane(section)
    return verb, text.replace("0.1]}", "0.1], classes: [0, 1]}"), files


def compare(section):
    return "compare", GOOD + "compare: {solvers: [ddim], " + section + "}\n", {}


def betas(payload):
    return "sample", GOOD.replace("{schedule: vp-linear, beta_min: 0.1, beta_max: 20}", "{schedule: table, betas: betas.npy}"), {"betas.npy": payload}


CASES = [  # name, (verb, configuration, files), exit code, words of the message
    ("malformed yaml", config("a: [1, 2\n"), 3, "conf.yaml:"),
    ("not a mapping", config("- 1\n- 2\n"), 3, "conf.yaml:1:1"),
    ("duplicate key", config(GOOD + "seed: 8\n"), 3, "seed"),
    ("anchor", config("seed: &a 7\n"), 3, "conf.yaml:1"),
    ("unknown key", change("steps: 10", "stepz: 10"), 3, "steps"),
    ("unknown section", config(GOOD + "sampel: {a: 1}\n"), 3, "sampler"),
    ("unknown solver", change("solver: ddim", "solver: ddimm"), 3, "did you mean ddim"),
    ("solver in capitals", change("solver: ddim", "solver: DDIM"), 3, "did you mean ddim"),
    ("solver like no other", change("solver: ddim", "solver: abcdefghijklm"), 3, "'vpsde list solvers' names them"),
    ("a class that is no list", ("sample", GOOD.replace("0.1]}", "0.1], classes: [0, 1]}").replace("count: 4", "count: 4, classes: 1"), {}), 3, "1 is a number; expected [1]"),
    ("unknown schedule", change("vp-linear", "vp-liner"), 3, "vp-linear"),
    ("unknown model", change("gaussian-mixture", "gausian-mixture"), 3, "gaussian-mixture"),
    ("unknown parameter", change("solver: ddim,", "solver: ddim, etta: 1,"), 3, "eta"),
    ("nan", change("beta_min: 0.1", "beta_min: .nan"), 3, "beta_min"),
    ("overflow", change("beta_max: 20", "beta_max: 1e999"), 3, "beta_max"),
    ("half a number", change("beta_max: 20", "beta_max: 20x"), 3, "beta_max"),
    ("negative seed", change("seed: 7", "seed: -1"), 3, "seed"),
    ("zero steps", change("steps: 10", "steps: 0"), 3, "steps"),
    ("no steps", change("steps: 10, ", ""), 3, "steps"),
    ("no samples", change("count: 4", "count: 0"), 3, "count"),
    ("beta >= 1", change("schedule: vp-linear, beta_min: 0.1, beta_max: 20", "schedule: table, betas: [0.1, 1.5]"), 3, "1.5"),
    ("beta <= 0", change("schedule: vp-linear, beta_min: 0.1, beta_max: 20", "schedule: table, betas: [0.1, 0]"), 3, "beta"),
    ("t_min past the end", change("beta_max: 20", "beta_max: 20, t_min: 1"), 3, "t_min"),
    ("weights", change("[0.3, 0.7]", "[0.3, 0.6]"), 3, "weights"),
    ("negative variance", change("[0.05, 0.1]", "[-0.05, 0.1]"), 3, "vari"),
    ("ragged means", change("[[-2, 0], [2, 1]]", "[[-2, 0], [2]]"), 3, "means"),
    ("adaptive without tolerance", change("solver: ddim, steps: 10", "solver: dopri5"), 3, "rtol"),
    ("zero tolerance", change("solver: ddim, steps: 10", "solver: dopri5, rtol: 0, atol: 0"), 3, "rtol"),
    ("negative tolerance", change("solver: ddim, steps: 10", "solver: dopri5, rtol: -1.0e-3, atol: 1.0e-3"), 3, "rtol"),
    ("tolerance that is no number", change("solver: ddim, steps: 10", "solver: dopri5, rtol: .nan, atol: 1.0e-3"), 3, "rtol"),
    ("likelihood without tolerance", ("likelihood", (DATA % "data.npy").replace("rtol: 1.0e-5, atol: 1.0e-5", "rtol: 0, atol: 0"), {"data.npy": npy((1, 2), bytes(16))}), 3, "rtol"),
    ("likelihood of a negative tolerance", ("likelihood", (DATA % "data.npy").replace("atol: 1.0e-5", "atol: 1.0e-5, logp_atol: -1"), {"data.npy": npy((1, 2), bytes(16))}), 3, "logp_atol"),
    ("negative steps", change("steps: 10", "steps: -1"), 3, "steps"),
    ("half a step", change("steps: 10", "steps: 2.5"), 3, "steps"),
    ("negative samples", change("count: 4", "count: -4"), 3, "count"),
    ("elbo of no steps", ("elbo", (DATA % "data.npy") + "elbo: {steps: 0}\n", {"data.npy": npy((1, 2), bytes(16))}), 3, "steps"),
    ("mixture of no dimension", change("[[-2, 0], [2, 1]]", "[[], []]"), 3, "dimension, got 2 and 0"),
    ("data of no rows", data(npy((0, 2), b"")), 4, "0 rows"),
    ("model that is a library", ("sample", NETWORK % "evil.so", {"evil.so": b"\x7fELF\x02\x01\x01" + bytes(57)}), 4, "evil.so"),
    ("kind that is a library", change("kind: gaussian-mixture", "kind: ./evil.so"), 3, "kind"),
    ("labels twice", change("solver: ddim", "solver: [ddim, ddim]"), 3, "label"),
    ("labels alike", change("solver: ddim", "solver: [{solver: ddim, label: a-b}, {solver: heun, label: a_b}]"), 3, "label"),
    ("label with a blank", change("solver: ddim", "solver: [{solver: ddim, label: my run}]"), 3, "label"),
    ("label with a slash", change("solver: ddim", "solver: [{solver: ddim, label: a/b}]"), 3, "label"),
    ("stored time past the end", config(GOOD + "log: {times: [2]}\n"), 3, "t = 2"),
    ("stored time twice", config(GOOD + "log: {times: [0.5, 0.5]}\n"), 3, "twice"),
    ("unknown field", config(GOOD + "log: {fields: [y]}\n"), 3, "x"),
    ("control variate of other rows", ("likelihood", GOOD + "data: {path: a.npy}\nlikelihood: {integrator: {solver: dopri5}, trace: {kind: hutchinson, control: b.npy}}\n",
                                       {"a.npy": npy((2, 2), bytes(32)), "b.npy": npy((4, 3), bytes(96))}), 4, "rows have 3 values"),
    ("trace of no probes", config(GOOD + "log: {fields: [logp], trace: {kind: hutchinson, probes: 0}}\n"), 3, "probes"),
    ("gradient of levels", ("likelihood", (DATA % "data.npy").replace("integrator:", "gradient: true, dequantization: uniform, integrator:"), {"data.npy": npy((1, 2), bytes(16))}), 3, "dequantization: none"),
    ("range upside down", ("likelihood", DATA.replace("%s", "%s, range: [1, -1]") % "data.npy", {}), 3, "range"),
    ("grid needs t_min", change("beta_max: 20", "beta_max: 20, t_min: 0"), 3, "t_min"),
    ("user grid rises", change("steps: 10", "grid: user, times: [1, 0.1, 0.5]"), 3, "0.5"),
    ("grid of an unknown rate", change("steps: 10", "steps: 10, grid: {kind: equal-dissipation, rate: work}"), 3, "dissipation|entropy"),
    ("grid of too few pilots", change("steps: 10", "steps: 10, grid: {kind: equal-dissipation, pilot_nodes: 2}"), 3, "[8, 4096]"),
    ("calibrated to t = 0", config(GOOD.replace("beta_max: 20", "beta_max: 20, t_min: 0").replace("steps: 10", "steps: 10, grid: equal-dissipation")), 3, "needs t_min > 0"),
    ("unknown table", change("steps: 10", "steps: 10, grid: {kind: ays, table: sd3}"), 3, "sd15|sdxl|svd"),
    ("table past the process", config(GOOD.replace("beta_max: 20", "beta_max: 20, t_min: 0.5").replace("steps: 10", "steps: 10, grid: ays")), 3, "of the table lies outside"),
    ("more than the DDPM steps", change("steps: 10", "steps: 1000, grid: linspace"), 3, "at most 999 steps"),
    ("steps down to t_min twice", change("steps: 10", "steps: 1000, grid: trailing"), 3, "last_step: euler"),
    ("clip upside down", change("steps: 10", "steps: 10, clip: [1, -1]"), 3, "low < high"),
    ("clip in words", change("steps: 10", "steps: 10, clip: yes"), 3, "none or [low, high]"),
    ("clip twice", change("steps: 10", "steps: 10, clip: [-1, 1], dynamic_threshold: {min: 1}"), 3, "expected one of them"),
    ("quantile past 1", change("steps: 10", "steps: 10, dynamic_threshold: {quantile: 99.5}"), 3, "quantile"),
    ("threshold of nothing", change("steps: 10", "steps: 10, dynamic_threshold: {min: 0}"), 3, "min"),
    ("likelihood with a clip", ("likelihood", (DATA % "data.npy").replace("integrator:", "clip: [-1, 1], integrator:"), {"data.npy": npy((1, 2), bytes(16))}), 3, "clip"),
    ("mixture that predicts v", change("kind: gaussian-mixture", "kind: gaussian-mixture, prediction: v"), 3, "gives eps"),
    ("prediction of another word", predicts("eps", "noise"), 3, "eps|x0|v|score"),
    ("prediction against the checkpoint", predicts("v", "eps"), 3, "eps here, v in the checkpoint"),
    ("checkpoint of an unknown prediction", network(mlp("noise")), 4, "vpsde.prediction"),
    ("train a mixture", ("train", GOOD + "train: {steps: 1}\ndata: {path: data.npy}\n", {"data.npy": npy((2, 2), bytes(32))}), 3, "nothing to train"),
    ("train a checkpoint", ("train", "process: {schedule: vp-linear}\nmodel: {path: a.safetensors}\ntrain: {steps: 1}\ndata: {path: data.npy}\n", {}), 3, "model.path"),
    ("train without steps", ("train", "process: {schedule: vp-linear}\nmodel: {kind: mlp}\ntrain: {batch: 1}\ndata: {path: data.npy}\n", {"data.npy": npy((2, 2), bytes(32))}), 3, "steps"),
    ("missing data", ("likelihood", DATA % "nowhere.npy", {}), 4, "nowhere.npy"),
    ("data of another dimension", data(npy((2, 3), bytes(48))), 4, "3"),
    ("data with nan", data(npy((1, 2), nan + nan)), 4, "row 0"),
    ("truncated npy", data(npy((4, 2), bytes(40))), 4, "data.npy"),
    ("npy header bomb", data(npy((1 << 60, 1 << 10), b"")), 4, "data.npy"),
    ("not npy", data(b"hello world, this is text"), 4, "data.npy"),
    ("truncated idx", data(struct.pack(">IIII", 0x803, 10, 28, 28) + bytes(100), "x-idx3-ubyte"), 4, "x-idx3-ubyte"),
    ("idx of wrapped size", data(struct.pack(">IIII", 0x803, 1 << 31, 1 << 31, 1 << 31), "x-idx3-ubyte"), 4, "x-idx3-ubyte"),
    ("bad gz", data(b"\x1f\x8b\x08\x00garbage garbage", "x-idx3-ubyte.gz"), 4, "x-idx3-ubyte.gz"),
    ("missing checkpoint", ("sample", NETWORK % "none.safetensors", {}), 4, "none.safetensors"),
    ("empty checkpoint", network(b""), 4, "net.safetensors"),
    ("header past the end", network(struct.pack("<Q", 1 << 40) + b"{}"), 4, "net.safetensors"),
    ("wrapped shape", network(safetensors({"a": tensor((0, 16), (4611686018427387905, 4))}, bytes(16))), 4, "a"),
    ("overlap", network(safetensors({"a": tensor((0, 4)), "b": tensor((0, 4))}, bytes(4))), 4, "net.safetensors"),
    ("hole", network(safetensors({"a": tensor((4, 8))}, bytes(8))), 4, "net.safetensors"),
    ("duplicate tensor", network(safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4))), 4, "net.safetensors"),
    ("deep header", network(safetensors(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")), 4, "net.safetensors"),
    ("not our checkpoint", network(safetensors({"a": tensor((0, 4))}, bytes(4))), 4, "vpsde.kind"),
    ("init of another dimension", ("sample", GOOD.replace("count: 4", "count: 4, init: data.npy"), {"data.npy": npy((4, 3), bytes(96))}), 4, "init"),
    ("init too short", ("sample", GOOD.replace("count: 4", "count: 4, init: data.npy"), {"data.npy": npy((2, 2), bytes(32))}), 4, "init"),
    ("fp domain axes", plane("domain: [[-7, 7]]"), 3, "domain"),
    ("fp domain length", plane("domain: [1, 2, 3]"), 3, "domain"),
    ("fp domain order", plane("domain: [7, -7]"), 3, "domain"),
    ("fp cells few", plane("cells: 2"), 3, "cells"),
    ("fp cells axes", plane("cells: [32, 32, 32]"), 3, "cells"),
    ("fp cells part", plane("cells: 12.5"), 3, "cells"),
    ("fp times fall", plane("times: [1, 0.5]"), 3, "times"),
    ("fp times outside", plane("times: [0.5, 2]"), 3, "times"),
    ("fp class", plane("class: 1"), 3, "has no classes"),
    ("fp guidance", plane("guidance: 2"), 3, "has no classes"),
    ("fp guidance alone", with_classes("guidance: 2"), 3, "expected a class to guide to"),
    ("fp class beyond", with_classes("class: 2"), 3, "class"),
    ("t_min beyond", change("beta_max: 20", "beta_max: 20, t_min: 2"), 3, "t_min"),
    ("table without betas", change("{schedule: vp-linear, beta_min: 0.1, beta_max: 20}", "{schedule: table}"), 3, "betas"),
    ("betas in columns", betas(npy((2, 2), struct.pack("<4d", 0.1, 0.2, 0.3, 0.4))), 4, "must be one column"),
    ("untrained", change("kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]", "kind: mlp, dim: 2, hidden: 8, layers: 1"), 3, "model.kind"),
    ("no solvers", change("solver: ddim, steps: 10", "solver: []"), 3, "the list is empty"),
    ("grid unknown", change("steps: 10", "steps: 10, grid: {kind: karass}"), 3, "karras"),
    ("grid without times", change("steps: 10", "grid: {kind: user}"), 3, "times"),
    ("label", change("solver: ddim, steps: 10", "solver: [{solver: ddim, steps: 10, label: A b}]"), 3, "label"),
    ("compare no steps", compare("steps: []"), 3, "the list is empty"),
    ("compare no seeds", compare("steps: [5], seeds: 0"), 3, "seeds"),
]

USAGE = [  # arguments, exit code, words
    ([], 2, "Usage"), (["sampel"], 2, "did you mean sample"), (["sample"], 2, "CONFIG"),
    (["sample", "conf.yaml"], 2, "-o"), (["list", "solverz"], 2, "did you mean solvers"),
    (["sample", "conf.yaml", "-o", "out.h5", "--threads", "-3"], 2, "--threads"),
    (["sample", "conf.yaml", "-o", "out.h5", "--threads", "9999"], 3, "threads"),
    (["sample", "nowhere.yaml", "-o", "out.h5"], 3, "nowhere.yaml"),
    (["sample", "conf.yaml", "-o", "/nonexistent/out.h5"], 6, "/nonexistent"),
    (["sample", "conf.yaml", "-o", "out.h5", "--set", "sampler.stepz=3"], 3, "steps"),
    (["sample", "conf.yaml", "-o", "", "--force"], 2, "not the name of a file"),
    (["sample", "conf.yaml", "-o", ".", "--force"], 7, "is a folder"),
    (["sample", "conf.yaml", "-o", "/dev/null", "--force"], 7, "not a regular file"),
    (["sample", "conf.yaml", "-o", "out.h5", "--set", "sampler.count=100000000000000"], 3, "are free"),
    (["resume", "out.h5"], 4, "nothing to resume"), (["resume", "conf.yaml"], 4, "conf.yaml"),
]
failures = 0


def run(arguments, folder):
    env = dict(os.environ, OMP_WAIT_POLICY="passive", ASAN_OPTIONS="detect_leaks=1:exitcode=99")
    return subprocess.run([vpsde, *arguments], cwd=folder, capture_output=True, text=True, env=env, timeout=120)


def check(name, result, code, words, folder, keep, one_line=True):
    global failures
    lines = result.stderr.strip().splitlines()
    left = sorted(set(os.listdir(folder)) - set(keep))
    problems = []
    if result.returncode != code:
        problems.append(f"exit {result.returncode}, expected {code}")
    if one_line and (len(lines) != 1 or not lines[0].startswith("vpsde: ")):
        problems.append("expected one line 'vpsde: ...'")
    if words not in result.stderr:
        problems.append(f"'{words}' is not in the message")
    if left:
        problems.append(f"left behind: {left}")
    if problems:
        failures += 1
        print(f"{name}: {'; '.join(problems)}\n    {result.stderr.strip()[:2000]}")


for name, (verb, text, files), code, words in CASES:
    with tempfile.TemporaryDirectory() as folder:
        files = dict(files, **{"conf.yaml": text.encode()})
        for file, payload in files.items():
            with open(os.path.join(folder, file), "wb") as f:
                f.write(payload)
        output = "out.safetensors" if verb == "train" else "out.h5"
        check(name, run([verb, "conf.yaml", "-o", output], folder), code, words, folder, files)
for arguments, code, words in USAGE:
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "conf.yaml"), "w") as f:
            f.write(GOOD)
        check(" ".join(arguments), run(arguments, folder), code, words, folder, ["conf.yaml"], one_line=code != 2)
with tempfile.TemporaryDirectory() as folder:  # an existing output is not overwritten without --force
    with open(os.path.join(folder, "conf.yaml"), "w") as f:
        f.write(GOOD)
    good = run(["sample", "conf.yaml", "-o", "out.h5", "-q"], folder)
    check("good", good, 0, "", folder, ["conf.yaml", "out.h5"], one_line=False)
    check("exists", run(["sample", "conf.yaml", "-o", "out.h5"], folder), 7, "--force", folder, ["conf.yaml", "out.h5"])
    check("force", run(["sample", "conf.yaml", "-o", "out.h5", "--force"], folder), 0, "", folder, ["conf.yaml", "out.h5"], one_line=False)
print(f"{len(CASES) + len(USAGE) + 3} bad inputs, {failures} answered wrongly")
sys.exit(failures != 0)
