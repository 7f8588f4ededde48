"""schema.py VPSDE SOURCE: run files of every verb hold what docs/hdf5-schema.md documents, and nothing else.

The page is read as it stands: a heading `## ` names groups, tables under it their attributes and datasets; words in
capitals are placeholders, which the page's own table explains. Every group must open in xarray too.
"""
import os, re, resource, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MIXTURE = """\
seed: 7
process: {schedule: vp-linear}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]%s}
data: {path: points.npy, count: 6}
sampler:
  solver: [{solver: ddim, steps: 6}, {solver: ddim, label: ddim-even, steps: 6, grid: {kind: equal-dissipation}}]
  count: 5
log: {times: 4}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}}
elbo: {steps: 8, draws: 2}
compare: {solvers: [ddim], steps: [5, 10, 20, 40], seeds: 2, reference: {solver: dopri5, rtol: 1.0e-6, atol: 1.0e-6}}
"""
ONE = """\
process: {schedule: vp-linear}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-1], [1]], variances: [0.3, 0.3], classes: [0, 1]}
"""
NETWORK = """\
model: {path: net.safetensors}
data: {path: pixels.npy, count: 3}
sampler: {solver: ddim, steps: 4, count: 3}
log: {times: 3}
likelihood:
  integrator: {solver: dopri5, rtol: 1.0e-2, atol: 1.0e-2}
  dequantization: {kind: truncated-normal, tau: 3, draws: 2}
elbo: {steps: 8}
"""
TRAIN = """\
process: {schedule: vp-linear}
model: {kind: mlp, hidden: 16, layers: 1, time_features: 8}
data: {path: pixels.npy}
train: {steps: 5, batch: 8}
"""
SOLVERS = ("[{solver: ddim, steps: 6}, {solver: ancestral, steps: 6}, {solver: dopri5, rtol: 1e-3, atol: 1e-3},"
           " {solver: stochastic-heun, steps: 6}]")
RUNS = [  # verb, input, output, overrides
    ("sample", "classes.yaml", "sample", "sampler.guidance=0.5", "log.fields=[x, eps, x0, noise, steps]", "sampler.solver=" + SOLVERS),
    ("sample", "plain.yaml", "logp", "log.fields=[x, logp]", "log.trace={kind: hutchinson, probes: 2}", "log.dtype=float64"),
    ("sample", "plain.yaml", "clip", "sampler.clip=[-3, 3]", "log.times=none", "sampler.init=points.npy", "sampler.count=40"),
    ("sample", "plain.yaml", "threshold", "sampler.dynamic_threshold={quantile: 0.9, min: 3}"),
    ("sample", "plain.yaml", "table", "process={schedule: table, betas: betas.npy}"),
    ("likelihood", "plain.yaml", "likelihood", "likelihood.gradient=true", "likelihood.estimators=[pf-ode, chain]"),
    ("likelihood", "plain.yaml", "hutchinson", "likelihood.trace={kind: hutchinson, probes: 8, control: points.npy}"),
    ("elbo", "plain.yaml", "elbo", "elbo.variance=optimal"),
    ("encode", "plain.yaml", "encode"),
    ("decode", "encode.h5", "decode"),
    ("interpolate", "plain.yaml", "interpolate", "interpolate.points=3"),
    ("edit", "plain.yaml", "edit", "edit.t0=0.4"),
    ("inpaint", "plain.yaml", "inpaint", "inpaint={mask: mask.npy, jump_length: 2, resamples: 2}"),
    ("transport", "plain.yaml", "transport"),
    ("fokker-planck", "one.yaml", "density", "fokker-planck={cells: 60, times: 2, class: 0, guidance: 1}"),
    ("fokker-planck", "plain.yaml", "plane", "fokker-planck={direction: reverse, cells: [24, 20], times: 2, tolerance: 1e-4}"),
    ("compare", "plain.yaml", "compare", "sampler.count=32", "compare.solvers=[ddim, heun, {solver: dopri5, rtol: [1e-2]}]"),
    ("thermo", "plain.yaml", "thermo", "sampler.count=70", "thermo.schedule={nodes: 8, samples: 8, steps: 10}"),
    ("sample", "plain.yaml", "kernels", "log={times: all, fields: [x, eps, kernel]}", "sampler.solver=[{solver: ancestral, steps: 6}]", "sampler.count=70"),
    ("thermo", "kernels.h5", "recorded", "thermo.schedule={nodes: 8, samples: 8, steps: 10}"),
    ("verify", "ddim", "verify"),
    ("train", "train.yaml", "net"),
    ("bench", "plain.yaml", "profile"),
    ("bench", "--folder=.", "machine"),
    ("sample", "net.yaml", "images"),
    ("edit", "classes.yaml", "classes-edit", "edit.t0=0.4", "data.labels=labels.npy"),
    ("likelihood", "classes.yaml", "classes-likelihood", "data.labels=labels.npy", "likelihood.estimators=[pf-ode, chain]"),
    ("inpaint", "net.yaml", "image-inpaint", "inpaint.mask={rows: [0, 2]}", "inpaint.jump_length=2"),
    ("likelihood", "net.yaml", "levels"),
    ("elbo", "net.yaml", "image-elbo"),
    ("thermo", "net.yaml", "image-thermo", "thermo.count=9", "thermo.schedule={nodes: 8, samples: 8, steps: 10}"),
    ("compare", "net.yaml", "image-compare", "sampler.count=8", "compare={solvers: [ddim, heun], steps: [4, 8], reference: {solver: heun, steps: 20}}"),
]
BUILD = {"version", "commit", "compiler", "cpu", "threads", "libc", "gsl", "sundials", "onednn", "onednn_isa", "hdf5"}
OF_RANKS = {"ranks"}  # which only builds with -Dmpi=enabled write
IGNORED = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}  # HDF5's own, of dimension scales


