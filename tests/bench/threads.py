"""threads.py VPSDE [--rounds N] [--before CMD]: two threads beside one, interleaved: the mixture, the MLP, its exact log p, the U-Net.

Each run's own clock, without start-up. Not a test: nothing passes or fails.
"""
import os

import peers_lib as lib

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/pretrained/fashion-mnist-unet.safetensors")
MIXTURE = "model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}\n"
LINEAR = "process: {schedule: vp-linear, t_min: 1.0e-3}\n"
NET = LINEAR + "model: {path: net.safetensors}\n"
WORK = {
    "mixture, euler-maruyama, 50,000 samples, 100 steps": (
        "sample", LINEAR + MIXTURE + "sampler: {solver: euler-maruyama, steps: 100, count: 50000}\n"),
    "MLP, ddim, 65,536 samples, 20 steps": ("sample", NET + "sampler: {solver: ddim, steps: 20, count: 65536}\n"),
    "MLP, exact log p, dopri5, 2,048 rows": (
        "likelihood", NET + "data: {path: points.npy, count: 2048}\nlikelihood: {integrator: {solver: dopri5, rtol: 1.0e-5, atol: 1.0e-5}}\n"),
    "U-Net, ddim, 64 images, 10 steps": (
        "sample", f"model: {{path: {MODEL}}}\nsampler: {{solver: ddim, steps: 10, count: 64}}\n"),
}


def main():
    opt = lib.options(__doc__)
    bench = lib.Bench(opt)
    lib.heading("two threads beside one")
    lib.row("work", "one thread, s", "two threads, s", "times as fast")
    for name, (verb, text) in WORK.items():
        bench.write("work.yaml", text)
        seconds = {1: [], 2: []}
        for _ in range(bench.rounds):
            for bench.threads in seconds:
                seconds[bench.threads].append(bench.ours(verb, "work.yaml"))
        lib.row(name, *map(lib.spread, seconds.values()), lib.ratios(seconds[1], seconds[2]))


if __name__ == "__main__":
    main()
