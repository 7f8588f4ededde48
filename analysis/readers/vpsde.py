"""Run files of vpsde in Python: h5py and xarray.

    python3 vpsde.py RUN.h5 LABEL OUT.png     plots the paths of a run

In a notebook: `import vpsde`, with this folder in `sys.path`.
"""
import h5py
import numpy as np
import xarray


def group(path, name):
    """A group as xarray.Dataset, its attributes decoded: `group("run.h5", "runs/ddim")`."""
    return xarray.open_dataset(path, group=name, engine="h5netcdf")


def trajectory(path, label, field="x"):
    """(sample, time, dim), or (sample, time, channel, row, column), with the coordinates t, alpha, sigma, lambda."""
    return group(path, "runs/" + label.replace("-", "_"))[field]


def categories(path, name):
    """A dataset of categories as words: `categories("compare.h5", "compare/solver")`."""
    with h5py.File(path) as file:
        words = np.array(file[name].attrs["flag_meanings"].decode().split())
        return words[file[name][:]]


def distances(path, label, reference):
    """|x - x_ref| of each sample, between two runs of the same start states in one file."""
    a = group(path, "runs/" + label.replace("-", "_"))
    b = group(path, "runs/" + reference.replace("-", "_"))
    good = (a["status"] == 0) & (b["status"] == 0)
    difference = (a["final"] - b["final"])[good.values].values
    return np.sqrt((difference.reshape(len(difference), -1) ** 2).sum(1))


def rmse(path, label, reference):
    """The metric `rmse` of `vpsde compare`."""
    return np.sqrt((distances(path, label, reference) ** 2).mean())


def logp(path, label):
    """Mean of log p over the rows in nats, and its standard error, as `vpsde likelihood` prints them."""
    value = group(path, "likelihood/" + label.replace("-", "_"))["logp"].values
    value = value[np.isfinite(value)]
    return value.mean(), value.std(ddof=1) / np.sqrt(len(value))


def plot(path, label, out, samples=30):
    """Paths of the first two components of some samples, noise to data."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    x = trajectory(path, label)[:samples]
    x = x.values.reshape(x.shape[0], x.shape[1], -1)
    figure, axes = plt.subplots(figsize=(6, 5))
    axes.plot(x[:, :, 0].T, x[:, :, 1].T, linewidth=0.7, color="0.6")
    axes.scatter(x[:, 0, 0], x[:, 0, 1], s=8, label="noise")
    axes.scatter(x[:, -1, 0], x[:, -1, 1], s=8, label="data")
    axes.set(title=label, xlabel="component 0", ylabel="component 1")
    axes.legend()
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    import sys
    plot(*sys.argv[1:4])
