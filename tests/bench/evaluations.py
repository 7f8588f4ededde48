"""evaluations.py VPSDE [MODEL...]: how many network evaluations the default likelihood and the default sampler need at equal measured
error, beside torchdiffeq's dopri5 in t, at its defaults and ending on the last time (step_t), whichever needs fewer.

Run it with a Python that has torch, torchdiffeq and h5py. Models: ring, mixture, mixture8, mixture64 (closed form, exact answers), mlp-ring,
mlp-mixture8 (trained here; against their own flow in float64 at 1e-10). Likelihood: |log p - exact| at t_min = 1e-5, median and 95 % of the
rows, at 1e-5 nats. Sampling: distance of the end states (t_min = 1e-3) from the exact flow over sqrt(d), rms and median, at 1e-2. torchdiffeq
takes one step size for its batch of 32 rows. Ratios are geometric means over the batches with a 95 % t interval. Not a test.
"""
import json, math, os, subprocess, sys, tempfile

import h5py
import numpy as np
import torch
from torchdiffeq import odeint

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
BATCH, STUDENT = 32, {1: 12.7, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57}
STEPS = [4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 30, 40, 60, 80]


def coefficients(t):
    """beta, alpha and sigma^2 of vp-linear."""
    b = 0.1 * t + 9.95 * t * t
    return 0.1 + 19.9 * t, math.exp(-b / 2), -math.expm1(-b)


class Mixture:
    terminal = "exact"

    def __init__(self, w, m, c):
        self.w, self.m, self.c = torch.tensor(w), torch.tensor(m), torch.tensor(c)
        self.d = self.m.shape[1]
        self.value, self.vector = torch.linalg.eigh(self.c)

    def parts(self, x, t):
        _, a, s2 = coefficients(t)
        v = a * a * self.value + s2
        y = torch.einsum("kij,nki->nkj", self.vector, a * self.m - x[:, None])
        return v, y, torch.log(self.w) - 0.5 * (y * y / v).sum(2) - 0.5 * torch.log(2 * math.pi * v).sum(1)

    def logp(self, x, t):
        return torch.logsumexp(self.parts(x, t)[2], 1)

    def score(self, x, t, divergence):
        v, y, part = self.parts(x, t)
        share = torch.softmax(part, 1)
        each = torch.einsum("kij,nkj->nki", self.vector, y / v)
        score = (share[:, :, None] * each).sum(1)
        return score, (share * ((each**2).sum(2) - (1 / v).sum(1))).sum(1) - (score**2).sum(1) if divergence else None

    def draw(self, n, rng):
        k = rng.choice(len(self.w), n, p=self.w.numpy())
        z = torch.tensor(rng.standard_normal((n, self.d))) * self.value[k].sqrt()
        return (self.m[k] + torch.einsum("nij,nj->ni", self.vector[k], z)).numpy()

    def yaml(self):
        c = (self.c + self.c.mT) / 2
        return json.dumps({"kind": "gaussian-mixture", "weights": self.w.tolist(), "means": self.m.tolist(), "covariances": c.tolist()})


class Mlp:
    """The network of model.kind mlp in float64."""
    terminal = "standard-normal"

    def __init__(self, path, of):
        raw = open(path, "rb").read()
        size = int.from_bytes(raw[:8], "little")
        head = json.loads(raw[8:8 + size])
        at = lambda v: raw[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]]
        self.w = {k: torch.from_numpy(np.frombuffer(at(v), "<f4").reshape(v["shape"]).copy()).double()
                  for k, v in head.items() if k != "__metadata__" and v["dtype"] == "F32"}
        self.layers = sum(k.endswith("linear1.weight") for k in self.w)
        half = self.w["time.0.weight"].shape[1] // 2
        self.rate, self.path, self.d, self.draw = torch.exp(-math.log(10000) * torch.arange(half) / half), path, of.d, of.draw

    def linear(self, name, x):
        return torch.nn.functional.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def eps(self, x, t):
        silu, f = torch.nn.functional.silu, (1000 * t - 1) * self.rate
        e = self.linear("time.2", silu(self.linear("time.0", torch.cat([torch.cos(f), torch.sin(f)]))))
        h = self.linear("input", x) + e
        for q in range(self.layers):
            h = h + self.linear(f"layers.{q}.linear2", silu(self.linear(f"layers.{q}.linear1", silu(h)) + e))
        return self.linear("output", silu(h))

    def logp(self, x, t):
        return -0.5 * (x**2).sum(1) - 0.5 * self.d * math.log(2 * math.pi)  # the terminal law

    def score(self, x, t, divergence):
        sigma = math.sqrt(max(coefficients(t)[2], 1e-12))  # without step_t it is called beyond the end, even below 0
        x = x.detach().requires_grad_(divergence)
        with torch.set_grad_enabled(divergence):
            eps = self.eps(x, t)
            trace = sum(torch.autograd.grad(eps[:, j].sum(), x, retain_graph=True)[0][:, j] for j in range(self.d)) if divergence else None
        return -eps.detach() / sigma, -trace / sigma if divergence else None

    def yaml(self):
        return f"{{path: {self.path}}}"


