"""pretrained.py VPSDE SOURCE: the network in models/pretrained is small, says what it is, draws what it is asked for, and takes no more
memory for more samples.

Twenty samples, two a class, by dpmpp-2m in 10 steps with fixed noise and guidance. Each is taken for the kind (upper garment, trousers,
dress, shoe, bag) of the nearest of 6,000 test images: at least 15 must be of the kind they were asked for. Guessing gives that with
probability 3e-6 (0.28 a sample).
"""
import gzip, os, subprocess, sys, tempfile

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
model = source + "/models/pretrained/fashion-mnist-unet.safetensors"
folder = "/usr/share/datasets/fashion-mnist/t10k-"
assert os.path.getsize(model) <= 8 * 2**20, os.path.getsize(model)
info = subprocess.run([vpsde, "info", model], check=True, capture_output=True, text=True).stdout
for fact in ("unet", "784 = 1 x 28 x 28", "prediction   v", "classes      10 and none", "vp-linear", "3 levels of 1 residual block", "work         466.5 MFLOP an image"):
    assert fact in info, (fact, info)

images = np.frombuffer(gzip.open(folder + "images-idx3-ubyte.gz").read(), np.uint8, offset=16).reshape(-1, 784)[:6000] / 127.5 - 1
labels = np.frombuffer(gzip.open(folder + "labels-idx1-ubyte.gz").read(), np.uint8, offset=8)[:6000]
with tempfile.TemporaryDirectory() as temporary:
    os.chdir(temporary)
    with open("run.yaml", "w") as f:
        f.write(f"seed: 3\nmodel: {{path: {model}}}\nsampler: {{solver: dpmpp-2m, steps: 10, count: 20, guidance: 1}}\nlog: {{times: none}}\n")
    subprocess.run([vpsde, "sample", "run.yaml", "-o", "run.h5", "-q"], check=True)
    peak = []
    for count in (16, 160):
        child = subprocess.Popen([vpsde, "sample", "run.yaml", "-o", f"{count}.h5", "-q", "--threads", "2",
                                  "--set", f"sampler.count={count}", "--set", "sampler.steps=1"])
        _, status, usage = os.wait4(child.pid, 0)
        assert status == 0, status
        peak.append(usage.ru_maxrss / 1024)
    with h5py.File("run.h5") as f:
        x, asked = f["runs/dpmpp_2m/final"][:].reshape(-1, 784), f["runs/dpmpp_2m/class"][:]
assert sorted(asked) == sorted(list(range(10)) * 2), asked
assert 0.2 < np.abs(x).mean() < 1.1 and np.isfinite(x).all()
squares = (x**2).sum(1)[:, None] - 2 * x @ images.T + (images**2).sum(1)
kind = np.array([0, 1, 0, 2, 0, 3, 0, 3, 4, 3])
right = int((kind[labels[squares.argmin(1)]] == kind[asked]).sum())
assert right >= 15, right
print(f"{right} of 20 samples are of the kind they were asked for; peak memory of 16 and 160 samples: {peak[0]:.0f} and {peak[1]:.0f} MB")
assert peak[1] < peak[0] + 8 and peak[1] < 200, peak
