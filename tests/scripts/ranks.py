"""ranks.py VPSDE: runs shared by 1, 2, 3 and 4 processes of an mpirun have the bits of a run of one process without MPI,
also when a rank was killed, stopped or failed and others than before go on. Needs a build with -Dmpi=enabled, which the
variable VPSDE_TEST_MPI may name; skipped (77) otherwise. More ranks than processors: this is about bits, not speed."""
import glob, os, random, resource, shutil, signal, subprocess, sys, tempfile, time

import numpy as np

import runs

alone, vpsde = os.path.abspath(sys.argv[1]), os.path.abspath(os.environ.get("VPSDE_TEST_MPI") or sys.argv[1])
if not os.path.exists(vpsde) or b"OMPI_COMM_WORLD_RANK" not in open(vpsde, "rb").read() or not shutil.which("mpirun"):
    print("no build with MPI")
    sys.exit(77)
ENV = dict(runs.ENV, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_plm="isolated",
           OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_hwloc_base_binding_policy="none")
SAMPLER = """\
sampler: {count: 3000, solver: [{solver: ddim, steps: 20}, {solver: pc-langevin, steps: 20},
  {solver: dopri5, rtol: 1.0e-5, atol: 1.0e-5}]}
"""
DATA = """\
data: {path: points.npy}
likelihood: {integrator: {solver: dopri5, rtol: 1.0e-5, atol: 1.0e-5}, estimators: [pf-ode, chain], gradient: true}
elbo: {steps: 10, draws: 2}
interpolate: {points: 3, pairs: [[0, 1], [2, 3], [4, 5], [6, 7]]}
edit: {t0: 0.4}
"""
ODE = "sampler: {solver: [{solver: heun, steps: 20, last_step: stop}, {solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}]}\n"
NET = """\
seed: 3
process: {schedule: ddpm-linear}
model: {kind: mlp, hidden: 16, layers: 1, time_features: 16}
data: {path: points.npy}
train: {steps: 60, batch: 64, warmup: 5}
"""
LATENT = runs.MIXTURE.replace("beta_max: 20", "beta_max: 20, t_min: 1.0e-3") + DATA + ODE
LONG = "sampler: {count: 16000, solver: [{solver: euler-maruyama, steps: 100}, {solver: dopri5, rtol: 1.0e-4, atol: 1.0e-4}]}\n"
SLOW = "sampler: {count: 16000, solver: pc-langevin, steps: 1200}\n"  # mpirun passes SIGTERM on after two seconds
CONFIGS = {
    "sample": runs.MIXTURE + SAMPLER,
    "sample log": runs.MIXTURE + SAMPLER + "log: {times: 4}\n",
    "sample net": NET.replace("kind: mlp, hidden: 16, layers: 1, time_features: 16", "path: net.safetensors") + SAMPLER,
    "likelihood": runs.MIXTURE + DATA,
    "elbo": runs.MIXTURE + DATA,
    "encode": LATENT,
    "interpolate": LATENT,
    "edit": LATENT,
    "sample long": runs.MIXTURE + LONG,
    "sample slow": runs.MIXTURE + SLOW,
}
dice = random.Random(int(os.environ.get("VPSDE_TEST_SEED", "20")))


