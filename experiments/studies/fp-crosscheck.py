"""Do cells, closed forms and samples agree on the law of a sampler, and where does a guided one arrive?

The Fokker-Planck equation on cells (Scharfetter-Gummel, CVODE), forward and reverse, against the mixture's own density, and
Euler-Maruyama samples against the cells. Guidance has no closed form: its score is no law's, and the reverse equation alone
says where its samples go. Two dimensions give the flux field of the picture.
"""
from study import *

options = begin()
COUNT, STEPS = (20000, 500) if options.quick else (100000, 1000)


def cells(out, direction, *overrides):
    return read(vpsde("fokker-planck", out, *overrides, "fokker-planck.direction=" + direction), "fokker_planck/" + direction)


def bins(law, count):
    """First cells of bins with an expected number of samples of 50 or more, and these numbers."""
    edge, expected, total = [0], [], 0
    h = law["x"][1] - law["x"][0]
    for i, p in enumerate(law["density"][-1] * h / law["mass"][-1]):
        total += p * count
        if total >= max(50, count / 100):
            edge.append(i + 1)
            expected.append(total)
            total = 0
    expected[-1] += total
    edge[-1] = len(law["x"])
    return law["x"][0] - h / 2 + np.array(edge) * h, np.array(expected)


def chi2_z(samples, law):
    """How many standard deviations the histogram's chi^2 lies above its mean."""
    edge, expected = bins(law, len(samples))
    seen, _ = np.histogram(samples, edge)
    n = len(expected) - 1
    return (((seen - expected) ** 2 / expected).sum() - n) / np.sqrt(2 * n)


def sample(out, *overrides):
    run = read(vpsde("sample", out, f"sampler.count={COUNT}", f"sampler.steps={STEPS}", *overrides), "runs/euler_maruyama")
    return run["final"][:, 0]


# One dimension against the closed form.
numbers = [200, 400, 800] if options.quick else [200, 400, 800, 1600]
tv = {}
for direction in ("forward", "reverse"):
    runs = [cells("cells.h5", direction, f"fokker-planck.cells={n}") for n in numbers]
    tv[direction] = [run["tv"].max() for run in runs]
    print(f"{direction}: TV to the closed form, largest of 9 times: " + ", ".join(f"{e:.2e}" for e in tv[direction]))
    for n, coarse, fine in zip(numbers[1:], tv[direction], tv[direction][1:]):
        accept(f"{direction}, TV at {n // 2} cells over that at {n}", coarse / fine, 3.8, 4.2)
    accept(f"{direction}, mass defect", max(np.abs(r["mass"] - r["mass"][0]).max() for r in runs), 0, 1e-10)
    accept(f"{direction}, smallest density", min(r["min_density"].min() for r in runs), -1e-11, 1)
    if direction == "forward":
        accept("forward, largest change of F from one time to the next", np.diff(runs[-1]["free_energy"]).max(), -10, 0)

# Samples against cells.
accept(f"{COUNT} samples of {STEPS} Euler-Maruyama steps against the cells, z of chi^2",
       chi2_z(sample("samples.h5"), cells("reverse.h5", "reverse")), -6, 6)

# Guided by w = 1: neither the class's law nor p(x|c)^2 / p(x).
task = ["model.means=[[-0.5], [1]]", "model.variances=[0.3, 0.1]"]
guided = cells("guided.h5", "reverse", "fokker-planck.class=0", "fokker-planck.guidance=1", *task)
marginal = cells("marginal.h5", "reverse", *task)
x, h = guided["x"], guided["x"][1] - guided["x"][0]
tilted = dict(guided, density=[guided["exact"][-1] ** 2 / np.maximum(marginal["exact"][-1], 1e-300)])
tilted["mass"] = [tilted["density"][0].sum() * h]
states = sample("guided-samples.h5", "sampler.classes=[0]", "sampler.guidance=1", *task)
accept("guided samples against the cells, z of chi^2", chi2_z(states, guided), -6, 6)
accept("guided samples against the normalised p(x|c)^2 / p(x), z of chi^2", chi2_z(states, tilted), 20, np.inf)
accept("guided law, TV to the class's own", guided["tv"][-1], 0.05, 1)
print(f"  TV of the guided law to p(x|c)^2 / p(x): {np.abs(guided['density'][-1] - tilted['density'][0] / tilted['mass'][0]).sum() * h / 2:.3f}")

# Two dimensions.
ring = ["model={kind: gaussian-mixture, weights: [0.3, 0.3, 0.4], means: [[-2, -1], [2, -1], [0, 2]], variances: [0.2, 0.3, 0.2]}",
        "fokker-planck={domain: [-6, 6], times: [1.0e-3, 0.1, 1], tolerance: 1.0e-7}", "sampler.classes=null"]
sizes = [48, 96] if options.quick else [48, 96, 192]
planes = [cells("plane.h5", "reverse", *ring, f"fokker-planck.cells={n}") for n in sizes]
print("two dimensions: TV to the closed form " + ", ".join(f"{p['tv'][-1]:.2e}" for p in planes))
accept(f"two dimensions, TV at {sizes[-2]}^2 cells over that at {sizes[-1]}^2", planes[-2]["tv"][-1] / planes[-1]["tv"][-1], 3.7, 4.3)
accept("two dimensions, mass defect", np.abs(planes[-1]["mass"] - planes[-1]["mass"][0]).max(), 0, 1e-10)
plane = planes[1]  # at t = 0.1, where classes part
cut = slice(8, -8, 4)
X, Y = np.meshgrid(plane["x"], plane["y"], indexing="ij")
J = plane["flux"][1] / np.abs(plane["flux"][1]).max()
arrows = [f[cut, cut].ravel() for f in (X, Y, J[0], J[1])]
seen, edge = np.histogram(states, np.linspace(-3, 2, 81), density=False)
plot("""set terminal pngcairo size 1200,560 font ',11'
set multiplot layout 1,2
set format y '%g'
set key inside left top
set xlabel 'x'; set ylabel 'density at t = 0.001'
set title 'guided by w = 1: samples arrive where the cells say'
set xrange [-3:2]
plot $samples using 1:2 with boxes fs solid 0.3 lc rgb '#7fb3d5' title 'samples', $law using 1:2 with lines lw 2 lc rgb '#1b4f72' title 'cells', \
     $law using 1:3 with lines dt 2 lc rgb '#c0392b' title 'p(x|c)^2 / p(x)', $law using 1:4 with lines dt 3 lc rgb '#555555' title 'p(x|c)'
set title 'probability flux of the reverse equation at t = 0.1'
set xlabel 'x'; set ylabel 'y'
set xrange [-5:5]; set yrange [-5:5]; unset key
set size ratio 1
set cbrange [0:*]
set palette defined (0 '#ffffff', 1 '#f5b041', 2 '#922b21')
plot $plane using 1:2:3 with image, $arrows using 1:2:3:4 with vectors head filled size 0.08,20 lc rgb '#1b2631'
unset multiplot""",
     samples=[(edge[1:] + edge[:-1]) / 2, seen / len(states) / np.diff(edge)],
     law=[x, guided["density"][-1], tilted["density"][0] / tilted["mass"][0], guided["exact"][-1]],
     plane=[X.ravel(), Y.ravel(), plane["density"][1].ravel()], arrows=arrows)
end()
