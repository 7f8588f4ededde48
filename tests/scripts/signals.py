"""signals.py VPSDE [N]: INT, TERM and HUP at N random points of runs of all sorts, long network steps included.

The run ends with 128 + n after at most 2 s of work, says how to go on, keeps what was sealed, and ends, resumed, with the
bits of a run that was not stopped. A second signal ends it at once. Two writers of one file are refused by pid."""
import glob, os, random, signal, struct, subprocess, sys, tempfile, time

import numpy as np

import runs

vpsde, points = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
SOLVERS = "[{solver: ddim, steps: 200}, {solver: pc-langevin, steps: 60}, {solver: dopri5, rtol: 1.0e-6, atol: 1.0e-6}]"
NETWORK = f"""\
seed: 2
model: {{path: {runs.ROOT}/models/pretrained/fashion-mnist-unet.safetensors}}
data: {{path: images.npy}}
sampler: {{solver: [heun, {{solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}}], steps: 50, count: 64}}
likelihood: {{integrator: {{solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}}, trace: {{kind: hutchinson, probes: 1}}}}
elbo: {{steps: 100}}
"""
CONFIGS = {  # name: verb, configuration, can it be waited for?
    "sample": ("sample", runs.MIXTURE + f"sampler: {{count: 8000, solver: {SOLVERS}}}\nlog: {{times: 3}}\n", True),
    "likelihood": ("likelihood", runs.MIXTURE + "data: {path: points.npy}\nlikelihood: {integrator: {solver: dopri5, rtol: 1.0e-8, atol: 1.0e-8}}\n", True),
    "compare": ("compare", runs.MIXTURE + "sampler: {count: 512}\ncompare: {solvers: [ddim, heun], steps: [10, 20, 40, 80], seeds: 2, reference: {solver: heun, steps: 400}}\n", True),
    "train": ("train", "process: {schedule: ddpm-linear}\nmodel: {kind: mlp, hidden: 64, layers: 2}\ndata: {path: points.npy}\ntrain: {steps: 1500, batch: 64, warmup: 5}\n", True),
    "unet-sample": ("sample", NETWORK, False),
    "unet-likelihood": ("likelihood", NETWORK, False),
    "unet-elbo": ("elbo", NETWORK, False),
}
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # nohup and the like would be inherited
    signal.signal(number, signal.SIG_DFL)
dice = random.Random(int(os.environ.get("VPSDE_TEST_SEED", "40")))
slowest = {"cpu": 0.0, "wall": 0.0}


def start(verb, name, *more):
    out = "cut.safetensors" if verb == "train" else "cut.h5"
    return subprocess.Popen([vpsde, verb, name + ".yaml", "-o", out, "-q", "--threads", "2", *more], stderr=subprocess.PIPE,
                            text=True, env=runs.ENV)


def cpu_s(pid):
    words = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def begun():
    return os.path.exists("cut.h5.parts/manifest") or os.path.exists("cut.lock")


def stop(process, how):
    """Sends it; the exit code, the message and the seconds of work (of one thread) and of waiting it took."""
    before, begin = cpu_s(process.pid), time.monotonic()
    process.send_signal(how)
    message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, message, (usage.ru_utime + usage.ru_stime - before) / 2, time.monotonic() - begin


def point(name, how):
    """One signal at one random point; True when the run was still at work."""
    verb, _, short = CONFIGS[name]
    process = start(verb, name)
    while not begun() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(dice.uniform(0, 0.8 * seconds[name] if short else 0.8))
    if process.poll() is not None:
        return False
    ledger = runs.Ledger("cut.h5")
    code, message, cpu, wall = stop(process, how)
    if code == 0:
        return False
    assert code == 128 + how, (name, how, code, message)
    if "nothing was trained" in message:
        return False
    assert ("--resume goes on" if verb == "train" else "vpsde resume cut.h5") in message, message
    assert cpu < 2, f"{name}: {cpu:.2f} s of work after signal {how}"
    slowest["cpu"], slowest["wall"] = max(cpu, slowest["cpu"]), max(wall, slowest["wall"])
    if verb != "train":
        runs.Ledger("cut.h5").holds(ledger)
    if not short:
        return True
    if verb == "train":
        runs.call(vpsde, "train", "train.yaml", "-o", "cut.safetensors", "--resume", "-q")
    else:
        runs.call(vpsde, "resume", "cut.h5", "-q")
    assert runs.logical("cut.h5") == whole[name], name + ": other bits"
    return True


def clean():
    for path in glob.glob("cut*"):
        if os.path.isdir(path):
            for part in glob.glob(path + "/*"):
                os.remove(part)
            os.rmdir(path)
        else:
            os.remove(path)


def a_second_signal_does_not_wait():
    process = start("sample", "unet-sample")
    while not begun():
        time.sleep(0.002)
    time.sleep(0.7)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.01)
    if process.poll() is None:
        code, _, cpu, _ = stop(process, signal.SIGINT)
        assert code in (128 + signal.SIGINT, 128 + signal.SIGTERM) and cpu < 0.2, (code, cpu)
    clean()