class Row:
    """A row of a table of the page: names, of datasets or attributes, below some groups."""

    def __init__(self, page, groups, kind, cells):
        self.names = re.findall(r"`([^`]+)`", cells[0])
        self.groups, self.kind = groups, kind
        self.shape, self.type, self.unit = cells[1:4] if kind == "dataset" else (None, cells[1], cells[2])
        self.unseen = set(self.names)
        self.patterns = {name: page.pattern(name) for name in self.names}

    def match(self, name):
        return next((n for n, p in self.patterns.items() if p.fullmatch(name)), None)


class Page:
    """docs/hdf5-schema.md: what it says of groups, attributes and datasets."""

    def __init__(self, path):
        text = open(path).read()
        self.stands_for = {}
        for name, cell in re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", text, re.M):
            self.stands_for[name] = re.findall(r"`([^`]+)`", cell)
        self.rows, self.groups = [], {}
        groups, kind = None, None
        for line in text.splitlines():
            if line.startswith("## "):
                groups = [g for g in re.findall(r"`([^`]+)`", line) if g.startswith("/") or g == "DATASET"] or None
                self.groups.update({g: False for g in groups or []})
            elif line.startswith("| attribute |") or line.startswith("| dataset |"):
                kind = line.split()[1]
            elif not line.startswith("|"):
                kind = None
            elif kind and groups and "`" in line.split("|")[1]:
                cells = [c.strip() for c in line.strip("|\n").split(" | ")]
                self.rows.append(Row(self, groups, kind, cells))
        assert len(self.rows) > 100, "the page has no tables"

    def pattern(self, name):
        def replace(word):
            values = self.stands_for[word.group()]
            return "(" + "|".join(map(re.escape, values)) + ")" if values else "[a-z0-9_]+"
        return re.compile(re.sub("|".join(self.stands_for), replace, name))

    def group(self, path):
        """The documented groups that this one may be."""
        return [g for g in self.groups if self.pattern(g).fullmatch(path)]

    def shapes(self, shape):
        """The axes a cell such as (sample, time, STATE) allows."""
        out = [shape.strip("()")]
        for name, values in self.stands_for.items():
            out = [s.replace(name, v) for s in out for v in (values if name in s else [name])]
        return [tuple(s.split(", ")) for s in out]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def axes(node):
    if h5py.h5ds.is_scale(node.id):
        return (node.name.split("/")[-1],)
    return tuple(d[0].name.split("/")[-1] if len(d) else "no scale" for d in node.dims)


def type_of(dtype):
    return "text" if dtype.kind in "SO" else dtype.name


