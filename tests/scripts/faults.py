"""faults.py VPSDE SOURCE: the rows of docs/faults.md that need the command or the system: disks that fill up, folders that
are closed, memory that ends, networks that overflow, hostile HDF5, thread counts. Then: every test that the table names exists."""
import calendar, glob, json, os, re, resource, shutil, signal, struct, subprocess, sys, tempfile, time

import h5py
import numpy as np

import runs

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SAMPLE = runs.MIXTURE + "sampler: {solver: pc-langevin, steps: 60, count: 12000}\n"
DATA = runs.MIXTURE + "data: {path: '%s'}\nlikelihood: {integrator: {solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}}\n"
SANITIZED = b"__asan_init" in open(vpsde, "rb").read()


def write(name, text):
    with open(name, "w") as f:
        f.write(text)


def fails(*arguments, code, words, before=None, env=runs.ENV, user=None):
    """One line, the code, the words."""
    out = subprocess.run([vpsde, *arguments, "-q"], capture_output=True, text=True, env=env, preexec_fn=before, user=user, timeout=300)
    assert out.returncode == code and words in out.stderr, (arguments, out.returncode, out.stderr)
    assert out.stderr.startswith("vpsde: ") and out.stderr.count("\n") == 1, out.stderr


def hostile_hdf5():
    """Rows 4 to 7: what is refused, before memory is taken and before anything is loaded."""
    with h5py.File("bad.h5", "w") as f:
        f["good"] = np.zeros((2, 2))
        f["external"] = h5py.ExternalLink("other.h5", "/x")
        f["loop"] = h5py.SoftLink("/loop")
        f.create_dataset("huge", shape=(1 << 40, 1 << 10), dtype="f8", chunks=(1, 1024))
        f.create_dataset("chunk", shape=(1 << 20, 1 << 10), dtype="f8", chunks=(1 << 16, 1 << 10))
        f.create_dataset("raw", data=np.zeros((2, 2)), external=[("raw.bin", 0, 32)])
        f.create_dataset("words", data=[b"text"])
        f.create_dataset("pairs", data=np.zeros(2, [("a", "f8")]))
        layout = h5py.VirtualLayout((2, 2), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (2, 2))
        f.create_virtual_dataset("virtual", layout)
        f.create_dataset("rank6", data=np.zeros((1,) * 6))
        f.create_dataset("strings", data=["text"], dtype=h5py.string_dtype())
        f.create_dataset("lists", shape=(2,), dtype=h5py.vlen_dtype(np.float64))
        f.create_dataset("references", shape=(2,), dtype=h5py.ref_dtype)
        f.create_dataset("truths", data=np.zeros((2, 2), bool))  # an enumeration
        f.create_dataset("wide", data=np.zeros((2, 3)))
        f["folder"] = h5py.ExternalLink("other.h5", "/")
        for order in "<>":
            for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
                f.create_dataset(f"order{order}/{kind}", data=np.array([[-2, 0], [2, 1]] if kind[0] != "u" else [[2, 1], [1, 0]], order + kind))
    for name, words in {"strings": "expected integers", "lists": "expected integers", "references": "expected integers", "truths": "expected integers",
                        "wide": "rows have 3 values", "folder/x": "links are not followed", "external": "links are not followed", "loop": "links are not followed", "huge": "does not fit",
                        "chunk": "256 MiB", "raw": "external raw data", "words": "expected integers", "pairs": "expected integers",
                        "virtual": "virtual datasets", "rank6": "6 axes", "nowhere": "no such dataset"}.items():
        write("h5.yaml", DATA % f"bad.h5:/{name}")
        if name == "huge":
            words = "its shape needs"
        fails("likelihood", "h5.yaml", "-o", "no.h5", code=4, words=words)
        assert f"bad.h5:/{name}" in open("h5.yaml").read() and not os.path.exists("no.h5")
    logp = {}
    for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):  # numbers of either byte order are the same numbers
        for order in "<>":
            write("h5.yaml", DATA % f"bad.h5:/order{order}/{kind}")
            runs.call(vpsde, "likelihood", "h5.yaml", "-o", "order.h5", "-q", "--force")
            with h5py.File("order.h5") as f:
                logp[kind, order] = f["likelihood/dopri5/logp"][:].tobytes()
        assert logp[kind, "<"] == logp[kind, ">"] == logp[kind[0].replace("i", "f") + kind[1] if kind in ("i2", "i4", "i8") else kind, "<"], kind