def start(ranks, *arguments, before=()):
    return subprocess.Popen(["mpirun", "-n", str(ranks), *before, vpsde, *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=ENV)


def ours(text):
    return [line for line in text.splitlines() if line.startswith("vpsde: ") and "warning" not in line]


def end(process, code=0):
    out, errors = process.communicate(timeout=120)
    assert code is None or process.returncode == code, (process.args, process.returncode, out, errors)
    return out, ours(errors)


def together(ranks, *arguments, code=0, before=()):
    return end(start(ranks, *arguments, before=before), code)


def same(name, path="cut.h5"):
    assert runs.logical(path) == whole[name], f"{name}: other bits"
    assert not glob.glob(path + ".*"), glob.glob(path + ".*")
    os.remove(path)


def ranks_of(launcher):
    """Process ids by rank, once all have joined the run: rank r seals part-r-0."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            pid = path.split("/")[2]
            if open(path).read().rsplit(")", 1)[1].split()[1] == str(launcher):
                words = dict(w.split("=", 1) for w in open(f"/proc/{pid}/environ").read().split("\0") if "=" in w)
                found[int(words["OMPI_COMM_WORLD_RANK"])] = int(pid)
        except (OSError, KeyError, IndexError):
            pass
    return found


def wait_for_parts(process, n):
    """Until so many are sealed and hold rows; the first of a rank may announce its table alone."""
    while process.poll() is None and (len(glob.glob("cut.h5.parts/part-*-*[0-9]")) < n or not runs.Ledger("cut.h5").rows):
        time.sleep(0.002)


def interrupted(ranks, victim, how, parts, name="sample long"):
    """A run of `ranks` whose rank `victim` (-1: the launcher) gets the signal, or is left no room for files (None), once so
    many parts are sealed."""
    hurried = ("-x", "LD_PRELOAD=" + shim, "-x", "VPSDE_TEST_HURRY=1000")
    process = start(ranks, "sample", name + ".yaml", "-o", "cut.h5", "--threads", "1", before=hurried)
    wait_for_parts(process, parts)
    pids = ranks_of(process.pid)
    assert process.poll() is None and len(pids) == ranks, (process.poll(), pids)
    if how is None:
        resource.prlimit(pids[victim], resource.RLIMIT_FSIZE, (1000, 1000))
    else:
        os.kill(pids[victim] if victim >= 0 else process.pid, how)
    out, errors = end(process, None)
    assert process.returncode in ((6,) if how is None else (1, 130, 137, 143)), (process.returncode, out, errors)
    return out, errors


def resumed(ledger, ranks, name="sample long"):
    """Goes on with so many ranks, 0: without MPI; rows that were sealed are not computed again."""
    assert ledger.rows, "nothing was sealed"
    if ranks:
        together(ranks, "resume", "cut.h5", "-q", "--threads", "1")
    else:
        runs.call(alone, "resume", "cut.h5", "-q", "--threads", "2", env=ENV)
    same(name)


def bits():
    for name in list(CONFIGS)[:-1]:
        verb = name.split()[0]
        for ranks in {"sample": (1, 2, 4), "likelihood": (2, 4), "sample net": (4,)}.get(name, (3,)):
            out, errors = together(ranks, verb, name + ".yaml", "-o", "cut.h5", "--threads", str(1 + ranks % 2))
            assert not errors and "nan" not in out, (out, errors)
            counts = [line.split()[:3] for line in out.splitlines()]
            assert counts == told[name], (name, ranks, out, told[name])
            same(name)


def losses():
    for number, (ranks, others) in enumerate([(4, 2), (2, 4), (3, 0)]):
        interrupted(ranks, dice.randrange(ranks), signal.SIGKILL, 6 + 5 * number)
        ledger = runs.Ledger("cut.h5")
        if number == 1:  # of a rank that does not go on; what it held is computed again
            with open(sorted(glob.glob("cut.h5.parts/part-000001-*"))[-1], "r+b") as f:
                f.seek(100)
                f.write(b"damage")
        resumed(ledger, others)
    interrupted(2, 1, signal.SIGKILL, 6)
    for again in (3, 0, 2):  # resumes are killed too, and sealed rows stay
        ledger = runs.Ledger("cut.h5")
        process = start(again, "resume", "cut.h5", "-q", "--threads", "1") if again else subprocess.Popen(
            [alone, "resume", "cut.h5", "-q"], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(dice.uniform(0.3, 0.6))
        for pid in list(ranks_of(process.pid).values())[-1:] if again else [process.pid]:
            os.kill(pid, signal.SIGKILL)
        end(process, None)
        if os.path.exists("cut.h5"):
            break
        runs.Ledger("cut.h5").holds(ledger)
    else:
        together(4, "resume", "cut.h5", "-q")
    same("sample long")


def stops():
    out, errors = interrupted(3, 1, signal.SIGTERM, 6)
    assert errors == ["vpsde: stopped by signal; 'vpsde resume cut.h5' goes on"], errors
    resumed(runs.Ledger("cut.h5"), 2)
    interrupted(2, -1, signal.SIGTERM, 6, "sample slow")
    resumed(runs.Ledger("cut.h5"), 0, "sample slow")


def failures():
    out, errors = interrupted(3, 1, None, 6)  # rank 1 may not write its parts any more
    assert len(errors) == 1 and "rank 1: cut.h5.parts/part-000001-" in errors[0] and "goes on" in errors[0], errors
    resumed(runs.Ledger("cut.h5"), 2)
    for arguments, code, words in (
            (("compare", "sample.yaml", "-o", "cut.h5"), 2, "compare: cannot be shared among processes, and was started as 2"),
            (("sample", "sample.yaml", "-o", "sample.h5"), 7, "sample.h5: exists"),
            (("sample", "sample.yaml", "-o", "cut.h5", "--set", "sampler.count=-1"), 3, "sampler.count"),
            (("resume", "cut.h5"), 4, "nothing to resume")):
        out, errors = together(2, *arguments, code=code)
        assert len(errors) == 1 and words in errors[0] and "rank" not in errors[0], errors
    assert not glob.glob("cut.h5*"), glob.glob("cut.h5*")


with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
    os.chdir(folder)
    shim = runs.shim(".")
    np.save("points.npy", np.random.default_rng(1).normal(size=(600, 2)))
    with open("net.yaml", "w") as f:
        f.write(NET)
    runs.call(alone, "train", "net.yaml", "-o", "net.safetensors", "-q", env=ENV)
    whole, told = {}, {}
    for name, text in CONFIGS.items():
        with open(name + ".yaml", "w") as f:
            f.write(text)
        text = runs.call(alone, name.split()[0], name + ".yaml", "-o", name + ".h5", env=ENV)
        told[name] = [line.split()[:3] for line in text.splitlines() if "warning" not in line]
        whole[name] = runs.logical(name + ".h5")
    for part in (bits, losses, stops, failures):
        begin = time.monotonic()
        part()
        print(f"{part.__name__}: {time.monotonic() - begin:.0f} s")
