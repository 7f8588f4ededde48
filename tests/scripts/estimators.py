"""estimators.py VPSDE: one configuration, every estimator of log p, one table and one run file.

The table's figures are the means of the columns, and on a mixture the estimates agree with log p within 5 standard
errors; chains of an interrupted or repeated run keep their bits.
"""
import os, subprocess, sys, tempfile

import h5py, numpy

vpsde = os.path.abspath(sys.argv[1])
CONFIG = """
seed: 3
process: {schedule: vp-linear, terminal: exact}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
data: {path: rows.npy}
likelihood: {integrator: {solver: dopri5}, estimators: [pf-ode, chain]}
elbo: {draws: 16, steps: 400}
"""


def run(folder, *words):
    return subprocess.run([vpsde, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


with tempfile.TemporaryDirectory() as folder:
    rng = numpy.random.default_rng(1)
    which = rng.random(400) < 0.3
    centre = numpy.where(which[:, None], [[-2.0, 0.0]], [[2.0, 1.0]])
    rows = centre + numpy.sqrt(numpy.where(which, 0.05, 0.1))[:, None] * rng.standard_normal((400, 2))
    numpy.save(folder + "/rows.npy", rows)
    with open(folder + "/c.yaml", "w") as config:
        config.write(CONFIG)
    text = run(folder, "likelihood", "c.yaml", "-o", "a.h5")
    table = {line.split()[0]: float(line.split()[1]) for line in text.split("estimator ")[1].splitlines()[1:]}
    bits = -1 / (2 * numpy.log(2))
    with h5py.File(folder + "/a.h5") as file:
        flow, chain = file["likelihood/dopri5"], file["elbo/chain"]
        columns = {"pf-ode": flow["logp"][:], "elbo": chain["elbo"][:], "iwae": chain["iwae"][:],
                   "i-mmse": chain["i_mmse"][:]}
        for name, values in columns.items():
            assert abs(table[name] - bits * values.mean()) < 1e-6, (name, table[name], bits * values.mean())
        logp, error = columns["pf-ode"], lambda v: v.std(ddof=1) / numpy.sqrt(len(v))
        for name in ("iwae", "i-mmse"):
            off = columns[name] - logp
            print(f"{name} - log p: {off.mean():.4f} +- {error(off):.4f} nat")
        off = columns["i-mmse"] - logp
        assert abs(off.mean()) < 5 * error(off)
        gap = logp - columns["elbo"]
        print(f"log p - elbo: {gap.mean():.4f} +- {error(gap):.4f} nat")
        assert gap.mean() > -5 * error(gap)
        assert columns["iwae"].mean() <= logp.mean() + 5 * error(columns["iwae"] - logp)
        assert numpy.allclose(-columns["elbo"], chain["l_prior"][:] + chain["l_step"][:].sum(1), rtol=1e-12)
    run(folder, "elbo", "c.yaml", "-o", "b.h5", "--threads", "1")
    with h5py.File(folder + "/a.h5") as a, h5py.File(folder + "/b.h5") as b:
        for name in a["elbo/chain"]:
            assert (a["elbo/chain"][name][:].tobytes() == b["elbo/chain"][name][:].tobytes()), name
print("estimators agree")
