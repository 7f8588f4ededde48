"""Which grid wastes least of a chain's path KL, and does a better one give better samples?

On a 1-D mixture metric, length and path KL by quadrature, beside what `vpsde thermo` measures; the same for trained
networks. Then samples at 10 evaluations on the best standard grids and on the optimal ones, from the same noise.
"""
from study import *

unet = os.path.join(os.path.dirname(os.path.dirname(here)), "models/pretrained/fashion-mnist-unet.safetensors")
parser.add_argument("--model", default=unet, help="a network to sample; default: models/pretrained/fashion-mnist-unet.safetensors")
parser.add_argument("--rows", type=int, default=24, help="samples of the network")
network = os.path.abspath(parser.parse_args().model)
options = begin()

# ---- the 1-D mixture by quadrature ----
W, M, VAR = np.array([0.3, 0.7]), np.array([-1.5, 1.0]), np.array([0.1, 0.3])
x = np.linspace(-7, 7, 1001)
dx = x[1] - x[0]


def density(b):
    """p_b on x, its score and the second derivative of its logarithm."""
    a, s2 = np.exp(-b / 2), -np.expm1(-b)
    v = a * a * VAR + s2
    part = W * np.exp(-(x[:, None] - a * M) ** 2 / (2 * v)) / np.sqrt(2 * np.pi * v)
    p, slopes = part.sum(1), (a * M - x[:, None]) / v
    share = part / p[:, None]
    s = (share * slopes).sum(1)
    return p, s, (share * (slopes ** 2 - 1 / v)).sum(1) - s * s


def state(b):
    """Metric, dissipation, entropy rate, entropy and Fisher information of p_b."""
    p, s, hessian = density(b)
    fisher = (p * s * s).sum() * dx
    return ((p * (1 + hessian) ** 2).sum() * dx / 2, (p * (x + s) ** 2).sum() * dx / 2, (-1 / np.expm1(-b) - fisher) / 2,
            -(p * np.log(p)).sum() * dx, fisher)


def b_at(lam):
    return np.log1p(np.exp(-2 * lam))


