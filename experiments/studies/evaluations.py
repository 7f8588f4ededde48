"""How many evaluations do the default likelihood and the default sampler need, beside a batch's dopri5 in t, at equal error?

The other side is torchdiffeq's dopri5, written out below: one step size for the 32 rows of a batch, error norms and control as there, past
the last time and back by its interpolant, as it is called by default, and ending on the last time (step_t). Exact answers of three mixtures.
"""
from study import *

A = [[1 / 5], [3 / 40, 9 / 40], [44 / 45, -56 / 15, 32 / 9], [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
     [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656], [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]]
NODES = [1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1]
ERROR = [35 / 384 - 1951 / 21600, 0, 500 / 1113 - 22642 / 50085, 125 / 192 - 451 / 720, -2187 / 6784 + 12231 / 42400, 11 / 84 - 649 / 6300, -1 / 60]
MIDDLE = [6025192743 / 30085553152, 0, 51252292925 / 65400821598, -2691868925 / 45128329728, 187940372067 / 1594534317056, -1776094331 / 19743644256,
          11237099 / 235043384]  # twice the weights of the middle


def batch_dopri5(f, y, t, end, tol, ending):
    """The state at the end, and calls of f. y (n, d + 1): the states, and log p's integral, each with its own norm."""
    way = 1 if end > t else -1
    size = lambda v, scale: max(np.sqrt(np.mean((v[:, part] / scale[:, part]) ** 2)) for part in (slice(0, -1), slice(-1, None)))
    scale, k = tol + tol * np.abs(y), f(t, y)
    d0, d1 = size(y, scale), size(k, scale)
    h = 0.01 * d0 / d1
    d2 = size(f(t + way * h, y + way * h * k) - k, scale) / h
    h, calls = min(100 * h, (0.01 / max(d1, d2)) ** 0.2), 2
    while True:
        last = ending and h > abs(end - t)
        h = abs(end - t) if last else h
        stages = [k]
        for c, row in zip(NODES, A):
            at = y + way * h * sum(a * s for a, s in zip(row, stages))
            stages.append(f(t + way * h * c, at))
        calls += 6
        error = size(h * sum(e * s for e, s in zip(ERROR, stages)), tol + tol * np.maximum(np.abs(y), np.abs(at)))
        factor = min(10, max(0.9 / max(error, 1e-12) ** 0.2, 1 if error < 1 else 0.2))
        if error <= 1 and (last or h >= abs(end - t)):
            break
        if error <= 1:
            t, y, k = t + way * h, at, stages[-1]
        h *= factor
    if last:
        return at, calls
    u, h, k1, middle = abs(end - t) / h, way * h, stages[-1], y + way * h / 2 * sum(m * s for m, s in zip(MIDDLE, stages))
    a, b = 2 * h * (k1 - k) - 8 * (at + y) + 16 * middle, h * (5 * k - 3 * k1) + 18 * y + 14 * at - 32 * middle
    return y + u * (h * k + u * (h * (k1 - 4 * k) - 11 * y - 5 * at + 16 * middle + u * (b + u * a))), calls


class Mixture:
    def __init__(self, weights, means, variances):
        self.w, self.m, self.v = (np.array(z, float) for z in (weights, means, variances))

    def density(self, x, t):
        """log p_t, the score, its divergence."""
        a = alpha_of(t)
        v, d = a * a * self.v + sigma2_of(t), a * self.m - x[:, None]
        part = np.log(self.w) - (d * d / v).sum(2) / 2 - np.log(2 * np.pi * v).sum(1) / 2
        logp = np.logaddexp.reduce(part, 1)
        share, each = np.exp(part - logp[:, None]), d / v
        score = (share[:, :, None] * each).sum(1)
        return logp, score, (share * ((each ** 2).sum(2) - (1 / v).sum(1))).sum(1) - (score ** 2).sum(1)

    def flow(self, t, y):
        """d(x, l)/dt with log p_0 = log p_T + l."""
        _, score, div = self.density(y[:, :-1], t)
        return -(0.1 + 19.9 * t) / 2 * np.column_stack([y[:, :-1] + score, y.shape[1] - 1 + div])

    def draw(self, n, rng):
        k = rng.choice(len(self.w), n, p=self.w)
        return self.m[k] + np.sqrt(self.v[k]) * rng.normal(size=(n, self.m.shape[1]))

    def override(self):
        return f"model={{kind: gaussian-mixture, weights: {self.w.tolist()}, means: {self.m.tolist()}, variances: {self.v.tolist()}}}"


def needed(rows, level):
    """Evaluations from which on the error stays below level, by the logarithms of (evaluations, error)."""
    n, e = np.log(np.array(sorted(rows)).T)
    e = np.maximum.accumulate(e[::-1])[::-1]
    k = int(np.argmax(e <= np.log(level)))
    return np.nan if e[-1] > np.log(level) else np.exp(n[0] if k == 0 else np.interp(np.log(level), e[k - 1:k + 1][::-1], n[k - 1:k + 1][::-1]))


def judge(what, level, measure, ours, theirs):
    """Ratios of evaluations, geometric means over the batches with a 95 % t interval; ours and theirs are lists of (evaluations, errors)."""
    out = []
    for word, runs in theirs.items():
        log = np.array([np.log(needed([(n, measure(e)) for n, e in mine], level) / needed([(n, measure(e)) for n, e in peer], level))
                        for mine, peer in zip(ours, runs)])
        half = STUDENT[len(log)] * log.std(ddof=1) / np.sqrt(len(log))
        out.append(np.exp(log.mean()))
        print(f"  {what}, {word}: {out[-1]:.2f} ({np.exp(log.mean() - half):.2f} to {np.exp(log.mean() + half):.2f})")
    return out


options = begin()
BATCH, STUDENT = 32, {2: 12.7, 6: 2.57}
batches = 2 if options.quick else 6
parts = [slice(BATCH * q, BATCH * (q + 1)) for q in range(batches)]
angle = np.arange(8) * np.pi / 4
rng = np.random.default_rng(3)
models = {"ring": Mixture(np.full(8, 1 / 8), np.column_stack([np.cos(angle), np.sin(angle)]), np.full((8, 2), 0.01)),
          "two modes": Mixture([0.3, 0.7], [[-2, 0], [2, 1]], [[0.05, 0.05], [0.1, 0.1]]),
          "eight dimensions": Mixture([0.2, 0.3, 0.5], rng.normal(size=(3, 8)), [rng.permutation(np.geomspace(0.01, 1, 8)) for _ in range(3)])}
tolerances = 10 ** (-np.arange(7, 16) / 2)
STEPS = [5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30, 40, 60]
as_called, ending, curves = {}, {}, {}
for name, model in models.items():
    print(name, flush=True)
    rows = model.draw(BATCH * batches, np.random.default_rng(5))
    np.save("rows.npy", rows)
    exact = model.density(rows, 1e-5)[0]
    ours, theirs = [[] for _ in parts], {word: [[] for _ in parts] for word in ("as called", "ending")}
    for tol in tolerances:
        run = read(vpsde("likelihood", "run.h5", model.override(), f"likelihood.integrator={{rtol: {tol}, atol: {tol}, logp_atol: {10 * tol}}}"), "likelihood/dopri5")
        for q, part in enumerate(parts):
            ours[q].append((run["nfe"][part].mean(), np.abs(run["logp"] - exact)[part]))
            for word in theirs:
                y, calls = batch_dopri5(model.flow, np.column_stack([rows[part], np.zeros(BATCH)]), 1e-5, 1.0, tol, word == "ending")
                theirs[word][q].append((calls, np.abs(model.density(y[:, :-1], 1.0)[0] + y[:, -1] - exact[part])))
    for what, measure in (("median", np.median), ("95 %", lambda e: np.quantile(e, 0.95))):
        as_called["log p", what, name], ending["log p", what, name] = judge(f"log p at 1e-5 nat, {what}", 1e-5, measure, ours, theirs)
    curves[name] = [np.mean([[(n, np.quantile(e, 0.95)) for n, e in batch] for batch in side], 0) for side in (ours, *theirs.values())]

    entries = ", ".join(f"{{solver: unipc, steps: {n}, label: s{n}}}" for n in STEPS)
    vpsde("sample", "run.h5", model.override(), f"sampler.count={BATCH * batches}", f"sampler.solver=[{entries}, {{solver: gsl-rk8pd, rtol: 1e-12, atol: 1e-12}}]")
    reference = read("run.h5", "runs/gsl_rk8pd")
    start, final = reference["x"][:, 0], reference["final"]
    away = lambda x, part: np.sqrt(((x - final[part]) ** 2).mean(1))
    runs = [read("run.h5", f"runs/s{n}") for n in STEPS]
    ours = [[(run["nfe"][part].mean(), away(run["final"][part], part)) for run in runs] for part in parts]
    still = lambda t, y: np.column_stack([model.flow(t, y)[:, :-1], np.zeros(len(y))])
    theirs = {word: [[] for _ in parts] for word in theirs}
    for tol in 10 ** (-np.arange(2, 16) / 3):
        for q, part in enumerate(parts):
            for word in theirs:
                y, calls = batch_dopri5(still, np.column_stack([start[part], np.zeros(BATCH)]), 1.0, 1e-3, tol, word == "ending")
                theirs[word][q].append((calls, away(y[:, :-1], part)))
    for what, measure in (("median", np.median), ("rms", lambda e: np.sqrt((e ** 2).mean()))):
        as_called["x", what, name], ending["x", what, name] = judge(f"end states at 1e-2, {what}", 1e-2, measure, ours, theirs)

mean = lambda table, kind, what: np.exp(np.mean([np.log(v) for k, v in table.items() if k[:2] == (kind, what)]))
for kind, what, most, most_ending in (("log p", "median", 0.9, 1), ("log p", "95 %", 0.75, 0.8), ("x", "median", 0.5, 0.5), ("x", "rms", 0.5, 0.5)):
    accept(f"{kind}, {what}: evaluations over those of dopri5 in t as called, mean of the models", mean(as_called, kind, what), 0, most)
    accept(f"{kind}, {what}: the same where it ends on the last time", mean(ending, kind, what), 0, most_ending)
run = read(vpsde("likelihood", "default.h5", model.override()), "likelihood/dopri5")
accept("default likelihood, eight dimensions, 95 % of the errors, nat", np.quantile(np.abs(run["logp"] - exact), 0.95), 0, 2e-5)
run = read(vpsde("sample", "default.h5", model.override(), f"sampler.count={BATCH * batches}"), "runs/unipc")
errors = np.sqrt(((run["final"] - final) ** 2).mean(1))
print(f"default sampler, eight dimensions: rms error {np.sqrt((errors ** 2).mean()):.4f}")
accept("default sampler, eight dimensions, median error", np.median(errors), 0, 1e-2)

plot("set logscale xy\nset xrange [15:400]\nset key inside left bottom\nset xlabel 'evaluations a row'\nset ylabel 'error of log p, 95 % of the rows [nat]'\nplot " + ", ".join(
    f"$e{i} using {2 * s + 1}:{2 * s + 2} with linespoints lc {i + 1} dt {s + 1} title '{name}, {word}'"
    for i, name in enumerate(curves) for s, word in enumerate(("default", "dopri5 in t", "the same, ending"))),
    **{f"e{i}": [column for side in sides for column in side.T] for i, sides in enumerate(curves.values())})
end()
