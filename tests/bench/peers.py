"""peers.py VPSDE [--rounds N] [--counts 65536,4096,256,1] [--before CMD]: the MLP sampled here and in PyTorch, same weights.

DDIM and DPM-Solver++(2M), d = 2. 65,536 and 4,096 points: 4 and 50 steps, whole loops, ours with its start-up of threads and workspaces.
256 points and 1: the time of an evaluation in a running process; ours is the difference of two runs' wall clocks over the
difference of their steps, so it holds the solver's part too. PyTorch: eager, traced, compiled, whole and in batches of 4,096, as
installed and tuned; then k-diffusion's and diffusers' samplers on the best of them. Not a test: nothing passes or fails.
"""
import statistics, sys

import h5py
import numpy as np

import peers_lib as lib

STEPS = {65536: 4, 4096: 50, 256: 1000, 1: 1000}
MANY = {256: (500, 4500), 1: (2000, 42000)}  # step counts whose difference is taken


def modes(net, x):
    import torch

    label = torch.tensor(500.0)
    yield "eager", net
    yield "traced", torch.jit.freeze(torch.jit.trace(net, (x, label)))
    yield "compiled", torch.compile(net)


def load(count):
    with h5py.File("reference.h5") as f:
        g = f["runs/ddim"]
        return g["alpha"][:], g["sigma"][:], g["t"][:], g["x"][:count, 0].astype(np.float32), g["final"][:count]


def ddim(threads, count):
    """Seconds of an evaluation of all rows, by mode: of the whole loop's steps where the table calls for it."""
    import torch

    count = int(count)
    net, _ = lib.torch_net(threads)
    alpha, sigma, t, start, final = load(count)
    start, label = torch.from_numpy(start), torch.from_numpy(1000 * t - 1).float()
    n_steps = len(t) - 1

    def sample(model, batch):
        out = []
        for x in start.split(batch):
            for k in range(n_steps):
                eps = model(x, label[k])
                x = alpha[k + 1] * ((x - sigma[k] * eps) / alpha[k]) + sigma[k + 1] * eps
            out.append(x)
        return torch.cat(out)

    result, error = {}, 0
    for name, model in modes(net, start[: min(count, 4096)]):
        for batch in sorted({min(4096, count), count}):
            result[f"{name}, batches of {batch}"] = lib.best_time(lambda: sample(model, batch)) / n_steps
            error = max(error, float(np.abs(sample(model, batch).numpy() - final).max()))
    return result | {"difference": error}


def samplers(threads, count, n_steps):
    """Seconds of a step of others' samplers on the traced network, batches of 4,096."""
    import torch
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
    import k_diffusion

    count, n_steps = int(count), int(n_steps)
    net, _ = lib.torch_net(threads)
    start = torch.from_numpy(load(count)[3])[:4096]
    model = torch.jit.freeze(torch.jit.trace(net, (start, torch.tensor(500.0))))
    batches = max(1, count // 4096)

    def diffusers(scheduler):
        scheduler.set_timesteps(n_steps)
        x = start
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t.float()), t, x).prev_sample

    betas = torch.linspace(1e-4, 0.02, 1000)
    denoiser = k_diffusion.external.DiscreteEpsDDPMDenoiser(lambda x, t: model(x, t[0].float()), torch.cumprod(1 - betas, 0), False)
    sigmas = denoiser.get_sigmas(n_steps)

    def k(sampler):
        for _ in range(batches):
            sampler(denoiser, start * sigmas[0], sigmas, disable=True)

    def d(kind, **more):
        for _ in range(batches):
            diffusers(kind(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, **more))

    return {
        "diffusers DDIM": lib.best_time(lambda: d(DDIMScheduler, clip_sample=False)) / n_steps,
        "diffusers DPM-Solver++ 2M": lib.best_time(lambda: d(DPMSolverMultistepScheduler)) / n_steps,
        "k-diffusion sample_dpmpp_2m": lib.best_time(lambda: k(k_diffusion.sampling.sample_dpmpp_2m)) / n_steps,
        "k-diffusion sample_dpmpp_2m_sde, Brownian tree": lib.best_time(lambda: k(k_diffusion.sampling.sample_dpmpp_2m_sde), 1) / n_steps,
    }


def ours(bench, count, solver="ddim"):
    """Seconds of a step of all rows."""
    run = lambda n: bench.ours("sample", "run.yaml", f"sampler.count={count}", f"sampler.steps={n}", f"sampler.solver={solver}")
    if count not in MANY:
        return min(run(STEPS[count]) for _ in range(2)) / STEPS[count]
    few, many = MANY[count]
    return (min(run(many) for _ in range(2)) - min(run(few) for _ in range(2))) / (many - few)


def one_count(bench, count, ceiling):
    sets = [f"sampler.count={count}", f"sampler.steps={min(STEPS[count], 200)}", "log.times=all"]
    bench.ours("sample", "run.yaml", *sets, out="reference.h5")
    mine, plain, tuned, second, others = [], [], [], [], []
    for _ in range(bench.rounds):
        before = ours(bench, count)
        plain.append(bench.peer("peers.py", "ddim", count))
        mine.append(min(before, ours(bench, count)))
        tuned.append(bench.peer("peers.py", "ddim", count, env=lib.TUNED))
        second.append(ours(bench, count, "dpmpp-2m"))
        others.append(bench.peer("peers.py", "samplers", count, 4 if count == 65536 else 20, env=lib.TUNED))
    gflops = [count * lib.FLOPS / s for s in mine]
    print(f"\n{count} points: end states agree to {max(r['difference'] for r in plain + tuned):.1e}")
    lib.row("what", "us an evaluation of all rows", "times as long as vpsde")
    lib.row("---", "---", "---")
    lib.row("vpsde ddim", lib.spread(mine, 1e6), f"{100 * statistics.median(gflops) / ceiling:.0f} % of the ceiling")
    for label, rows in (("as installed", plain), ("tuned", tuned)):
        for mode in [k for k in rows[0] if k != "difference"]:
            values = [r[mode] for r in rows]
            lib.row(f"PyTorch {label}, {mode}", lib.spread(values, 1e6), lib.ratios(values, mine))
        best = [min(v for k, v in r.items() if k != "difference") for r in rows]
        lib.row(f"**PyTorch {label}, best**", lib.spread(best, 1e6), f"**{lib.ratios(best, mine)}**")
    lib.row("vpsde dpmpp-2m", lib.spread(second, 1e6), "1")
    for name in others[0]:
        values = [r[name] for r in others]
        lib.row(f"{name}, tuned", lib.spread(values, 1e6), lib.ratios(values, mine if "DDIM" in name else second))


def main():
    opt = lib.options(__doc__, counts="65536,4096,256,1")
    bench = lib.Bench(opt)
    bench.write("run.yaml", "process: {t_min: 1.0e-3}\nmodel: {path: net.safetensors}\nsampler: {solver: ddim, steps: 20, count: 4096}\nlog: {times: none}\n")
    lib.heading("MLP sampling", "torch", "diffusers", "k-diffusion")
    for count in opt.counts.split(","):
        one_count(bench, int(count), max(bench.ceiling() for _ in range(3)))


if not lib.worker_call({"ddim": ddim, "samplers": samplers}):
    main()
