"""power_cut.py VPSDE [N]: N power cuts at random points of a run and of its resumption.

tests/shims/record.c records what reaches the file system. A cut keeps what was made durable by fsync; of the rest each
4 kB page with probability 1/2, and of each folder either the first entries changed or any of them. Then every part that
was sealed before the cut must be there byte for byte, and `vpsde resume` must end with the bits of an undisturbed run."""
import glob, os, random, shutil, sys, tempfile

import runs

vpsde, cuts = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30
CONFIG = runs.MIXTURE + """\
sampler: {count: 2500, solver: [{solver: ddim, steps: 8}, {solver: pc-langevin, steps: 5}]}
log: {times: all, dtype: float64}
"""
PAGE = 4096
O_CREAT, O_TRUNC = os.O_CREAT, os.O_TRUNC
dice = random.Random(int(os.environ.get("VPSDE_TEST_SEED", "30")))


class File:
    def __init__(self, data=b""):
        self.durable, self.data, self.dirty = bytes(data), bytearray(data), set()

    def write(self, offset, data):
        end = offset + len(data)
        if len(self.data) < end:
            self.data.extend(bytes(end - len(self.data)))
        self.data[offset:end] = data
        self.dirty |= set(range(offset // PAGE, (end + PAGE - 1) // PAGE))

    def sync(self):
        self.durable, self.dirty = bytes(self.data), set()

    def after_cut(self):
        """Pages that were not synced are there or not; so is the new length."""
        length = dice.choice((len(self.durable), len(self.data))) if len(self.durable) != len(self.data) else len(self.data)
        out = bytearray(self.durable[:length].ljust(length, b"\0"))
        for page in self.dirty:
            at = page * PAGE
            if at < length and dice.random() < 0.5:
                piece = self.data[at:min(at + PAGE, length)]
                out[at:at + len(piece)] = piece
        return bytes(out)


class Folder:
    def __init__(self, entries=()):
        self.durable, self.now, self.pending = dict(entries), dict(entries), []

    def change(self, **change):
        """add: (name, file or folder), remove: name; a rename within the folder is both at once."""
        self.pending.append(change)
        self.apply(self.now, change)

    @staticmethod
    def apply(entries, change):
        if "remove" in change:
            entries.pop(change["remove"], None)
        if "add" in change:
            entries[change["add"][0]] = change["add"][1]

    def sync(self):
        self.durable, self.pending = dict(self.now), []

    def after_cut(self):
        entries = dict(self.durable)
        in_order, first = dice.random() < 0.5, dice.randint(0, len(self.pending))
        for i, change in enumerate(self.pending):
            if i < first if in_order else dice.random() < 0.5:
                self.apply(entries, change)
        return entries


class Disk:
    """One folder and what is in it, played from a record."""

    def __init__(self, path):
        self.top, self.path, self.open, self.sealed, self.placed = Folder(self.load(path, {})), path, {}, {}, {}

    def load(self, path, files):
        """files: those seen, by inode; a file may have two names."""
        entries = {}
        for entry in os.scandir(path):
            if entry.is_dir():
                entries[entry.name] = Folder(self.load(entry.path, files))
                continue
            if entry.inode() not in files:
                files[entry.inode()] = File(open(entry.path, "rb").read())
            entries[entry.name] = files[entry.inode()]
        return entries

    def find(self, dir, path):
        """The folder that holds it, and its name there."""
        at = self.top if dir == "-100" else self.open.get(dir)
        if path.startswith("/"):
            path = os.path.relpath(path, self.path)
            at = self.top
        if not isinstance(at, Folder) or path.startswith(".."):
            return None, path
        parts = [p for p in path.split("/") if p != "."]
        for part in parts[:-1]:
            at = at.now.get(part)
            if not isinstance(at, Folder):
                return None, path
        return at, parts[-1] if parts else ""

    def play(self, words, data):
        what = words[0]
        if what == "open":
            holder, name = self.find(words[2], words[4])
            node = holder if holder and name == "" else holder.now.get(name) if holder else None
            if holder and node is None and int(words[3]) & O_CREAT:
                node = File()
                holder.change(add=(name, node))
            if isinstance(node, File) and int(words[3]) & O_TRUNC and node.data:
                node.data, node.dirty = bytearray(), set()
            self.open[words[1]] = node
        elif what == "write":
            if isinstance(self.open.get(words[1]), File):
                self.open[words[1]].write(int(words[2]), data)
        elif what == "truncate":
            node, length = self.open.get(words[1]), int(words[2])
            if isinstance(node, File):
                node.data = node.data[:length].ljust(length, b"\0")
        elif what == "fsync":
            node = self.open.get(words[1])
            if node is not None:
                node.sync()
            if isinstance(node, Folder):
                self.note_sealed(node)
        elif what == "rename":
            (a, old), (b, new) = self.find(words[1], words[2]), self.find(words[3], words[4])
            if a is b:
                a.change(add=(new, a.now[old]), remove=old)
            else:
                b.change(add=(new, a.now[old]))
                a.change(remove=old)
        elif what == "unlink":
            holder, name = self.find(words[1], words[2])
            holder.change(remove=name)
            self.sealed.pop(name, None)
        elif what == "link":
            (a, old), (b, new) = self.find("-100", words[1]), self.find("-100", words[2])
            b.change(add=(new, a.now[old]))
        elif what == "mkdir":
            holder, name = self.find("-100", words[1])
            holder.change(add=(name, Folder()))
        elif what == "rmdir":
            holder, name = self.find("-100", words[1])
            holder.change(remove=name)

    def note_sealed(self, folder):
        """From here on the writer counts on these parts, and on the rows that they speak of."""
        rows = folder.now.get("rows.h5")
        for name, node in folder.now.items():
            if name.startswith("part-") and not name.endswith(".tmp") and name not in self.sealed:
                data, placed = bytes(node.data), list(runs.placed(bytes(node.data)))
                if placed and rows is None:  # of an earlier cut, before the names of both were safe
                    continue
                self.sealed[name] = data
                self.placed[name] = [(at, bytes(rows.data[at:at + n])) for at, n in placed]

    def after_cut(self, path, folder=None, written=None):
        os.makedirs(path)
        written = {} if written is None else written
        for name, node in (folder or self.top).after_cut().items():
            place = os.path.join(path, name)
            if isinstance(node, Folder):
                self.after_cut(place, node, written)
            elif node in written:
                os.link(written[node], place)
            else:
                written[node] = place
                with open(place, "wb") as f:
                    f.write(node.after_cut())


def read_record(path):
    calls, data, at = [], open(path, "rb").read(), 0
    while at < len(data):
        end = data.index(b"\n", at)
        words, at = data[at:end].decode().split(" "), end + 1
        payload = b""
        if words[0] == "write":
            payload = data[at:at + int(words[3])]
            at += len(payload)
        calls.append((words, payload))
    return calls


def recorded(folder, *arguments):
    """Runs the command in the folder; what was there before and what it did."""
    before = Disk(folder)
    if os.path.exists("record"):
        os.remove("record")
    env = dict(runs.ENV, LD_PRELOAD=library, VPSDE_TEST_RECORD=os.path.abspath("record"), VPSDE_TEST_HURRY="100000")
    runs.call(vpsde, *arguments, "-q", "--threads", "1", env=env, cwd=folder)
    return before, read_record("record")


def cut(folder, record):
    """The folder as it is after a cut at a random call; sealed parts are looked at."""
    before, calls = record
    disk = Disk.__new__(Disk)
    disk.top, disk.path, disk.open, disk.sealed, disk.placed = clone(before.top), before.path, {}, {}, {}
    parts = disk.top.now.get("run.h5.parts")
    if parts:
        disk.note_sealed(parts)
    for words, data in calls[:dice.randint(1, len(calls))]:
        disk.play(words, data)
    shutil.rmtree(folder, ignore_errors=True)
    disk.after_cut(folder)
    for name, data in disk.sealed.items():
        path = os.path.join(folder, "run.h5.parts", name)
        assert os.path.exists(path) and open(path, "rb").read() == data, f"sealed {name} is lost or damaged"
    rows = os.path.join(folder, "run.h5.parts", "rows.h5")
    if any(disk.placed[name] for name in disk.sealed):
        data = open(rows, "rb").read()
        for name in disk.sealed:
            for at, expected in disk.placed[name]:
                assert data[at:at + len(expected)] == expected, f"rows of the sealed {name} are lost or damaged"
    placed = sum(bool(disk.placed[name]) for name in disk.sealed)
    return len(disk.sealed), placed


def clone(folder, files=None):
    files, entries = {} if files is None else files, {}
    for name, node in folder.now.items():
        if isinstance(node, Folder):
            entries[name] = clone(node, files)
            continue
        if node not in files:
            files[node] = File(node.data)
        entries[name] = files[node]
    return Folder(entries)


def finish(folder):
    """resume, or the run again where the cut left nothing; the bits are those of an undisturbed run."""
    path = os.path.join(folder, "run.h5")
    if os.path.exists(path):
        assert runs.logical(path) == whole, "the published file is not whole"
    message = runs.call(vpsde, "resume", "run.h5", code=None, cwd=folder)
    if not os.path.exists(path):
        assert "nothing to resume" in message, message
        runs.call(vpsde, "sample", CONF, "-o", "run.h5", "-q", cwd=folder)
    assert runs.logical(path) == whole, "resumed after a power cut, it has other bits"
    left = [name for name in os.listdir(folder) if name != "run.h5"]
    assert not left, left


with tempfile.TemporaryDirectory(dir=runs.FAST) as top:
    os.chdir(top)
    library = runs.shim(".")
    CONF = os.path.abspath("conf.yaml")
    with open(CONF, "w") as f:
        f.write(CONFIG)
    os.mkdir("run")
    first = recorded(os.path.abspath("run"), "sample", CONF, "-o", "run.h5")
    whole = runs.logical("run/run.h5")
    assert sum(words[0] == "rename" and words[2].startswith("part-") for words, _ in first[1]) > 10, "too few parts"
    assert any(words[0] == "link" for words, _ in first[1]), "no row stayed where it was put"
    sealed = placed = done = 0
    while done < cuts:
        sealed, placed = (a + b for a, b in zip((sealed, placed), cut("cut", first)))
        again = os.path.exists("cut/run.h5.parts/manifest") and dice.random() < 0.25
        if again:  # the power fails while the run is resumed, too
            second = recorded(os.path.abspath("cut"), "resume", "run.h5")
            sealed, placed = (a + b for a, b in zip((sealed, placed), cut("cut", second)))
            done += 1
        finish("cut")
        done += 1
print(f"{done} power cuts in {len(first[1])} calls, {sealed} sealed parts intact, {placed} of them with rows in rows.h5, the same bits")
