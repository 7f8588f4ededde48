#!/usr/bin/env python3
"""compare_cifar.py VPSDE [SEED]: a network of the size of google/ddpm-cifar10-32 (35.7 million parameters)
with random weights, through diffusers and through vpsde: prints the largest difference of their eps.

vpsde shows eps by one step of DDIM, from t = 1 to the data: x0 = (x - sigma eps)/alpha. Needs what
make_unet_golden.py needs, h5py, and some 300 MB; no test, for its size.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np
import torch
import safetensors.torch  # diffusers 0.30 takes it for loaded
from diffusers import DDPMScheduler, UNet2DModel

from make_unet_golden import plain_products

CONFIG = dict(sample_size=32, in_channels=3, out_channels=3, attention_head_dim=None,
              block_out_channels=(128, 256, 256, 256), layers_per_block=2, downsample_padding=0,
              down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
              up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
              flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6, norm_num_groups=32)
IMAGES = 4


@torch.no_grad()
def by_diffusers(model, x):
    model(torch.tensor(x[:1]).float(), 999)
    began = time.perf_counter()
    eps = np.concatenate([model(torch.tensor(row[None]).float(), 999).sample for row in x])
    return eps.astype(float), (time.perf_counter() - began) / len(x)


def by_vpsde(vpsde, folder, scheduler):
    run = dict(seed=1, model=dict(path=folder), process=dict(t_min=0.5),
               sampler=dict(solver="ddim", grid="uniform-t", steps=1, last_step="tweedie",
                            count=IMAGES),
               log=dict(times="all", fields=["x", "eps"], dtype="float64"))
    with open(folder + "/run.yaml", "w") as out:
        json.dump(run, out)
    began = time.perf_counter()
    subprocess.run([vpsde, "sample", folder + "/run.yaml", "-o", folder + "/run.h5"], check=True,
                   stdout=subprocess.DEVNULL)
    spent = time.perf_counter() - began
    with h5py.File(folder + "/run.h5") as file:
        runs = file["runs/ddim"]
        x, eps = (np.array(runs[k][:, 0]).reshape(IMAGES, 3, 32, 32) for k in ("x", "eps"))
    return x, eps, spent


def main(vpsde, seed=0):
    torch.manual_seed(seed)
    plain_products()
    model, scheduler = UNet2DModel(**CONFIG).eval(), DDPMScheduler()
    print(sum(p.numel() for p in model.parameters()), "parameters")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        scheduler.save_pretrained(folder)
        x, eps, spent = by_vpsde(os.path.abspath(vpsde), folder, scheduler)
    expected, each = by_diffusers(model, x)
    error = np.abs(eps - expected).max() / np.abs(expected).max()
    print(f"eps differs by {error:.2g} of its largest value")
    print(f"diffusers: {each:.3f} s an image on {torch.get_num_threads()} threads")
    print(f"vpsde: {spent:.2f} s for {2 * IMAGES} images, reading included")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
