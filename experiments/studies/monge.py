"""Is the encoder of the probability-flow ODE an optimal transport map?

On a Gaussian, a rotated product and two equal modes it is: the Jacobian is symmetric and no other pairing of rows and
images is cheaper. Three modes off a line turn it. Everywhere W2^2 <= L^2 <= b Sigma/2.
"""
import json

from study import *

options = begin()
count = 400 if options.quick else 1500
r, q = 0.6, 0.8
R, a, c = np.array([[r, -q], [q, r]]), (-0.8, 0.8), (-0.5, 0.5)
product = R @ np.diag([0.1, 0.05]) @ R.T
LAWS = {  # weights, means, covariances
    "gaussian": ([1], [[0.5, -1]], [[[0.5, 0.2], [0.2, 0.15]]]),
    "product": ([0.12, 0.18, 0.28, 0.42], [list(R @ [u, v]) for u in a for v in c], [product.tolist()] * 4),
    "two modes": ([0.5, 0.5], [[-1, 0.4], [1, -0.4]], [[[0.05, 0], [0, 0.05]]] * 2),
    "three modes": ([0.34, 0.33, 0.33], [[-1, 0], [1, 0], [0, 0.5]], [[[0.02, 0], [0, 0.02]]] * 3),
}


def entropy_production(law, t):
    """F(t) = KL(p_t || N(0, I)) by the trapezoidal rule on a grid."""
    grid = np.linspace(-6, 6, 601)
    x = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1)
    p = np.zeros(x.shape[:2])
    for w, m, C in zip(*map(np.array, law)):
        V = alpha_of(t) ** 2 * C + sigma2_of(t) * np.eye(2)
        off = x - alpha_of(t) * m
        p += w * np.exp(-np.einsum("abi,ij,abj->ab", off, np.linalg.inv(V), off) / 2) / (2 * np.pi * np.sqrt(np.linalg.det(V)))
    good = p > 1e-300
    log_pi = -(x ** 2).sum(-1) / 2 - np.log(2 * np.pi)
    return ((p[good] * (np.log(p[good]) - log_pi[good])).sum()) * (grid[1] - grid[0]) ** 2


shown = {}
for name, law in LAWS.items():
    weights, means, covariances = (json.dumps(part) for part in law)
    model = f"model={{kind: gaussian-mixture, weights: {weights}, means: {means}, covariances: {covariances}}}"
    out = vpsde("transport", name.replace(" ", "-") + ".h5", f"transport.count={count}", model)
    rows, pairs, speed = (read(out, "transport" + group) for group in ("", "/pairs", "/speed"))
    skew, gap, facts = rows["antisymmetry"], pairs["attributes"]["gap"], speed["attributes"]
    shown[name] = rows["x"], skew, np.abs(np.arange(count) - pairs["partner"]) > 0
    print(f"{name}: antisymmetry median {np.median(skew):.1e}, largest {skew.max():.2g}; gap {gap:.2e}, "
          f"{pairs['attributes']['reassigned']:.1%} reassigned")
    if name == "three modes":
        accept("  largest antisymmetry", skew.max(), 0.1, 2)
        accept("  gap", gap, 1e-4, 1)
    else:
        accept("  largest antisymmetry", skew.max(), 0, 1e-8)
        accept("  gap", gap, 0, 0)
        accept("  smallest eigenvalue of (J + J^T)/2", rows["smallest_eigenvalue"].min(), 0, np.inf)
    accept("  W2^2 / L^2, straightness", facts["straightness"], 0, 1)
    accept("  L^2 / (b Sigma/2)", facts["length_squared"] / facts["speed_limit"], 0, 1)
    weight = speed["weight"]
    truth = entropy_production(law, 1e-3) - entropy_production(law, 1)
    stderr = (2 * rows["speed_squared"] @ weight).std(ddof=1) / np.sqrt(count)
    accept("  Sigma of the rows over F(t_min) - F(1), standard errors apart", abs(facts["entropy_production"] - truth) / stderr, 0, 5)
    if name == "gaussian":
        C, mu = np.array(law[2][0]), np.array(law[1][0])
        values, vectors = np.linalg.eigh(C)
        stretch = np.sqrt((alpha_of(1.0) ** 2 * values + sigma2_of(1.0)) / (alpha_of(1e-3) ** 2 * values + sigma2_of(1e-3)))
        exact = alpha_of(1.0) * mu + (rows["x"] - alpha_of(1e-3) * mu) @ vectors @ np.diag(stretch) @ vectors.T
        accept("  encoder against C_T^(1/2) C_t^(-1/2) (x - alpha mu)", np.abs(rows["image"] - exact).max(), 0, 1e-8)

x, skew, moved = shown["three modes"]
plot("set terminal pngcairo size 1000,340 font ',11'\nset output 'monge.png'\nset multiplot layout 1,2\nset size ratio -1\nset key off\nset format y '%g'\nset cbrange [-4:0]\nset palette defined (-4 '#dddddd', -2 '#4477aa', 0 '#aa3333')\n"
     "set title 'three modes: log_{10} |J - J^T|/|J|'\nplot $skew using 1:2:3 with points pt 7 ps 0.4 palette\nset title 'rows whose best image is another''s'\n"
     "plot $skew using 1:2 with points pt 7 ps 0.3 lc rgb '#cccccc', '' using ($4 > 0 ? $1 : NaN):2 with points pt 7 ps 0.4 lc rgb '#aa3333'\nunset multiplot",
     skew=[x[:, 0], x[:, 1], np.log10(np.maximum(skew, 1e-16)), moved])
end()
