"""resume.py VPSDE: runs that are killed or stopped anywhere end, resumed, with the bits of one that was not."""
import glob, os, resource, random, shutil, signal, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde = os.path.abspath(sys.argv[1])
CONFIG = """\
seed: 7
process: {schedule: vp-linear, beta_min: 0.1, beta_max: 20}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
sampler:
  count: 6000
  init: start.npy
  solver:
    - {solver: ddim, steps: 50}
    - {solver: pc-langevin, steps: 100}
    - {solver: dopri5, rtol: 1.0e-5, atol: 1.0e-5}
    - {solver: cvode-adams, rtol: 1.0e-5, atol: 1.0e-5}
data: {path: points.npy}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-7, atol: 1.0e-7}}
"""
ROUNDS = 8
wait = random.Random(20)


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout + result.stderr


def same(a, b):
    out = subprocess.run(["h5diff", "--exclude-path=/provenance", a, b], capture_output=True, text=True)
    assert out.returncode == 0, (a, b, out.stdout, out.stderr)
    with h5py.File(a) as f, h5py.File(b) as g:  # h5diff does not look at the groups' attributes
        f.visititems(lambda name, node: equal_attributes(name, node, g[name]))
        assert dict(f.attrs) == dict(g.attrs)


def equal_attributes(name, a, b):
    for key in a.attrs if not name.startswith("provenance") else ():
        if key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
            assert a.attrs.get_id(key).dtype == b.attrs.get_id(key).dtype, (name, key)
            assert np.array_equal(a.attrs[key], b.attrs[key]), (name, key)


