"""train.py VPSDE: training with classes, flips, forms of the loss, sheets of samples, progress; and what is refused."""
import os, re, subprocess, sys, tempfile

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
UNET = """\
seed: 5
process: {schedule: vp-linear}
model: {kind: unet, channels: [8, 8], groups: 4, classes: 3}
data: {path: images.npy, labels: labels.npy, first: 10}
train: {steps: 6, batch: 12, warmup: 2, learning_rate: 2.0e-3, decay: cosine, ema: 0.5, prediction: v, weighting: likelihood,
  class_dropout: 0.3, flip: true, checkpoint_every: 3, sample_every: 2, samples: 7}
"""
MLP = """\
process: {schedule: vp-linear}
model: {kind: mlp, hidden: 16}
data: {path: vectors.npy}
train: {steps: 5, batch: 8, checkpoint_every: 2}
"""


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result


def refused(config, words, *settings, code=3):
    options = [option for setting in settings for option in ("--set", setting)]
    message = run("train", config, "-o", "refused.safetensors", *options, code=code).stderr
    assert all(word in message for word in words), (message, words)
    assert message.count("\n") == 1 and not os.path.exists("refused.safetensors"), message


def inputs():
    rng = np.random.default_rng(3)
    np.save("images.npy", rng.integers(0, 256, (70, 8, 8)).astype(np.uint8))
    np.save("colours.npy", rng.integers(0, 256, (20, 3, 8, 8)).astype(np.uint8))
    np.save("vectors.npy", rng.normal(size=(40, 3)))
    labels = np.arange(70) % 3
    np.save("labels.npy", labels.astype(np.int64))
    labels[0] = 17  # above data.first: nobody's row
    with open("labels.idx", "wb") as f:
        f.write(bytes([0, 0, 8, 1, 0, 0, 0, 70]) + labels.astype(np.uint8).tobytes())
    with h5py.File("labels.h5", "w") as f:
        f["of/rows"] = np.concatenate([np.arange(69) % 3, [3]]).astype(np.int32)
    np.save("few.npy", labels[:60])
    np.save("halves.npy", np.full(70, 0.5))
    np.save("pairs.npy", np.zeros((70, 2), np.int64))
    for name, text in (("unet.yaml", UNET), ("mlp.yaml", MLP)):
        with open(name, "w") as f:
            f.write(text)


def weights(name):
    with open(name + ".safetensors", "rb") as f:
        return f.read()


def trains_and_resumes():
    """A training that is stopped has the bits of one that was not; neither sheets nor checkpoints change any."""
    whole = run("train", "unet.yaml", "-o", "whole.safetensors").stderr
    lines = re.findall(r"^train (\d+)/6 \(([\d.]+) %\)  loss \d+\.\d{4}  [\d.]+ images/s  \d+ s left$", whole, re.M)
    assert [line[0] for line in lines] == ["3", "6"] and whole.count("\n") == 2, whole
    quiet = run("train", "unet.yaml", "-o", "plain.safetensors", "-q", "--set", "train.sample_every=0", "--set", "train.checkpoint_every=50")
    assert quiet.stdout == "" and quiet.stderr == "", quiet
    assert not os.path.exists("plain.samples.pgm")
    assert weights("whole") == weights("plain"), "sheets of samples change a training"
    run("train", "unet.yaml", "-o", "same.safetensors", "-q", "--threads", "1", "--set", "data.labels=labels.idx")
    assert weights("whole") == weights("same"), "threads or the labels' format change a training"
    run("train", "unet.yaml", "-o", "whole.safetensors", code=7)
    assert "v" in re.search(r"prediction +(\w+)", run("info", "whole.safetensors").stdout).group(1)
    with h5py.File("whole.h5") as f:
        assert any(key.startswith("labels") for key in f["inputs"].attrs) and f.attrs["status"] == b"complete"
        assert np.isfinite(f["training/loss"][:]).all()
    with h5py.File("whole.h5", "r+") as f:  # killed between its last state and the files after it
        f.attrs["status"] = np.bytes_("interrupted")
    os.remove("whole.safetensors")
    run("train", "unet.yaml", "-o", "whole.safetensors", "-q", "--resume")
    assert weights("whole") == weights("plain")
    with h5py.File("whole.h5") as f:
        assert f.attrs["status"] == b"complete"


