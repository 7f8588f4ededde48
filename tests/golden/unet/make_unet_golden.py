#!/usr/bin/env python3
"""Writes the folders beside it: small UNet2DModels of diffusers with random weights, and what diffusers
makes of them. tests/test_diffusers.c compares.

    pip install diffusers==0.30.3 torch safetensors numpy
    python3 make_unet_golden.py [FOLDER]

Each case is a folder as save_pretrained writes it, and beside the network's files
    x.npy (n, c, h, w)  label.npy (n)  class.npy (n)  eps.npy (n, c, h, w)   float32, int32 for classes.
The folder `ddim` holds 50 steps of diffusers' DDIMScheduler too, from x.npy to trailing.npy and
leading.npy, by its timestep_spacing.
Which version wrote them stands in the config.json of each, key _diffusers_version.
"""
import json
import os
import sys

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
WEIGHTS = "diffusion_pytorch_model.safetensors"
OLD = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

# name: (constructor's arguments, how the weights are stored)
CASES = {
    "plain": (dict(sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 8),
                   down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
                   layers_per_block=1, norm_num_groups=4, attention_head_dim=None,
                   add_attention=False), "F32"),
    "cifar": (dict(sample_size=8, block_out_channels=(8, 12),
                   down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                   up_block_types=("AttnUpBlock2D", "UpBlock2D"), layers_per_block=1,
                   norm_num_groups=4, norm_eps=1e-6, attention_head_dim=None, downsample_padding=0,
                   freq_shift=1, flip_sin_to_cos=False), "old"),
    "heads": (dict(sample_size=8, in_channels=2, out_channels=2, block_out_channels=(8, 12),
                   down_block_types=("AttnDownBlock2D", "DownBlock2D"),
                   up_block_types=("UpBlock2D", "AttnUpBlock2D"), layers_per_block=1,
                   norm_num_groups=4, attention_head_dim=4, num_class_embeds=5), "F32"),
    "wide": (dict(sample_size=(16, 8), in_channels=1, out_channels=1, block_out_channels=(8, 12, 12),
                  down_block_types=("DownBlock2D", "ResnetDownsampleBlock2D", "AttnDownBlock2D"),
                  up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D", "UpBlock2D"),
                  layers_per_block=1, norm_num_groups=4, attention_head_dim=4), "F16"),
    "shift": (dict(sample_size=8, block_out_channels=(12, 12),
                   down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
                   up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"), layers_per_block=1,
                   norm_num_groups=6, attention_head_dim=4, resnet_time_scale_shift="scale_shift",
                   mid_block_scale_factor=2**0.5, attn_norm_num_groups=3,
                   center_input_sample=True), "BF16"),
    "nonorm": (dict(sample_size=8, in_channels=1, out_channels=2, block_out_channels=(8, 12),
                    down_block_types=("AttnDownBlock2D", "DownBlock2D"),
                    up_block_types=("UpBlock2D", "AttnUpBlock2D"), layers_per_block=1,
                    norm_num_groups=2, attention_head_dim=4, resnet_time_scale_shift="scale_shift",
                    downsample_type="resnet", upsample_type="resnet"), "F32"),
    "times": (dict(sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 12),
                   down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
                   layers_per_block=1, norm_num_groups=4, attention_head_dim=4,
                   class_embed_type="timestep", num_class_embeds=10, mid_block_scale_factor=2.0),
              "F32"),
    "fourier": (dict(sample_size=8, block_out_channels=(8, 8),
                     down_block_types=("AttnDownBlock2D", "AttnDownBlock2D"),
                     up_block_types=("AttnUpBlock2D", "AttnUpBlock2D"), layers_per_block=1,
                     norm_num_groups=4, attention_head_dim=8, time_embedding_type="fourier",
                     flip_sin_to_cos=False), "F32"),
    "sharded": (dict(sample_size=16, in_channels=1, out_channels=1, block_out_channels=(8,) * 3,
                     down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                     up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), layers_per_block=1,
                     norm_num_groups=8, attention_head_dim=4), "sharded"),
    "ddim": (dict(sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 12),
                  down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                  up_block_types=("AttnUpBlock2D", "UpBlock2D"), layers_per_block=1,
                  norm_num_groups=4, attention_head_dim=4), "unet"),
}
STEPS = 50


def scheduler_of(name):
    """None: the folder has no scheduler_config.json."""
    if name == "cifar":
        return DDPMScheduler(variance_type="fixed_large")
    if name == "heads":
        return DDIMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction",
                             num_train_timesteps=200)
    if name == "wide":
        return DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                             prediction_type="sample", clip_sample_range=2.0)
    if name == "shift":
        return DDPMScheduler(trained_betas=[float(b) for b in np.linspace(0.01, 0.3, 20)],
                             num_train_timesteps=20, thresholding=True)
    if name == "ddim":
        return DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    return None


