"""studies.py VPSDE SOURCE: every bundled study runs in its reduced form, meets its figures and leaves a picture.

fashion-mnist-compare takes the bundled network, the others closed forms or networks they train.
"""
import os, subprocess, sys, tempfile, time

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
study = source + "/experiments/study"
env = dict(os.environ, VPSDE=vpsde)


def run(*arguments, code=0):
    result = subprocess.run([study, *arguments], capture_output=True, text=True, env=env, timeout=900)
    assert result.returncode == code, (arguments, result.returncode, result.stdout, result.stderr)
    return result.stdout


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    names = [line.split()[0] for line in run("list").splitlines()]
    assert len(names) >= 8, names
    page = open(source + "/docs/studies.md").read()
    for name in names:
        assert f"## {name}\n" in page and f"pictures/study-{name}.png" in page, f"docs/studies.md lacks {name}"
        options = ["--quick", "-o", name]
        started = time.monotonic()
        out = run(name, *options)
        assert "MISSED" not in out and out.count("ok    ") >= 3, out
        with open(f"{name}/{name}.png", "rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n", name
        print(f"{name}: {time.monotonic() - started:.0f} s")
    run("no-such-study", code=2)
    os.chdir("/")
print(f"{len(names)} studies ran")
