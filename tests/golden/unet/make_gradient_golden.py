#!/usr/bin/env python3
"""Writes gradient.npy into folders beside it that make_unet_golden.py has made: PyTorch's gradient, in double, of
    1/4 sum (eps(x) - x/2)^2
by every parameter. tests/test_unet_gradient.c compares.

    pip install diffusers==0.30.3 torch safetensors numpy
    python3 make_gradient_golden.py

One row of float32: the parameters one after another in the order of their names, each flattened.
"""
import os

import numpy as np
import torch
from diffusers import UNet2DModel

from make_unet_golden import HERE, plain_products

CASES = {"cifar": None, "heads": None, "wide": "fp16", "shift": None, "fourier": None}


def main():
    plain_products()
    for name, variant in CASES.items():
        folder = os.path.join(HERE, name)
        load = lambda file: torch.tensor(np.load(os.path.join(folder, file)))
        model = UNet2DModel.from_pretrained(folder, variant=variant, torch_dtype=torch.float32).double().eval()
        x, label = load("x.npy").double(), load("label.npy")
        classes = load("class.npy").long() if os.path.exists(os.path.join(folder, "class.npy")) else None
        eps = model(x, label, class_labels=classes).sample
        (0.25 * ((eps - x / 2) ** 2).sum()).backward()
        learnt = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
        row = np.concatenate([learnt[k].numpy().ravel() for k in sorted(learnt)])
        np.save(os.path.join(folder, "gradient.npy"), row[None].astype(np.float32))
        expected = np.load(os.path.join(folder, "eps.npy"))
        print(name, len(row), "numbers; eps differs by", np.abs(eps.detach().numpy() - expected).max())


if __name__ == "__main__":
    main()
