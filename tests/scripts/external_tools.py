"""external_tools.py VPSDE SOURCE: run files open in h5py, xarray, h5dump, h5ls and Octave."""
import os, subprocess, sys, tempfile

import h5py
import numpy as np
import xarray

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])


def call(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    config = os.path.join(source, "experiments/mixture.yaml")
    call(vpsde, "sample", config, "-o", "run.h5", "-q", "--set", "sampler.count=50",
         "--set", "log.times=11", "--set", "log.fields=[x, eps, x0]")
    call(vpsde, "likelihood", config, "-o", "logp.h5", "-q", "--set", "data.count=20")
    for file in ("run.h5", "logp.h5"):
        call(sys.executable, os.path.join(source, "tests/check_run_file.py"), file)

    ddim = xarray.open_dataset("run.h5", group="runs/ddim", engine="h5netcdf")
    assert ddim["x"].dims == ("sample", "time", "dim"), ddim["x"].dims
    assert ddim["x"].shape == (50, 11, 2)
    for name in ("t", "alpha", "sigma", "lambda"):
        assert ddim[name].dims == ("time",), name
    assert np.allclose(ddim["alpha"] ** 2 + ddim["sigma"] ** 2, 1)
    assert float(ddim["t"][0]) == 1 and float(ddim["t"][-1]) == 1e-3
    last = ddim["x"].isel(time=-1).values
    assert np.array_equal(last, ddim["final"].values.astype(np.float32))
    logp = xarray.open_dataset("logp.h5", group="likelihood/gsl_rk8pd", engine="h5netcdf")
    assert logp["logp"].dims == ("sample",) and logp["logp"].attrs["units"] == "nat"

    with h5py.File("run.h5") as f:
        final = f["runs/ddim/final"][:]
        assert f["runs/ddim/x"].dims[1].label in ("time", "") and f["runs/ddim/x"].dims[1].keys()
    dump = call("h5dump", "-d", "/runs/ddim/final", "-m", "%.17g", "run.h5")
    assert "%.17g" % final[0, 0] in dump
    assert "runs" in call("h5ls", "-r", "run.h5")
    octave = call("octave", "--no-gui", "--no-init-file", "--eval",
                  "s = load('run.h5'); x = s.runs.ddim.final; printf('%d %d %.17g', size(x), x(1));")
    rows, columns, value = octave.split()[-3:]
    assert (int(rows), int(columns)) == (2, 50), "Octave sees the dimensions reversed"
    assert float(value) == final[0, 0]
print("h5py, xarray, h5dump, h5ls and Octave read the same numbers")
