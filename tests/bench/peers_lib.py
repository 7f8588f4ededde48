"""What the peers_*.py share: the network on both sides, timed commands interleaved in rounds, tables with their spread.

Every timed process has OPENBLAS_CORETYPE unset. "tuned" is glibc's allocator told to keep its memory. `--before CMD` puts CMD in
front of every timed process (a lock, taskset). Run with a Python that has numpy, h5py and the peers.
"""
import argparse, datetime, importlib.metadata, json, os, re, shlex, statistics, subprocess, sys, tempfile

import h5py
import numpy as np

HIDDEN, LAYERS = 128, 3
TUNED = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "536870912"}
FLOPS = 2 * HIDDEN * (2 * LAYERS * HIDDEN + 4)  # a row and evaluation
TRAIN = f"""process: {{schedule: vp-linear}}
model: {{kind: mlp, hidden: {HIDDEN}, layers: {LAYERS}}}
data: {{path: points.npy}}
train: {{steps: 300, batch: 256}}
"""


def options(doc, **more):
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("vpsde")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--before", default="", help="command in front of every timed process")
    for name, value in more.items():
        parser.add_argument(f"--{name}", default=value)
    return parser.parse_args()


class Bench:
    """A scratch folder with a trained MLP in net.safetensors; all commands run there."""

    def __init__(self, opt):
        self.vpsde, self.rounds, self.threads = os.path.abspath(opt.vpsde), opt.rounds, opt.threads
        self.before = shlex.split(opt.before)
        self.folder = tempfile.TemporaryDirectory()
        os.chdir(self.folder.name)
        rng = np.random.default_rng(0)
        np.save("points.npy", rng.normal(size=(65536, 2)) * 0.1 + rng.integers(-1, 2, size=(65536, 2)))
        self.write("train.yaml", TRAIN)
        self.run([self.vpsde, "train", "train.yaml", "-o", "net.safetensors", "-q"])

    def write(self, name, text):
        with open(name, "w") as f:
            f.write(text)

    def run(self, arguments, env=(), timed=True):
        full = dict(os.environ, **dict(env))
        full.pop("OPENBLAS_CORETYPE", None)
        done = subprocess.run([*(self.before if timed else []), *arguments], capture_output=True, text=True, env=full)
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
        return done.stdout

    def ours(self, verb, name, *sets, out="ours.h5"):
        """Seconds of the verb's own wall clock, written in its run file."""
        more = [word for s in sets for word in ("--set", s)]
        self.run([self.vpsde, verb, name, "-o", out, "--force", "-q", "--threads", str(self.threads), *more])
        return fact(out, "wall_seconds")

    def peer(self, worker, *arguments, env=()):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), worker)
        lines = self.run([sys.executable, path, "worker", str(self.threads), *map(str, arguments)], env).splitlines()
        return json.loads(lines[-1])

    def ceiling(self):
        ceilings = json.loads(self.run([self.vpsde, "bench", "--json"]))["ceilings"]
        return max(c["flops"] for c in ceilings)


def fact(path, name):
    with h5py.File(path) as f:
        return next(float(v) for group in f["provenance"].values() for k, v in group.attrs.items() if k == name)


def spread(values, unit=1):
    return f"{statistics.median(values) * unit:.4g} ({min(values) * unit:.4g} to {max(values) * unit:.4g})"


def ratios(theirs, ours):
    """Round by round: what stood next to each other in time."""
    return spread([t / o for t, o in zip(theirs, ours)])


def heading(title, *packages):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)
    print(f"\n{title}\n{datetime.date.today()}; {cpu}, {os.cpu_count()} processors; {versions}; median (least to most) over the rounds", flush=True)


def row(name, *cells):
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def weights(path):
    """Name to float32 array of a safetensors file."""
    with open(path, "rb") as f:
        raw = f.read()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    at = lambda v: np.frombuffer(raw[8 + size + v["data_offsets"][0] : 8 + size + v["data_offsets"][1]], "<f4").reshape(v["shape"])
    return {k: at(v).copy() for k, v in header.items() if k != "__metadata__" and v["dtype"] == "F32"}


def torch_net(threads):
    """The network of models/mlp.c in PyTorch: eps(x, label), one label for all rows; and its exact Jacobian's trace beside it."""
    import math, torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    silu, linear = torch.nn.functional.silu, torch.nn.functional.linear

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            w = {k.replace(".", "_"): torch.from_numpy(v) for k, v in weights("net.safetensors").items()}
            self.w = torch.nn.ParameterDict({k: torch.nn.Parameter(v, requires_grad=False) for k, v in w.items()})
            half = self.w["time_0_weight"].shape[1] // 2
            self.register_buffer("freq", torch.exp(-math.log(10000) * torch.arange(half) / half))

        def lin(self, name, x):
            return linear(x, self.w[name + "_weight"], self.w[name + "_bias"])

        def time(self, label):
            f = label * self.freq
            return self.lin("time_2", silu(self.lin("time_0", torch.cat([torch.cos(f), torch.sin(f)]))))

        def forward(self, x, label):
            e = self.time(label)
            h = self.lin("input", x) + e
            for l in range(LAYERS):
                h = h + self.lin(f"layers_{l}_linear2", silu(self.lin(f"layers_{l}_linear1", silu(h)) + e))
            return self.lin("output", silu(h))

    class Trace(torch.nn.Module):
        """Value and both tangents by hand in products of 3 n rows: what one can do without a tape."""

        def __init__(self, net):
            super().__init__()
            self.net = net

        def act(self, h, n, e=None):
            u = h[:n] if e is None else h[:n] + e
            s = torch.sigmoid(u)
            a, slope = u * s, s * (1 + u * (1 - s))
            return torch.cat([a, slope * h[n : 2 * n], slope * h[2 * n :]])

        def lin(self, name, h, n):
            y = linear(h, self.net.w[name + "_weight"])
            y[:n] += self.net.w[name + "_bias"]
            return y

        def forward(self, x, label):
            n, e = len(x), self.net.time(label)
            w = self.net.w["input_weight"]
            h = torch.cat([self.net.lin("input", x) + e, w[:, 0].expand(n, -1), w[:, 1].expand(n, -1)])
            for l in range(LAYERS):
                z = self.act(self.lin(f"layers_{l}_linear1", self.act(h, n), n), n, e)
                h = h + self.lin(f"layers_{l}_linear2", z, n)
            y = self.lin("output", self.act(h, n), n)
            return y[:n], y[n : 2 * n, 0] + y[2 * n :, 1]

    net = Net().eval()
    return net, Trace(net).eval()


def worker_call(table):
    """`NAME.py worker THREADS JOB ...`: table[JOB](threads, ...), its result as JSON. False: this is no worker."""
    if len(sys.argv) < 4 or sys.argv[1] != "worker":
        return False
    print(json.dumps(table[sys.argv[3]](int(sys.argv[2]), *sys.argv[4:])))
    return True


def best_time(f, repeats=2, least=0.2):
    """Least seconds of a call, after a first one; short calls in bunches."""
    import time

    def bunch(n):
        begin = time.perf_counter()
        for _ in range(n):
            f()
        return (time.perf_counter() - begin) / n

    f()
    first = bunch(1)
    n = max(1, int(least / first))
    return min([first] + [bunch(n) for _ in range(repeats - 1)])
