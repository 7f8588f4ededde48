"""diffusers.py VPSDE SOURCE: runs on a diffusers folder, stopped and resumed, in float32 and in bf16; what the configuration of a unet resolves to."""
import os, shutil, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
CONFIG = """\
seed: 5
model: {path: net}
sampler: {solver: ancestral, steps: 150, count: 64}
"""


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout + result.stderr


def samples(path, compute):
    with h5py.File(path) as f:
        assert f["model"].attrs["compute"] in (compute, compute.encode()), dict(f["model"].attrs)
        return f["runs/ancestral/final"][:]


def stop_after(seconds, arguments):
    process = subprocess.Popen([vpsde, *arguments], stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.terminate()
    process.communicate(timeout=60)
    return process.returncode == 143 and os.path.exists("cut.h5.parts/manifest")


def interrupted(compute):
    """Bits of a run that was stopped, and that of its own configuration; a folder that changed is refused."""
    choice = ["--set", "model.compute=" + compute]
    began = time.monotonic()
    run("sample", "conf.yaml", "-o", "whole.h5", "-q", *choice)
    seconds = time.monotonic() - began
    for part in (0.5, 0.35, 0.65, 0.2, 0.8):
        if stop_after(part * seconds, ["sample", "conf.yaml", "-o", "cut.h5", "-q", "--threads", "1", *choice]):
            break
        for name in ("cut.h5", "cut.h5.parts"):
            shutil.rmtree(name, ignore_errors=True) if os.path.isdir(name) else os.path.exists(name) and os.remove(name)
    assert os.path.isdir("cut.h5.parts"), "the run was over each time before it could be stopped"
    weights = "net/diffusion_pytorch_model.safetensors"
    with open(weights, "rb") as f:
        kept = f.read()
    with open(weights, "wb") as f:
        f.write(kept[:-4] + b"\0\0\0\0")
    assert "net" in run("resume", "cut.h5", code=4)
    with open(weights, "wb") as f:
        f.write(kept)
    run("resume", "cut.h5", "-q")
    x = samples("whole.h5", compute)
    assert np.array_equal(x, samples("cut.h5", compute)) and np.isfinite(x).all()
    run("sample", "cut.h5", "-o", "again.h5", "-q")
    assert np.array_equal(x, samples("again.h5", compute)), "the run file's configuration is another one"
    for name in ("whole.h5", "cut.h5", "again.h5"):
        os.remove(name)
    return x


def computes():
    full, less = interrupted("float32"), interrupted("bf16")
    difference = np.sqrt(((full - less) ** 2).mean() / (full ** 2).mean())
    assert 1e-5 < difference < 0.3, difference
    assert "  compute: float32\n" in run("check", "conf.yaml", "--resolved")
    assert "did you mean 'bf16'" in run("check", "conf.yaml", "--set", "model.compute=bf15", code=3)
    mixture = os.path.join(source, "experiments/mixture.yaml")
    assert "compute: is for networks of kind unet; gaussian-mixture has none" in \
        run("check", mixture, "--set", "model.compute=bf16", code=3)


def training_configuration():
    np.save("images.npy", np.zeros((4, 8, 8)))
    with open("train.yaml", "w") as f:
        f.write("process: {schedule: vp-linear}\nmodel: {kind: unet}\ndata: {path: images.npy}\ntrain: {steps: 2, batch: 2}\n")
    text = run("check", "train.yaml", "--resolved")
    for line in ("channels: [32, 64, 96]", "attention: [false, false, true]", "shape: [1, 8, 8]", "compute: float32"):
        assert "  " + line + "\n" in text, (line, text)
    with open("resolved.yaml", "w") as f:
        f.write(text)
    assert run("check", "resolved.yaml", "--resolved") == text, "resolving is not idempotent"
    assert "training computes in float32" in \
        run("train", "train.yaml", "-o", "x.safetensors", "--set", "model.compute=bf16", code=3)
    assert "expected kind: mlp or unet instead" in run("train", "conf.yaml", "-o", "x.safetensors", "--set", "train.steps=1", code=3)
    assert "has nothing to train; expected mlp or unet" in \
        run("train", os.path.join(source, "experiments/mixture.yaml"), "-o", "x.safetensors", code=3)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    shutil.copytree(os.path.join(source, "tests/golden/unet/cifar"), "net")
    with open("conf.yaml", "w") as f:
        f.write(CONFIG)
    computes()
    training_configuration()
