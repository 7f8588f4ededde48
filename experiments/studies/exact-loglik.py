"""Is log p by the probability-flow ODE right to 1e-8 nat, and its stochastic trace as noisy as theory says?

Gaussian, mixture and a rotated product of 1-D mixtures in 2, 8 and 64 dimensions, at tolerance 1e-9 from the exact
terminal law. From N(0, I) instead, log p is off by log N - log p_T at the row's latent.
"""
from study import *

options = begin()
rng = np.random.default_rng(2)


def log_mixture(x, t, weights, means, covariances):
    """log p_t of a mixture."""
    a, s2, terms = alpha_of(t), sigma2_of(t), []
    for w, m, c in zip(weights, means, covariances):
        L = np.linalg.cholesky(a * a * c + s2 * np.eye(x.shape[1]))
        z = np.linalg.solve(L, (x - a * m).T)
        terms.append(np.log(w) - (z * z).sum(0) / 2 - np.log(np.diag(L)).sum() - x.shape[1] / 2 * np.log(2 * np.pi))
    return np.logaddexp.reduce(terms, 0)


def rotation(d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def model(kind, d):
    """Weights, means, covariances."""
    Q = rotation(d)
    if kind == "gaussian":
        return [1.0], [rng.normal(size=d)], [Q @ np.diag(np.geomspace(0.05, 1, d)) @ Q.T]
    if kind == "mixture":
        return [0.3, 0.7], list(rng.normal(size=(2, d))), [Q @ np.diag(np.geomspace(v, 1, d)) @ Q.T for v in (0.05, 0.2)]
    pair = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) @ np.diag([0.8, 0.5])  # two 1-D mixtures, Gaussians in the rest
    centres = np.zeros((4, d))
    centres[:, :2] = pair
    return [0.3 * 0.4, 0.3 * 0.6, 0.7 * 0.4, 0.7 * 0.6], list(centres @ Q.T), [Q @ np.diag([0.1, 0.05] + [0.3] * (d - 2)) @ Q.T] * 4


def configure(path, weights, means, covariances):
    def numbers(a):
        return "[" + ", ".join(numbers(v) if np.ndim(v) else f"{v:.17g}" for v in a) + "]"
    with open(here + "/exact-loglik.yaml") as base, open(path, "w") as out:
        old = next(line for line in base if line.startswith("model:"))
        base.seek(0)
        out.write(base.read().replace(old, f"model: {{kind: gaussian-mixture, weights: {numbers(weights)},\n  means: "
                                           f"{numbers(means)},\n  covariances: {numbers(covariances)}}}\n"))


count, sizes, errors = (6, (2, 8), []) if options.quick else (40, (2, 8, 64), [])
for d in sizes:
    for kind in ("gaussian", "mixture", "product"):
        law = model(kind, d)
        which = rng.choice(len(law[0]), count, p=law[0])
        np.save("rows.npy", np.stack([rng.multivariate_normal(law[1][k], law[2][k]) for k in which]))
        configure("law.yaml", *law)
        x = np.load("rows.npy")
        exact = log_mixture(x, 1e-3, *law)
        logp = read(vpsde("likelihood", "logp.h5", config="law.yaml"), "likelihood/gsl_rk8pd")["logp"]
        errors.append((d, np.abs(logp - exact).max()))
        accept(f"{kind} in {d} dimensions, largest error in nat", errors[-1][1], 0, 1e-8)
        normal = read(vpsde("likelihood", "normal.h5", "process.terminal=standard-normal", config="law.yaml"), "likelihood/gsl_rk8pd")["logp"]
        latent = read(vpsde("encode", "latent.h5", "encode.round_trip=false", config="law.yaml"), "runs/gsl_rk8pd")["final"]
        bias = -(latent ** 2).sum(1) / 2 - d / 2 * np.log(2 * np.pi) - log_mixture(latent, 1, *law)
        accept(f"  from N(0, I), off by {np.abs(bias).mean():.1e} nat, that minus theory", np.abs(normal - logp - bias).max(), 0, 1e-8)

# Hutchinson: delta_logp = v^T B v with B = int J dphi, the same for all rows of a Gaussian; 8 dimensions.
rows = 1000 if options.quick else 20000
law = model("gaussian", 8)
np.save("rows.npy", rng.multivariate_normal(law[1][0], law[2][0], rows))
configure("law.yaml", *law)
loose = ["likelihood.integrator={solver: dopri5, rtol: 1e-5, atol: 1e-5}"]
C0, CT = (alpha_of(t) ** 2 * law[2][0] + sigma2_of(t) * np.eye(8) for t in (1e-3, 1.0))
values, vectors = np.linalg.eigh(law[2][0])
B = vectors @ np.diag(np.log((alpha_of(1.0) ** 2 * values + sigma2_of(1.0)) / (alpha_of(1e-3) ** 2 * values + sigma2_of(1e-3))) / 2) @ vectors.T
square, diagonal, trace = (B * B).sum(), (np.diag(B) ** 2).sum(), np.trace(B)
ratios = []
for kind, variance in (("rademacher", 2 * (square - diagonal)), ("gaussian", 2 * square), ("sphere", 1.6 * (square - trace ** 2 / 8))):
    out = vpsde("likelihood", "probes.h5", *loose, f"likelihood.trace={{kind: hutchinson, probes: 1, distribution: {kind}}}", config="law.yaml")
    delta = read(out, "likelihood/dopri5")["delta_logp"]
    ratios.append(delta.var(ddof=1) / variance)
    accept(f"variance of {kind} probes over theory, {rows} rows", ratios[-1], *((0.7, 1.3) if options.quick else (0.9, 1.1)))

plot("set logscale xy\nset xlabel 'dimensions'\nset ylabel 'largest error of log p, nat'\nset xrange [1:100]\n"
     "plot 1e-8 title 'accepted' lc rgb 'gray', $error using 1:2 with points pt 7 title 'gsl-rk8pd, tolerance 1e-9'",
     error=np.array(errors).T)
end()
