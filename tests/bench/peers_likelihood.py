"""peers_likelihood.py VPSDE [--rounds N] [--counts 4096,65536] [--jobs evaluation,equal] [--before CMD]: exact log p of the MLP, d = 2.

evaluation: microseconds of a row and evaluation of drift and trace. Ours is a whole dopri5 likelihood over its evaluations, solver
and start-up included. PyTorch: value and both tangents by hand, by torch.func.jvp, by two reverse passes; eager, compiled; as
installed and tuned; whole and in batches of 4,096.
equal: seconds to a median error of 1e-2 and of 1e-3 nats, t from 1e-3 to 1, 1,024 rows, each program at the loosest tolerance of
1e-3 ... 1e-6 that reaches it, against a solve at 1e-7: ours for ours, SciPy's for the others. Ours is the whole command. torchdiffeq: dopri5
over the batch; diffrax: Dopri5 under vmap and jit, float32; SciPy: RK45 over the batch. Not a test: nothing passes or fails.
"""
import math, statistics, sys, time

import h5py
import numpy as np

import peers_lib as lib

T_MIN, BETA0, BETA1 = 1e-3, 0.1, 20.0
TOLERANCES = [1e-3, 1e-4, 1e-5, 1e-6]
TIGHT, GOALS = 1e-7, (1e-2, 1e-3)
ROWS = 1024  # of the comparison at equal accuracy


def evaluation(threads, count):
    import torch

    count = int(count)
    net, trace = lib.torch_net(threads)
    x = torch.from_numpy(np.load("points.npy")[:count].astype(np.float32))
    label = torch.tensor(321.0)
    e0 = torch.tensor([1.0, 0.0])

    def func(x, label):
        f = lambda y: net(y, label)
        value, one = torch.func.jvp(f, (x,), (e0.expand_as(x),))
        _, two = torch.func.jvp(f, (x,), (e0.flip(0).expand_as(x),))
        return value, one[:, 0] + two[:, 1]

    def reverse(x, label):
        with torch.enable_grad():
            y = x.detach().requires_grad_(True)
            value = net(y, label)
            one = torch.autograd.grad(value[:, 0].sum(), y, retain_graph=True)[0][:, 0]
            two = torch.autograd.grad(value[:, 1].sum(), y)[0][:, 1]
        return value.detach(), one + two

    ways = {"by hand": trace, "by hand, compiled": torch.compile(trace), "torch.func.jvp": func,
            "torch.func.jvp, compiled": torch.compile(func), "two reverse passes": reverse}
    truth, result = trace(x[:4096], label), {}
    for name, way in ways.items():
        y = way(x[:4096], label)
        assert all(torch.allclose(a, b, atol=1e-3, rtol=1e-3) for a, b in zip(truth, y)), name
        for batch in sorted({4096, count}):
            parts = x.split(batch)
            result[f"{name}, batches of {batch}"] = lib.best_time(lambda: [way(p, label) for p in parts]) / count
    return result


def schedule(t, np_):
    b = BETA0 * t + 0.5 * (BETA1 - BETA0) * t * t
    return BETA0 + t * (BETA1 - BETA0), np_.sqrt(-np_.expm1(-b)), 1000 * t - 1


def prior(z, change):
    return change - 0.5 * (z**2).sum(1) - math.log(2 * math.pi)


def solve_torchdiffeq(threads, x, rtol):
    import torch, torchdiffeq

    _, trace = lib.torch_net(threads)

    def rhs(t, state):
        beta, sigma, label = schedule(t, torch)
        eps, div = trace(state[0], label)
        return -0.5 * beta * (state[0] - eps / sigma), -0.5 * beta * (2 - div / sigma)

    y, change = torchdiffeq.odeint(rhs, (torch.from_numpy(x), torch.zeros(len(x))), torch.tensor([T_MIN, 1.0]), rtol=rtol, atol=rtol, method="dopri5")
    return prior(y[-1].numpy(), change[-1].numpy())