def metrics_stop_too():
    """A signal while a comparison measures what it sampled: one metric of many rows takes longer than a stop may."""
    with open("metrics.yaml", "w") as f:
        f.write(runs.MIXTURE + "sampler: {count: 600000}\ncompare: {solvers: [ddim], steps: [2], seeds: 1, metrics: [sliced-wasserstein], reference: {solver: ddim, steps: 3}}\n")
    process = start("compare", "metrics")
    while process.poll() is None and cpu_s(process.pid) < 4:
        time.sleep(0.01)
    code, message, cpu, _ = stop(process, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM and "vpsde resume cut.h5" in message, (code, message)
    assert cpu < 2, f"metrics: {cpu:.2f} s of work after the signal"
    clean()


def stop_while_reading():
    """False where one of them had read its input before this test could stop it."""
    for arguments, words in ((("likelihood", "large"), "'vpsde resume cut.h5' goes on"), (("resume",), "'vpsde resume cut.h5' goes on"),
                             (("train", "large", "--set", "model={kind: mlp}"), "nothing was trained")):
        if arguments[0] == "resume":
            process = subprocess.Popen([vpsde, "resume", "cut.h5", "-q"], stderr=subprocess.PIPE, text=True, env=runs.ENV)
        else:
            process = start(*arguments)
        while process.poll() is None and cpu_s(process.pid) < 0.1:
            time.sleep(0.002)
        if process.poll() is not None:
            return False
        code, message, cpu, _ = stop(process, signal.SIGTERM)
        if code == 0 or "while it read its inputs" not in message:
            return False
        assert code == 128 + signal.SIGTERM and "while it read its inputs; " + words in message, (arguments, code, message)
        assert message.count("\n") == 1 and cpu < 0.2, (message, cpu)
    return True


def reading_ends_at_once():
    """A signal while a large input is read or hashed: nothing was computed, so nobody waits for it."""
    rows = 400 << 20 >> 4
    with open("large.npy", "wb") as f:  # zeros, most of them no disk has to hold
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 2), }" % rows
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117) + b"\n")
        f.truncate(128 + 16 * rows)
    with open("large.yaml", "w") as f:
        f.write(runs.MIXTURE + "data: {path: large.npy, count: 4}\nlikelihood: {integrator: {solver: dopri5}}\n"
                "train: {steps: 5, batch: 4}\n")
    tries = 1
    while not stop_while_reading():
        clean()
        tries += 1
        assert tries < 20, "no run could be stopped while it read its input"
    clean()
    os.remove("large.npy")
    os.mkfifo("pipe.yaml")
    process = start("sample", "pipe")
    time.sleep(0.3)
    code, message, _, _ = stop(process, signal.SIGINT)
    assert code in (128 + signal.SIGINT, -signal.SIGINT) and not begun(), (code, message)
    os.remove("pipe.yaml")
    clean()


def two_writers_are_refused():
    process = start("sample", "unet-sample")
    while not glob.glob("cut.h5.parts/part-*"):
        time.sleep(0.002)
    for arguments in (("sample", "sample.yaml", "-o", "cut.h5", "--force"), ("resume", "cut.h5")):
        message = runs.call(vpsde, *arguments, code=7)
        assert f"being written by pid {process.pid} " in message, message
    process.kill()
    process.communicate()
    message = runs.call(vpsde, "sample", "sample.yaml", "-o", "cut.h5", code=7)
    assert "vpsde resume cut.h5" in message and "another one: " in message and "seed: 2, now 7" in message, message
    clean()
    process = start("train", "train")
    while not os.path.exists("cut.lock") or os.path.getsize("cut.lock") == 0:
        time.sleep(0.002)
    message = runs.call(vpsde, "train", "train.yaml", "-o", "cut.safetensors", "--force", code=7)
    assert f"pid {process.pid}" in message, message
    process.kill()
    process.communicate()
    clean()


with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
    os.chdir(folder)
    rng = np.random.default_rng(1)
    np.save("points.npy", rng.normal(size=(1500, 2)))
    np.save("images.npy", rng.integers(0, 256, (64, 28, 28)).astype(np.uint8))
    whole, seconds = {}, {}
    for name, (verb, text, short) in CONFIGS.items():
        with open(name + ".yaml", "w") as f:
            f.write(text)
        if short:
            begin = time.monotonic()
            runs.call(vpsde, verb, name + ".yaml", "-o", name + (".safetensors" if verb == "train" else ".h5"), "-q")
            seconds[name], whole[name] = time.monotonic() - begin, runs.logical(name + ".h5")
    done = tries = 0
    while done < points:
        assert tries < 5 * points, "runs end before their signal"
        name = list(CONFIGS)[tries % len(CONFIGS)]  # 7 and 3: each meets each signal
        done += point(name, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[tries % 3])
        tries += 1
        clean()
    a_second_signal_does_not_wait()
    metrics_stop_too()
    reading_ends_at_once()
    two_writers_are_refused()
print(f"{done} of {done} stopped by INT, TERM or HUP, at most {slowest['cpu']:.2f} s of work ({slowest['wall']:.2f} s of waiting) after it")
