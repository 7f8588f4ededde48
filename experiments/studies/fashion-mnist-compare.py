"""Which solver follows a network's flow best at 10, 20 and 50 evaluations of a Fashion-MNIST model?

Fifteen solvers from the same noise against a tight solve by CVODE: distances of the images, and the law's distances to
the training images. Without a network of its own (--model), the quickstart's.
"""
from study import *

parser.add_argument("--model", help="network; default: models/pretrained/fashion-mnist-unet.safetensors, else quickstart-model.safetensors")
root = os.path.dirname(os.path.dirname(here))
known = [os.path.join(root, path) for path in ("models/pretrained/fashion-mnist-unet.safetensors", "quickstart-model.safetensors")]
chosen = parser.parse_args().model
chosen = os.path.abspath(chosen) if chosen else next((p for p in known if os.path.exists(p)), None)
options = begin()
if not chosen:
    sys.exit("no network: ./experiments/quickstart trains one, or name it with --model")
info = subprocess.run([options.vpsde, "info", chosen], check=True, capture_output=True, text=True).stdout
side = int(next(line for line in info.splitlines() if line.startswith("dimensions")).split()[-1])
overrides = [f"model.path={chosen}", f"data.pool={28 // side}"]
known = subprocess.run([options.vpsde, "list", "metrics"], check=True, capture_output=True, text=True).stdout
wanted = [m for m in ("median", "rmse", "p99", "nearest-data", "frechet-dct", "frechet-pixel")
          if any(line.split()[0] == m for line in known.splitlines() if line.strip())]
overrides.append(f"compare.metrics=[{', '.join(wanted)}]")
if options.quick:
    overrides += ["sampler.count=4", "compare.steps=[10, 20]", "data.count=200", "compare.reference.rtol=1e-3", "compare.reference.atol=1e-3"]
vpsde("compare", "compare.h5", *overrides)

table, law = read("compare.h5", "compare/pooled"), read("compare.h5", "compare/floor")
columns = [m.replace("-", "_") for m in wanted]
print(f"{chosen}\n{'solver':16}{'nfe':>7}" + "".join(f"{m:>14}" for m in columns))
median = {}
for i in np.lexsort((table["median"], np.nan_to_num(table["budget"], nan=1e9))):
    print(f"{table['solver'][i]:16}{table['nfe'][i]:7.1f}" + "".join(f"{table[m][i]:14.4g}" for m in columns))
    median.setdefault(table["solver"][i], []).append((table["nfe"][i], table["median"][i]))
print()
fixed = {s: sorted(rows) for s, rows in median.items() if s != "dopri5"}
accept("solvers compared", len(median), 12, 99)
accept("samples that failed", table["failed"].sum(), 0, 0)
if not options.quick:
    accept("solvers whose error does not fall from 20 to 50 evaluations", sum(r[-1][1] >= r[-2][1] for r in fixed.values()), 0, 0)
    accept("order of ddim from 20 to 50 evaluations", slope(*np.array(fixed["ddim"][-2:]).T), 0.7, 1.3)
best = min(r[-1][1] for r in fixed.values())
accept("best solver's error over that of ddim at the largest budget", best / fixed["ddim"][-1][1], 0, 1 / 3)
plot("set logscale xy\nset xrange [8:150]\nset xlabel 'evaluations a sample'\nset ylabel 'median distance to the reference'\nplot " + ", ".join(
    f"'{name}-{s}.dat' using 1:2 with linespoints dt {1 + i // 8} title '{s}'" for i, s in enumerate(median)),
    **{s: np.array(sorted(r)).T for s, r in median.items()})
end()