def solve_scipy(threads, x, rtol):
    import torch
    from scipy import integrate

    _, trace = lib.torch_net(threads)

    def rhs(t, state):
        y = state[: x.size].reshape(x.shape)
        beta, sigma, label = schedule(t, np)
        eps, div = trace(torch.from_numpy(y.astype(np.float32)), torch.tensor(label, dtype=torch.float32))
        return np.concatenate([(-0.5 * beta * (y - eps.numpy() / sigma)).ravel(), -0.5 * beta * (2 - div.numpy() / sigma)])

    end = integrate.solve_ivp(rhs, (T_MIN, 1.0), np.concatenate([x.ravel(), np.zeros(len(x))]), rtol=rtol, atol=rtol, method="RK45").y[:, -1]
    return prior(end[: x.size].reshape(x.shape), end[x.size :])


def diffrax_solver():
    import diffrax, jax
    import jax.numpy as jnp

    w = {k: jnp.asarray(v) for k, v in lib.weights("net.safetensors").items()}
    half = w["time.0.weight"].shape[1] // 2
    freq = jnp.exp(-math.log(10000) * jnp.arange(half) / half)
    lin = lambda name, x: w[name + ".weight"] @ x + w[name + ".bias"]

    def net(x, label):
        f = label * freq
        e = lin("time.2", jax.nn.silu(lin("time.0", jnp.concatenate([jnp.cos(f), jnp.sin(f)]))))
        h = lin("input", x) + e
        for l in range(lib.LAYERS):
            h = h + lin(f"layers.{l}.linear2", jax.nn.silu(lin(f"layers.{l}.linear1", jax.nn.silu(h)) + e))
        return lin("output", jax.nn.silu(h))

    def rhs(t, state, _):
        beta, sigma, label = schedule(t, jnp)
        eps, jvp = jax.linearize(lambda y: net(y, label), state[0])
        div = jvp(jnp.array([1.0, 0.0]))[0] + jvp(jnp.array([0.0, 1.0]))[1]
        return -0.5 * beta * (state[0] - eps / sigma), -0.5 * beta * (2 - div / sigma)

    def one(x, rtol):
        end = diffrax.diffeqsolve(diffrax.ODETerm(rhs), diffrax.Dopri5(), T_MIN, 1.0, None, (x, jnp.float32(0)), max_steps=100000,
                                  stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol), throw=False)
        return end.ys[0][-1], end.ys[1][-1]

    return jax.jit(jax.vmap(one, (0, None)))


def equal(threads, program, *tolerances):
    """[seconds, logp] by tolerance."""
    x = np.load("points.npy")[:ROWS].astype(np.float32)
    if program == "diffrax":
        f = diffrax_solver()
        f(x, np.float32(1e-2))  # compiles
        solve = lambda rtol: prior(*map(np.asarray, f(x, np.float32(rtol))))
    else:
        solver = {"torchdiffeq": solve_torchdiffeq, "scipy": solve_scipy}[program]
        solve = lambda rtol: solver(threads, x, rtol)
    result = {}
    for rtol in map(float, tolerances):
        begin = time.perf_counter()
        logp = solve(rtol)
        result[rtol] = [time.perf_counter() - begin, np.asarray(logp, dtype=float).tolist()]
    return result


def ours_equal(bench, solver, tolerances):
    result = {}
    for rtol in tolerances:
        seconds = bench.ours("likelihood", "logp.yaml", f"data.count={ROWS}", f"likelihood.integrator.solver={solver}",
                             f"likelihood.integrator.rtol={rtol}", f"likelihood.integrator.atol={rtol}")
        with h5py.File("ours.h5") as f:
            result[rtol] = [seconds, next(iter(f["likelihood"].values()))["logp"][:]]
    return result


def solve(bench, name, tolerances):
    if name.startswith("vpsde"):
        return ours_equal(bench, name.split()[1], tolerances)
    got = bench.peer("peers_likelihood.py", "equal", name, *tolerances, env=lib.TUNED)
    return {float(k): v for k, v in got.items()}


