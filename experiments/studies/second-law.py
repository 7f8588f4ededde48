"""Does a diffusion model obey the second law, and is half of the work that its score does lost as heat?

Work, heat and entropy along paths of mixtures: the first law path by path, the efficiency 1/2 for any data and schedule,
the fluctuation theorems where their variance is finite, and what their estimator does where it is not.
"""
from study import *

MIXTURES = {  # weights, means, variances
    "two modes": ([0.3, 0.7], [[-2, 0], [2, 1]], [0.6, 0.8]),
    "three modes": ([0.2, 0.3, 0.5], [[-1.5, 0, 1], [1, 1.5, 0], [0, -1, -1]], [0.3, 0.2, 0.4]),
}
GENTLE = ([0.4, 0.6], [[-0.6, 0], [0.6, 0.3]], [0.7, 0.9])
SCHEDULES = ["vp-linear", "cosine", "ddpm-linear"]
options = begin()
paths, steps = (3000, 100) if options.quick else (10000, 1000)
residual = 0


def thermo(mixture, *overrides, schedule="vp-linear", count=paths, n=steps):
    """Attributes of /thermo, and the work of the reverse paths."""
    global residual
    model = "model={kind: gaussian-mixture, weights: %s, means: %s, variances: %s}" % mixture
    out = vpsde("thermo", "thermo.h5", model, f"process.schedule={schedule}", f"sampler.count={count}",
                f"sampler.steps={n}", *overrides)
    run = read(out, "thermo")["attributes"]
    residual = max(residual, run["first_law_residual"])
    return run, read(out, "thermo/reverse")["work"]


def error(values):
    return values.std(ddof=1) / len(values) ** 0.5


# 1/2 for any data and schedule: steps and half the steps along the same Brownian paths leave no term in h.
for title, mixture in MIXTURES.items():
    for schedule in SCHEDULES:
        coarse = thermo(mixture, schedule=schedule, n=steps // 2)[1]
        run, fine = thermo(mixture, schedule=schedule)
        work = 2 * fine - coarse
        eta = run["delta_f"] / work.mean()
        bar = eta * np.hypot(run["delta_f_stderr"] / run["delta_f"], error(work) / work.mean())
        accept(f"eta_gen, {title}, {schedule}, s.e. {bar:.1e}: minus 1/2, in s.e.", abs(eta - 0.5) / bar, 0, 4)
        accept(f"the same at {steps} steps, not extrapolated: {run['eta_gen']:.4f}, off", abs(run["eta_gen"] - 0.5), 0,
               4 * run["eta_gen_stderr"] + 2 / steps)

sweep = np.array([50, 100, 200] if options.quick else [250, 500, 1000, 2000, 4000])
runs = [thermo(MIXTURES["two modes"], count=3000 if options.quick else 4000, n=n)[0] for n in sweep]
ratio = np.array([[r["work_over_delta_f"], r["work_over_delta_f_stderr"], r["path_kl"]] for r in runs]).T
for n, value, bar in zip(sweep, *ratio[:2]):
    accept(f"<W>/Delta F at {n} steps, {value:.4f}: minus 2", abs(value - 2), 0, 4 * bar + 4 / n)

# The theorems, with components whose weights have a variance.
run, _ = thermo(GENTLE)
for name, truth in [("ift", 1), ("ift_relaxation", 1), ("ift_chain", 1), ("jarzynski", 0), ("bar", 0), ("crooks_slope", 1)]:
    value, bar = run[name], run[name + "_stderr"]
    accept(f"{name} = {value:.4f} +- {bar:.1e}: off, in s.e.", abs(value - truth) / bar, 0, 5)
accept("tail index of their weights, smallest", min(run["ift_tail_index"], run["ift_relaxation_tail_index"]), 2, 1e9)

# Without one: weights exp(-Sigma) of a Gaussian of variance v have the tail index 1/(1 - v).
narrow, _ = thermo(([1], [[0]], [0.2]), count=10 * paths, n=20)
print(f"        variance 0.2: <exp(-Sigma)> = {narrow['ift_relaxation']:.3f} +- {narrow['ift_relaxation_stderr']:.3f}, "
      f"one path of {10 * paths} has {100 * narrow['ift_relaxation_top_share']:.1f} % of it")
accept("variance 0.2: tail index of the weights, 1.25 in theory", narrow["ift_relaxation_tail_index"], 1, 2)

# dF/db = -rate by quadrature, and the program's rate and F on the same 1-D mixture.
weights, means, variances = np.array([0.3, 0.7]), np.array([-1.5, 1.0]), np.array([0.4, 0.6])
x = np.linspace(-12, 12, 4801)[:, None]


def law(b):
    """F = KL(p_b || pi) and 1/2 E|x + s|^2, by the trapezoidal rule, which is spectrally exact here."""
    a = np.exp(-b / 2)
    V = a * a * variances - np.expm1(-b)
    parts = weights * np.exp(-(x - a * means) ** 2 / (2 * V)) / np.sqrt(2 * np.pi * V)
    p = parts.sum(1)
    s = (parts * (a * means - x) / V).sum(1) / p
    h = x[1, 0] - x[0, 0]
    X = x[:, 0]
    return (p * (np.log(p) + X * X / 2 + np.log(2 * np.pi) / 2)).sum() * h, (p * (X + s) ** 2).sum() * h / 2


worst, h = 0, 1e-3
for b in np.geomspace(0.01, 5, 12):
    slope_f = (8 * (law(b + h)[0] - law(b - h)[0]) - law(b + 2 * h)[0] + law(b - 2 * h)[0]) / (12 * h)
    worst = max(worst, abs(slope_f + law(b)[1]))
accept("dF/db + rate by quadrature, largest", worst, 0, 1e-6)
thermo((list(weights), [[m] for m in means], list(variances)), n=100)
series = read("thermo.h5", "thermo/relaxation")
exact = np.array([law(b) for b in series["b"]])
for name, truth in [("free_energy", exact[:, 0]), ("entropy_production_rate", exact[:, 1])]:
    deviation = np.abs(series[name] - truth) / series[name + "_stderr"]
    accept(f"the program's {name} at 101 times, largest deviation in s.e.", deviation.max(), 0, 5)
accept("first law, every path of every run, largest residual", residual, 0, 1e-12)

generated = read("thermo.h5", "thermo")
plot("set logscale xy\nset multiplot layout 2, 1\nset xlabel 'steps'\nset format y '%g'\nunset logscale y\n"
     "plot $sweep using 1:2:3 with yerrorbars pt 7 title '<W> / {/Symbol D}F', 2 with lines dt 2 title 'theory'\n"
     "set xlabel 'b'\nset ylabel 'nat'\nset logscale y\nset format y '%.0e'\n"
     "plot $rate using 1:2 with lines title 'rate, quadrature', $rate using 1:3 with points pt 7 ps 0.4 title 'forward paths', "
     "$rate using 1:4 with points pt 6 ps 0.5 title 'reverse paths'\nunset multiplot",
     sweep=[sweep, ratio[0], ratio[1]],
     rate=[series["b"], exact[:, 1], series["entropy_production_rate"], generated["entropy_production_rate"]])
end()
