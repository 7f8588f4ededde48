"""Have the samplers' laws exactly the variance that theory gives them, and does it converge at their order?

On a Gaussian a step is x' = A x + c z. A and c of every step follow from the recorded x and z of a few paths (a residual
would show a sampler that is not affine), and the law from v' = A^2 v + c^2: no Monte Carlo. A large sample must then
have the mean 0 and this variance within 6 standard errors.
"""
from study import *

LAMBDA = 0.25
ORDER = {"euler_maruyama": 1, "euler_maruyama_t": 1, "reverse_diffusion": 1, "stochastic_heun": 2, "ancestral_small": 1,
         "ancestral_large": 1, "ddim": 1, "heun": 2, "rk4": 4}
options = begin()


def variance(run):
    """Variance at the end by the affine recursion, over the exact one at t_min; largest residual of a step."""
    t, x = run["t"], run["x"][:, :, 0]
    z = np.nan_to_num(run["noise"][:, :, 0]) if "noise" in run else 0 * x
    v, residual = LAMBDA * alpha_of(t[0]) ** 2 + sigma2_of(t[0]), 0
    for k in range(len(t) - 1):
        step = np.stack([x[:, k], z[:, k]], 1)
        fit = np.linalg.lstsq(step, x[:, k + 1], rcond=None)[0] if z[:, k].any() else [step[0, 0] * 0 + x[0, k + 1] / x[0, k], 0]
        residual = max(residual, np.abs(step @ fit - x[:, k + 1]).max())
        v = fit[0] ** 2 * v + fit[1] ** 2
    return v / (LAMBDA * alpha_of(t[-1]) ** 2 + sigma2_of(t[-1])), residual


numbers = [125, 250, 500, 1000, 2000] if options.quick else [125, 250, 500, 1000, 2000, 4000]
law, worst = {}, 0
for n in numbers:
    vpsde("sample", "paths.h5", f"sampler.steps={n}")
    with h5py.File("paths.h5") as file:
        labels = list(file["runs"])
    for label in labels:
        ratio, residual = variance(read("paths.h5", "runs/" + label))
        law.setdefault(label, []).append(abs(ratio - 1))
        worst = max(worst, residual)
print(f"variance over the exact one, minus 1, at {numbers[-1]} steps")
for label, error in law.items():
    print(f"  {label:20} {error[-1]:.2e}")
accept("largest residual of an affine step", worst, 0, 1e-11)
for label, order in ORDER.items():
    first, last = (0, 4) if order == 4 else (2, 6)
    accept(f"order of {label}", slope(numbers[first:last], law[label][first:last]), order - (0.1 if order == 4 else 0.06),
           order + (0.1 if order == 4 else 0.06))

# Optimal variance: beta V'/V leaves no error. The program takes E|s|^2 from 256 pilot chains, whose relative standard
# error is sqrt(2/256) at every node; `error` adds up what 6 of them do to the variance.
t = np.linspace(1, 1e-3, 101)
V = LAMBDA * alpha_of(t) ** 2 + sigma2_of(t)
v, error = V[0], 0
for k in range(100):
    beta = -np.expm1(-(b_of(t[k]) - b_of(t[k + 1])))
    A2, spread2 = (1 - beta) * (V[k + 1] / V[k]) ** 2, (beta / alpha_of(t[k])) ** 2 * alpha_of(t[k + 1]) ** 2 / sigma2_of(t[k])
    v = A2 * v + beta * V[k + 1] / V[k]
    error = A2 * error + spread2 * sigma2_of(t[k]) / V[k] * 6 * np.sqrt(2 / 256)
accept("optimal variance in theory", abs(v / V[-1] - 1), 0, 1e-12)
vpsde("sample", "paths.h5", "sampler.steps=100")
accept("optimal variance from 256 pilot chains, 100 steps", abs(variance(read("paths.h5", "runs/ancestral_optimal"))[0] - 1), 0, error / V[-1])

count = 2000 if options.quick else 20000
vpsde("sample", "law.h5", "sampler.steps=100", "log.times=none", "log.fields=[x]", f"sampler.count={count}")
for label in labels:
    exact = variance(read("paths.h5", "runs/" + label))[0] * V[-1]
    x = read("law.h5", "runs/" + label)["final"][:, 0]
    accept(f"{label}, mean of {count} samples in s.e.", abs(x.mean()) / np.sqrt(exact / count), 0, 6)
    accept(f"{label}, variance in s.e.", abs(x.var(ddof=1) / exact - 1) / np.sqrt(2 / (count - 1)), 0, 6)

plot("set logscale xy\nset xlabel 'steps'\nset ylabel '|variance / exact - 1|'\nplot " + ", ".join(
    f"$law using 1:{i + 2} with linespoints title '{label.replace('_', '-')}'" for i, label in enumerate(law)),
    law=[numbers, *law.values()])
end()
