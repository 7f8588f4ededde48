"""peers_unet.py VPSDE [ROUNDS] [MODEL.safetensors] [JOBS]: the same U-Net sampled, trained and asked for likelihoods here and in
PyTorch + diffusers, interleaved, as ratios of one run and shares of this machine's ceiling.

Run it with a Python that has torch, diffusers, scipy and h5py; unset OPENBLAS_CORETYPE first and keep the machine quiet.
Without a model: a random one of 64, 64, 64 channels (1.6 M parameters on 28 x 28 pixels). JOBS: sample, train, likelihood, with
commas between. Not a test: nothing passes or fails.
"""
import json, os, statistics, subprocess, sys, tempfile

import h5py
import numpy as np

TUNED = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "536870912"}
STEPS = {64: 10, 1: 200}  # by images: a second or so each
WORKER = r"""
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import h5py, numpy as np, torch
from diffusers import UNet2DModel
from safetensors import safe_open
path, run, job, count, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(threads)
with safe_open(path, "pt") as f:
    meta = f.metadata()
    weights = {k: f.get_tensor(k) for k in f.keys() if not k.startswith("vpsde.")}
config = {k: v for k, v in json.loads(meta["vpsde.config"]).items() if not k.startswith("_")}
v_form = meta.get("vpsde.prediction", "eps") == "v"
scale, offset = float(meta.get("vpsde.label_scale", 1000)), float(meta.get("vpsde.label_offset", -1))

def build(memory_format=torch.contiguous_format):
    net = UNet2DModel(**config)
    net.load_state_dict(weights)
    return net.eval().to(memory_format=memory_format)

class Plain(torch.nn.Module):  # torch.jit.trace wants tensors in and out
    def __init__(self, net):
        super().__init__()
        self.net = net
    def forward(self, x, t, c):
        return self.net(x, t, class_labels=c, return_dict=False)[0]

def best(f, rounds):
    f()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        f()
        times.append(time.perf_counter() - begin)
    return min(times)

with h5py.File(run) as f:
    g = next(iter(f["runs"].values()))
    alpha, sigma, t = (g[k][:] for k in ("alpha", "sigma", "t"))
    start, final = torch.from_numpy(g["x"][:count, 0].astype(np.float32)), g["final"][:count]
    classes = torch.from_numpy(g["class"][:count].astype(np.int64)) if "class" in g else None
if classes is None:
    classes = torch.full((len(start),), max(0, (config.get("num_class_embeds") or 1) - 1), dtype=torch.long)  # none

def sample(model, layout):
    x = start.to(memory_format=layout)
    for k in range(len(t) - 1):
        out = model(x, torch.full((len(x),), scale * t[k] + offset), classes)
        eps = sigma[k] * x + alpha[k] * out if v_form else out
        x0 = (x - sigma[k] * eps) / alpha[k]
        x = alpha[k + 1] * x0 + sigma[k + 1] * eps
    return x

result = {}
if job == "sample":
    torch.set_grad_enabled(False)
    label = torch.full((len(start),), 500.0)
    plain = Plain(build())
    last = Plain(build(torch.channels_last))
    modes = {"eager": (plain, torch.contiguous_format), "eager, channels last": (last, torch.channels_last)}
    for name, (net, layout) in list(modes.items()):
        try:
            traced = torch.jit.freeze(torch.jit.trace(net, (start.to(memory_format=layout), label, classes)))
            modes[name.replace("eager", "traced")] = (traced, layout)
        except Exception as e:
            print("traced:", str(e)[:200], file=sys.stderr)
        modes[name.replace("eager", "compiled")] = (torch.compile(net), layout)
    for name, (net, layout) in modes.items():
        try:
            result[name] = best(lambda: sample(net, layout), 2)
            result["difference"] = max(result.get("difference", 0), float(np.abs(sample(net, layout).numpy() - final).max()))
        except Exception as e:
            print(name, str(e)[:200], file=sys.stderr)
if job == "train":
    label = torch.full((len(start),), 500.0)
    for name, layout in (("eager", torch.contiguous_format), ("eager, channels last", torch.channels_last)):
        net = Plain(build(layout)).train()
        for kind, f in ((name, net), (name.replace("eager", "compiled"), torch.compile(net))):
            adam = torch.optim.Adam(net.parameters(), lr=1e-5)
            x = start.to(memory_format=layout)
            def step():
                adam.zero_grad()
                ((f(x, label, classes) - x) ** 2).mean().backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                adam.step()
            try:
                result[kind] = best(step, 3) / len(start)
            except Exception as e:
                print(kind, str(e)[:200], file=sys.stderr)
if job == "likelihood":
    # score_sde (Song et al. 2021), likelihood.py: SciPy's RK45 in t over the whole batch, Hutchinson by reverse mode
    from scipy import integrate
    t_min, rtol, beta0, beta1 = float(sys.argv[6]), float(sys.argv[7]), 0.1, 20.0
    net = Plain(build())
    for p in net.parameters():
        p.requires_grad_(False)
    shape, d = tuple(final.shape), int(np.prod(final.shape[1:]))
    with h5py.File(sys.argv[8]) as f:
        data = f["data"][:count]
    probe = torch.from_numpy(np.random.default_rng(1).choice([-1.0, 1.0], size=data.shape).astype(np.float32))
    calls = 0
    def rhs(time_, state):
        global calls
        calls += 1
        x = torch.from_numpy(state[: count * d].reshape(data.shape).astype(np.float32)).requires_grad_(True)
        b = beta0 * time_ + 0.5 * (beta1 - beta0) * time_**2
        a, s = np.exp(-b / 2), np.sqrt(-np.expm1(-b))
        out = net(x, torch.full((count,), scale * time_ + offset), classes)
        eps = s * x + a * out if v_form else out
        drift = -0.5 * (beta0 + time_ * (beta1 - beta0)) * (x - eps / s)
        (jtv,) = torch.autograd.grad((drift * probe).sum(), x)
        div = (jtv * probe).flatten(1).sum(1)
        return np.concatenate([drift.detach().numpy().ravel().astype(np.float64), div.numpy().astype(np.float64)])
    begin = time.perf_counter()
    solution = integrate.solve_ivp(rhs, (t_min, 1.0), np.concatenate([data.ravel(), np.zeros(count)]), rtol=rtol, atol=rtol, method="RK45")
    z = solution.y[: count * d, -1].reshape(count, d)
    logp = solution.y[count * d :, -1] - 0.5 * d * np.log(2 * np.pi) - 0.5 * (z**2).sum(1)
    result = {"seconds": time.perf_counter() - begin, "calls": calls, "logp": logp.tolist()}
print(json.dumps(result))
"""


