"""rerun.py VPSDE SOURCE: a run file of each verb repeats itself to the bit, from another folder and with other threads; one
changed bit, attribute, dataset or input is found and named."""
import glob, os, shutil, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

import runs

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SAMPLE = runs.MIXTURE + """\
data: {path: points.npy, count: 20}
sampler: {count: 300, solver: [ddim, ancestral, {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}], steps: 8, init: start.npy}
log: {times: 4, fields: [x, eps]}
likelihood: {gradient: true, integrator: {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}}
elbo: {steps: 8, draws: 2}
"""
TASKS = runs.MIXTURE.replace("20}", "20, t_min: 1.0e-3}") + """\
data: {path: points.npy, count: 20}
sampler: {solver: [{solver: heun, steps: 8, last_step: stop}]}
interpolate: {points: 3}
edit: {t0: 0.4}
inpaint: {mask: mask.npy}
"""
COMPARE = runs.MIXTURE + "sampler: {count: 32}\ncompare: {solvers: [ddim, ancestral], steps: [4, 8], seeds: 2, reference: {solver: heun, steps: 40}}\n"
LAWS = runs.MIXTURE.replace("20}", "20, t_min: 1.0e-3}").replace("[[-2, 0], [2, 1]]", "[[-2], [2]]") + """\
sampler: {solver: ancestral, steps: 10, count: 40}
thermo: {count: 60}
transport: {count: 20}
fokker-planck: {cells: 80}
"""
TRAIN = """\
process: {schedule: ddpm-linear}
model: {kind: mlp, hidden: 16, layers: 1, time_features: 8}
data: {path: points.npy}
train: {steps: 30, batch: 16}
"""
NETWORK = "model: {path: net.safetensors}\nsampler: {solver: [ddim, {solver: cvode-adams, rtol: 1.0e-3, atol: 1.0e-3}], steps: 6, count: 30}\n"
RUNS = [  # verb, configuration, output
    ("train", "train.yaml", "net.safetensors"),
    ("sample", "sample.yaml", "sample.h5"),
    ("sample", "network.yaml", "network.h5"),
    ("likelihood", "sample.yaml", "likelihood.h5"),
    ("elbo", "sample.yaml", "elbo.h5"),
    ("encode", "tasks.yaml", "encode.h5"),
    ("decode", "encode.h5", "decode.h5"),
    ("interpolate", "tasks.yaml", "interpolate.h5"),
    ("edit", "tasks.yaml", "edit.h5"),
    ("inpaint", "tasks.yaml", "inpaint.h5"),
    ("compare", "compare.yaml", "compare.h5"),
    ("thermo", "laws.yaml", "thermo.h5"),
    ("transport", "laws.yaml", "transport.h5"),
    ("fokker-planck", "laws.yaml", "fokker-planck.h5"),
    ("verify", "ddim", "verify.h5"),
]


def rerun(*arguments, code=0, cwd="elsewhere"):
    return runs.call(vpsde, "rerun", *arguments, code=code, cwd=cwd)


def tamper(path, change):
    shutil.copy(path, "tampered.h5")
    with h5py.File("tampered.h5", "r+") as f:
        change(f)
    before = set(os.listdir("."))
    message = rerun("../tampered.h5", "--threads", "1", code=1)
    assert set(os.listdir(".")) == before, "the second file was not removed"
    return message


def flip(f):
    values = f["runs/ddim/final"][()]
    values.view(np.uint64)[17, 1] ^= np.uint64(1)
    f["runs/ddim/final"][17] = values[17]


def flip_narrow(f):
    values = f["runs/ancestral/x"][()]
    values.view(np.uint32)[5, 2, 0] ^= np.uint32(1 << 30)
    f["runs/ancestral/x"][5] = values[5]


