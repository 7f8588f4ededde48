"""python_recipe.py VPSDE SOURCE: the blocks of docs/python.md write a network that runs here as it does in Python.

The file is written from numpy arrays; the PyTorch module is run as well where torch is installed.
"""
import os, re, subprocess, sys, tempfile

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
page = open(source + "/docs/python.md").read()
module, facts_block, writer = re.findall(r"^```py\n(.*?)^```", page, re.M | re.S)
names = {}
exec(facts_block + writer, names)
facts, write_safetensors = names["facts"], names["write_safetensors"]
HIDDEN, LAYERS, FEATURES, DIM, COUNT = 24, 2, 16, 6, 37
RUN = """\
model: {path: net.safetensors}
sampler: {solver: ddim, steps: 1, count: %d, init: start.npy}
log: {times: all, fields: [x, eps], dtype: float64}
""" % COUNT


def tensors(hidden, layers, features, dim, rng):
    shapes = {"time.0": (hidden, features), "time.2": (hidden, hidden), "input": (hidden, dim), "output": (dim, hidden)}
    for l in range(layers):
        shapes[f"layers.{l}.linear1"] = shapes[f"layers.{l}.linear2"] = (hidden, hidden)
    out = {}
    for name, shape in shapes.items():
        out[name + ".weight"] = rng.uniform(-1, 1, shape).astype(np.float32) * (3 / shape[1]) ** 0.5
        out[name + ".bias"] = rng.uniform(-1, 1, shape[0]).astype(np.float32)
    return out


def forward(t, x, label):
    """The page's equations in double."""
    def linear(name, v):
        return v @ t[name + ".weight"].astype(float).T + t[name + ".bias"].astype(float)

    def silu(v):
        return v / (1 + np.exp(-v))

    angle = label[:, None] * np.exp(-np.log(10000) * np.arange(FEATURES // 2) / (FEATURES // 2))
    e = linear("time.2", silu(linear("time.0", np.concatenate([np.cos(angle), np.sin(angle)], 1))))
    h = linear("input", x) + e
    for l in range(LAYERS):
        h = h + linear(f"layers.{l}.linear2", silu(linear(f"layers.{l}.linear1", silu(h)) + e))
    return linear("output", silu(h))


def run(*arguments):
    return subprocess.run([vpsde, *arguments], check=True, capture_output=True, text=True).stdout


def close(a, b, what):
    error = np.abs(a - b).max() / np.abs(b).max()
    assert error < 1e-5, (what, error)
    print(f"{what}: relative error {error:.1e}")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    rng = np.random.default_rng(7)
    start = rng.normal(size=(COUNT, DIM))
    weights = tensors(HIDDEN, LAYERS, FEATURES, DIM, rng)
    sizes = {"vpsde.shape": "1,2,3", "vpsde.hidden": str(HIDDEN), "vpsde.layers": str(LAYERS), "vpsde.time_features": str(FEATURES)}
    write_safetensors("net.safetensors", weights, {**facts, **sizes})
    np.save("start.npy", start)
    with open("run.yaml", "w") as f:
        f.write(RUN)
    run("sample", "run.yaml", "-o", "run.h5", "-q")
    label = np.full(COUNT, 999.0)  # N t - 1 at t = 1
    eps = forward(weights, start, label)
    with h5py.File("run.h5") as f:
        group = f["runs/ddim"]
        assert group["final"].shape == (COUNT, 1, 2, 3)
        alpha, sigma = group["alpha"][:], group["sigma"][:]
        close(group["eps"][:, 0].reshape(COUNT, DIM), eps, "eps at t = 1")
        x0 = (start - sigma[0] * eps) / alpha[0]
        close(group["final"][:].reshape(COUNT, DIM), alpha[1] * x0 + sigma[1] * eps, "one DDIM step")

    write_safetensors("net.safetensors", tensors(128, 3, 64, 196, rng), facts)  # the page's own example
    shown = re.search(r"^```text\n(.*?)^```", page, re.M | re.S).group(1)
    printed = re.sub(r"(?m)^(sha256 +)\w+$", r"\1...", run("info", "net.safetensors"))
    assert printed == shown, f"vpsde info prints\n{printed}\nthe page shows\n{shown}"

    try:
        import torch
    except ImportError:
        print("torch is not installed: its block was not run")
    else:
        exec(module, names)
        net = names["Net"](DIM, HIDDEN, LAYERS, FEATURES)
        assert sorted(net.state_dict()) == sorted(weights), sorted(net.state_dict())
        net.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
        with torch.no_grad():
            close(net(torch.tensor(start).float(), torch.tensor(label)).numpy(), eps, "PyTorch's module")
        write_safetensors("torch.safetensors", net.state_dict(), {**facts, **sizes})
        run("info", "torch.safetensors")
print("networks written as docs/python.md says run as in Python")
