#!/usr/bin/env python3
"""log_rate.py VPSDE [GB] [FOLDER]: trajectories logged beside what the disk takes.

Writes GB (default 2) of zeros to FOLDER (default: a fresh one under /tmp) in blocks of 16 MB with one
fdatasync at the end, then lets VPSDE store as many bytes of states of a mixture (all fields, every
step of ddim: computing them is much faster than storing), then writes again. Prints the disk's rate,
the run's while it computed and of the whole command, and peak memory, beside that of a
twentieth of the run.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import h5py

STEPS, FIELDS, BLOCK = 100, 3, 1 << 24
CONFIG = """
process: {{schedule: vp-linear, terminal: standard-normal}}
model: {{kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [[0.1, 0.1], [0.1, 0.2]]}}
sampler: {{solver: ddim, steps: {steps}, count: {count}}}
log: {{times: all, fields: [x, eps, x0], dtype: float64}}
"""


def disk(folder, size):
    """Bytes a second of a plain file."""
    path, block = folder / "plain", bytes(BLOCK)
    began = time.perf_counter()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for _ in range(size // BLOCK):
        os.write(file, block)
    os.fdatasync(file)
    os.close(file)
    seconds = time.perf_counter() - began
    path.unlink()
    return size // BLOCK * BLOCK / seconds


def run(vpsde, folder, size):
    """Bytes stored, seconds of computing with the log behind it, seconds of all, peak memory in MB."""
    count = size // (8 * 2 * FIELDS * (STEPS + 1))
    config, out = folder / "log.yaml", folder / "log.h5"
    config.write_text(CONFIG.format(steps=STEPS, count=count))
    began = time.perf_counter()
    process = subprocess.Popen([vpsde, "sample", config, "-o", out, "--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    total = time.perf_counter() - began
    if status != 0:
        sys.exit(f"vpsde ended with {status}")
    with h5py.File(out) as file:
        computing = float(file["provenance/runs_ddim"].attrs["wall_seconds"])
    out.unlink()
    return count * 8 * 2 * FIELDS * (STEPS + 1), computing, total, usage.ru_maxrss / 1024


def main():
    vpsde = pathlib.Path(sys.argv[1]).resolve()
    size = int(float(sys.argv[2] if len(sys.argv) > 2 else 2) * 1e9)
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else "/tmp") as name:
        folder = pathlib.Path(name)
        small = run(vpsde, folder, size // 20)[3]
        before = disk(folder, size)
        stored, computing, total, peak = run(vpsde, folder, size)
        after = disk(folder, size)
    rate = (before + after) / 2
    print(f"disk           {before / 1e6:6.0f} MB/s before, {after / 1e6:.0f} after")
    print(f"while computed {stored / computing / 1e6:6.0f} MB/s, {stored / computing / rate:.2f} of it")
    print(f"whole command  {stored / total / 1e6:6.0f} MB/s, {stored / total / rate:.2f}")
    print(f"peak memory    {peak:6.0f} MB; {small:.0f} MB of a twentieth of the run")


if __name__ == "__main__":
    main()