def call(arguments, env=()):
    full = dict(os.environ, OMP_WAIT_POLICY="passive", **dict(env))
    full.pop("OPENBLAS_CORETYPE", None)
    done = subprocess.run(arguments, capture_output=True, text=True, env=full)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fact(path, name):
    with h5py.File(path) as f:
        return next(float(v) for group in f["provenance"].values() for k, v in group.attrs.items() if k == name)


class Bench:
    def __init__(self, vpsde, rounds, model):
        self.vpsde, self.rounds, self.model = vpsde, rounds, model
        self.ceiling = [c["flops"] / 1e9 for c in json.loads(call([vpsde, "bench", "--json"]))["ceilings"]]
        info = call([vpsde, "info", model])
        self.flops = float(next(line for line in info.splitlines() if "MFLOP" in line).split("MFLOP")[0].split()[-1]) * 1e6
        print(f"ceiling {self.ceiling[0]:.0f} GFLOP/s on one thread, {self.ceiling[1]:.0f} on all; {self.flops / 1e6:.0f} MFLOP an image (direct convolutions)")

    def share(self, images_per_second, threads):
        rate = images_per_second * self.flops / 1e9
        return f"{rate:.0f} GFLOP/s, {100 * rate / self.ceiling[threads > 1]:.0f} % of the ceiling"

    def ours(self, verb, name, *sets):
        call([self.vpsde, verb, f"{name}.yaml", "-o", f"{name}.h5", "--force", "-q", *sets])
        return f"{name}.h5"

    def peer(self, env, *arguments):
        return json.loads(call([sys.executable, "worker.py", self.model, *map(str, arguments)], env).splitlines()[-1])

    def table(self, mine, plain, tuned, unit):
        for label, rows in (("as installed", plain), ("tuned allocator", tuned)):
            for mode in [k for k in rows[0] if k != "difference"]:
                seconds = statistics.median(r[mode] for r in rows if mode in r)
                print(f"    PyTorch {label:16} {mode:24} {seconds * unit[0]:9.2f} {unit[1]}  {seconds / mine:.2f}x ours")

    def reference(self, count):
        """A run of ours, with the states that the peer begins with: its file, and what made it."""
        sets = ["--set", f"sampler.count={count}", "--set", f"sampler.steps={STEPS[count]}"]
        return self.ours("sample", f"reference{count}", *sets), sets

    def sample(self, count):
        reference, sets = self.reference(count)
        sets += ["--set", "log.times=none"]
        ours, one, plain, tuned = [], [], [], []
        for _ in range(self.rounds):
            one.append(fact(self.ours("sample", "run", *sets, "--threads", "1"), "wall_seconds"))
            ours.append(fact(self.ours("sample", "run", *sets), "wall_seconds"))
            plain.append(self.peer({}, reference, "sample", count, 2))
            ours.append(fact(self.ours("sample", "run", *sets), "wall_seconds"))
            tuned.append(self.peer(TUNED, reference, "sample", count, 2))
        mine = statistics.median(ours)
        print(f"sampling {count} images x {STEPS[count]} steps: {mine:.3f} s ({self.share(count * STEPS[count] / mine, 2)}; spread {min(ours):.3f} to {max(ours):.3f}), "
              f"one thread {statistics.median(one) / mine:.2f}x as long, end states agree to {max(r['difference'] for r in plain):.1e}")
        self.table(mine, plain, tuned, (1, "s"))

    def train(self):
        ours, plain, tuned = [], [], []
        for _ in range(self.rounds):
            plain.append(self.peer({}, "reference64.h5", "train", 64, 2))
            lines = subprocess.run([self.vpsde, "train", "train.yaml", "-o", "t.safetensors", "--force"], capture_output=True, text=True,
                                   env=dict(os.environ, OMP_WAIT_POLICY="passive"), check=True).stderr.splitlines()
            rates = [float(line.split(" images/s")[0].split()[-1]) for line in lines if "images/s" in line]
            ours.append(1 / max(rates))
            tuned.append(self.peer(TUNED, "reference64.h5", "train", 64, 2))
        mine = statistics.median(ours)
        print(f"training step, batch 64: {1e3 * mine:.2f} ms an image ({self.share(3 / mine, 2)} at three forwards a step)")
        self.table(mine, plain, tuned, (1e3, "ms"))

    def likelihood(self, count):
        """The same images, one probe each; errors against the same program's own solve at 1e-4 with the same probes."""
        t_min = 1e-3
        with h5py.File("reference64.h5") as f:
            images = np.clip(next(iter(f["runs"].values()))["final"][:count], -1, 1)
        np.save("images.npy", images)
        with h5py.File("images.h5", "w") as f:
            f["data"] = images
        def run(rtol):
            path = self.ours("likelihood", "logp", "--set", f"likelihood.integrator.rtol={rtol}", "--set", f"likelihood.integrator.atol={rtol}",
                             "--set", f"likelihood.integrator.logp_atol={1000 * rtol}")  # the peer has rtol |log p|, of some 2,000 nats
            with h5py.File(path) as f:
                g = next(iter(f["likelihood"].values()))
                return fact(path, "wall_seconds"), g["logp"][:], g["nfe"][:].sum()
        reference = run(1e-4)[1]
        truth = self.peer(TUNED, "reference64.h5", "likelihood", count, 2, t_min, 1e-4, "images.h5")
        for rtol in (1e-2, 1e-3):
            seconds, logp, nfe = run(rtol)
            print(f"log p of {count} images, one probe, rtol {rtol:g}: {seconds:.2f} s, {1e3 * seconds / nfe:.2f} ms an evaluation and image, "
                  f"{nfe / count:.0f} evaluations, median error {np.median(np.abs(logp - reference)):.1e} nats")
            peer = self.peer(TUNED, "reference64.h5", "likelihood", count, 2, t_min, rtol, "images.h5")
            error = np.median(np.abs(np.array(peer["logp"]) - np.array(truth["logp"])))
            print(f"    score_sde's way (RK45 in t, reverse mode, tuned allocator): {peer['seconds']:.2f} s ({peer['seconds'] / seconds:.2f}x ours), "
                  f"{1e3 * peer['seconds'] / peer['calls'] / count:.2f} ms, {peer['calls']} evaluations, median error {error:.1e} nats")