def interrupt(arguments, how, seconds):
    """Starts the command and ends it after so many seconds; True when it was still at work."""
    process = subprocess.Popen([vpsde, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.send_signal(how)
    message = process.communicate(timeout=60)[1]
    assert process.returncode in (0, -how, 128 + how), (process.returncode, message)  # -SIGTERM: not up yet
    if process.returncode == 143:
        begun = os.path.exists("cut.h5.parts")
        assert "stopped by signal" in message and ("vpsde resume" if begun else "nothing was begun") in message, message
    return process.returncode != 0


def rounds(verb, whole, seconds):
    """Interrupted once, twice, three times ...; the last one may finish."""
    again = 0
    for how in (signal.SIGKILL, signal.SIGTERM):
        for i in range(ROUNDS):
            start = [verb, "conf.yaml", "-o", "cut.h5", "-q", "--threads", "2"]
            interrupt(start, how, wait.uniform(0.02, 0.9 * seconds))
            if os.path.exists("cut.h5"):  # then it is whole, though its parts may still be there
                same(whole, "cut.h5")
            elif not os.path.exists("cut.h5.parts/manifest"):  # killed before there was anything
                run(*start)
            for _ in range(i % 3 if not os.path.exists("cut.h5") else 0):  # a resumed one is interrupted too
                again += interrupt(["resume", "cut.h5", "-q"], how, wait.uniform(0.02, 0.4 * seconds))
            run("resume", "cut.h5", "-q", "--threads", str(1 + i % 3))
            same(whole, "cut.h5")
            assert not glob.glob("cut.h5.*"), glob.glob("cut.h5*")
            assert "nothing to resume" in run("resume", "cut.h5")
            os.remove("cut.h5")
    return again


def timed(verb, whole):
    begin = time.monotonic()
    run(verb, "conf.yaml", "-o", whole, "-q")
    return time.monotonic() - begin


def put_down(verb="sample"):
    """A run that has begun and is not finished."""
    process = subprocess.Popen([vpsde, verb, "conf.yaml", "-o", "cut.h5", "-q", "--threads", "1"], stderr=subprocess.PIPE, text=True)
    while not glob.glob("cut.h5.parts/part-*") and process.poll() is None:
        time.sleep(0.002)
    return process


def halted():
    """A run that has begun, stands still and cannot have finished, however slow this test is."""
    for _ in range(50):
        process = put_down()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)  # all its threads stand
        if glob.glob("cut.h5.parts/part-*") and not os.path.exists("cut.h5"):
            return process
        process.send_signal(signal.SIGCONT)
        process.communicate()
        os.remove("cut.h5")
    raise AssertionError("no run could be halted before its end")


def refusals():
    process = put_down()
    assert "being written by pid %d" % process.pid in run("resume", "cut.h5", code=7)
    assert "being written" in run("sample", "conf.yaml", "-o", "cut.h5", "--force", code=7)
    process.kill()
    process.wait()
    assert "vpsde resume" in run("sample", "conf.yaml", "-o", "cut.h5", code=7)
    shutil.copy("start.npy", "kept.npy")
    np.save("start.npy", np.load("kept.npy") + 1)
    message = run("resume", "cut.h5", code=4)
    assert "start.npy" in message and "changed" in message, message
    os.remove("start.npy")
    assert "start.npy" in run("resume", "cut.h5", code=4)
    shutil.move("kept.npy", "start.npy")
    run("resume", "cut.h5", "-q")
    same("sample.h5", "cut.h5")
    assert "nothing to resume" in run("resume", "nowhere.h5", code=4)
    assert "cut.h5: is complete" in run("resume", "cut.h5")


def resuming_stops_and_fails_as_running_does():
    """A resumed run looks at signals and at a full disk like any other."""
    os.remove("cut.h5")
    process = put_down()
    process.kill()
    process.wait()
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    result = subprocess.run([vpsde, "resume", "cut.h5", "-q"], preexec_fn=limit, capture_output=True, text=True)
    assert result.returncode == 6 and "vpsde resume" in result.stderr, (result.returncode, result.stderr)
    process = subprocess.Popen([vpsde, "resume", "cut.h5", "-q", "--threads", "1"], stderr=subprocess.PIPE, text=True)
    had = set(glob.glob("cut.h5.parts/*"))
    while set(glob.glob("cut.h5.parts/*")) <= had and process.poll() is None:
        time.sleep(0.002)  # until it has done something new: then its handlers stand
    process.send_signal(signal.SIGINT)
    message = process.communicate()[1]
    assert process.returncode in (0, 130), (process.returncode, message)
    run("resume", "cut.h5", "-q")
    same("sample.h5", "cut.h5")


def nobody_is_replaced():
    """A file that somebody else makes while a run goes on stays, unless --force says otherwise."""
    theirs = open("likelihood.h5", "rb").read()
    for forced in (False, True):
        os.remove("cut.h5")
        process = halted()
        shutil.copy("likelihood.h5", "cut.h5")
        process.send_signal(signal.SIGCONT)
        message = process.communicate()[1]
        assert process.returncode == 7 and message.count("\n") == 1, (process.returncode, message)
        assert "cut.h5: was made by somebody else" in message and "'vpsde resume cut.h5' goes on" in message, message
        assert "cut.h5: was made by somebody else" in run("resume", "cut.h5", code=7)
        assert open("cut.h5", "rb").read() == theirs
        if forced:
            run("resume", "cut.h5", "--force", "-q")
        else:
            os.remove("cut.h5")
            run("resume", "cut.h5", "-q")
        same("sample.h5", "cut.h5")
        assert not glob.glob("cut.h5.*"), glob.glob("cut.h5*")


def another_build_is_refused():
    """oneDNN's instructions are part of what bits may depend on; this run has no network, so its bits are the same."""
    os.remove("cut.h5")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40 << 10, 40 << 10))
    begun = subprocess.run([vpsde, "sample", "conf.yaml", "-o", "cut.h5", "-q"], preexec_fn=limit, capture_output=True,
                           env=dict(os.environ, ONEDNN_MAX_CPU_ISA="SSE41"))
    assert begun.returncode == 6, begun
    message = run("resume", "cut.h5", code=4)
    assert "cut.h5: was begun by another build of vpsde (onednn_isa " in message and "now" in message and "--force" in message, message
    assert "commit" not in message, message
    run("resume", "cut.h5", "--force", "-q")
    same("sample.h5", "cut.h5")
    with h5py.File("cut.h5") as f, h5py.File("sample.h5") as g:
        assert f["provenance"].attrs["resumed_with"].startswith(b"onednn_isa ") and "resumed_with" not in g["provenance"].attrs
        assert f["provenance"].attrs["onednn_isa"] != g["provenance"].attrs["onednn_isa"]


