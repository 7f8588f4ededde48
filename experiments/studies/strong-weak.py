"""Have Euler-Maruyama, stochastic Heun and SRA1 their orders, path by path and in law?

Strong: median distance to a fine run of SRA1 along the same Brownian paths. Weak: the law of
Euler-Maruyama on a 1-D mixture by Chapman-Kolmogorov quadrature, and a sample of the program against it.
"""
from study import *

options = begin()
BANDS = {"euler-maruyama": (0.85, 1.15), "stochastic-heun": (0.85, 1.3), "sra1": (1.4, 3)}


def end_states(solver, n, *overrides):
    vpsde("sample", "run.h5", f"sampler.solver={solver}", f"sampler.steps={n}", *overrides)
    return read("run.h5", "runs/" + solver.replace("-", "_"))["final"]


numbers = [100, 200, 400] if options.quick else [100, 200, 400, 800]
LAWS = [50, 100] if options.quick else [100, 200, 400]
fine = end_states("sra1", numbers[-1] * 8)
strong = {}
for solver, (low, high) in BANDS.items():
    strong[solver] = [np.median(np.linalg.norm(end_states(solver, n) - fine, axis=1)) for n in numbers]
    accept(f"strong order of {solver}", slope(numbers, strong[solver]), low, high)

# 1-D mixture, density of the chain on a grid of x.
W, M, VAR = np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([0.1, 0.2])
ONE = ["model={kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-1], [2]], variances: [0.1, 0.2]}"]
x = np.linspace(-8, 8, 1601)
dx = x[1] - x[0]


def parts(b):
    a, s2 = np.exp(-b / 2), -np.expm1(-b)
    v = a * a * VAR + s2
    return W * np.exp(-(x[:, None] - a * M) ** 2 / (2 * v)) / np.sqrt(2 * np.pi * v), (a * M - x[:, None]) / v


def chain_law(n):
    b = b_of(np.linspace(1, 1e-3, n + 1))
    p = parts(b[0])[0].sum(1)
    for k in range(n):
        w, slopes = parts(b[k])
        score, h = (w * slopes).sum(1) / w.sum(1), b[k] - b[k + 1]
        mean = x + h * (x / 2 + score)
        p = (np.exp(-(x[:, None] - mean) ** 2 / (2 * h)) / np.sqrt(2 * np.pi * h)) @ p * dx
    return p


exact = parts(b_of(1e-3))[0].sum(1)
weak = {"second moment": [], "total variation": [], "W1": [], "KL": []}
laws = {n: chain_law(n) for n in LAWS}
for p in laws.values():
    weak["second moment"].append((p * x * x).sum() * dx - (exact * x * x).sum() * dx)
    weak["total variation"].append(np.abs(p - exact).sum() * dx / 2)
    weak["W1"].append(np.abs(np.cumsum(p - exact)).sum() * dx * dx)
    weak["KL"].append((p * np.log(np.maximum(p, 1e-300) / np.maximum(exact, 1e-300))).sum() * dx)
accept("mass of the chain's law, minus 1", abs(laws[LAWS[-1]].sum() * dx - 1), 0, 1e-10)
for what, error in weak.items():
    order, band = (2, 0.1) if what == "KL" else (1, 0.05)
    accept(f"weak order in {what}", slope(LAWS, error), order - band, order + band)

count = 4000 if options.quick else 40000
sample = np.sort(end_states("euler-maruyama", 100, *ONE, f"sampler.count={count}")[:, 0])
cdf = np.interp(sample, x + dx / 2, np.cumsum(laws[100]) * dx)
distance = np.abs(cdf - (np.arange(count) + 0.5) / count).max() * np.sqrt(count)
accept(f"Kolmogorov distance of {count} samples of the program to the chain's law, times root n", distance, 0, 3)
wrong = np.abs(np.cumsum(laws[100] - exact)).max() * dx * np.sqrt(count)
print(f"        (the exact law is {wrong:.1f} away)")

plot("set logscale xy\nset xlabel 'steps'\nset ylabel 'error'\nplot " + ", ".join(
    f"$strong using 1:{i + 2} with linespoints title '{s}, median path'" for i, s in enumerate(strong)) + ", " + ", ".join(
    f"$weak using 1:{i + 2} with linespoints dt 2 title 'law of EM: {s}'" for i, s in enumerate(weak)),
    strong=[numbers, *strong.values()], weak=[LAWS, *map(np.abs, weak.values())])
end()