def a_crash_is_a_kill():
    """Row 3: what a bug of HDF5 would do to the process: sealed parts remain, and the run ends with the same bits."""
    process = put_down("crash.h5")
    process.send_signal(signal.SIGSEGV)
    process.send_signal(signal.SIGCONT)
    process.communicate()
    assert process.returncode != 0 and not os.path.exists("crash.h5") and os.path.exists("crash.h5.parts/part-000000-000000")
    runs.call(vpsde, "resume", "crash.h5", "-q")
    assert runs.logical("crash.h5") == runs.logical("long.h5")


def times_do_not_matter():
    """Row 29: files from 1970 and 2106, and another time zone, change nothing, nor what is taken up."""
    process = put_down("late.h5")
    process.kill()
    process.communicate()
    for i, path in enumerate(sorted(glob.glob("late.h5.parts/*")) + ["long.yaml"]):
        os.utime(path, (0, 0) if i % 2 else (2 ** 32 - 1, 2 ** 32 - 1))
    runs.call(vpsde, "resume", "late.h5", "-q", env=dict(runs.ENV, TZ="Pacific/Kiritimati"))
    assert runs.logical("late.h5") == runs.logical("long.h5")
    with h5py.File("late.h5") as f:
        created = time.strptime(f["provenance"].attrs["created"].decode(), "%Y-%m-%dT%H:%M:%SZ")
    assert abs(calendar.timegm(created) - time.time()) < 600, "created is not UTC"


def no_plug_in_is_loaded():
    """Row 7: the constructor of a library in HDF5_PLUGIN_PATH does not run."""
    write("plug.c", '#include <stdio.h>\n__attribute__((constructor)) static void run(void) { FILE *f = fopen("loaded", "w"); if (f) fclose(f); }\n'
                    "int H5PLget_plugin_type(void) { return 0; }\nconst void *H5PLget_plugin_info(void) { return 0; }\n")
    os.mkdir("plugins")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "plugins/libplug.so", "plug.c"], check=True)
    with h5py.File("filter.h5", "w") as f:
        f.create_dataset("x", data=np.zeros((4, 2)), chunks=(4, 2), compression="lzf")
    raw = open("filter.h5", "rb").read()
    at = raw.index(b"lzf")  # the filter's name in the message of the pipeline, its number before it
    number = raw.rindex(struct.pack("<H", 32000), 0, at)
    with open("filter.h5", "wb") as f:
        f.write(raw[:number] + struct.pack("<H", 31999) + raw[number + 2:])
    env = dict(runs.ENV, HDF5_PLUGIN_PATH=os.path.abspath("plugins"))
    subprocess.run(["h5dump", "-d", "/x", "filter.h5"], capture_output=True, env=env)
    assert os.path.exists("loaded"), "HDF5 itself does not load it: the test shows nothing"
    os.remove("loaded")
    write("h5.yaml", DATA % "filter.h5:/x")
    fails("likelihood", "h5.yaml", "-o", "no.h5", code=4, words="filter 31999 is not read", env=env)
    assert not os.path.exists("loaded"), "a plug-in was loaded"
    with h5py.File("filters.h5", "w") as f:
        f.create_dataset("lzf", data=np.ones((4, 2)), chunks=(4, 2), compression="lzf")
        f.create_dataset("own", data=np.ones((4, 2)), chunks=(4, 2), compression="gzip", shuffle=True, fletcher32=True)
    write("h5.yaml", DATA % "filters.h5:/lzf")
    fails("likelihood", "h5.yaml", "-o", "no.h5", code=4, words="filter 32000 is not read")
    write("h5.yaml", DATA % "filters.h5:/own")
    runs.call(vpsde, "likelihood", "h5.yaml", "-o", "own.h5", "-q")


