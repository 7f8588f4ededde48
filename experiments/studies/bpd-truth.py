"""Is bits/dim of 8-bit data right end to end, and what does uniform dequantisation cost a sharp model?

A law P on 256 levels with its exact score, a mixture of 256 Dirac masses: the truth is the entropy of P. What one draw a
row leaves on average has a quadrature, and the program must have it within 6 of its standard errors. Every level has the
same number of rows, and means over rows are weighted by P.
"""
import struct

from study import *

options = begin()
RANGE, REPEATS = 2 / 255, 2 if options.quick else 40
level = -1 + RANGE * np.arange(256)
P = np.exp(-(level + 0.4) ** 2 / 0.1) + 0.6 * np.exp(-(level - 0.5) ** 2 / 0.3) + 0.2
P /= P.sum()
H = -(P * np.log(P)).sum()
with open("levels.idx", "wb") as file:
    rows = np.repeat(np.arange(256, dtype=np.uint8), REPEATS)
    file.write(struct.pack(">BBBBII", 0, 0, 8, 2, len(rows), 1) + rows.tobytes())
numbers = lambda values: ", ".join(f"{v:.17g}" for v in values)
with open("law.yaml", "w") as file:
    file.write(f"""seed: 3
process: {{schedule: vp-linear, terminal: exact}}
model: {{kind: gaussian-mixture, weights: [{numbers(P)}],
  means: [{', '.join(f'[{v:.17g}]' for v in level)}], variances: 1.0e-20}}
data: {{path: levels.idx}}
likelihood:
  integrator: {{solver: dopri5, rtol: 1.0e-7, atol: 1.0e-7}}
  budget: false
""")


def excess(kind, *overrides):
    """Mean of -log P over the entropy, in nat; t_min."""
    run = read(vpsde("likelihood", "logp.h5", "likelihood.dequantization=" + kind, *overrides, config="law.yaml"), "likelihood/dopri5")
    nats = (run["bits_per_dim"] * np.log(2)).reshape(256, REPEATS)
    return (P * nats.mean(1)).sum() - H, run["attributes"]["t_min"]


def law_of(nats, weight):
    """Mean over P and over the draws of a level, minus the entropy; standard error of the program's mean."""
    mean = (nats * weight).sum(1)
    return (P * mean).sum() - H, np.sqrt((P ** 2 * ((nats - mean[:, None]) ** 2 * weight).sum(1)).sum() / REPEATS)


def theory(tau, t):
    """The same by quadrature over the draws u: truncated normal, and uniform on the cell at t_min."""
    a, s = alpha_of(t), np.sqrt(sigma2_of(t))
    u = np.linspace(-1, 1, 4001)
    even = np.full((256, 4001), 1 / 4001)

    def log_p(x):  # of the Dirac mixture, neighbours to 12 levels
        terms = [np.log(np.roll(P, -j)[:, None]) - (x - a * (level[:, None] + j * RANGE)) ** 2 / (2 * s * s) +
                 np.where((k + j >= 0) & (k + j < 256), 0, -np.inf) for j in range(-12, 13)]
        return np.logaddexp.reduce(terms, 0) - np.log(s * np.sqrt(2 * np.pi))

    k = np.arange(256)[:, None]
    r = np.exp(-(tau * u) ** 2 / 2)
    mass = np.trapz(r, tau * u)
    weight = np.broadcast_to(r / r.sum(), (256, 4001))
    normal = -log_p(a * level[:, None] + s * tau * u) + np.log(r / (mass * s))
    return law_of(normal, weight), law_of(-log_p(level[:, None] + RANGE / 2 * u) - np.log(RANGE), even)


print(f"entropy {H / np.log(2):.4f} bits; excess over it in nat, program (theory, standard error)")
taus, normal, uniform, exact = [2, 3, 4], [], [], []
for tau in taus:
    normal.append(excess(f"{{kind: truncated-normal, tau: {tau}}}"))
    t = normal[-1][1]
    uniform.append(excess("uniform", f"process.t_min={t:.17g}"))
    exact.append(theory(tau, t))
    for what, got, (mean, error) in zip(("truncated normal", "uniform"), (normal[-1][0], uniform[-1][0]), exact[-1]):
        print(f"  tau {tau}, {what:16} {got:.2e} ({mean:.2e}, {error:.0e})", flush=True)
        accept(f"tau {tau}, {what}, program minus theory in s.e.", abs(got - mean) / error, 0, 6)
accept("truncated normal, tau 3, excess in nat", exact[1][0][0], 0, 5e-4)
accept("truncated normal, tau 4, excess in nat", exact[2][0][0], 0, 2e-5)
for i in (0, 1):
    accept(f"uniform: what tau {taus[i + 1]} costs beyond tau {taus[i]}, bits", (uniform[i + 1][0] - uniform[i][0]) / np.log(2), 0.4, 3)

plot("set logscale y\nset xlabel 'tau'\nset ylabel 'excess over the entropy, nat'\nset xrange [1.5:4.5]\nset xtics 1\n"
     "plot $excess using 1:2 with lines title 'uniform, theory', $excess using 1:3 with lines title 'truncated normal, theory', "
     "$excess using 1:4 with points pt 7 title 'uniform', $excess using 1:5:6 with yerrorbars pt 7 title 'truncated normal'",
     excess=[taus, [e[1][0] for e in exact], [e[0][0] for e in exact], [u[0] for u in uniform],
             np.maximum([n[0] for n in normal], 1e-7), [e[0][1] for e in exact]])
end()
