"""What the bundled studies share: the program, figures to accept, pictures by gnuplot, and the VP process."""
import argparse, os, shutil, subprocess, sys, time

import h5py
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
parser = argparse.ArgumentParser(prog="study " + name, description=sys.modules["__main__"].__doc__)
parser.add_argument("vpsde")
parser.add_argument("--quick", action="store_true", help="seconds: small runs, fewer figures")
parser.add_argument("-o", "--output", help="folder of the results; default study-NAME")
missed, started = [], time.monotonic()


def begin():
    """Prints the question and goes to the folder of the results."""
    global options
    options = parser.parse_args()
    options.vpsde = os.path.abspath(options.vpsde)
    print(f"{name}: {sys.modules['__main__'].__doc__.strip()}\n", flush=True)
    folder = os.path.abspath(options.output or "study-" + name)
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    if os.path.exists(f"{here}/{name}.yaml"):
        shutil.copy(f"{here}/{name}.yaml", ".")
    return options


def vpsde(verb, out, *overrides, config=None):
    """Runs a verb on NAME.yaml, a copy of the one beside the study, or on another configuration; overrides are key=value."""
    words = [options.vpsde, verb, config or name + ".yaml", "-o", out, "-q", "--force"]
    for override in overrides:
        words += ["--set", override]
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode not in (0, 5):
        sys.exit(f"{' '.join(words)}\n{result.stdout}{result.stderr}")
    return out


def read(path, group):
    """The datasets of a group, and its attributes, in a dictionary."""
    with h5py.File(path) as file:
        node = file[group]
        out = {k: v[()] for k, v in node.items() if isinstance(v, h5py.Dataset)}
        out["attributes"] = {k: v.decode() if isinstance(v, bytes) else v for k, v in node.attrs.items()}
        for k in list(out):
            if k != "attributes" and "flag_meanings" in node[k].attrs:
                out[k] = np.array(node[k].attrs["flag_meanings"].decode().split())[out[k]]
        return out


def accept(what, value, low, high):
    """A figure and what theory allows it to be."""
    good = bool(low <= value <= high)
    print(f"{'ok    ' if good else 'MISSED'}  {what}: {value:.4g}, accepted {low:.4g} to {high:.4g}", flush=True)
    if not good:
        missed.append(what)


def slope(n, error):
    """Order of convergence: minus the slope of log error on log n."""
    return -np.polyfit(np.log(n), np.log(np.abs(error)), 1)[0]


def plot(commands, **data):
    """NAME.png by gnuplot; $key of the commands is a table of columns, and stays beside it as NAME-key.dat."""
    for key, columns in data.items():
        np.savetxt(f"{name}-{key}.dat", np.column_stack(columns), fmt="%.10g")
        commands = commands.replace("$" + key, f"'{name}-{key}.dat'")
    head = (f"set terminal pngcairo size 800,560 font ',11'\nset output '{name}.png'\nset grid lc rgb '#dddddd'\n"
            "set key outside right top\nset format y '%.0e'\n")
    with open(name + ".gp", "w") as file:
        file.write(head + commands + "\n")
    subprocess.run(["gnuplot", name + ".gp"], check=True)


def end():
    print(f"\n{os.getcwd()}/{name}.png; {time.monotonic() - started:.0f} s; " +
          ("every figure is met" if not missed else f"{len(missed)} missed"))
    sys.exit(1 if missed else 0)


def b_of(t):
    """vp-linear, beta from 0.1 to 20."""
    return 0.1 * t + 19.9 * t * t / 2


def t_of(b):
    return (-0.1 + np.sqrt(0.01 + 39.8 * b)) / 19.9


def alpha_of(t):
    return np.exp(-b_of(t) / 2)


def sigma2_of(t):
    return -np.expm1(-b_of(t))
