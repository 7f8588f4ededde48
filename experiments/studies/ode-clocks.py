"""In which independent variable does an adaptive integrator need the fewest evaluations for the flow?

Seven integrators in phi = atan(sigma/alpha), t and lambda = log(alpha/sigma), on a ring of 8 Gaussians from t = 1 to
1e-5; the reference is checked against the exact quantile map of a 1-D mixture.
"""
from study import *

options = begin()
vpsde("compare", "compare.h5", *(["sampler.count=24", "compare.tolerances=[1e-5, 1e-7]"] if options.quick else []))
table = read("compare.h5", "compare")
cases = {}
for i, label in enumerate(table["solver"]):
    solver, clock = label.rsplit("-", 1)
    cases.setdefault((solver, clock), {})[table["rtol"][i]] = (table["nfe"][i], table["rmse"][i] / np.sqrt(2), table["median"][i] / np.sqrt(2))
tolerances = sorted(cases["dopri5", "t"])
print("evaluations at tolerance " + ", ".join(f"{t:.0e}" for t in tolerances))
for (solver, clock), row in cases.items():
    print(f"  {solver + ' in ' + clock:22} " + " ".join(f"{row[t][0]:8.1f}" for t in tolerances))
for t in tolerances:
    if t <= 1e-5:
        accept(f"dopri5 at {t:.0e}, evaluations in phi over those in t", cases["dopri5", "phi"][t][0] / cases["dopri5", "t"][t][0], 0, 0.9999)
for solver, most in (("dopri5", 30), ("gsl-rk8pd", 30), ("cvode-adams", 50), ("gsl-msadams", 50)):
    for clock in ("phi", "t", "lambda"):
        accept(f"{solver} in {clock}, rms error over tolerance, largest", max(e[1] / t for t, e in cases[solver, clock].items()), 0, most)

# 1-D: the flow is the monotone map between the marginals, x' = F'^-1(F(x)).
W, M, VAR = np.array([0.3, 0.7]), np.array([-1.0, 1.0]), np.array([0.05, 0.1])
one = ["model={kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-1], [1]], variances: [0.05, 0.1]}", "sampler.count=64",
       "log={times: 2, dtype: float64}"]
run = read(vpsde("sample", "map.h5", *one), "runs/gsl_rk8pd")
from math import erfc


def tail(x, t, side):
    """F(x) for side 1, 1 - F(x) for side -1."""
    a, v = alpha_of(t), alpha_of(t) ** 2 * VAR + sigma2_of(t)
    return sum(w * erfc(-side * (x - a * m) / np.sqrt(2 * s)) / 2 for w, m, s in zip(W, M, v))


worst = 0
for start, end_state in zip(run["x"][:, 0, 0], run["final"][:, 0]):
    side = 1 if start < 0 else -1
    wanted, low, high = tail(start, 1, side), -10.0, 10.0
    while high - low > 1e-15 * max(1, abs(low)) and low < (low + high) / 2 < high:
        middle = (low + high) / 2
        low, high = (middle, high) if side * (tail(middle, 1e-5, side) - wanted) < 0 else (low, middle)
    worst = max(worst, abs(low - end_state))
accept("gsl-rk8pd at 1e-13 against the quantile map, largest error", worst, 0, 1e-10)

chosen = [(s, c) for s in ("dopri5", "gsl-rk8pd", "cvode-adams") for c in ("phi", "t", "lambda")]
columns = [np.array([[cases[k][t][0], cases[k][t][1]] for t in tolerances]).T for k in chosen]
plot("set logscale xy\nset xlabel 'evaluations a sample'\nset ylabel 'rms error'\nplot " + ", ".join(
    f"$nfe using {2 * i + 1}:{2 * i + 2} with linespoints title '{s} in {c}'" for i, (s, c) in enumerate(chosen)),
    nfe=[v for pair in columns for v in pair])
end()
