"""When does a reverse path choose its mode, how far does SDEdit go, and which law do Langevin correctors keep?

Two reverse paths from one state of the pair +-m end in the same mode with probability E[g^2 + (1 - g)^2]; above
b* = log(1 + m^2 - lambda) the density has one valley. SDEdit misses by 2 mmse(t0). On a double well the plain corrector is
biased by O(e), Leimkuhler and Matthews's by O(e^2), Metropolis's not.
"""
from study import *

options = begin()
rng = np.random.default_rng(4)
M, LAM, T_MIN, A = 1.0, 0.05, 1e-3, 5.0
count = 2000 if options.quick else 20000
B_STAR = np.log(1 + M * M - LAM)
grid = np.linspace(-7, 7, 14001)
h = grid[1] - grid[0]


def normal(x, mean, variance):
    return np.exp(-(x - mean) ** 2 / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def pair(x, t):
    """Density of the pair at t and the responsibility of +m."""
    a, v = alpha_of(t), alpha_of(t) ** 2 * LAM + sigma2_of(t)
    p = normal(x, a * M, v) / 2, normal(x, -a * M, v) / 2
    return p[0] + p[1], p[0] / (p[0] + p[1] + 1e-300)


def draw(t):
    a, v = alpha_of(t), alpha_of(t) ** 2 * LAM + sigma2_of(t)
    return (a * M * rng.choice([-1, 1], count) + np.sqrt(v) * rng.normal(size=count))[:, None]


def agreement(b):
    p, g = pair(grid, t_of(b))
    return h * (p * (g * g + (1 - g) ** 2)).sum()


def edit_error(t0):
    """E |x - x'|^2 of x at time 0 and another draw x', at t_min, given the same state at t0: 2 mmse but for t_min."""
    def moments(t):
        c, v, m = alpha_of(t0) / alpha_of(t), alpha_of(t) ** 2 * LAM + sigma2_of(t), alpha_of(t) * M
        gain = c * v / (c * c * v + 1 - c * c)
        up, down = m + gain * (grid - c * m), -m + gain * (grid + c * m)
        return m * m + v, g * up + (1 - g) * down
    p, g = pair(grid, t0)
    (square, mean), (end_square, end_mean) = moments(0), moments(T_MIN)
    return square + end_square - 2 * h * (p * mean * end_mean).sum()


# The phase transition: curvature of log p_b at 0 against its closed form.
low, high = 0.1, 3.0
for _ in range(60):
    middle = (low + high) / 2
    p = [pair(x, t_of(middle))[0] for x in (-1e-3, 0.0, 1e-3)]
    low, high = (middle, high) if p[0] - 2 * p[1] + p[2] > 0 else (low, middle)
accept(f"b* by differences over log(1 + m^2 - lambda) = {B_STAR:.4f}", low / B_STAR, 0.9999, 1.0001)

# Clones: two runs with other seeds from the same states at b.
clones = []
for factor in (0.3, 1, 2.5) if options.quick else (0.1, 0.3, 0.6, 1, 1.5, 2.5, 4, 8):
    b = factor * B_STAR
    np.save("states.npy", draw(t_of(b)))
    ends = [read(vpsde("sample", "clone.h5", f"seed={seed}", f"process.t_max={t_of(b):.17g}", "sampler.init=states.npy",
                       f"sampler.count={count}"), "runs/stochastic_heun")["final"][:, 0] for seed in (1, 2)]
    same, exact = ((ends[0] > 0) == (ends[1] > 0)).mean(), agreement(b)
    stderr = np.sqrt(exact * (1 - exact) / count) + 1e-12
    clones.append((b, same, stderr))
    accept(f"clones at {factor} b*: {same:.4f}, quadrature {exact:.4f}, standard errors apart", abs(same - exact) / stderr, 0, 5)

# SDEdit.
edits = []
np.save("rows.npy", draw(0))
for t0 in (0.2, 0.6) if options.quick else (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8):
    square = read(vpsde("edit", "edit.h5", f"edit.t0={t0}"), "runs/stochastic_heun")["distance"] ** 2
    exact, stderr = edit_error(t0), square.std(ddof=1) / np.sqrt(count)
    edits.append((b_of(t0), square.mean(), stderr))
    accept(f"SDEdit at t0 = {t0}: {square.mean():.4f}, 2 mmse {exact:.4f}, standard errors apart", abs(square.mean() - exact) / stderr, 0, 5)

# Langevin at one time, where sigma^2 = 0.03: law of the double well there, its score by quadrature.
s2 = 0.03
b0 = -np.log1p(-s2)
t0, a0 = t_of(b0), np.exp(-b0 / 2)
y = np.linspace(-2.2, 2.2, 2001)
well = np.exp(-A * (y * y - 1) ** 2)
x = np.linspace(-2.8, 2.8, 1401)
dx = x[1] - x[0]
kernel = well * np.exp(-(x[:, None] - a0 * y) ** 2 / (2 * s2))
p_well = kernel.sum(1)
mean = kernel @ y / p_well
score = (a0 * mean - x) / s2
slope_of_score = (a0 * a0 * (kernel @ (y * y) / p_well - mean ** 2) / s2 - 1) / s2
p_well /= p_well.sum() * dx
STATISTICS = {"x^2": x * x, "s^2": score ** 2, "-s'": -slope_of_score}
truth = {k: (p_well * f).sum() * dx for k, f in STATISTICS.items()}
nodes, weights = np.polynomial.hermite_e.hermegauss(32)
weights /= weights.sum()


def between(to):
    """Cubic interpolation of a function on the grid x, at `to`."""
    at = np.clip(((to - x[0]) / dx).astype(int), 1, len(x) - 3)
    u = (to - x[at]) / dx
    w = -u * (u - 1) * (u - 2) / 6, (u * u - 1) * (u - 2) / 2, -u * (u + 1) * (u - 2) / 2, u * (u * u - 1) / 6
    return lambda f: sum(w[i] * f[at + i - 1] for i in range(4))


def stationary(e, averaged):
    """Means under the corrector's stationary law: E f of its Markov chain after long, which forgets the start within a well.
    With averaged noises y = x - sqrt(e/2) R is the chain: y' = y + e s(x) + sqrt(2 e) R."""
    seen = x[:, None] + (np.sqrt(e / 2) if averaged else 0) * nodes
    look = between(np.clip(seen, x[0], x[-1]))
    move = between(np.clip(x[:, None] + e * look(score) + np.sqrt(2 * e) * nodes, x[0], x[-1]))
    out = {}
    for k, f in STATISTICS.items():
        f = look(f) @ weights
        for _ in range(int(2 / e)):
            f = move(f) @ weights
        out[k] = (p_well * f).sum() * dx
    return out


e = 0.01
steps = [e] if options.quick else [e, e / 2, e / 4]
laws = {averaged: [stationary(e, averaged) for e in steps] for averaged in (False, True)}
hot = {averaged: [law["s^2"] / law["-s'"] - 1 for law in laws[averaged]] for averaged in laws}
print(f"double well: thermometer of the laws at e = {e} is off by {hot[False][0]:+.2e} plain, {hot[True][0]:+.2e} averaged")
if not options.quick:
    accept("order in e of the plain corrector's excess temperature", -slope(steps, hot[False]), 0.9, 1.1)
    accept("order in e of the averaged one's", -slope(steps, hot[True]), 1.8, 2.2)

paths = 4000 if options.quick else 20000
times = t0 * (1 + 1e-5 * np.arange(25, -1, -1) / 25)
correctors = {"pc-langevin": False, "pc-leimkuhler-matthews": True, "pc-mala": None}
config = [f"process={{schedule: vp-linear, t_min: {times[-1]:.17g}, t_max: {times[0]:.17g}, terminal: exact}}",
          f"model={{kind: double-well, a: {A}}}", "sampler.grid=user", f"sampler.times=[{', '.join(f'{t:.17g}' for t in times)}]",
          "sampler.solver=[" + ", ".join(f"{{solver: {c}, snr: {np.sqrt(e / (2 * s2)):.17g}, step: sigma, corrector_steps: 4, predictor: ddim}}"
                                         for c in correctors) + "]", f"sampler.count={paths}"]
out = vpsde("sample", "well.h5", *config)
measured = []
for corrector, averaged in correctors.items():
    law = truth if averaged is None else laws[averaged][0]
    ends = read(out, "runs/" + corrector.replace("-", "_"))["final"][:, 0]
    values = {k: np.interp(ends, x, f) for k, f in STATISTICS.items()}
    stderr = values["x^2"].std(ddof=1) / np.sqrt(paths)
    accept(f"{corrector}: E x^2 = {values['x^2'].mean():.5f}, its law's {law['x^2']:.5f}, standard errors apart",
           abs(values["x^2"].mean() - law["x^2"]) / stderr, 0, 5)
    T, T_law = values["s^2"].mean() / values["-s'"].mean(), law["s^2"] / law["-s'"]
    stderr = T * (values["s^2"] / values["s^2"].mean() - values["-s'"] / values["-s'"].mean()).std(ddof=1) / np.sqrt(paths)
    measured.append((T, stderr, T_law))
    accept(f"  thermometer E s^2 / E(-s') = {T:.4f}, its law's {T_law:.4f}, standard errors apart", abs(T - T_law) / stderr, 0, 5)
plain = measured[0]
accept("the plain corrector is too hot by, in standard errors", (plain[0] - 1) / plain[1], 2 if options.quick else 4, 100)

curve = np.linspace(0.02, 6, 200)
plot("set terminal pngcairo size 1200,400 font ',11'\nset output 'speciation.png'\nset multiplot layout 1,3\nset key inside top right\nset format y '%g'\nset xlabel 'b'\nset title 'two reverse paths in one mode'\n"
     f"set arrow from {B_STAR},0.5 to {B_STAR},1 nohead dt 2\nset label 'b*' at {B_STAR + 0.1},0.53\nset yrange [0.5:1]\n"
     "plot $curve using 1:2 with lines lc rgb '#4477aa' title 'quadrature', $clones using 1:2:3 with yerrorbars pt 7 lc rgb '#aa3333' title 'clones'\n"
     "unset arrow\nunset label\nset yrange [0:*]\nset key bottom right\nset title 'SDEdit'\n"
     "plot $curve using 1:3 with lines lc rgb '#4477aa' title '2 mmse', $edits using 1:2:3 with yerrorbars pt 7 lc rgb '#aa3333' title 'edit'\n"
     "set yrange [0.96:1.14]\nset xrange [-0.5:2.5]\nset key top right\nset xlabel ''\nset xtics ('plain' 0, 'averaged' 1, 'MALA' 2)\nset title 'double well, thermometer'\n"
     "plot 1 dt 2 lc rgb 'gray' title 'exact law', $well using 1:4 with points pt 2 lc rgb '#4477aa' title 'its own law', "
     "$well using 1:2:3 with yerrorbars pt 7 lc rgb '#aa3333' title 'samples'\nunset multiplot",
     curve=[curve, [agreement(b) for b in curve], [edit_error(t_of(b)) for b in curve]], clones=np.array(clones).T, edits=np.array(edits).T,
     well=[range(3), *np.array(measured).T])
end()
