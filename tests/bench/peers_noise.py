"""peers_noise.py VPSDE [--rounds N] [--before CMD]: noise that a sample sees again whatever the step, ns a sample-step, d = 2.

Ours: a Gaussian in closed form, 65,536 samples, 40 and 120 steps, one thread: the stochastic solver's time of a step, and that less the
same of its deterministic twin (sde-dpmpp-2m and dpmpp-2m), which is the virtual Brownian tree with what adds it up. k-diffusion:
BrownianTreeNoiseSampler alone over the same number of steps, one tree for 4,096 samples (their noise depends on the batch) and
one each for 64 (it does not, as here); then sample_dpmpp_2m_sde and sample_dpmpp_sde on the same Gaussian. Not a test.
"""
import statistics, sys

import peers_lib as lib

STEPS, FEW, MANY, SAMPLES = 40, 40, 120, 65536


def tree(threads, count):
    """ns a sample-step by what is done."""
    import torch
    import k_diffusion.sampling as k

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    count = int(count)
    x = torch.randn(count, 2)
    sigmas = k.get_sigmas_karras(STEPS, 0.01, 80.0)
    model = lambda y, sigma: y * (0.25 / (0.25 + sigma**2)).unsqueeze(1)  # E[x0 | y] of N(0, 1/4)

    def noise(seed):
        sampler = k.BrownianTreeNoiseSampler(x, sigmas[:-1].min(), sigmas.max(), seed=seed)
        for i in range(STEPS - 1):
            sampler(sigmas[i], sigmas[i + 1])

    ns = lambda f: 1e9 * lib.best_time(f) / count / STEPS
    if count <= 64:
        return {f"BrownianTreeNoiseSampler, a tree each for {count}": ns(lambda: noise(list(range(count))))}
    return {
        f"BrownianTreeNoiseSampler, one tree for {count}": ns(lambda: noise(7)),
        f"sample_dpmpp_2m_sde, one tree for {count}": ns(lambda: k.sample_dpmpp_2m_sde(model, x * 80, sigmas, disable=True)),
        f"sample_dpmpp_sde, one tree for {count}": ns(lambda: k.sample_dpmpp_sde(model, x * 80, sigmas, disable=True)),
        f"sample_dpmpp_2m, no noise, {count}": ns(lambda: k.sample_dpmpp_2m(model, x * 80, sigmas, disable=True)),
    }


def ours(bench, solver):
    """ns of a sample-step, without start-up."""
    run = lambda n: min(bench.ours("sample", "run.yaml", f"sampler.steps={n}", f"sampler.solver={solver}") for _ in range(2))
    return 1e9 * (run(MANY) - run(FEW)) / SAMPLES / (MANY - FEW)


def main():
    opt = lib.options(__doc__)
    bench = lib.Bench(opt)
    bench.threads = 1
    bench.write("run.yaml", "process: {schedule: vp-linear}\nmodel: {kind: gaussian-mixture, weights: [1], means: [[0, 0]], variances: [0.25]}\n"
                f"sampler: {{solver: sra1, steps: 40, count: {SAMPLES}}}\nlog: {{times: none}}\n")
    lib.heading("Noise on a sample's own path", "torch", "k-diffusion", "torchsde")
    mine = {name: [] for name in ("dpmpp-2m", "sde-dpmpp-2m", "sra1")}
    peers = {}
    for _ in range(bench.rounds):
        for name in mine:
            mine[name].append(ours(bench, name))
        for count in (4096, 64):
            for name, value in bench.peer("peers_noise.py", "tree", count, env=lib.TUNED).items():
                peers.setdefault(name, []).append(value)
    noise = [s - d for s, d in zip(mine["sde-dpmpp-2m"], mine["dpmpp-2m"])]
    lib.row("what", "ns a sample-step", "times as long as vpsde")
    lib.row("---", "---", "---")
    for name, values in mine.items():
        lib.row(f"vpsde {name}", lib.spread(values), "")
    lib.row("**vpsde, sde-dpmpp-2m less dpmpp-2m: the noise**", f"**{lib.spread(noise)}**", "1")
    twin = {"BrownianTreeNoiseSampler": noise, "sample_dpmpp_2m_sde": mine["sde-dpmpp-2m"], "sample_dpmpp_sde": mine["sra1"], "sample_dpmpp_2m": mine["dpmpp-2m"]}
    for name, values in peers.items():
        lib.row(f"k-diffusion {name}", lib.spread(values), lib.ratios(values, twin[name.split(",")[0]]))


if not lib.worker_call({"tree": tree}):
    main()