def plain_products():
    """Batched products of some builds of PyTorch 1.13 return NaN where memory that nobody set holds one."""
    torch.bmm = lambda a, b: (a[..., None] * b[:, None]).sum(2)
    torch.baddbmm = lambda _, a, b, beta, alpha: alpha * torch.bmm(a, b)


def random_model(arguments, seed):
    torch.manual_seed(seed)
    model = UNet2DModel(**arguments).eval()
    for p in model.parameters():  # biases and the norms' scales too, which PyTorch begins as 0 and 1
        if p.dim() == 1:
            p.data += 0.1 * torch.randn_like(p)
    if model.config.time_embedding_type == "fourier":
        model.time_proj.weight.data = torch.randn_like(model.time_proj.weight)
    return model


def shard(folder, tensors, n):
    names, shards, index = sorted(tensors), [{} for _ in range(n)], {}
    for i, key in enumerate(names):
        shards[i * n // len(names)][key] = tensors[key]
    for i, part in enumerate(shards):
        file = f"diffusion_pytorch_model-{i + 1:05}-of-{n:05}.safetensors"
        save_file(part, os.path.join(folder, file))
        index.update({key: file for key in part})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    with open(os.path.join(folder, WEIGHTS + ".index.json"), "w") as out:
        json.dump({"metadata": {"total_size": total}, "weight_map": index}, out, indent=0)
    os.remove(os.path.join(folder, WEIGHTS))


def store(folder, model, how):
    model.save_pretrained(folder)
    file = os.path.join(folder, WEIGHTS)
    tensors = load_file(file)
    if how in ("F16", "BF16"):
        kind = torch.float16 if how == "F16" else torch.bfloat16
        tensors = {k: t.to(kind) for k, t in tensors.items()}
        model.load_state_dict({k: t.float() for k, t in tensors.items()})
        os.remove(file)
        name = "diffusion_pytorch_model.fp16.safetensors" if how == "F16" else WEIGHTS
        save_file(tensors, os.path.join(folder, name))
    if how == "old":
        for now, before in OLD.items():
            tensors = {k.replace(now, before) if "attentions." in k else k: t
                       for k, t in tensors.items()}
        save_file(tensors, file)
    if how == "sharded":
        shard(folder, tensors, 3)


def inputs(model, scheduler, n, seed):
    random = np.random.default_rng(seed)
    size = model.config.sample_size
    sides = (size, size) if isinstance(size, int) else tuple(size)
    x = random.standard_normal((n, model.config.in_channels, *sides)).astype(np.float32)
    steps = scheduler.config.num_train_timesteps if scheduler else 1000
    label = np.sort(random.integers(1, steps, n)).astype(np.float32)
    classes = None
    if model.config.num_class_embeds:
        classes = random.integers(0, model.config.num_class_embeds, n).astype(np.int32)
    return x, label, classes


@torch.no_grad()
def evaluate(model, x, label, classes):
    given = None if classes is None else torch.tensor(classes).long()
    return model(torch.tensor(x), torch.tensor(label), class_labels=given).sample.numpy()


@torch.no_grad()
def ddim(model, spacing, x):
    scheduler = DDIMScheduler(clip_sample=False, timestep_spacing=spacing)
    scheduler.set_timesteps(STEPS)
    x = torch.tensor(x)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return x.numpy()


def make(root, seed, name, arguments, how):
    folder = os.path.join(root, name)
    network = os.path.join(folder, "unet") if how == "unet" else folder
    os.makedirs(network, exist_ok=True)
    model, scheduler = random_model(arguments, seed), scheduler_of(name)
    store(network, model, how)
    if scheduler:
        scheduler.save_pretrained(os.path.join(folder, "scheduler") if how == "unet" else folder)
    x, label, classes = inputs(model, scheduler, 3, seed)
    save = lambda file, value: np.save(os.path.join(folder, file + ".npy"), value)
    save("x", x)
    save("label", label)
    eps = evaluate(model, x, label, classes)
    assert np.isfinite(eps).all()
    save("eps", eps)
    if classes is not None:
        save("class", classes)
    if scheduler:
        save("betas", scheduler.betas.numpy())
    if name == "ddim":
        for spacing in "trailing", "leading":
            save(spacing, ddim(model, spacing, x))


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    plain_products()
    torch.set_num_threads(1)
    for seed, (name, (arguments, how)) in enumerate(CASES.items()):
        make(sys.argv[1] if len(sys.argv) > 1 else HERE, seed, name, arguments, how)