def stops():
    """A training that was stopped ends, resumed, with the bits of one that was not, and only as the same training."""
    with open("long.yaml", "w") as f:
        f.write(UNET.replace("steps: 6", "steps: 80").replace("checkpoint_every: 3, sample_every: 2", "checkpoint_every: 1, sample_every: 20"))
    run("train", "long.yaml", "-o", "all.safetensors", "-q", "--set", "train.checkpoint_every=80")
    process = subprocess.Popen([vpsde, "train", "long.yaml", "-o", "cut.safetensors"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("train 3/"):
            break
    process.terminate()
    message = process.communicate(timeout=60)[1]
    assert process.returncode == 143 and "--resume goes on" in message, (process.returncode, message)
    for setting, word in (("data.labels=labels.idx", "labels"), ("train.flip=false", "flip"), ("train.prediction=eps", "prediction")):
        other = run("train", "long.yaml", "-o", "cut.safetensors", "--resume", "--set", setting, code=3).stderr
        assert word in other and "--force" in other, other
    state = open("cut.state.safetensors", "rb").read()
    for at in (len(state) // 3, len(state) - 5):  # a bit of the weights, and of the average
        open("cut.state.safetensors", "wb").write(state[:at] + bytes([state[at] ^ 1]) + state[at + 1:])
        message = run("train", "long.yaml", "-o", "cut.safetensors", "--resume", code=4).stderr
        assert "cut.state.safetensors: is damaged" in message and message.count("\n") == 1, message
    open("cut.state.safetensors", "wb").write(state)
    other = subprocess.run([vpsde, "train", "long.yaml", "-o", "cut.safetensors", "--resume"], capture_output=True, text=True,
                           env=dict(os.environ, ONEDNN_MAX_CPU_ISA="SSE41"))
    assert other.returncode == 3 and "build.onednn_isa: " in other.stderr and "--force" in other.stderr, other
    run("train", "long.yaml", "-o", "cut.safetensors", "--resume", "-q", "--set", "train.sample_every=80")
    assert weights("all") == weights("cut"), "a resumed training has other weights"
    sheets = [open(name + ".samples.pgm", "rb").read() for name in ("all", "cut")]
    assert sheets[0] == sheets[1]


def spares_strangers():
    """own.safetensors puts its curve in own.h5: never over what is no training's, --force or not."""
    with h5py.File("own.h5", "w") as f:
        f["x"] = np.arange(3.0)
    with open("sample.yaml", "w") as f:
        f.write("model: {path: whole.safetensors}\nsampler: {solver: ddim, steps: 2, count: 3}\n")
    run("sample", "sample.yaml", "-o", "samples.h5", "-q")
    for name, how in (("own", "--force"), ("samples", "--force"), ("samples", "--resume")):
        before = open(name + ".h5", "rb").read()
        error = run("train", "unet.yaml", "-o", name + ".safetensors", "-q", how, code=7).stderr
        assert f"{name}.h5: the loss curve would go there, but it is no training's" in error and error.count("\n") == 1, error
        assert open(name + ".h5", "rb").read() == before and not os.path.exists(name + ".safetensors")
    run("train", "unet.yaml", "-o", "whole.safetensors", "-q", "--force")
    os.remove("samples.h5")


def draws_sheets():
    header = b"P5\n26 26\n255\n"  # seven images of 8 x 8: three a line, one for each class
    sheet = open("whole.samples.pgm", "rb").read()
    assert sheet.startswith(header) and len(sheet) == len(header) + 26 * 26, sheet[:20]
    pixels = np.frombuffer(sheet[len(header):], np.uint8).reshape(26, 26)
    assert pixels[:, 8].max() == 0 and pixels[8].max() == 0 and pixels[18:, 9:].max() == 0 and pixels[:8, :8].max() > 0
    run("train", "unet.yaml", "-o", "colour.safetensors", "-q", "--set", "data={path: colours.npy}", "--set", "train.class_dropout=null")
    header = b"P6\n26 26\n255\n"
    sheet = open("colour.samples.ppm", "rb").read()
    assert sheet.startswith(header) and len(sheet) == len(header) + 3 * 26 * 26, sheet[:20]


def forms():
    """Each form of the loss trains, says what it predicts, and samples."""
    for prediction in ("eps", "v", "x0"):
        for weighting in ("simple", "likelihood", "min-snr"):
            name = f"{prediction}-{weighting}.safetensors"
            run("train", "mlp.yaml", "-o", name, "-q", "--set", f"train.prediction={prediction}", "--set", f"train.weighting={weighting}")
            assert re.search(rf"prediction +{prediction}\n", run("info", name).stdout)
            with open("sample.yaml", "w") as f:
                f.write(f"model: {{path: {name}}}\nsampler: {{solver: ddim, steps: 5, count: 3}}\n")
            run("sample", "sample.yaml", "-o", "sample.h5", "-q", "--force")
            with h5py.File("sample.h5") as f:
                assert f["model"].attrs["prediction"] == prediction.encode()


def refuses():
    refused("unet.yaml", ("labels.h5", "row 69: class 3", "0 to 2"), "data.labels=labels.h5:/of/rows", code=4)
    refused("unet.yaml", ("few.npy: 60 labels", "70 rows"), "data.labels=few.npy", code=4)
    refused("unet.yaml", ("row 10: class 0.5",), "data.labels=halves.npy", code=4)
    refused("unet.yaml", ("pairs.npy", "2 values"), "data.labels=pairs.npy", code=4)
    refused("unet.yaml", ("labels.idx", "row 0: class 17"), "data.labels=labels.idx", "data.first=0", code=4)
    refused("unet.yaml", ("class_dropout", "data.labels"), "data.labels=null")
    refused("unet.yaml", ("class_dropout",), "train.class_dropout=1.5")
    refused("mlp.yaml", ("data.labels", "mlp has no classes"), "data.labels=labels.npy")
    refused("mlp.yaml", ("train.flip", "vectors of 3"), "train.flip=true")
    refused("mlp.yaml", ("train.sample_every", "images"), "train.sample_every=2")
    refused("mlp.yaml", ("train.weighting", "simple|likelihood|min-snr"), "train.weighting=snr")
    refused("mlp.yaml", ("train.prediction", "eps|v|x0"), "train.prediction=score")
    refused("mlp.yaml", ("t_min > 0",), "train.weighting=likelihood", "process.t_min=0")


def labels_serve_likelihoods():
    """log p(row | its class) of two Gaussians, against the closed form; the chain's bound stays below."""
    x, classes = np.random.default_rng(4).normal(size=(8, 1)), np.array([5, 0, 1, -1, 1, 0, 0, 1])
    np.save("points.npy", x), np.save("which.npy", classes)
    with open("mixture.yaml", "w") as f:
        f.write("process: {schedule: vp-linear, terminal: exact}\nmodel: {kind: gaussian-mixture, weights: [0.25, 0.75], means: [[-1], [1]], "
                "variances: [0.5, 0.5], classes: [0, 1]}\ndata: {path: points.npy, labels: which.npy, first: 1}\n"
                "likelihood: {integrator: {solver: dopri5, rtol: 1.0e-8, atol: 1.0e-8}}\nelbo: {steps: 50, draws: 64}\n")
    run("likelihood", "mixture.yaml", "-o", "density.h5", "-q")
    run("elbo", "mixture.yaml", "-o", "bound.h5", "-q")
    parts = -(x - [-1, 1]) ** 2 - np.log(np.pi) / 2  # variance 1/2
    exact = np.where(classes >= 0, parts[np.arange(8), np.clip(classes, 0, 1)], np.log(np.exp(parts) @ [0.25, 0.75]))[1:]
    with h5py.File("density.h5") as f, h5py.File("bound.h5") as g:
        assert np.abs(f["likelihood/dopri5/logp"][:] - exact).max() < 2e-3, (f["likelihood/dopri5/logp"][:], exact)
        name = list(g["elbo"])[0]
        for group in (f["likelihood/dopri5"], g[f"elbo/{name}"]):
            assert np.array_equal(group["class"][:], classes[1:]) and group["class"].dtype == np.int32
        bound, error = g[f"elbo/{name}/elbo"][:], g[f"elbo/{name}/elbo_stderr"][:]
        assert (bound < exact + 6 * error).all() and (bound > exact - 1).all(), (bound, exact)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    inputs()
    trains_and_resumes()
    stops()
    spares_strangers()
    draws_sheets()
    forms()
    labels_serve_likelihoods()
    refuses()
