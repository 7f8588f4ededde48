"""What the tests of storage share: calling the command, what a run file says, what sealed parts hold."""
import glob, hashlib, os, struct, subprocess

import h5py
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # tempfile's folder: fsync is free there
BOOKKEEPING = ("DIMENSION_LIST", "REFERENCE_LIST")  # addresses within the file
ENV = dict(os.environ, OMP_WAIT_POLICY="passive")

MIXTURE = """\
seed: 7
process: {schedule: vp-linear, beta_min: 0.1, beta_max: 20}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
"""


def shim(folder):
    """tests/shims/record.c for LD_PRELOAD."""
    path = os.path.join(os.path.abspath(folder), "record.so")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o", path, ROOT + "/tests/shims/record.c", "-ldl"],
                   check=True)
    return path


def call(vpsde, *arguments, code=0, env=ENV, cwd=None):
    result = subprocess.run([vpsde, *map(str, arguments)], capture_output=True, text=True, timeout=600, env=env, cwd=cwd)
    assert code is None or result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout + result.stderr


def logical(path, attributes=True):
    """SHA-256 of everything outside /provenance, or of the datasets alone."""
    digest = hashlib.sha256()

    def add(name, node):
        if name.split("/")[0] == "provenance":
            return
        digest.update(name.encode())
        if isinstance(node, h5py.Dataset):
            value = node[()]
            digest.update(f"{value.dtype.str}{value.shape}".encode() + value.tobytes())
        for key in sorted(node.attrs) if attributes else ():
            if key not in BOOKKEEPING:
                value = np.asarray(node.attrs[key])
                digest.update(f"{key}{value.dtype.str}{value.shape}".encode() + value.tobytes())

    with h5py.File(path) as f:
        add("", f)
        f.visititems(lambda name, node: add(name, node))
    return digest.hexdigest()


def placed(data):
    """Of a sealed part's bytes: where rows.h5 holds rows of it, as (address, length)."""
    at, spans = 80, []
    while at < len(data):
        kind, _, _, _, size = struct.unpack_from("<5Q", data, at)
        here, at = at + 40, at + 40 + (size + 7) // 8 * 8
        if kind != 4:
            continue
        n_columns, = struct.unpack_from("<Q", data, here)
        here += 8
        for _ in range(n_columns):
            length, n_chunks, first, period, piece = struct.unpack_from("<5Q", data, here)
            chunks = struct.unpack_from(f"<{n_chunks}Q", data, here + 104)
            here += 104 + 8 * n_chunks
            for chunk in chunks:
                offset = first % period % piece
                n = min(length, piece - offset, period - first % period)
                spans.append((chunk + offset, n))
                first, length = first + n, length - n
    return spans


class Ledger:
    """Sealed parts: file by file, and row by row."""

    def __init__(self, path):
        self.files, self.rows = {}, set()
        for part in sorted(glob.glob(path + ".parts/part-*")):
            if part.endswith(".tmp"):
                continue
            info, data = os.stat(part), open(part, "rb").read()
            self.files[os.path.basename(part)] = (info.st_ino, info.st_mtime_ns, hashlib.sha256(data).hexdigest())
            self.add(part, data)

    def add(self, part, data):
        magic, sha, size = struct.unpack_from("<8s64sQ", data)
        assert magic == b"VPSDEP02" and size == len(data) - 80, (part, magic, size, len(data))
        assert hashlib.sha256(data[80:]).hexdigest().encode() == sha, part + " is sealed and damaged"
        at = 80
        while at < len(data):
            kind, table, first, n, size = struct.unpack_from("<5Q", data, at)
            at += 40 + (size + 7) // 8 * 8
            if kind not in (2, 4):
                continue
            rows = {(table, i) for i in range(first, first + n)}
            assert not rows & self.rows, f"{part}: rows {first} to {first + n} were computed twice"
            self.rows |= rows

    def holds(self, before):
        """Everything sealed before is there as it was: the same file, bytes, time."""
        lost = {name: value for name, value in before.files.items() if self.files.get(name) != value}
        assert not lost, f"sealed parts were lost or written again: {lost}"