def differences_are_named():
    message = tamper("sample.h5", flip)
    assert "/runs/ddim/final: 1 of 600 values differ, in 1 of 300 rows; first sample 17 [1]: " in message, message
    assert "CPU, compiler, commit, libraries and threads are the same" in message, message
    assert "/runs/ancestral/x: 1 of 2400 values differ, in 1 of 300 rows; first sample 5 [2, 0]: " in tamper("sample.h5", flip_narrow)
    message = tamper("sample.h5", lambda f: f["runs/ddim"].attrs.modify("steps", np.int64(9)))
    assert "/runs/ddim: attribute steps differs: '9' and '8'" in message, message
    message = tamper("sample.h5", lambda f: f["runs"].move("ddim", "other"))
    assert "/runs/other" in message and "/runs/ddim: is not in the first file" in message, message

    def link(f):
        f["runs/other"] = h5py.SoftLink("/runs/ddim")
        f["elsewhere"] = h5py.ExternalLink("points.h5", "/data")
        f["inputs"]["again"] = f["runs/ddim/final"]  # HDF5 lists it by this name: /inputs is older than /runs
        f["last"] = f["runs/ancestral/final"]

    message = tamper("sample.h5", link)
    for words in ("/runs/other: is a soft link to /runs/ddim in the first file alone", "/elsewhere: is an external link in the first file alone",
                  "/last: is another name of an object in the first file alone", "/inputs/again: is not in the second file",
                  "/runs/ddim/final: is listed by another name, or is a link, in the first file"):
        assert words in message, message
    assert "its rerun differs in 5 places" in message, message

    def shorter(f):
        values = f["model"].create_dataset("extra", data=np.arange(3.0))
        values.attrs["units"] = "1"
        f["provenance"].attrs["threads"] = np.int64(77)

    message = tamper("sample.h5", shorter)
    assert "/model/extra: is not in the second file" in message and "threads 77, now" in message, message
    with h5py.File("sample.h5") as f:  # a byte of the disk: the checksum of the chunk tells
        at = f["runs/ddim/final"].id.get_chunk_info(0).byte_offset
    shutil.copy("sample.h5", "tampered.h5")
    with open("tampered.h5", "r+b") as f:
        f.seek(at + 100)
        byte = f.read(1)
        f.seek(at + 100)
        f.write(bytes([byte[0] ^ 4]))
    message = rerun("../tampered.h5", code=4)
    assert "/runs/ddim/final" in message, message


def inputs_are_checked():
    for name, run in (("start", "sample"), ("points", "likelihood"), ("mask", "inpaint")):
        os.rename(name + ".npy", "kept.npy")
        message = rerun(f"../{run}.h5", code=4)
        assert f"{name}.npy" in message, message
        values = np.load("kept.npy")
        np.save(name + ".npy", values + np.ones(values.shape, values.dtype))
        message = rerun(f"../{run}.h5", code=4)
        assert f"{name}.npy" in message and "has changed" in message, message
        os.replace("kept.npy", name + ".npy")


def refusals():
    shutil.copy("sample.h5", "half.h5")
    with h5py.File("half.h5", "r+") as f:
        f.attrs.modify("status", np.bytes_("interrupted"))
    assert "is not complete" in rerun("../half.h5", code=4)
    with h5py.File("half.h5", "r+") as f:
        f.attrs.modify("status", np.bytes_("complete"))
        f.attrs.modify("verb", np.bytes_("bench"))
    assert "is a run of 'bench'; rerun takes sample, " in rerun("../half.h5", code=4)
    assert "is the run itself" in rerun("../sample.h5", "-o", "../sample.h5", "--force", code=7)
    rerun("../sample.h5", "-o", "again.h5", "-q")
    assert runs.logical("elsewhere/again.h5") == runs.logical("sample.h5")
    assert "again.h5: exists" in rerun("../sample.h5", "-o", "again.h5", code=7)
    rerun("../sample.h5", "-o", "again.h5", "--force", "-q")
    os.remove("elsewhere/again.h5")
    rerun("../net.h5", "-o", "again.h5", "-q")
    assert open("elsewhere/again.safetensors", "rb").read() == open("net.safetensors", "rb").read()
    assert "ends in .h5" in rerun("../net.h5", "-o", "again", code=2)
    rerun("nothing.h5", code=4)
    rerun("../points.npy", code=4)


