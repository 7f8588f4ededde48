"""docs.py VPSDE SOURCE: every command of the README and of docs/ runs, every Python block too.

Shell blocks are run line by line in a folder with the experiments; training is shortened by --set. The two
commands of the README's head (quickstart and tests/run) are what runs this, and are only looked up.
"""
import glob, os, re, subprocess, sys, tempfile

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SHORT = {
    "train": ["--set", "train.steps=20", "--set", "model.hidden=32", "--set", "data.count=2000"],
    "sample experiments/fashion": ["--set", "sampler.count=4", "--set", "sampler.steps=5"],
    "compare experiments/ring": ["--set", "sampler.count=32", "--set", "compare.tolerances=[1e-2]"],
    "likelihood experiments/fashion": ["--set", "data.count=2"],
    "elbo experiments/fashion": ["--set", "data.count=2", "--set", "elbo.steps=20"],
}
blocks = []
for page in [source + "/README.md", *sorted(glob.glob(source + "/docs/*.md"))]:
    text = open(page).read()
    for kind, body in re.findall(r"^```(sh|python)\n(.*?)^```", text, re.M | re.S):
        blocks.append((os.path.relpath(page, source), kind, body))
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", prose):
        target = os.path.normpath(os.path.join(os.path.dirname(page), link))
        assert os.path.exists(target), f"{page}: {link} is not there"
assert len(blocks) >= 5, "no commands found"

with tempfile.TemporaryDirectory() as folder:
    os.symlink(source + "/experiments", folder + "/experiments")
    os.symlink(source + "/docs", folder + "/docs")
    env = dict(os.environ, PATH=os.path.dirname(vpsde) + ":/usr/bin:" + os.environ["PATH"], PWD=folder)
    ran = 0
    for page, kind, body in blocks:
        if kind == "python":
            subprocess.run(["/usr/bin/python3", "-c", body], cwd=folder, check=True, env=env)
            ran += 1
            continue
        for line in filter(None, (re.sub(r"(^|\s)#.*", "", l).strip() for l in body.splitlines())):
            if line.startswith("./"):
                assert os.access(os.path.join(source, line), os.X_OK), f"{page}: {line}"
                continue
            extra = next((v for k, v in SHORT.items() if line.startswith("vpsde " + k)), [])
            if line.startswith("vpsde ") and " -o " in line:
                extra = [*extra, "--force"]
            if line.startswith("meson "):
                continue  # the install test does it
            result = subprocess.run(line + " " + " ".join(extra), shell=True, cwd=folder, env=env, capture_output=True, text=True)
            assert result.returncode == 0, f"{page}: {line}\n{result.stdout}{result.stderr}"
            ran += 1
print(f"{ran} commands of the documentation ran")
