"""generate.py > golden.h: two small samples and what SciPy and POT (Python Optimal Transport) say of them.

Made with SciPy 1.17.1, NumPy 2.4.6 and POT 0.9.4; POT alone is not among the project's tools: pip install POT."""
import numpy as np
import ot
import scipy.linalg
import scipy.stats
from scipy.spatial.distance import cdist

N, D, H = 48, 3, 1.3
rng = np.random.default_rng(20260801)
x = np.round(rng.normal(size=(N, D)) * [1.0, 0.5, 2.0] + [0.3, 0.0, -0.5], 6)
y = np.round(rng.standard_t(5, size=(N, D)), 6)
directions = rng.normal(size=(4, D))
directions = np.round(directions / np.linalg.norm(directions, axis=1)[:, None], 9)


def unbiased(kernel):
    """Mean over i != j of k(x_i, y_j) + k(y_i, x_j) - k(x_i, x_j) - k(y_i, y_j)."""
    xy = kernel(cdist(x, y))
    h = xy + xy.T - kernel(cdist(x, x)) - kernel(cdist(y, y))
    return (h.sum() - np.trace(h)) / (N * (N - 1))


def frechet():
    a, b = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)


values = {
    "mean": np.linalg.norm(x.mean(0) - y.mean(0)),
    "covariance": np.linalg.norm(np.cov(x.T, bias=True) - np.cov(y.T, bias=True)),
    "energy": unbiased(lambda r: r),
    "mmd": unbiased(lambda r: -np.exp(-r**2 / (2 * H**2))),
    "marginal": np.mean([scipy.stats.wasserstein_distance(x[:, j], y[:, j]) for j in range(D)]),
    "sliced": ot.sliced_wasserstein_distance(x, y, n_projections=200000, seed=1),
    "coordinate_w2": ot.emd2_1d(x[:, 0], y[:, 0], metric="sqeuclidean"),
    "energy_1d": scipy.stats.energy_distance(x[:, 0], y[:, 0]),
    "frechet": frechet(),
}


def array(name, table):
    rows = ", ".join(repr(float(v)) for v in np.ravel(table))
    print(f"static const double golden_{name}[] = {{{rows}}};")


print("/* Made by generate.py, which says what the numbers are. */")
print("#ifndef VPSDE_TESTS_GOLDEN_METRICS_H\n#define VPSDE_TESTS_GOLDEN_METRICS_H\n")
print(f"enum {{ GOLDEN_N = {N}, GOLDEN_D = {D} }};")
array("x", x)
array("y", y)
array("direction", directions)
array("projected_w1", [ot.wasserstein_1d(x @ v, y @ v, p=1) for v in directions])
array("projected_w2", [ot.wasserstein_1d(x @ v, y @ v, p=2) for v in directions])
print(f"static const double golden_bandwidth = {H};")
for name, value in values.items():
    print(f"static const double golden_{name} = {float(value)!r};")
print("\n#endif")
