"""verify.py VPSDE SOURCE: every registered solver and form has the order it declares; docs/solvers.md says what
was measured, and docs/upstream-defects.md knows every -compat solver."""
import os, re, subprocess, sys, tempfile
import h5py, numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True)
    assert result.returncode == code, (arguments, result.returncode, result.stderr)
    return result


def same_line(ours, theirs):
    """Equal but for the last cell of a row of orders, which may differ by rounding to two decimals."""
    if ours == theirs:
        return True
    a, b = ours.rsplit("|", 2), theirs.rsplit("|", 2)
    number = r" \d+\.\d\d "
    if len(a) < 3 or a[0] != b[0] or not (re.fullmatch(number, a[1]) and re.fullmatch(number, b[1])):
        return False
    return abs(float(a[1]) - float(b[1])) < 0.015


def everything_has_its_order():
    page = run("verify", "--markdown", "-o", "verify.h5").stdout
    assert run("list", "solvers").stdout.count("\n") == len(re.findall(r"^\| `[\w-]+` \| (?:\d+|adaptive) \|", page, re.M))
    with open(source + "/docs/solvers.md") as f:
        kept = f.read()
    pairs = list(zip(page.splitlines(), kept.splitlines()))
    wrong = [ours for ours, theirs in pairs if not same_line(ours, theirs)]
    assert not wrong and page.count("\n") == kept.count("\n"), \
        "docs/solvers.md is behind; write it anew: vpsde verify --markdown > docs/solvers.md\n%s" % "\n".join(wrong[:5])
    with h5py.File("verify.h5") as f:
        g = f["verify"]
        solvers = g["solver"].attrs["flag_meanings"]
        solvers = (solvers.decode() if isinstance(solvers, bytes) else solvers).split()
        assert solvers == [line.split()[0] for line in run("list", "solvers").stdout.splitlines()]
        measured = g["kind"][:] > 0
        assert g["pass"][:].all() and measured.sum() > 20
        declared, claimed = g["declared"][:], g["claimed"][:]
        off = np.where(np.isnan(declared), np.nan, np.abs(g["measured"][:] - declared))
        short = np.isnan(declared) & (g["measured"][:] < claimed - g["tolerance"][:])  # others' claim, refuted
        assert ((off <= g["tolerance"][:]) | short)[measured].all()
        assert np.isnan(g["measured"][:][~measured]).all()
        steps, error = g["steps"][:][measured], g["error"][:][measured]
        assert (np.isfinite(steps) == np.isfinite(error)).all() and np.isfinite(error[:, 3]).all()
    run("verify", "ddim", "-o", "verify.h5", code=7)


def words_are_checked():
    assert "did you mean ddim" in run("verify", "ddmi", code=2).stderr
    assert "twice" in run("verify", "ddim", "heun", "ddim", code=2).stderr
    out = run("verify", "heun").stdout.splitlines()
    assert out[0].split()[:4] == ["solver", "form", "kind", "declared"] and all(l.endswith("pass") for l in out), out
    assert run("verify", "heun", "-q").stdout == ""


def defects_are_told():
    with open(source + "/docs/upstream-defects.md") as f:
        page = f.read()
    for name in re.findall(r"^(\S+-compat)\b", run("list", "solvers").stdout, re.M):
        assert re.search(r"[ `]%s\b" % name, page), "docs/upstream-defects.md does not speak of %s" % name


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    words_are_checked()
    defects_are_told()
    everything_has_its_order()
print("every solver has its order")