class Walk:
    """One file against the page: every broken promise in `problems`."""

    def __init__(self, page, file, problems):
        self.page, self.file, self.problems = page, file, problems

    def complain(self, path, why):
        self.problems.append(f"{os.path.basename(self.file.filename)}: {path}: {why}")

    def find(self, kind, groups, name):
        for row in self.page.rows:
            found = row.match(name)
            if row.kind == kind and found and set(row.groups) & set(groups):
                yield row, found

    def attributes(self, path, node, groups):
        for name in set(node.attrs) - IGNORED:
            kind = type_of(node.attrs.get_id(name).dtype)
            found = list(self.find("attribute", groups, name))
            for row, pattern in found:
                row.unseen.discard(pattern)
            if not found:
                self.complain(path, f"the attribute {name} is not documented")
            elif not any(kind in row.type for row, _ in found):
                self.complain(path, f"the attribute {name} is {kind}, documented is {found[0][0].type}")

    def dataset(self, path, node, groups):
        self.attributes(path, node, ["DATASET"])
        name, kind, unit = path.split("/")[-1], type_of(node.dtype), text(node.attrs.get("units", ""))
        if not unit or not text(node.attrs.get("description", "")):
            self.complain(path, "has no units or no description")
        if node.dtype.kind not in "iuf":
            self.complain(path, f"has type {node.dtype}: text belongs into attributes")
        if "flag_values" in node.attrs:  # readers look every value up in flag_meanings
            values, words = node.attrs["flag_values"], text(node.attrs["flag_meanings"]).split()
            if len(values) != len(words) or not np.isin(node[()], values).all():
                self.complain(path, f"has a value without a word: {values}, {words}, {np.unique(node[()])}")
        if "no scale" in axes(node):
            self.complain(path, f"has the axes {axes(node)}")
        found = list(self.find("dataset", groups, name))
        fit = [(row, pattern) for row, pattern in found
               if kind in row.type and unit == row.unit and axes(node) in self.page.shapes(row.shape.replace("own", name))]
        for row, pattern in fit:
            row.unseen.discard(pattern)
        if not found:
            self.complain(path, "is not documented")
        elif not fit:
            self.complain(path, f"is {axes(node)} {kind} {unit}, documented is " +
                          " or ".join(f"{row.shape} {row.type} {row.unit}" for row, _ in found))

    def walk(self, path, group):
        groups = self.page.group(path)
        if not groups and len(group.attrs) + sum(isinstance(n, h5py.Dataset) for n in group.values()) > 0:
            self.complain(path, "the group is not documented")
        for g in groups:
            self.page.groups[g] = True
        self.attributes(path, group, groups)
        for name, node in group.items():
            below = path.rstrip("/") + "/" + name
            if not re.fullmatch("[a-z0-9_]+", name):
                self.complain(below, "is no name of [a-z0-9_]")
            (self.walk if isinstance(node, h5py.Group) else lambda p, n: self.dataset(p, n, groups))(below, node)


def run(*arguments):
    result = subprocess.run([vpsde, *arguments, "-q"], capture_output=True, text=True)
    assert result.returncode == 0, (arguments, result.returncode, result.stdout, result.stderr)


def interrupted_training():
    """A training that was stopped, for the attributes that only its curve has."""
    arguments = ["--set", "train.steps=1000000", "--set", "train.checkpoint_every=20"]
    child = subprocess.Popen([vpsde, "train", "train.yaml", "-o", "stopped.safetensors", "-q", *arguments])
    for _ in range(600):
        time.sleep(0.1)
        if os.path.exists("stopped.state.safetensors"):
            break
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 128 + signal.SIGTERM


def run_of_two_builds():
    """One that ran out of disk and was taken up with other instructions for oneDNN."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40 << 10, 40 << 10))
    begun = subprocess.run([vpsde, "sample", "plain.yaml", "-o", "two.h5", "-q", "--set", "sampler.count=4000"], preexec_fn=limit,
                           env=dict(os.environ, ONEDNN_MAX_CPU_ISA="SSE41"), capture_output=True, text=True)
    assert begun.returncode == 6, (begun.returncode, begun.stderr)
    run("resume", "two.h5", "--force")


def make_files():
    rng = np.random.default_rng(3)
    np.save("points.npy", rng.normal(size=(40, 2)) * 0.3 + [2, 1])
    np.save("pixels.npy", rng.integers(0, 256, (40, 1, 4, 4), dtype=np.uint8))
    np.save("labels.npy", np.arange(40) % 3 - 1)
    np.save("mask.npy", np.array([1, 0]))
    np.save("betas.npy", np.linspace(1e-3, 0.2, 50))
    for name, content in (("plain", MIXTURE % ""), ("classes", MIXTURE % ", classes: [0, 1]"), ("one", ONE), ("net", NETWORK), ("train", TRAIN)):
        with open(name + ".yaml", "w") as file:
            file.write(content)
    for verb, what, output, *overrides in RUNS:
        sets = [word for override in overrides for word in ("--set", override)]
        run(verb, what, "-o", output + (".safetensors" if verb == "train" else ".h5"), *sets)
    interrupted_training()
    run_of_two_builds()
    return sorted(f for f in os.listdir(".") if f.endswith(".h5"))


def main():
    page, problems = Page(source + "/docs/hdf5-schema.md"), []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        files = make_files()
        for name in files:
            with h5py.File(name) as file:
                Walk(page, file, problems).walk("/", file)
                problems += [f"{name}: /provenance has no {fact}" for fact in BUILD - set(file["provenance"].attrs)]
            check = subprocess.run([sys.executable, source + "/tests/check_run_file.py", name], capture_output=True, text=True)
            problems += [f"{name}: {line}" for line in (check.stdout + check.stderr).splitlines()]
        os.chdir("/")
    problems += [f"{g} is documented and in no file" for g, seen in page.groups.items() if not seen and g != "DATASET"]
    problems += [f"{' '.join(row.groups)}: {row.kind} {name} is documented and in no file"
                 for row in page.rows for name in sorted(row.unseen - OF_RANKS)]
    assert not problems, "\n" + "\n".join(problems)
    print(f"{len(files)} run files hold what {sum(len(r.names) for r in page.rows)} entries of the page say, and no more")


main()
