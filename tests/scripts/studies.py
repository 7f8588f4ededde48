"""studies.py VPSDE SOURCE: every bundled study runs in its reduced form, meets its figures and leaves a picture.

fashion-mnist-compare runs on a network of a moment's training here: only that it runs, not what it finds.
"""
import os, subprocess, sys, tempfile

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
        if name == "fashion-mnist-compare":
            subprocess.run([vpsde, "train", source + "/experiments/fashion-mnist-train.yaml", "-o", "net.safetensors", "-q", "--set",
                            "train.steps=60", "--set", "model.hidden=32", "--set", "data.count=2000"], check=True)
            subprocess.run([study, name, *options, "--model", "net.safetensors"], env=env, capture_output=True, timeout=900)
        else:
            out = run(name, *options)
            assert "MISSED" not in out and out.count("ok    ") >= 3, out
        with open(f"{name}/{name}.png", "rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n", name
        print(name)
    run("no-such-study", code=2)
    os.chdir("/")
print(f"{len(names)} studies ran")