def messages_say_what_to_do():
    for name in ("net.h5", "net.safetensors", "net.state.safetensors"):
        open("net.yaml", "w").write("process: {schedule: vp-linear}\nmodel: {kind: mlp, hidden: 8}\ndata: {path: points.npy}\ntrain: {steps: 2, batch: 4}\n")
        run("train", "net.yaml", "-o", "net.safetensors", "-q", "--force")
        with h5py.File("net.h5", "r+") as f:
            f.attrs["status"] = np.bytes_("interrupted")
        message = run("resume", name, code=4)
        assert f"{name}: is of a training; 'vpsde train CONFIG -o net.safetensors --resume'" in message, message
    os.remove("cut.h5")
    process = halted()
    process.kill()
    process.communicate()
    whole = open("cut.h5.parts/manifest", "rb").read()
    open("cut.h5.parts/manifest", "w").close()
    assert "cut.h5.parts/manifest: is not a manifest" in run("resume", "cut.h5", code=6)
    open("cut.h5.parts/manifest", "wb").write(whole)
    run("resume", "cut.h5", "-q")
    os.remove("cut.h5")
    process = halted()
    shutil.rmtree("cut.h5.parts")  # somebody tidies up
    process.send_signal(signal.SIGCONT)
    message = process.communicate()[1]
    assert process.returncode == 6 and "resume" not in message and "cut.h5.parts" in message, (process.returncode, message)
    run("sample", "conf.yaml", "-o", "cut.h5", "-q")
    same("sample.h5", "cut.h5")


def force_keeps_the_old_file():
    """With --force an earlier file stays until the new one is there."""
    before = open("cut.h5", "rb").read()
    process = subprocess.Popen([vpsde, "likelihood", "conf.yaml", "-o", "cut.h5", "--force", "-q", "--threads", "1"])
    while not glob.glob("cut.h5.parts/part-*") and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    killed = process.wait() != 0
    assert not killed or open("cut.h5", "rb").read() == before
    run("resume", "cut.h5", "-q")
    same("likelihood.h5", "cut.h5")


def a_full_disk_says_how_to_go_on():
    """The first failure is the message, with the way on, whatever fails after it; the run ends with the same bits."""
    os.remove("cut.h5")
    for kilobytes in (8, 40, 160):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, kilobytes << 10))
        result = subprocess.run([vpsde, "sample", "conf.yaml", "-o", "cut.h5", "-q"], preexec_fn=limit, capture_output=True, text=True)
        assert result.returncode == 6 and "'vpsde resume cut.h5' goes on" in result.stderr, (kilobytes, result.returncode, result.stderr)
        assert result.stderr.count("\n") == 1, result.stderr
        run("resume", "cut.h5", "-q")
        same("sample.h5", "cut.h5")
        os.remove("cut.h5")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    rng = np.random.default_rng(1)
    np.save("start.npy", rng.normal(size=(6000, 2)))
    np.save("points.npy", rng.normal(size=(6000, 2)))
    with open("conf.yaml", "w") as f:
        f.write(CONFIG)
    again = sum(rounds(verb, verb + ".h5", timed(verb, verb + ".h5")) for verb in ("sample", "likelihood"))
    refusals()
    resuming_stops_and_fails_as_running_does()
    nobody_is_replaced()
    another_build_is_refused()
    messages_say_what_to_do()
    force_keeps_the_old_file()
    a_full_disk_says_how_to_go_on()
print(f"{4 * ROUNDS} interrupted runs, {again} of them again while they were resumed: the same bits")