ends = b_of(np.array([1, 0.01]))
lams = -np.log(np.expm1(ends)) / 2
fine = b_at(np.linspace(*lams, 1201))
metric, force, knowledge = np.array([state(b)[:3] for b in fine]).T
summed = lambda f: np.concatenate([[0], np.cumsum((f[1:] + f[:-1]) / 2 * -np.diff(fine))])
at = lambda b, f: np.interp(-np.asarray(b), -fine, f)
shares = lambda f, n: np.interp(np.linspace(0, f[-1], n + 1), f, fine)
length = summed(np.sqrt(metric))
L = length[-1]
cosine = lambda t: -2 * np.log(np.cos((t + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2))
times = np.linspace(0, 0.999, 100001)


def grids(n):
    u = np.linspace(0, 1, n + 1)
    between = lambda pair: pair[0] + (pair[1] - pair[0]) * u
    return {"uniform-b": between(ends), "uniform-lambda": b_at(between(lams)), "uniform-t": b_of(between((1, 0.01))),
            "quadratic-t": b_of(between((1, 0.1)) ** 2), "entropic": shares(summed(knowledge), n),
            "cosine": cosine(between(np.interp(ends, cosine(times), times))),
            "equal-dissipation": shares(summed(force), n), "geodesic": shares(length, n)}


def path_kl(b):
    """Of the chain x_s ~ N(E[x_s | x_t], beta): sum of H_t - H_s - 1/2 + E Var(x_s | x_t) / (2 beta), by Tweedie."""
    entropy, fisher = np.array([state(one)[3:] for one in b]).T
    step = -np.diff(b)
    return (-np.diff(entropy) - 0.5 + (1 + np.expm1(-step) * fisher[:-1]) / (2 * np.exp(-step))).sum()


middle = lambda b: (at((b[1:] + b[:-1]) / 2, metric) * np.diff(b) ** 2).sum() / 2
lengths = lambda b: (np.diff(at(b, length)) ** 2).sum() / 2
exact = {n: {name: path_kl(b) for name, b in grids(n).items()} for n in (25, 50, 100, 200)}
for name, b in grids(100).items():
    kl = exact[100][name]
    if name in ("uniform-b", "uniform-lambda", "uniform-t", "cosine", "geodesic"):
        accept(f"path KL over 1/2 sum g db^2, N = 100, {name}", kl / middle(b), *((0.92, 1.08) if name == "uniform-b" else (0.97, 1.03)))
    if name != "uniform-b":
        accept(f"path KL over 1/2 sum of squared lengths, N = 100, {name}", kl / lengths(b), 0.97, 1.03)
accept("path KL of geodesic over L^2/2N, N = 100", exact[100]["geodesic"] * 200 / L ** 2, 0.98, 1.02)
accept("best other grid over geodesic, N = 100", min(v for k, v in exact[100].items() if k != "geodesic") / exact[100]["geodesic"], 1, 99)
TABLE = {"uniform-b": 0.11, "uniform-lambda": 0.38, "uniform-t": 0.39, "entropic": 0.59, "cosine": 0.73, "equal-dissipation": 0.81, "geodesic": 1.0}
for name, eta in TABLE.items():
    digit = 0.05 if name == "geodesic" else 0.005
    accept(f"eta_sched, N = 50, {name}", L ** 2 / (100 * exact[50][name]), eta - digit, eta + digit)


def marginal_kl(b):
    """Of the samples themselves: the chain's law by Chapman-Kolmogorov quadrature, from p_T."""
    p, _ = density(b[0])[:2]
    for here, there in zip(b, b[1:]):
        step = here - there
        mean = (x - np.expm1(-step) * density(here)[1]) * np.exp(step / 2)
        p = (np.exp(-(x[:, None] - mean) ** 2 / (-2 * np.expm1(-step))) / np.sqrt(-2 * np.pi * np.expm1(-step))) @ p * dx
    q = density(b[-1])[0]
    return (q * np.log(q / np.maximum(p, 1e-300))).sum() * dx


print(f"\nmarginal KL of the samples of that chain, nat\n{'':20}{'10 steps':>12}{'50 steps':>12}")
for name in exact[50]:
    print(f"{name:20}" + "".join(f"{marginal_kl(grids(n)[name]):12.3g}" for n in (10, 50)))
print()

# ---- what the program measures of it, and of networks ----
measured = {}


def thermo(what, *overrides, config=None):
    out = vpsde("thermo", f"thermo-{what}.h5", *overrides, config=config)
    table, nodes = read(out, "thermo/grids"), read(out, "thermo/schedule")
    measured[what] = {g: (e, lo, hi) for g, e, lo, hi in zip(table["grid"], table["efficiency"], table["efficiency_low"], table["efficiency_high"])}
    a = nodes["attributes"]
    print(f"  {what}: L = {a['length']:.4g} ({a['length_low']:.4g} to {a['length_high']:.4g})")
    return nodes


nodes = thermo("mixture", "sampler.count=16")
spread = (nodes["attributes"]["length_high"] - nodes["attributes"]["length_low"]) / 3.92
accept("length that the program measures, minus quadrature, in s.e.", abs(nodes["attributes"]["length"] - L) / spread, 0, 5)
for name in ("uniform-b", "uniform-lambda", "uniform-t", "cosine"):
    eta, low, high = measured["mixture"][name]
    accept(f"eta_sched by the program minus quadrature, {name}, in s.e.",
           abs(eta - L ** 2 / (100 * lengths(grids(50)[name]))) / ((high - low) / 3.92), 0, 5)
grid = "{solver: ancestral, steps: 100, grid: {kind: geodesic, pilot_nodes: 64, pilot_samples: 1024}}"
t = read(vpsde("sample", "grid.h5", f"sampler.solver=[{grid}]", "sampler.count=2"), "runs/ancestral")["t"]
accept("path KL on the program's geodesic grid over L^2/2N, N = 100", path_kl(b_of(t)) * 200 / L ** 2, 0.98, 1.02)

# ---- samples at 10 evaluations ----
STANDARD = {"uniform-lambda": "uniform-lambda", "uniform-t": "uniform-t", "quadratic-t": "quadratic-t", "karras": "karras",
            "karras-20": "{kind: karras, rho: 20}"}
OPTIMAL = {"geodesic": "{kind: geodesic}", "geodesic-half": "{kind: geodesic, lambda_share: 0.5}",
           "equal-diss": "{kind: equal-dissipation, pilot_nodes: 32}", "entropic": "{kind: equal-dissipation, rate: entropy, pilot_nodes: 32}"}
NAMES = [*STANDARD, *OPTIMAL]
SOLVERS = {"ddim": 10, "dpmpp-2m": 10, "dpm-solver-2m": 10, "unipc": 10, "ipndm-compat": "10, order: 3", "heun": 5, "ancestral": 10, "sde-dpmpp-2m": 10}
NOISY = ("ancestral", "sde-dpmpp-2m")


def ratio(mine, theirs):
    """Geometric mean of paired ratios, and its 95 % interval."""
    log = np.log(mine / theirs)
    half = 1.96 * log.std(ddof=1) / np.sqrt(len(log))
    return np.exp([log.mean(), log.mean() - half, log.mean() + half])


def samples(what, count, pilots, references, config, solvers):
    """At 10 evaluations: distances to a tight solution along the same noise. Grids are chosen on even samples and judged on odd ones."""
    entries = [f"{{solver: {solver}, label: {solver}-{name}, steps: {solvers[solver]}, grid: {grid}}}"
               for solver in solvers for name, grid in {**STANDARD, **OPTIMAL}.items()]
    out = vpsde("sample", f"samples-{what}.h5", f"sampler.solver=[{', '.join(entries + references)}]".replace("{kind: geodesic", f"{{kind: geodesic, pilot_samples: {pilots}"),
                f"sampler.count={count}", "log.times=none", config=config)
    final = lambda label: read(out, "runs/" + label.replace("-", "_"))["final"].reshape(count, -1)
    print(f"\n{what}: median distance to the reference at 10 evaluations, over root d\n{'':15}" + "".join(f"{n:>15}" for n in NAMES))
    error, even, odd, gain = {}, np.arange(count) % 2 == 0, np.arange(count) % 2 == 1, {}
    for solver in solvers:
        truth = final("noisy-reference" if solver in NOISY else "reference")
        error.update({(solver, n): np.sqrt(((final(f"{solver}-{n}") - truth) ** 2).mean(1)) for n in NAMES})
        print(f"{solver:15}" + "".join(f"{np.median(error[solver, n]):15.3g}" for n in NAMES))
    groups = {solver: [solver] for solver in solvers}
    groups |= {"any of the flow": [s for s in solvers if s not in NOISY], "any of the SDE": [s for s in solvers if s in NOISY]}
    print(f"{what}: error on the best optimal grid over that on the best standard one")
    for group, members in groups.items():
        best = [min(((s, n) for s in members for n in some), key=lambda key: np.median(error[key][even])) for some in (OPTIMAL, STANDARD)]
        gain[group] = ratio(error[best[0]][odd], error[best[1]][odd])
        print("  {:16} {:30} over {:30} {:.3f} ({:.3f} to {:.3f})".format(group, *("-".join(b) for b in best), *gain[group]))
    return gain


def laws(what, count, pilots, config, metrics, reference):
    """DDPM's chain of 10 steps against the law itself, by `vpsde compare`."""
    grids = {**STANDARD, **OPTIMAL, "geodesic": f"{{kind: geodesic, pilot_samples: {pilots}}}"}
    entries = ", ".join(f"{{solver: ancestral, label: {n}, grid: {grids[n]}}}" for n in ("uniform-lambda", "uniform-t", "quadratic-t", "equal-diss", "geodesic"))
    out = vpsde("compare", f"laws-{what}.h5", f"sampler.count={count}", f"compare={{solvers: [{entries}], steps: [10], budget: nfe, metrics: [{metrics}], "
                f"reference: {reference}}}", config=config)
    table, columns = read(out, "compare/pooled"), [m.replace("-", "_") for m in metrics.split(", ")]
    print(f"{what}: law of {count} samples of ancestral, 10 steps, 95 % intervals")
    for i, name in enumerate(table["solver"]):
        print(f"  {name:16}" + "".join(f"  {m} {table[m][i]:.4g} ({table[m + '_low'][i]:.4g} to {table[m + '_high'][i]:.4g})" for m in columns))
    verdict = read(out, "compare/verdict")
    print(f"  best {verdict['best'][0]}, next {verdict['next'][0]}: difference {verdict['difference'][0]:.3g} ({verdict['difference_low'][0]:.3g} to "
          f"{verdict['difference_high'][0]:.3g}) in {read(out, 'compare')['attributes']['leading_metric']}")


with open("plane.yaml", "w") as file:
    file.write("seed: 7\nprocess: {schedule: vp-linear, t_min: 0.001, terminal: exact}\nmodel: {kind: gaussian-mixture, weights: [0.3, 0.7], "
               "means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}\nsampler: {count: 16}\n")
tight = "{solver: gsl-rk8pd, label: reference, rtol: 1.0e-9, atol: 1.0e-9}"
noisy = "{solver: sra1, label: noisy-reference, steps: %d, grid: uniform-lambda}"
gains = {"plane": samples("plane", 128 if options.quick else 1000, 1024, [tight, noisy % 1000], "plane.yaml",
                          {s: SOLVERS[s] for s in ("dpm-solver-2m", "heun", "ancestral")} if options.quick else SOLVERS)}
if not options.quick:
    laws("plane", 4000, 1024, "plane.yaml", "energy, sliced-wasserstein", "exact")

# A small network of that mixture.
rng = np.random.default_rng(6)
k = (rng.random(20000) > 0.3).astype(int)
np.save("train.npy", np.array([[-2.0, 0.0], [2.0, 1.0]])[k] + np.sqrt(np.array([0.05, 0.1])[k])[:, None] * rng.normal(size=(20000, 2)))
with open("train.yaml", "w") as file:
    file.write("seed: 3\nprocess: {schedule: vp-linear, t_min: 0.001}\nmodel: {kind: mlp, hidden: 64, layers: 2, time_features: 16}\n"
               "data: {path: train.npy}\ntrain: {steps: %d, batch: 256}\n" % (400 if options.quick else 4000))
vpsde("train", "net.safetensors", config="train.yaml")
with open("net.yaml", "w") as file:
    file.write("seed: 7\nprocess: {t_min: 0.001}\nmodel: {path: net.safetensors}\ndata: {path: train.npy, count: 16}\n"
               "sampler: {solver: ancestral, steps: 20, count: 16}\n")
thermo("mlp", f"thermo.schedule.samples={256 if options.quick else 1024}", config="net.yaml")
if not options.quick:
    tight = "{solver: dopri5, label: reference, rtol: 1.0e-5, atol: 1.0e-5}"
    gains["mlp"] = samples("mlp", 500, 256, [tight, noisy % 500], "net.yaml", SOLVERS)
if os.path.exists(network) and not options.quick:
    with open("unet.yaml", "w") as file:
        file.write(f"seed: 7\nmodel: {{path: {network}}}\nsampler: {{solver: ancestral, steps: 5, count: 2}}\n"
                   "data: {path: /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz, count: 4000,\n"
                   "       labels: /usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz}\n")
    thermo("unet", config="unet.yaml")
    few = {s: n for s, n in SOLVERS.items() if s not in ("ddim", "ancestral")}
    tight = "{solver: cvode-adams, label: reference, rtol: 1.0e-3, atol: 1.0e-3}"
    gains["unet"] = samples("unet", options.rows, 64, [tight, "{solver: sde-dpmpp-2m, label: noisy-reference, steps: 100, grid: uniform-lambda}"], "unet.yaml", few)

print(f"\neta_sched, 95 % intervals\n{'':20}" + "".join(f"{w:>26}" for w in measured))
for g in sorted(measured["mixture"], key=lambda g: measured["mixture"][g][0]):
    print(f"{g:20}" + "".join(f"{measured[w][g][0]:10.3f} ({measured[w][g][1]:.3f}, {measured[w][g][2]:.3f})" if g in measured[w] else f"{'':26}" for w in measured))
names = list(TABLE)
plot("set logscale xy\nset xlabel 'steps'\nset ylabel 'path KL, nats'\nplot " + ", ".join(
    f"$kl using 1:{i + 2} with linespoints title '{n}'" for i, n in enumerate(names)) + f", {L ** 2 / 2:.6g}/x with lines dt 2 lc black title 'L^2/2N'",
    kl=[list(exact), *[[exact[n][name] for n in exact] for name in names]])
end()