def thread_counts():
    """Row 15."""
    for threads in ("0", "1", "9"):
        runs.call(vpsde, "sample", "few.yaml", "-o", f"t{threads}.h5", "-q", "--threads", threads)
        assert runs.logical(f"t{threads}.h5") == runs.logical("t0.h5")
    fails("sample", "few.yaml", "-o", "no.h5", "--threads", "1025", code=3, words="at most 1024")
    mine = sorted(os.sched_getaffinity(0))
    threads = lambda path: int(h5py.File(path)["provenance"].attrs["threads"])
    assert threads("t0.h5") == len(mine) and threads("t9.h5") == 9
    subprocess.run([vpsde, "sample", "few.yaml", "-o", "thread.h5", "-q"], check=True, env=runs.ENV, preexec_fn=lambda: os.sched_setaffinity(0, mine[:1]))
    assert threads("thread.h5") == 1, "0 is not the processors of this process"
    for rubbish in ("0", "-3", "many", "99999999999999999999", "1"):
        runs.call(vpsde, "sample", "few.yaml", "-o", "rubbish.h5", "-q", "--force", env=dict(runs.ENV, OMP_NUM_THREADS=rubbish))
        assert runs.logical("rubbish.h5") == runs.logical("t0.h5") and threads("rubbish.h5") == len(mine)


def closed_folders():
    """Row 16: a folder that may not be written, nor is there."""
    os.mkdir("closed")
    os.chmod("closed", 0o555)
    os.chmod(".", 0o755)
    user = 65534 if os.getuid() == 0 else None  # root may write anywhere
    try:
        fails("sample", "few.yaml", "-o", "closed/a.h5", code=6, words="Permission denied", user=user)
    except PermissionError:
        print("the command may not be run by another user here: closed folders were not tried")
    fails("sample", "few.yaml", "-o", "nowhere/a.h5", code=6, words="nowhere/a.h5.parts: cannot be made: No such file")
    fails("sample", "few.yaml", "-o", "few.yaml/a.h5", code=6, words="Not a directory")
    assert os.listdir("closed") == []


def memory_ends():
    """Rows 14 and 21: what cannot fit is refused with both figures; an allocation that fails ends the run cleanly."""
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + (b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 2), }")
    for name, rows in (("large.npy", 40 << 20), ("larger.npy", 1 << 40)):
        text = header % rows
        with open(name, "wb") as f:
            f.write(text + b" " * (127 - len(text)) + b"\n")
            f.truncate(128 + 16 * rows)  # a hole: it takes no space
    write("memory.yaml", DATA % "larger.npy")
    fails("likelihood", "memory.yaml", "-o", "no.h5", code=3, words="GiB of memory, this machine has")
    fails("sample", "few.yaml", "-o", "no.h5", "--set", "sampler.count=1e14", code=3, words="are free")
    if SANITIZED:
        return  # its shadow memory does not fit below the limit
    write("memory.yaml", DATA % "large.npy")
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))
    fails("likelihood", "memory.yaml", "-o", "no.h5", "--threads", "1", code=1, words="cannot allocate", before=limit)
    os.remove("large.npy")


