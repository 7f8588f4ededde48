"""transport.py VPSDE: the same bits from any threads and through interruptions, the chain of lengths, and what is refused."""
import glob, os, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
CONFIG = """\
seed: 3
process: {schedule: vp-linear, t_min: 1.0e-3}
model: {kind: gaussian-mixture, weights: [0.34, 0.33, 0.33], means: [[-1, 0], [1, 0], [0, 0.5]], variances: 0.02}
transport: {integrator: {rtol: 1.0e-8, atol: 1.0e-8}, times: 17}
"""


def run(*arguments, code=0):
    result = subprocess.run([vpsde, "transport", "conf.yaml", *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout + result.stderr


def same(a, b):
    out = subprocess.run(["h5diff", "--exclude-path=/provenance", a, b], capture_output=True, text=True)
    assert out.returncode == 0, (a, b, out.stdout, out.stderr)


def refused(words, *sets, code=3):
    message = run("-o", "no.h5", *(word for s in sets for word in ("--set", s)), code=code)
    assert words in message, message


def interrupted():
    """Stopped once some blocks are there, resumed: rows from before are computed again, and stand in the file once."""
    process = subprocess.Popen([vpsde, "transport", "conf.yaml", "-o", "cut.h5", "-q", "--threads", "1", "--set", "transport.count=1200"])
    while not glob.glob("cut.h5.parts/part-*") and process.poll() is None:
        time.sleep(0.002)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = subprocess.run([vpsde, "resume", "cut.h5", "-q"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    same("whole.h5", "cut.h5")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    with open("conf.yaml", "w") as file:
        file.write(CONFIG)
    shown = run("-o", "whole.h5", "--set", "transport.count=1200", "--threads", "2")
    assert "W2^2 <= L^2 <= b Sigma/2 holds" in shown and "assignment gap" in shown, shown
    run("-o", "one.h5", "-q", "--set", "transport.count=1200", "--threads", "1")
    same("whole.h5", "one.h5")
    interrupted()
    with h5py.File("whole.h5") as f:
        rows, pairs, speed = f["transport"], f["transport/pairs"], f["transport/speed"]
        assert sorted(pairs["partner"]) == list(range(1200)) and pairs.attrs["gap"] > 1e-4
        assert np.isclose(pairs["partner_cost"][:].mean(), pairs.attrs["optimal_cost"], rtol=1e-12)
        assert np.isclose(pairs["cost"][:].mean(), pairs.attrs["identity_cost"], rtol=1e-12)
        assert np.allclose(((rows["x"][:] - rows["image"][:]) ** 2).sum(1), pairs["cost"], rtol=1e-12)
        mean = rows["speed_squared"][:].mean(0)
        assert np.isclose(speed["weight"][:] @ np.sqrt(mean), speed.attrs["length"], rtol=1e-12)
        assert np.isclose(speed["weight"][:].sum(), speed.attrs["b_span"], rtol=0.01)  # tan(phi) is steep at the end
        assert pairs.attrs["optimal_cost"] <= speed.attrs["length_squared"] <= speed.attrs["speed_limit"]
        x = rows["x"][:]
    np.save("rows.npy", x[:50])  # rows of a file do what the draws did
    run("-o", "rows.h5", "-q", "--set", "data.path=rows.npy")
    with h5py.File("rows.h5") as f, h5py.File("whole.h5") as g:
        assert np.array_equal(f["transport/image"], g["transport/image"][:50])
    broken = x[:50].copy()
    broken[7] = 1e308  # too far for a float
    np.save("rows.npy", broken)
    run("-o", "broken.h5", "-q", "--set", "data.path=rows.npy", code=5)
    with h5py.File("broken.h5") as f:
        assert f["transport/pairs/partner"][7] == -1 and f["transport/pairs"].attrs["rows"] == 49
    refused("there are no rows")
    refused("heun integrates no ODE", "transport.count=9", "transport.integrator.solver=heun")
    refused("transport.count", "transport.count=4001")
    np.save("rows.npy", np.zeros((4001, 2)))
    refused("expected at most 4000", "data.path=rows.npy")
    np.save("rows.npy", np.zeros((4001, 2))[:1])
    refused("data.count: 1 rows; the best assignment is of 2 rows or more", "data.path=rows.npy")
    refused("transport.count: 1 rows", "transport.count=1")
    os.chdir("/")
print("transport: threads, interruptions and refusals are as they should be")
