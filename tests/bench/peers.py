"""peers.py VPSDE [ROUNDS]: the same MLP sampled here and in PyTorch, interleaved, as ratios of one run.

DDIM, 4 steps, 65,536 and 4,096 points, the same weights; PyTorch eager and traced (torch.jit), whole and
in batches of 4,096, as installed and with an allocator that keeps its memory. Unset OPENBLAS_CORETYPE first.
Then CVODE on the same network: how full its blocks are. Not a test: nothing here passes or fails.
"""
import json, os, statistics, subprocess, sys, tempfile

import h5py
import numpy as np

STEPS, HIDDEN, LAYERS = 4, 128, 3
TUNED = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "536870912"}
WORKER = r"""
import json, math, sys, time
import h5py, numpy as np, torch
path, run, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
torch.set_grad_enabled(False)
import struct
raw = open(path, "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:8 + size])
w = {k: torch.from_numpy(np.frombuffer(raw[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]], "<f4").reshape(v["shape"]).copy())
     for k, v in header.items() if k != "__metadata__" and v["dtype"] == "F32"}
layers = sum(k.endswith("linear1.weight") for k in w)
F = w["time.0.weight"].shape[1]

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.ParameterDict({k.replace(".", "_"): torch.nn.Parameter(v) for k, v in w.items()})
        self.register_buffer("freq", torch.exp(-math.log(10000) * torch.arange(F // 2) / (F // 2)))
    def lin(self, name, x):
        name = name.replace(".", "_")
        return torch.nn.functional.linear(x, self.w[name + "_weight"], self.w[name + "_bias"])
    def forward(self, x, label):
        silu = torch.nn.functional.silu
        f = label * self.freq
        e = self.lin("time.2", silu(self.lin("time.0", torch.cat([torch.cos(f), torch.sin(f)]))))
        h = self.lin("input", x) + e
        for l in range(layers):
            h = h + self.lin(f"layers.{l}.linear2", silu(self.lin(f"layers.{l}.linear1", silu(h)) + e))
        return self.lin("output", silu(h))

with h5py.File(run) as f:
    g = f["runs/ddim"]
    alpha, sigma, t = g["alpha"][:], g["sigma"][:], g["t"][:]
    start, final = torch.from_numpy(g["x"][:, 0].astype(np.float32)), g["final"][:]
    label = 1000 * t - 1  # vp-linear's default
net = Net()
modes = {"eager": net, "traced": torch.jit.freeze(torch.jit.trace(net.eval(), (start[:64], torch.tensor(500.0))))}

def sample(model, batch):
    out = []
    for x in start[:count].split(batch):
        for k in range(len(t) - 1):
            eps = model(x, torch.tensor(label[k], dtype=torch.float32))
            x0 = (x - sigma[k] * eps) / alpha[k]
            x = alpha[k + 1] * x0 + sigma[k + 1] * eps
        out.append(x)
    return torch.cat(out)

result = {}
for name, model in modes.items():
    for batch in sorted({min(4096, count), count}):
        sample(model, batch)  # warm
        times = []
        for _ in range(2):
            begin = time.perf_counter()
            x = sample(model, batch)
            times.append(time.perf_counter() - begin)
        result[f"{name}/{batch}"] = min(times)
result["difference"] = float(np.abs(x.numpy() - final[:count]).max())
print(json.dumps(result))
"""


def call(arguments, env=()):
    full = dict(os.environ, **dict(env))
    full.pop("OPENBLAS_CORETYPE", None)
    return subprocess.run(arguments, check=True, capture_output=True, text=True, env=full).stdout


def provenance(name):
    with h5py.File("ours.h5") as f:
        return next(float(v) for group in f["provenance"].values() for k, v in group.attrs.items() if k == name)


def here(vpsde, count, threads, *more):
    call([vpsde, "sample", "run.yaml", "-o", "ours.h5", "--force", "-q", "--threads", str(threads),
          "--set", f"sampler.count={count}", "--set", "log.times=none", *more])
    return provenance("wall_seconds")


def continuous_batching(vpsde):
    adaptive = ["--set", "sampler.solver=cvode-adams", "--set", "sampler.steps=null", "--set", "sampler.rtol=1e-5", "--set", "sampler.atol=1e-5"]
    one, two = [], []
    for _ in range(3):
        one.append(here(vpsde, 8192, 1, *adaptive))
        two.append(here(vpsde, 8192, 2, *adaptive))
    rate, fill = provenance("nfe_per_second"), provenance("block_fill")
    print(f"cvode-adams, 8,192 points: blocks {100 * fill:.1f} % full, {rate:.3g} evaluations/s, "
          f"two threads {statistics.median(one) / statistics.median(two):.2f}x one")


def main():
    vpsde, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        rng = np.random.default_rng(0)
        np.save("points.npy", rng.normal(size=(4096, 2)) * 0.1 + rng.integers(-1, 2, size=(4096, 2)))
        with open("train.yaml", "w") as f:
            f.write(f"process: {{schedule: vp-linear}}\nmodel: {{kind: mlp, hidden: {HIDDEN}, layers: {LAYERS}}}\n"
                    "data: {path: points.npy}\ntrain: {steps: 300, batch: 256}\n")
        with open("run.yaml", "w") as f:
            f.write(f"model: {{path: net.safetensors}}\nsampler: {{solver: ddim, steps: {STEPS}, count: 65536}}\nlog: {{times: all}}\n")
        with open("worker.py", "w") as f:
            f.write(WORKER)
        call([vpsde, "train", "train.yaml", "-o", "net.safetensors", "-q"])
        call([vpsde, "sample", "run.yaml", "-o", "reference.h5", "-q"])
        continuous_batching(vpsde)
        for count in (65536, 4096):
            ours, plain, tuned, one = [], [], [], []
            for _ in range(rounds):
                peer = [sys.executable, "worker.py", "net.safetensors", "reference.h5", str(count)]
                one.append(here(vpsde, count, 1))
                ours.append(min(here(vpsde, count, 2) for _ in range(3)))
                plain.append(json.loads(call([*peer, "2"])))
                ours.append(min(here(vpsde, count, 2) for _ in range(3)))
                tuned.append(json.loads(call([*peer, "2"], TUNED)))
            flops = 2 * count * STEPS * HIDDEN * (2 * LAYERS * HIDDEN + 4)
            mine = statistics.median(ours)
            print(f"{count} points: vpsde {mine:.3f} s ({flops / mine / 1e9:.0f} GFLOP/s), one thread {statistics.median(one) / mine:.2f}x as long")
            for label, rows in (("as installed", plain), ("tuned allocator", tuned)):
                for mode in [k for k in rows[0] if k != "difference"]:
                    peer_s = statistics.median(r[mode] for r in rows)
                    print(f"    PyTorch {label:16} {mode:14} {peer_s:.3f} s  {peer_s / mine:.2f}x ours")
            print(f"    largest difference of final states: {max(r['difference'] for r in plain):.1e}")


main()