def what_cannot_be_seen_is_not_gone():
    """A name that the system cannot look up is no free name."""
    os.symlink("loop.h5", "loop.h5")
    os.symlink("loop.safetensors", "loop.safetensors")
    os.symlink("loop.html", "loop.html")
    for words in (["report", "sample.h5", "-o", "loop.html"], ["train", "train.yaml", "-o", "loop.safetensors"],
                  ["resume", "loop.h5"], ["sample", "sample.yaml", "-o", "loop.h5", "--force"]):
        message = runs.call(vpsde, *words, code=None)
        assert "Too many levels of symbolic links" in message or "not a regular file" in message, (words, message)
    for ending in ("h5", "safetensors", "html"):
        assert os.path.islink("loop." + ending), ending
        os.remove("loop." + ending)


def a_stopped_rerun_leaves_nothing():
    runs.call(vpsde, "sample", "sample.yaml", "-o", "long.h5", "-q", "--set", "sampler.init=null", "--set", "sampler.count=20000",
              "--set", "sampler.solver=pc-langevin", "--set", "sampler.steps=60")
    before = set(os.listdir("."))
    process = subprocess.Popen([vpsde, "rerun", "long.h5", "--threads", "1"], stderr=subprocess.PIPE, text=True, env=runs.ENV)
    while not glob.glob("long.rerun-*.parts/part-*") and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    message = process.communicate()[1]
    assert process.returncode == 143 and "nothing is kept" in message, (process.returncode, message)
    assert set(os.listdir(".")) == before, set(os.listdir(".")) - before
    process = subprocess.Popen([vpsde, "rerun", "long.h5", "--threads", "1"], stderr=subprocess.PIPE, text=True, env=runs.ENV)
    while not glob.glob("long.rerun-*.parts/manifest") and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    left = {f"long.rerun-{process.pid}{ending}" for ending in (".h5", ".state.safetensors", ".lock")}
    for name in left:
        open(name, "w").close()
    alive = f"long.rerun-{os.getpid()}.h5", "long.rerun-x.h5"
    for name in alive:
        open(name, "w").close()
    assert set(os.listdir(".")) == before | left | set(alive) | {f"long.rerun-{process.pid}.h5.parts"}, os.listdir(".")
    rerun("../long.h5")  # it sweeps up what nobody works on
    assert set(os.listdir(".")) == before | set(alive), set(os.listdir(".")) - before
    for name in alive:
        os.remove(name)


with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
    os.chdir(folder)
    os.mkdir("elsewhere")
    rng = np.random.default_rng(1)
    np.save("points.npy", rng.normal(size=(40, 2)))
    np.save("start.npy", rng.normal(size=(300, 2)))
    np.save("mask.npy", np.array([1, 0], np.uint8))
    for name, text in {"sample": SAMPLE, "tasks": TASKS, "compare": COMPARE, "laws": LAWS, "train": TRAIN, "network": NETWORK}.items():
        with open(name + ".yaml", "w") as f:
            f.write(text)
    for verb, config, output in RUNS:
        runs.call(vpsde, verb, config, "-o", output, "-q", "--threads", "1", code=None if verb == "verify" else 0)
        message = rerun("../" + output.replace(".safetensors", ".h5"), "--threads", "2")
        assert "identical: " in message and ("threads 1, now 2" in message or verb == "verify"), message
    assert sorted(os.listdir("elsewhere")) == [] and not glob.glob("*.rerun*"), os.listdir(".")
    differences_are_named()
    inputs_are_checked()
    refusals()
    what_cannot_be_seen_is_not_gone()
    a_stopped_rerun_leaves_nothing()
print(f"{len(RUNS)} runs repeat themselves; what was changed in them is found and named")