def per_evaluation(bench, count):
    mine, plain, tuned = [], [], []
    sets = (f"data.count={count}", "likelihood.integrator.solver=dopri5", "likelihood.integrator.rtol=1e-3", "likelihood.integrator.atol=1e-3")
    for _ in range(bench.rounds):
        before = bench.ours("likelihood", "logp.yaml", *sets)
        plain.append(bench.peer("peers_likelihood.py", "evaluation", count))
        seconds = min(before, bench.ours("likelihood", "logp.yaml", *sets))
        with h5py.File("ours.h5") as f:
            mine.append(seconds / next(iter(f["likelihood"].values()))["nfe"][:].sum())
        tuned.append(bench.peer("peers_likelihood.py", "evaluation", count, env=lib.TUNED))
    print(f"\n{count} rows")
    lib.row("what", "us a row and evaluation", "times as long as vpsde")
    lib.row("---", "---", "---")
    lib.row("vpsde, dopri5, whole command", lib.spread(mine, 1e6), "1")
    for label, rows in (("as installed", plain), ("tuned", tuned)):
        for way in rows[0]:
            values = [r[way] for r in rows]
            lib.row(f"PyTorch {label}, {way}", lib.spread(values, 1e6), lib.ratios(values, mine))
        best = [min(r.values()) for r in rows]
        lib.row(f"**PyTorch {label}, best**", lib.spread(best, 1e6), f"**{lib.ratios(best, mine)}**")


def equal_accuracy(bench):
    names = ("vpsde gsl-rk8pd", "vpsde dopri5", "torchdiffeq", "diffrax", "scipy")
    mine = solve(bench, names[0], [TIGHT])[TIGHT][1]
    theirs = np.array(solve(bench, "scipy", [TIGHT])[TIGHT][1])
    print(f"\n{ROWS} rows at equal error; the two solves at {TIGHT:g} differ by a median of {np.median(np.abs(mine - theirs)):.1e} nats", flush=True)
    errors = {}
    for name in names:
        for rtol, (_, logp) in solve(bench, name, TOLERANCES).items():
            errors[name, rtol] = float(np.median(np.abs(np.array(logp) - (mine if name.startswith("vpsde") else theirs))))
    reach = {(n, goal): next((r for r in TOLERANCES if errors[n, r] <= goal), None) for n in names for goal in GOALS}
    seconds = {key: [] for key in reach}
    for _ in range(bench.rounds):
        for name in names:
            wanted = sorted({r for (n, _), r in reach.items() if n == name and r}, reverse=True)
            got = solve(bench, name, wanted) if wanted else {}
            for goal in GOALS:
                if reach[name, goal]:
                    seconds[name, goal].append(got[reach[name, goal]][0])
    lib.row("program", "goal, nats", "rtol = atol", "median error", "s", "times as long as vpsde gsl-rk8pd")
    lib.row("---", "---", "---", "---", "---", "---")
    for goal in GOALS:
        for name in names:
            rtol = reach[name, goal]
            if rtol is None:
                lib.row(name, f"{goal:g}", "none", f"{errors[name, TOLERANCES[-1]]:.1e} at {TOLERANCES[-1]:g}", "", "")
            else:
                values = seconds[name, goal]
                lib.row(name, f"{goal:g}", f"{rtol:g}", f"{errors[name, rtol]:.1e}", lib.spread(values), lib.ratios(values, seconds[names[0], goal]))


def main():
    opt = lib.options(__doc__, counts="4096,65536", jobs="evaluation,equal")
    bench = lib.Bench(opt)
    bench.write("logp.yaml", f"process: {{t_min: {T_MIN}}}\nmodel: {{path: net.safetensors}}\ndata: {{path: points.npy, count: 1}}\n"
                "likelihood: {integrator: {solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}, budget: false}\n")
    lib.heading("Likelihood with the exact trace", "torch", "torchdiffeq", "diffrax", "jax", "scipy")
    for count in opt.counts.split(",") if "evaluation" in opt.jobs else ():
        per_evaluation(bench, int(count))
    if "equal" in opt.jobs:
        equal_accuracy(bench)


if not lib.worker_call({"evaluation": evaluation, "equal": equal}):
    main()