def random_mixture(d, n, seed):
    rng = np.random.default_rng(seed)
    turn = [np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(n)]
    return Mixture([1 / n] * n, rng.standard_normal((n, d)).tolist(), np.array([(q * np.geomspace(1, 0.01, d)) @ q.T for q in turn]).tolist())


def peer(model, x, ends, tol, stop, logp):
    """End states, log p where it is asked for, evaluations."""
    calls = 0

    def drift(t, y):
        nonlocal calls
        calls += 1
        state, half = (y[0] if logp else y), -0.5 * coefficients(float(t))[0]
        score, div = model.score(state, float(t), logp)
        return (half * (state + score), half * (model.d + div)) if logp else half * (state + score)

    options = {"step_t": torch.tensor([ends[1]])} if stop else None
    out = odeint(drift, (x, torch.zeros(len(x))) if logp else x, torch.tensor(ends), rtol=tol, atol=tol, method="dopri5", options=options)
    return (out[0][-1], (model.logp(out[0][-1], 1.0) + out[1][-1]).numpy(), calls) if logp else (out[-1], None, calls)


def vpsde(verb, name, model, text):
    with open(f"{name}.yaml", "w") as file:
        file.write(f"seed: 3\nprocess: {{schedule: vp-linear, terminal: {model.terminal}}}\nmodel: {model.yaml()}\n{text}")
    done = subprocess.run([program, verb, f"{name}.yaml", "-o", f"{name}.h5", "-q", "--force"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return h5py.File(f"{name}.h5")


def needed(rows, level):
    """Evaluations from which on the error stays below level, between two of the (evaluations, error) by their logarithms."""
    n, e = np.log(np.array(sorted(rows)).T)
    e = np.maximum.accumulate(e[::-1])[::-1]
    k = int(np.argmax(e <= math.log(level)))
    if e[-1] > math.log(level):
        return math.nan
    return math.exp(n[k] if k == 0 else n[k - 1] + (n[k] - n[k - 1]) * (e[k - 1] - math.log(level)) / (e[k - 1] - e[k]))


def table(what, level, ours, theirs, measures):
    """ours[q]: of batch q, theirs[q][stop]: lists of (evaluations, errors of the rows)."""
    for name, measure in measures.items():
        at = lambda runs: needed([(n, measure(e)) for n, e in runs], level)
        mine, default, ending = (np.array(v) for v in zip(*((at(o), at(t[0]), at(t[1])) for o, t in zip(ours, theirs))))
        print(f"  {what:10} {name:7} {np.mean(mine):8.1f} torchdiffeq {np.mean(default):8.1f}, step_t {np.mean(ending):8.1f}   ", end="")
        for peer_needs in (default, ending):
            log = np.log(mine / peer_needs)
            half = STUDENT[len(log) - 1] * log.std(ddof=1) / math.sqrt(len(log))
            print(f" ratio {math.exp(log.mean()):.2f} ({math.exp(log.mean() - half):.2f} to {math.exp(log.mean() + half):.2f})", end="")
        print(flush=True)


def likelihood(model, batches):
    x = model.draw(BATCH * batches, np.random.default_rng(5))
    np.save("rows.npy", x)
    parts = [slice(BATCH * q, BATCH * (q + 1)) for q in range(batches)]
    run = lambda tol, stop: [peer(model, torch.tensor(x[p]), (1e-5, 1.0), tol, stop, True) for p in parts]
    exact = model.logp(torch.tensor(x), 1e-5).numpy() if model.terminal == "exact" else np.concatenate([r[1] for r in run(1e-10, True)])
    ours, theirs = [[] for _ in parts], [([], []) for _ in parts]
    for k in range(6, 16):
        tol = 10 ** (-k / 2)
        tolerances = f"rtol: {tol}, atol: {tol}, logp_atol: {10 * tol}"  # of the default, dopri5 in phi
        with vpsde("likelihood", "rows", model, f"data: {{path: rows.npy}}\nlikelihood: {{integrator: {{{tolerances}}}, budget: false}}\n") as f:
            group = next(iter(f["likelihood"].values()))
            logp, nfe = group["logp"][:], group["nfe"][:]
        for q, p in enumerate(parts):
            ours[q].append((nfe[p].mean(), abs(logp - exact)[p]))
        for stop in (False, True):
            for q, (p, r) in enumerate(zip(parts, run(tol, stop))):
                theirs[q][stop].append((r[2], abs(r[1] - exact[p])))
    table("likelihood", 1e-5, ours, theirs, {"median": np.median, "95 %": lambda e: np.quantile(e, 0.95)})


def sampling(model, batches):
    entries = ", ".join(f"{{solver: unipc, steps: {n}, label: s{n}}}" for n in STEPS)  # the default, but for the steps
    count = BATCH * batches
    with vpsde("sample", "samples", model, f"sampler: {{solver: [{entries}], count: {count}}}\nlog: {{times: 2, dtype: float64}}\n") as f:
        start = torch.tensor(f[f"runs/s{STEPS[0]}/x"][:, 0].reshape(count, -1))
        runs = [(f[f"runs/s{n}/nfe"][:].mean(), f[f"runs/s{n}/final"][:].reshape(count, -1)) for n in STEPS]
    parts = [slice(BATCH * q, BATCH * (q + 1)) for q in range(batches)]
    tight = 1e-11 if model.terminal == "exact" else 1e-9
    exact = [peer(model, start[p], (1.0, 1e-3), tight, True, False)[0].numpy() for p in parts]
    away = lambda z, q: np.sqrt(((z - exact[q])**2).mean(1))
    ours = [[(n, away(z[p], q)) for n, z in runs] for q, p in enumerate(parts)]
    theirs = [([], []) for _ in parts]
    for k in range(2, 17):
        for stop in (False, True):
            for q, p in enumerate(parts):
                end, _, calls = peer(model, start[p], (1.0, 1e-3), 10 ** (-k / 3), stop, False)
                theirs[q][stop].append((calls, away(end.numpy(), q)))
    table("sampling", 1e-2, ours, theirs, {"rms": lambda e: np.sqrt((e**2).mean()), "median": np.median})


program = os.path.abspath(sys.argv[1])
chosen = sys.argv[2:] or ["ring", "mixture", "mixture8", "mixture64", "mlp-ring", "mlp-mixture8"]
around = [[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(8)]
known = {"ring": Mixture([0.125] * 8, around, [[[0.01, 0], [0, 0.01]]] * 8),
         "mixture": Mixture([0.3, 0.7], [[-2.0, 0], [2, 1]], [[[0.05, 0], [0, 0.05]], [[0.1, 0.06], [0.06, 0.1]]]),
         "mixture8": random_mixture(8, 3, 3), "mixture64": random_mixture(64, 4, 4)}
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for name in chosen:
        model, batches = known[name.removeprefix("mlp-")], 6
        if name.startswith("mlp-"):
            np.save("train.npy", model.draw(20000, np.random.default_rng(1)))
            with open("train.yaml", "w") as file:
                file.write("seed: 9\nprocess: {schedule: vp-linear}\nmodel: {kind: mlp, hidden: 64, layers: 3, time_features: 32}\ndata: {path: train.npy}\n"
                           "train: {steps: 4000, batch: 256, learning_rate: 2.0e-3, decay: cosine, ema: 0.999, weighting: likelihood}\n")
            subprocess.run([program, "train", "train.yaml", "-o", f"{folder}/{name}.safetensors", "-q"], check=True)
            model, batches = Mlp(f"{folder}/{name}.safetensors", model), 3
        print(name)
        sampling(model, batches)
        likelihood(model, batches)
