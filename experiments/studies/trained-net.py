"""What do the errors of a trained score cost: in the bound, and in the samples of a flow and of an SDE?

An MLP learns a 2-D mixture whose score is known. The excess of its bound over the exact score's is, step by step, the
mean squared error of eps on noised data: measured once along chains and once by noising rows and asking the network.
"""
from study import *

W, M, VAR, T = np.array([0.3, 0.7]), np.array([[-2.0, 0.0], [2.0, 1.0]]), np.array([0.05, 0.1]), 20
options = begin()
rng = np.random.default_rng(6)


def draw(n):
    k = (rng.random(n) > W[0]).astype(int)
    return M[k] + np.sqrt(VAR[k])[:, None] * rng.normal(size=(n, 2))


def density(x, t):
    """log p_t and eps = -sigma score."""
    a, s2 = alpha_of(t), sigma2_of(t)
    v = a * a * VAR + s2
    d = a * M - x[:, None]
    part = np.log(W) - (d ** 2).sum(2) / (2 * v) - np.log(2 * np.pi * v)
    logp = np.logaddexp.reduce(part, 1)
    return logp, -np.sqrt(s2) * (np.exp(part - logp[:, None])[:, :, None] * d / v[:, None]).sum(1)


np.save("train.npy", draw(20000))
rows = draw(1000 if options.quick else 4000)
np.save("rows.npy", rows)
vpsde("train", "net.safetensors", *(["train.steps=600"] if options.quick else []))
mixture = ("process: {schedule: vp-linear}\nmodel: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], "
           "variances: [0.05, 0.1]}\n")
REST = f"""data: {{path: rows.npy}}
seed: 9
sampler: {{solver: [{{solver: heun, steps: 50}}, {{solver: ancestral, steps: 200}}], count: {len(rows)}}}
elbo: {{steps: {T}, draws: 4, variance: large}}
log: {{times: none}}
"""
for who, model in (("net", "model: {path: net.safetensors}\n"), ("oracle", mixture)):
    with open(who + ".yaml", "w") as file:
        file.write(model + REST)

bound = {who: read(vpsde("elbo", who + "-elbo.h5", config=who + ".yaml"), "elbo/chain") for who in ("net", "oracle")}
excess = bound["net"]["mse_eps"] - bound["oracle"]["mse_eps"]
z, direct = [], []
for k, t in enumerate(bound["net"]["t"]):
    out = vpsde("edit", "edit.h5", f"edit.t0={t:.17g}", f"seed={k + 100}", "sampler.solver=[ddim]", "sampler.steps=2",
                "log={times: all, fields: [x, eps], dtype: float64}", config="net.yaml")
    run = read(out, "runs/ddim")
    error = ((run["eps"][:, 0] - density(run["x"][:, 0], t)[1]) ** 2).sum(1)
    direct.append(error.mean())
    spread = np.hypot(excess[:, k].std(ddof=1), error.std(ddof=1)) / np.sqrt(len(rows))
    z.append((excess[:, k].mean() - error.mean()) / spread)
accept("excess identity, largest deviation of the steps in s.e.", np.abs(z).max(), 0, 5)
exact = density(rows, 1e-12)[0].mean()
gap = {who: exact - b["elbo"].mean() for who, b in bound.items()}
tighter = exact - bound["net"]["iwae"].mean()
stderr = bound["net"]["elbo"].std() / np.sqrt(len(rows))
print(f"log p - ELBO: exact score {gap['oracle']:.4f}, network {gap['net']:.4f} +- {stderr:.4f} nat; to the importance-weighted bound {tighter:.4f}")
accept("what the network's score costs the bound, nat", gap["net"] - gap["oracle"], 0, np.inf)
accept("importance-weighted bound over the ELBO, nat", gap["net"] - tighter, 0, np.inf)

H = -density(draw(200000), 1e-12)[0].mean()
for who in ("oracle", "net"):
    vpsde("sample", who + ".h5", config=who + ".yaml")
    for label in ("heun", "ancestral"):
        x = read(who + ".h5", "runs/" + label)["final"]
        left, cross = (x[:, 0] < 0).mean(), -density(x, 1e-3)[0].mean() - H
        eps = density(x, 1e-3)[1] / np.sqrt(sigma2_of(1e-3))
        curvature = np.array([(density(x + h, 1e-3)[1] - density(x - h, 1e-3)[1]) @ h for h in 1e-4 * np.eye(2)]).sum(0) / 2e-8
        hot = (eps ** 2).sum(1).mean() / (curvature.mean() / np.sqrt(sigma2_of(1e-3)))
        print(f"  {who:7}{label:10} left mode {left:.3f} (0.3), cross-entropy - H {cross:+.3f} nat, thermometer {hot:.3f}")
        if who == "oracle":
            accept(f"share of the left mode, {label}, in s.e.", abs(left - 0.3) / np.sqrt(0.21 / len(x)), 0, 6)

plot("set logscale xy\nset xlabel 't'\nset ylabel 'E|eps_{net} - eps|^2'\nset key top right inside\n"
     "plot $error using 1:2 with linespoints title 'excess of the bound', $error using 1:3 with points pt 6 title 'on noised rows'",
     error=[bound["net"]["t"], np.maximum(excess.mean(0), 1e-5), direct])
end()