def configuration(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
    return json.loads(header["__metadata__"]["vpsde.config"])


def random_model(vpsde):
    with open("random.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\nmodel: {kind: unet, shape: [1, 28, 28], channels: [64, 64, 64], layers_per_block: 1}\n"
                "data: {path: noise.npy}\ntrain: {steps: 1, batch: 8}\n")
    np.save("noise.npy", np.random.default_rng(0).normal(size=(64, 1, 28, 28)))
    call([vpsde, "train", "random.yaml", "-o", "random.safetensors", "-q"])
    return os.path.abspath("random.safetensors")


def main():
    vpsde, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    model = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
    jobs = sys.argv[4].split(",") if len(sys.argv) > 4 else ["sample", "train", "likelihood"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        model = model or random_model(vpsde)
        with open("worker.py", "w") as f:
            f.write(WORKER)
        for name in ("run", "reference1", "reference64"):
            with open(f"{name}.yaml", "w") as f:
                f.write(f"process: {{t_min: 1.0e-3}}\nmodel: {{path: {model}}}\nsampler: {{solver: ddim, steps: 10, count: 64}}\nlog: {{times: all}}\n")
        with open("logp.yaml", "w") as f:
            f.write(f"process: {{t_min: 1.0e-3}}\nmodel: {{path: {model}}}\ndata: {{path: images.npy}}\n"
                    "likelihood: {integrator: {solver: dopri5}, trace: {kind: hutchinson, probes: 1}, budget: false}\n")
        with open("train.yaml", "w") as f:
            config = configuration(model)
            f.write("process: {schedule: vp-linear}\n"
                    f"model: {{kind: unet, shape: [1, 28, 28], channels: {config['block_out_channels']}, layers_per_block: {config['layers_per_block']}, "
                    f"classes: {max(0, (config['num_class_embeds'] or 1) - 1)}}}\n"
                    "data: {path: /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz}\n"
                    "train: {steps: 20, batch: 64, checkpoint_every: 10}\n")
        bench = Bench(vpsde, rounds, model)
        bench.reference(64)
        for count in STEPS if "sample" in jobs else ():
            bench.sample(count)
        if "train" in jobs:
            bench.train()
        if "likelihood" in jobs:
            bench.likelihood(16)


main()