def network(path, weight):
    """A network of one value whose weights are all the same."""
    shapes = {"input.weight": (2, 1), "input.bias": (2,), "output.weight": (1, 2), "output.bias": (1,)}
    for name in ("time.0", "time.2", "layers.0.linear1", "layers.0.linear2"):
        shapes |= {name + ".weight": (2, 2), name + ".bias": (2,)}
    facts = {"vpsde.kind": "mlp", "vpsde.shape": "1", "vpsde.hidden": "2", "vpsde.layers": "1", "vpsde.time_features": "2", "vpsde.prediction": "eps"}
    header, at = {"__metadata__": facts}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * int(np.prod(shape))]}
        at = header[name]["data_offsets"][1]
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + np.full(at // 4, weight, "<f4").tobytes())


def networks_that_overflow():
    """Row 22: weights that are finite and outputs that are not: flagged, and the run is complete. Row 24: rows without a finite log p."""
    network("inf.safetensors", 3e38)
    write("inf.yaml", "process: {schedule: vp-linear}\nmodel: {path: inf.safetensors}\nsampler: {solver: [ddim, {solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}], steps: 5, count: 40}\n")
    runs.call(vpsde, "sample", "inf.yaml", "-o", "inf.h5", "-q", code=5)
    with h5py.File("inf.h5") as f:
        for label in ("ddim", "dopri5"):
            group = f["runs"][label]
            assert (group["status"][:] != 0).all() and np.isnan(group["final"][:]).all(), label
        assert f.attrs["status"] in ("complete", b"complete")
    network("one.safetensors", 0.1)  # one sample alone starts beyond float32
    start = np.random.default_rng(1).normal(size=(40, 1))
    np.save("finite.npy", start)
    start[17] = 1e39
    np.save("start.npy", start)
    write("one.yaml", "process: {schedule: vp-linear}\nmodel: {path: one.safetensors}\nsampler: {solver: ddim, steps: 5, count: 40, init: start.npy}\n"
          "log: {times: all}\ndata: {path: start.npy}\nlikelihood: {budget: false, integrator: {solver: dopri5, rtol: 1.0e-3, atol: 1.0e-3}}\n")
    message = runs.call(vpsde, "sample", "one.yaml", "-o", "one.h5", code=5, env=runs.ENV)
    assert "1 of 40 samples became non-finite (first: sample 17)" in message, message
    runs.call(vpsde, "sample", "one.yaml", "-o", "all.h5", "-q", "--set", "sampler.init=finite.npy")
    others = np.arange(40) != 17
    with h5py.File("one.h5") as f, h5py.File("all.h5") as g:
        bad, good = f["runs/ddim"], g["runs/ddim"]
        meanings = bad["status"].attrs["flag_meanings"].decode().split()
        assert meanings[bad["status"][17]] == "non_finite" and np.isnan(bad["final"][17]).all()
        assert (bad["status"][:][others] == 0).all() and (good["status"][:] == 0).all()
        for name in ("x", "final", "nfe"):
            assert np.array_equal(bad[name][:][others], good[name][:][others]), "another sample is another one: " + name
    message = runs.call(vpsde, "likelihood", "one.yaml", "-o", "logp.h5", code=5)
    assert "1 of 40 rows became non-finite" in message, message
    runs.call(vpsde, "likelihood", "one.yaml", "-o", "all.h5", "-q", "--force", "--set", "data.path=finite.npy")
    with h5py.File("logp.h5") as f, h5py.File("all.h5") as g:
        bad, good = f["likelihood/dopri5"], g["likelihood/dopri5"]
        assert bad["status"][17] != 0 and np.isnan(bad["logp"][17]) and np.array_equal(bad["logp"][:][others], good["logp"][:][others])
        printed = next(line.split() for line in message.splitlines() if line.startswith("dopri5"))
        assert printed[1:3] == ["40", "1"], printed
        assert abs(float(printed[3]) - bad["logp"][:][others].mean()) < 1e-3 * abs(float(printed[3])), "the mean is not that of the finite rows"


def integrations_that_fail():
    """Row 23: the flag says why, the counts are of what was done, and nothing else is tried."""
    for solver in ("dopri5", "gsl-rkf45", "cvode-adams"):
        label = solver.replace("-", "_")
        message = runs.call(vpsde, "sample", "few.yaml", "-o", "stiff.h5", "--force",
                            "--set", f"sampler.solver=[{{solver: {solver}, rtol: 1.0e-12, atol: 1.0e-12, max_steps: 3}}]", code=5)
        assert "500 of 500 samples failed: 0 became non-finite, 500 integrations failed (first: sample 0)" in message, message
        with h5py.File("stiff.h5") as f:
            group = f["runs/" + label]
            meanings = group["status"].attrs["flag_meanings"].decode().split()
            assert {meanings[k] for k in group["status"][:]} == {"integration_failed"} and np.isnan(group["final"][:]).all()
            nfe, rejected = group["nfe"][:], group["rejected"][:]
            assert (nfe >= 3).all() and (nfe < 60).all() and (rejected <= 3).all(), (solver, nfe, rejected)
            assert f.attrs["status"] == b"complete" and list(f["runs"]) == [label]


def put_down(path, config="long.yaml"):
    """A run that has begun, stopped in its tracks."""
    process = subprocess.Popen([vpsde, "sample", config, "-o", path, "-q", "--threads", "1"], stderr=subprocess.PIPE, text=True, env=runs.ENV)
    while not os.path.exists(path + ".parts/part-000000-000000") and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    return process


def disks_that_fill_up():
    """Row 18: a disk of 10 MB that somebody else fills while the run goes on; made free, the run ends with the same bits."""
    os.mkdir("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", "disk"], capture_output=True).returncode != 0:
        print("no file system may be mounted here: tests/test_run_file.c fills its disk by RLIMIT_FSIZE alone")
        return
    try:
        process = put_down("disk/a.h5")
        with open("disk/filler", "wb", buffering=0) as f:
            try:
                while f.write(bytes(4096)):
                    pass
            except OSError:
                pass
        process.send_signal(signal.SIGCONT)
        message = process.communicate(timeout=300)[1]
        assert process.returncode == 6 and "No space left" in message and "vpsde resume" in message, (process.returncode, message)
        assert not os.path.exists("disk/a.h5") and os.path.exists("disk/a.h5.parts/part-000000-000000")
        os.remove("disk/filler")
        runs.call(vpsde, "resume", "disk/a.h5", "-q")
        assert runs.logical("disk/a.h5") == runs.logical("long.h5")
    finally:
        subprocess.run(["umount", "disk"], check=True)


