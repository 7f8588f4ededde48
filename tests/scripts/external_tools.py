"""external_tools.py VPSDE SOURCE: run files open in h5py, xarray, h5dump, h5ls, Octave and R.

The blocks of docs/readers.md run, on the files that the page describes, and what they print is what the program
printed and stored. R is big: without it its block is not run.
"""
import importlib.util, os, re, shutil, subprocess, sys, tempfile

import h5py
import numpy as np
import xarray

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
for package, module in (("python3-matplotlib", "matplotlib"), ("fonts-freefont-otf", None)):  # Octave draws text with the latter
    there = importlib.util.find_spec(module) if module else os.path.exists("/usr/share/fonts/opentype/freefont/FreeSans.otf")
    assert there, f"{package} is missing: apt-get install {package}, or tests/run --packages"


def call(*arguments):
    result = subprocess.run(arguments, capture_output=True, text=True)
    assert result.returncode == 0, (arguments, result.stdout, result.stderr)
    return result.stdout


def is_picture(path):
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 3000, (path, len(data))


def schema():
    """What the page of the schema promises, in a run file of a mixture."""
    config = os.path.join(source, "experiments/mixture.yaml")
    call(vpsde, "sample", config, "-o", "mixture.h5", "-q", "--set", "sampler.count=50",
         "--set", "log.times=11", "--set", "log.fields=[x, eps, x0]")
    call(vpsde, "likelihood", config, "-o", "mixture-logp.h5", "-q", "--set", "data.count=20")
    for file in ("mixture.h5", "mixture-logp.h5"):
        call(sys.executable, os.path.join(source, "tests/check_run_file.py"), file)
    ddim = xarray.open_dataset("mixture.h5", group="runs/ddim", engine="h5netcdf")
    assert ddim["x"].dims == ("sample", "time", "dim"), ddim["x"].dims
    assert ddim["x"].shape == (50, 11, 2)
    for name in ("t", "alpha", "sigma", "lambda"):
        assert ddim[name].dims == ("time",), name
    assert np.allclose(ddim["alpha"] ** 2 + ddim["sigma"] ** 2, 1)
    assert float(ddim["t"][0]) == 1 and float(ddim["t"][-1]) == 1e-3
    last = ddim["x"].isel(time=-1).values
    assert np.array_equal(last, ddim["final"].values.astype(np.float32))
    logp = xarray.open_dataset("mixture-logp.h5", group="likelihood/gsl_rk8pd", engine="h5netcdf")
    assert logp["logp"].dims == ("sample",) and logp["logp"].attrs["units"] == "nat"
    with h5py.File("mixture.h5") as f:
        final = f["runs/ddim/final"][:]
        assert f["runs/ddim/x"].dims[1].label in ("time", "") and f["runs/ddim/x"].dims[1].keys()
    dump = call("h5dump", "-d", "/runs/ddim/final", "-m", "%.17g", "mixture.h5")
    assert "%.17g" % final[0, 0] in dump
    assert "runs" in call("h5ls", "-r", "mixture.h5")


def blocks():
    """Blocks of docs/readers.md by language."""
    page = open(source + "/docs/readers.md").read()
    return dict(re.findall(r"^```(\w+)\n(.*?)^```", page, re.M | re.S))


def make_files(config):
    """The page's files; what the program says of them: rmse, mean and standard error of log p."""
    np.save("points.npy", np.random.default_rng(3).normal(size=(40, 2)) * 0.3 + [2, 1])
    with open("readers.yaml", "w") as file:
        file.write(config)
    call(vpsde, "sample", "readers.yaml", "-o", "run.h5", "-q")
    printed = call(vpsde, "compare", "readers.yaml", "-o", "compare.h5")
    with h5py.File("compare.h5") as f:
        rmse = f["compare/rmse"][0]
    assert "%.3e" % rmse in printed, (rmse, printed)
    printed = call(vpsde, "likelihood", "readers.yaml", "-o", "logp.h5")
    average, per_dim = re.search(r"^dopri5 +\d+ +\d+ +(\S+) +\S+ +(\S+)", printed, re.M).groups()
    return rmse, float(average), float(per_dim) * 2 * np.log(2)  # the printed one is of bits/dim


def check(words, truth, order):
    """Words are: three dimensions, the last lambda, rmse, mean and standard error of log p, then maybe categories."""
    rmse, average, stderr = truth
    assert [int(w) for w in words[:3]] == order, words
    lambda_end, *numbers = map(float, words[3:7])
    with h5py.File("run.h5") as f:
        assert abs(lambda_end - f["runs/ddim/lambda"][-1]) < 1e-5 * abs(lambda_end), words
    assert abs(numbers[0] - rmse) < 1e-12 * rmse, (numbers, rmse)
    assert abs(numbers[1] - average) < 5e-6 * abs(average), (numbers, average)
    assert abs(numbers[2] - stderr) < 0.05 * stderr, (numbers, stderr)
    assert words[7:] in ([], ["ddim"]), words


def python(block, truth):
    words = re.sub("[(),']", " ", call(sys.executable, "-c", block)).split()
    assert words[:3] == ["sample", "time", "dim"], words
    check(words[3:], truth, [60, 21, 2])
    is_picture("python.png")


def octave(block, truth):
    with open("block.m", "w") as file:
        file.write("1;\n" + block)
    check(call("octave", "--no-gui", "--no-init-file", "--quiet", "block.m").split(), truth, [2, 21, 60])
    is_picture("octave.png")


def r(block, truth):
    if not shutil.which("Rscript") or subprocess.run(["Rscript", "-e", "library(hdf5r)"], capture_output=True).returncode:
        print("R with hdf5r is not installed: its reader was not run")
        return
    check(call("Rscript", "-e", block).split(), truth, [2, 21, 60])
    is_picture("r.png")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    os.symlink(source + "/analysis", "analysis")
    schema()
    block = blocks()
    truth = make_files(block["yaml"])
    python(block["py"], truth)
    octave(block["octave"], truth)
    r(block["r"], truth)
    os.chdir("/")
print("h5py, xarray, h5dump, h5ls, Octave and R read the same numbers")
