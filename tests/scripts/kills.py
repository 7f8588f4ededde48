"""kills.py VPSDE [N]: N runs of all sorts are killed with SIGKILL at random points, again while they are resumed and
while the file is made, and end with the bits of a run that was not; no sealed block is lost or computed twice.

The clock is hurried (tests/shims/record.c), so that parts are sealed every few blocks of these tiny runs."""
import glob, os, random, signal, subprocess, sys, tempfile, time

import numpy as np

import runs

vpsde, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100
SAMPLER = """\
sampler:
  count: 4000
  solver: [{solver: ddim, steps: 40}, {solver: pc-langevin, steps: 20}, {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}]
log: {times: 10, dtype: float64}
"""
DATA = """\
data: {path: points.npy}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-5, atol: 1.0e-5}}
elbo: {steps: 10, draws: 2}
encode: {round_trip: true}
edit: {t0: 0.4}
"""
LATENT = "sampler: {solver: [{solver: heun, steps: 30, last_step: stop}, {solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}]}\n"
COMPARE = """\
sampler: {count: 64}
compare: {solvers: [ddim, heun, pc-langevin], steps: [5, 10, 20], seeds: 3, reference: {solver: heun, steps: 60}}
"""
TRAIN = """\
seed: 3
process: {schedule: ddpm-linear}
model: {kind: mlp, hidden: 16, layers: 1, time_features: 16}
data: {path: points.npy}
train: {steps: 400, batch: 64, warmup: 5, checkpoint_every: 20}
"""
CONFIGS = {
    "sample": runs.MIXTURE + SAMPLER,
    "likelihood": runs.MIXTURE + DATA,
    "elbo": runs.MIXTURE + DATA,
    "encode": runs.MIXTURE.replace("beta_max: 20", "beta_max: 20, t_min: 1.0e-3") + DATA + LATENT,
    "compare": runs.MIXTURE + COMPARE,
    "train": TRAIN,
}
dice = random.Random(int(os.environ.get("VPSDE_TEST_SEED", "20")))
count = {"kills": 0, "of resumes": 0, "of merges": 0, "with rows in rows.h5": 0, "sealed rows kept": 0}


def start(*arguments):
    return subprocess.Popen([vpsde, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)


def kill(process, merging, seconds):
    """After so many seconds, or once the file is being made; True when it was still at work."""
    end = time.monotonic() + (10 if merging else seconds)
    while process.poll() is None and time.monotonic() < end and not (merging and os.path.exists("cut.h5.parts/whole.h5")):
        time.sleep(0.0003)
    if merging:
        time.sleep(dice.uniform(0, 0.004))
    process.send_signal(signal.SIGKILL)
    message = process.communicate()[1]
    assert process.returncode in (0, -9), (process.returncode, message)
    count["kills"] += process.returncode != 0
    count["of merges"] += process.returncode != 0 and merging
    return process.returncode != 0


def sealed_parts():
    return [part for part in glob.glob("cut.h5.parts/part-*") if not part.endswith(".tmp")]


def killed_run(verb, seconds, number):
    begin = [verb, verb + ".yaml", "-o", "cut.h5", "-q", "--threads", str(1 + number % 3)]
    kill(start(*begin), number % 5 == 0, dice.uniform(0.01, seconds))
    ledger = runs.Ledger("cut.h5")
    count["with rows in rows.h5"] += any(runs.placed(open(part, "rb").read()) for part in sealed_parts())
    for again in range(number % 4):
        if os.path.exists("cut.h5") or not os.path.exists("cut.h5.parts/manifest"):
            break
        count["of resumes"] += kill(start("resume", "cut.h5", "-q", "--threads", str(3 - again)), again == 2, dice.uniform(0.005, seconds / 2))
        if os.path.exists("cut.h5.parts/manifest"):
            now = runs.Ledger("cut.h5")
            now.holds(ledger)
            ledger = now
    count["sealed rows kept"] += len(ledger.rows)
    if not os.path.exists("cut.h5") and not os.path.exists("cut.h5.parts/manifest"):
        assert not ledger.rows, "sealed rows are gone"
        runs.call(vpsde, *begin, env=env)
    runs.call(vpsde, "resume", "cut.h5", "-q", "--threads", str(1 + number % 2), env=env)
    assert runs.logical("cut.h5") == whole[verb], f"{verb}: resumed, it has other bits"
    assert not glob.glob("cut.h5.*"), glob.glob("cut.h5.*")
    os.remove("cut.h5")


def killed_training(seconds, number):
    begin = ["train", "train.yaml", "-o", "cut.safetensors", "-q", "--threads", str(1 + number % 3)]
    kill(start(*begin), False, dice.uniform(0.01, seconds))
    for again in range(number % 3):
        if os.path.exists("cut.state.safetensors"):
            count["of resumes"] += kill(start(*begin, "--resume"), False, dice.uniform(0.01, seconds))
    runs.call(vpsde, *begin, *(["--resume"] if os.path.exists("cut.state.safetensors") else ["--force"]), env=env)
    assert open("cut.safetensors", "rb").read() == open("train.safetensors", "rb").read(), "other weights"
    assert runs.logical("cut.h5") == whole["train"], "train: another loss curve"
    for path in glob.glob("cut*"):
        os.remove(path)


with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
    os.chdir(folder)
    env = dict(runs.ENV, LD_PRELOAD=runs.shim("."), VPSDE_TEST_HURRY="3000")
    np.save("points.npy", np.random.default_rng(1).normal(size=(1200, 2)))
    whole, seconds = {}, {}
    for verb, text in CONFIGS.items():
        with open(verb + ".yaml", "w") as f:
            f.write(text)
        begin = time.monotonic()
        runs.call(vpsde, verb, verb + ".yaml", "-o", verb + (".safetensors" if verb == "train" else ".h5"), "-q", env=env)
        seconds[verb] = time.monotonic() - begin
        whole[verb] = runs.logical(verb + ".h5")
    for number in range(10 * rounds):
        verb = list(CONFIGS)[number % len(CONFIGS)]
        killed_training(seconds[verb], number) if verb == "train" else killed_run(verb, seconds[verb], number)
        if count["kills"] >= rounds:
            break
    assert count["kills"] >= rounds and count["with rows in rows.h5"] > 0, count
print(", ".join(f"{value} {name}" for name, value in count.items()) + "; the same bits, 0 sealed blocks lost")
