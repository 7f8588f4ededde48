"""memory.py VPSDE: memory follows blocks, not samples: a million 2-D samples with 33 stored states."""
import os, resource, subprocess, sys, tempfile

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
LIMIT_MB = 300
CONFIG = """\
process: {schedule: vp-linear, terminal: exact}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
sampler: {solver: ddim, steps: 32, count: 1000000}
log: {times: 33}
"""
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("million.yaml", "w") as f:
        f.write(CONFIG)
    subprocess.run([vpsde, "sample", "million.yaml", "-o", "million.h5", "-q"], check=True)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    with h5py.File("million.h5") as f:
        g = f["runs/ddim"]
        assert f.attrs["status"] in ("complete", b"complete")
        assert g["x"].shape == (1000000, 33, 2) and g["final"].shape == (1000000, 2)
        assert g["sample"][-1] == 999999
        for first in range(0, 1000000, 125000):
            final = g["final"][first:first + 125000]
            assert np.isfinite(final).all()
            assert np.array_equal(g["x"][first:first + 125000, -1], final.astype(np.float32))
        mean = g["final"][:].mean(axis=0)
        assert np.abs(mean - [0.8, 0.7]).max() < 0.1, mean
    left = sorted(os.listdir("."))
    assert left == ["million.h5", "million.yaml"], left
    print(f"peak {peak_mb:.0f} MB")
    assert peak_mb < LIMIT_MB, f"peak {peak_mb:.0f} MB, allowed {LIMIT_MB} MB"
