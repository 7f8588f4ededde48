"""coverage.py BUILD [FILE...]: lines and branches that a run of BUILD (-Db_coverage=true) has taken, by file, worst first;
of each FILE also the places that were not. A source that is compiled twice (command and tests) counts once. Last line: overall.
Exit code 1 when a target of CONTRIBUTING.md is missed. No branch is left out of the figures: those of the parsers and the part
store that cannot be reached are listed in coverage-exceptions.txt, and any other that is missed there is named."""
import glob, json, os, re, subprocess, sys

LINES, BRANCHES = 90, 85  # per cent, overall
EXCEPTIONS = os.path.join(os.path.dirname(__file__), "coverage-exceptions.txt")

OWN = re.compile(r"(?:^|/)((?:core|sde|models|solvers|experiments|analysis)/.*)$")
# The parsers and the part store, of which nothing that can be reached should be missed.
FULL = re.compile(r"core/(safetensors|data|config|json|number|h5_reserve|fletcher32)|"
                  r"experiments/run_(parts|part_list|seal|manifest|wide|placed|scan)\.c")


def read(build):
    lines, branches = {}, {}  # (file, line): count; (file, line, function, number): count
    for note in sorted(glob.glob(build + "/**/*.gcno", recursive=True)):
        if "/tests/" in note:
            continue
        out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", os.path.abspath(note)],
                             cwd=build, capture_output=True, text=True).stdout
        for text in out.splitlines():
            for source in json.loads(text)["files"]:
                own = OWN.search(source["file"])
                if not own:
                    continue
                for line in source["lines"]:
                    at = own[1], line["line_number"]
                    lines[at] = lines.get(at, 0) + line["count"]
                    name = line.get("function_name", "").split(".")[0]  # of all its clones
                    for i, branch in enumerate(line["branches"]):
                        branches[(*at, name, i)] = branches.get((*at, name, i), 0) + branch["count"]
    return lines, branches


def share(counts):
    taken = sum(count > 0 for count in counts)
    return taken, len(counts), 100 * taken / len(counts) if counts else 100.0


def by_file(counts):
    files = {}
    for at, count in counts.items():
        files.setdefault(at[0], []).append(count)
    return files


def unexcused(missed, sources):
    """The missed (file, line): arms of the parsers that no exception allows, and the exceptions that nothing needs any more."""
    allowed = {}
    for text in open(EXCEPTIONS):
        if text.strip() and not text.startswith("#"):
            name, arms, needle, reason = (field.strip() for field in text.split(" :: "))
            assert reason, text
            allowed[name, needle] = int(arms)
    unused, left = set(allowed), {}
    for (name, number), arms in missed.items():
        line = open(os.path.join(sources, name)).read().splitlines()[number - 1].strip()
        match = next((key for key in allowed if key[0] == name and key[1] == line), None)
        unused.discard(match)
        if arms > allowed.get(match, 0):
            left[name, number] = arms, line
    return left, unused


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    lines, branches = read(build)
    of_lines, of_branches = by_file(lines), by_file(branches)
    rows = [(share(of_lines[f]), share(of_branches.get(f, [])), f) for f in of_lines]
    for line, branch, f in sorted(rows, key=lambda row: row[1][2]):
        print(f"{line[2]:6.1f} % lines {branch[2]:6.1f} % branches {branch[1] - branch[0]:4d} missed  {f}{' *' if FULL.match(f) else ''}")
    for f in wanted:
        missed = {}
        for at, count in branches.items():
            if at[0] == f and count == 0:
                missed[at[1]] = missed.get(at[1], 0) + 1
        for (name, number), count in sorted(lines.items()):
            if name == f and (count == 0 or number in missed):
                print(f"{f}:{number}: {'line' if count == 0 else 'branches'} {missed.get(number, '')}")
    full = {at: count for at, count in branches.items() if FULL.match(at[0])}
    missed = {}
    for at, count in full.items():
        missed[at[:2]] = missed.get(at[:2], 0) + (count == 0)
    left, unused = unexcused({at: arms for at, arms in missed.items() if arms}, os.path.join(os.path.dirname(__file__), "../.."))
    for (name, number), (arms, text) in sorted(left.items()):
        print(f"{name}:{number}: {arms} branches neither taken nor excused: {text}")
    for name, text in sorted(unused):
        print(f"{name}: an exception that nothing needs: {text}")
    line, branch, parsers = share(lines.values()), share(branches.values()), share(full.values())
    print(f"{line[2]:.1f} % of {line[1]} lines, {branch[2]:.1f} % of {branch[1]} branches; parsers and part store "
          f"{parsers[2]:.1f} % of {parsers[1]} branches, {sum(arms for arms, _ in left.values())} neither taken nor excused")
    return line[2] < LINES or branch[2] < BRANCHES or bool(left)


sys.exit(main())