def resuming_another_run():
    """Row 26: another checkpoint, a configuration that was edited, an unfinished run in the way; put back, it goes on."""
    network("net.safetensors", 0.1)
    write("net.yaml", "process: {schedule: vp-linear}\nmodel: {path: net.safetensors}\n" + SAMPLE[SAMPLE.index("sampler:"):])
    runs.call(vpsde, "sample", "net.yaml", "-o", "whole.h5", "-q")
    process = put_down("net.h5", "net.yaml")
    process.kill()
    process.communicate()
    network("net.safetensors", 0.2)
    fails("resume", "net.h5", code=4, words="net.safetensors: the model file has changed")
    network("net.safetensors", 0.1)
    begun = open("net.h5.parts/config.yaml").read()
    assert "12000" in begun
    write("net.h5.parts/config.yaml", begun.replace("12000", "11000"))
    fails("resume", "net.h5", code=6, words="config.yaml: is damaged or edited (sampler.count: 12000, now 11000)")
    write("net.h5.parts/config.yaml", begun)
    fails("sample", "few.yaml", "-o", "net.h5", code=7, words="vpsde resume")
    runs.call(vpsde, "resume", "net.h5", "-q")
    assert runs.logical("net.h5") == runs.logical("whole.h5")


def change_a_byte(path):
    """Three quarters into the file: the run does not end if the checksum of the part is not looked at."""
    at = os.path.getsize(path) * 3 // 4
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


def damaged_parts():
    """Row 27: a part that is changed, gone, a folder or a pipe is set aside, and what it held is computed again."""
    replaced_by = lambda make: lambda path: (os.remove(path), make(path))
    for damage in (change_a_byte, os.remove, replaced_by(os.mkdir), replaced_by(os.mkfifo)):
        process = put_down("cut.h5")
        process.kill()
        process.communicate()
        damage("cut.h5.parts/part-000000-000000")
        runs.call(vpsde, "resume", "cut.h5", "-q")
        assert runs.logical("cut.h5") == runs.logical("long.h5")
        assert not os.path.exists("cut.h5.parts")
        os.remove("cut.h5")


def every_named_test_exists():
    rows = [line for line in open(os.path.join(source, "docs/faults.md")) if re.match(r"\| \d+ \|", line)]
    assert [int(line.split("|")[1]) for line in rows] == list(range(1, 30)), "29 rows"
    for line in rows:
        named = re.findall(r"`((?:tests|scripts)/[\w/.]+)(?: (\w+))?`", line.split("|")[4])
        assert named, "no test: " + line
        for path, name in named:
            path = os.path.join(source, path if path.startswith("tests/") else "tests/" + path)
            assert os.path.exists(path), path
            assert not name or re.search(rf"\b{name}\b", open(path).read()), (path, name)


here = os.getcwd()
with tempfile.TemporaryDirectory(dir=runs.FAST) as folder:
    os.chdir(folder)
    write("few.yaml", runs.MIXTURE + "sampler: {solver: ddim, steps: 5, count: 500}\n")
    write("long.yaml", SAMPLE)
    for test in (every_named_test_exists, hostile_hdf5, no_plug_in_is_loaded, thread_counts, closed_folders, memory_ends, networks_that_overflow, integrations_that_fail):
        test()
    runs.call(vpsde, "sample", "long.yaml", "-o", "long.h5", "-q")
    disks_that_fill_up()
    resuming_another_run()
    damaged_parts()
    a_crash_is_a_kill()
    times_do_not_matter()
    os.chdir(here)
print("29 rows have their tests")
