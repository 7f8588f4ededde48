"""How far below log p is the discrete bound of a chain of T steps, and where does the gap sit?

Everything is Gaussian: per-step KL, the bound of a row and the model's own density have closed forms. The program's
bound must have that mean, and its importance-weighted mean exp(-W) must be the model's density (Jarzynski).
"""
from study import *

LAMBDA = 0.25
options = begin()


def chain(T):
    """alpha at the nodes 0 .. T, steps' beta, posterior variances, KL of each step, marginal law of the model."""
    a = np.exp(-b_of(np.arange(T + 1) / T) / 2)
    s2, V = 1 - a * a, a * a * LAMBDA + 1 - a * a
    beta = 1 - (a[1:] / a[:-1]) ** 2
    ratio = V[:-1] / V[1:]
    kl = (ratio - 1 - np.log(ratio)) / 2
    v = 1.0
    for t in range(T, 0, -1):  # x_{t-1} = sqrt(1 - beta) V_{t-1}/V_t x_t + sqrt(beta) z
        v = (1 - beta[t - 1]) * ratio[t - 1] ** 2 * v + beta[t - 1]
    return a, s2, V, beta, kl, v


def terms(x, T):
    """Mean of -ELBO of rows x: L_T + sum L_{t-1} + L_0, over the noise."""
    a, s2, V, beta, _, _ = chain(T)
    total = (s2[T] + a[T] ** 2 * x ** 2 - 1 - np.log(s2[T])) / 2
    for t in range(1, T + 1):
        # E |x - x0hat|^2 over the noise, x0hat = (a lambda/V) x_t
        error = (x * s2[t] / V[t]) ** 2 + (a[t] * LAMBDA / V[t]) ** 2 * s2[t]
        v = beta[t - 1]
        if t == 1:
            total += np.log(2 * np.pi * v) / 2 + error / (2 * v)
        else:
            tilde = beta[t - 1] * s2[t - 1] / s2[t]
            total += (tilde / v - 1 - np.log(tilde / v)) / 2 + (a[t - 1] * beta[t - 1] / s2[t]) ** 2 * error / (2 * v)
    return total


H = np.log(2 * np.pi * np.e * LAMBDA) / 2
Ts, path, marginal, worst = np.array([10, 20, 50, 100, 200, 500, 1000]), [], [], 0
for T in Ts:
    a, s2, V, beta, kl, v = chain(T)
    prior = (V[T] - 1 - np.log(V[T])) / 2
    bound = terms(np.sqrt(LAMBDA), T)  # quadratic in x: its mean over the data is that of x^2 = lambda
    worst = max(worst, abs(bound - H - kl.sum() - prior))
    path.append(kl.sum())
    marginal.append((LAMBDA / v - 1 - np.log(LAMBDA / v)) / 2)
accept("-ELBO - H - KL of the steps - KL of the prior, largest", worst, 0, 1e-10)
accept("path KL times T at T = 1000", path[-1] * 1000, 1.07, 1.11)
accept("slope of the marginal KL, T = 100 .. 1000", slope(Ts[3:], np.array(marginal[3:])), 1.9, 2.1)

rng = np.random.default_rng(4)
np.save("rows.npy", rng.normal(size=(100 if options.quick else 400, 1)) * np.sqrt(LAMBDA))
x = np.load("rows.npy")[:, 0]
gap = []
numbers = [10, 100] if options.quick else [10, 30, 100, 300, 1000]
for T in numbers:
    run = read(vpsde("elbo", "elbo.h5", f"elbo.steps={T}"), "elbo/chain")
    error = -run["elbo"] - terms(x, T)
    gap.append((-run["elbo"]).mean() + np.log(2 * np.pi * LAMBDA) * -0.5 - (x * x).mean() / (2 * LAMBDA))
    deviation = error.mean() / np.sqrt((run["elbo_stderr"] ** 2).sum()) * len(x)
    accept(f"T = {T}: the program's bound minus theory, mean of {len(x)} rows in s.e.", abs(deviation), 0, 5)
    accept(f"T = {T}: spread of that over its standard errors", (error / run["elbo_stderr"]).std(), 0.7, 1.4)
    v = chain(T)[5]
    density = -np.log(2 * np.pi * v) / 2 - x * x / (2 * v)
    difference = run["iwae"] - density
    accept(f"T = {T}: Jarzynski's mean minus the model's density, {difference.mean():.1e} nat, in s.e.",
           abs(difference.mean()) / np.sqrt((run["iwae_stderr"] ** 2).mean() / len(x)), 0, 5)

plot("set logscale xy\nset xlabel 'T'\nset ylabel 'nat'\nplot $kl using 1:2 with linespoints title 'path KL', "
     "$kl using 1:3 with linespoints title 'marginal KL', $gap using 1:2 with points pt 7 title 'log p - ELBO, program'",
     kl=[Ts, path, marginal], gap=[numbers, np.maximum(gap, 1e-6)])
end()
