"""report.py VPSDE SOURCE: pages of every verb's run files, in headless Chromium.

They draw without a word on the console and without a request, their controls work, their numbers are those of the file and of the
terminal, they pass an accessibility check in light and dark, wide and narrow, and nothing in a file becomes markup.
"""
import base64, json, os, re, resource, shutil, stat, subprocess, sys, tempfile, time

import h5py
import numpy as np

vpsde, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
chromium = shutil.which("chromium") or shutil.which("chromium-browser")
assert chromium, "chromium is missing: apt-get install chromium, or tests/run --packages"
try:
    import websocket
except ImportError:
    raise SystemExit("python3-websocket is missing: apt-get install python3-websocket, or tests/run --packages")

BASE = """\
seed: 11
process: {schedule: vp-linear}
model: {kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-2, 0], [2, 1]], variances: [0.05, 0.1]}
data: {path: points.npy}
sampler: {solver: [ddim, {solver: dopri5, rtol: 1e-3, atol: 1e-3}], steps: 8, grid: uniform-lambda, count: 60}
likelihood: {integrator: {solver: dopri5, rtol: 1e-5, atol: 1e-5}}
elbo: {steps: 20, draws: 2}
interpolate: {pairs: [[0, 1], [2, 3]], points: 3}
edit: {t0: 0.5}
inpaint: {mask: mask.npy, resamples: 2}
compare: {solvers: [ddim, heun, dpmpp-2m, {solver: dopri5, rtol: [1e-2, 1e-4], atol: [1e-2, 1e-4]}], steps: [10, 20, 40, 80], seeds: 2}
"""
IMAGES = """\
seed: 3
process: {schedule: vp-linear}
model: {kind: mlp, hidden: 16, layers: 2}
data: {path: images.npy}
train: {steps: 30, batch: 16, warmup: 5}
"""


def run(*arguments, code=0):
    result = subprocess.run([vpsde, *arguments], capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (arguments, result.returncode, result.stderr)
    return result


class Browser:
    """One tab of a headless Chromium, over its debugging protocol."""

    def __init__(self):
        self.profile = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--remote-allow-origins=*", "--no-first-run",
             "--disable-background-networking", "--user-data-dir=" + self.profile, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file, deadline = self.profile + "/DevToolsActivePort", time.time() + 120
        while not (os.path.exists(port_file) and open(port_file).read().count("\n")):
            assert time.time() < deadline and self.process.poll() is None, "chromium did not start"
            time.sleep(0.1)
        port, path = open(port_file).read().split()[:2]
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=120)
        self.number, self.session, self.events = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def open(self, path, width, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}])
        self.events.clear()
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        self.js("new Promise(done => { const go = () => requestAnimationFrame(() => setTimeout(done, 120)); "
                "document.readyState === 'complete' ? go() : addEventListener('load', go); })")

    def silent(self, path):
        """Nothing on the console, no exception, no request but for the page itself."""
        loud = [e for e in self.events if e["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")]
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        assert not loud, (path, loud)
        assert all(url.startswith(("file://" + os.path.abspath(path), "data:")) for url in asked), asked

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.profile, ignore_errors=True)


ACCESSIBLE = r"""(() => {
  const wrong = [], shown = (e) => e.checkVisibility({ checkVisibilityCSS: true });
  const name = (e) => e.getAttribute("aria-label") || (e.labels && [...e.labels].map((l) => l.textContent).join("")) || e.textContent.trim();
  if (!document.documentElement.lang) wrong.push("no lang");
  if (!document.title) wrong.push("no title");
  for (const e of document.querySelectorAll("canvas, svg:not([aria-hidden]), img")) if (e.getAttribute("role") !== "img" || !e.getAttribute("aria-label")) wrong.push("unnamed picture " + e.outerHTML.slice(0, 80));
  for (const e of document.querySelectorAll("button, select, input, a, [tabindex]")) if (!name(e)) wrong.push("unnamed control " + e.outerHTML.slice(0, 80));
  for (const e of document.querySelectorAll("[onclick], [tabindex]:not([tabindex='0'])")) wrong.push("not in the order of tabs " + e.outerHTML.slice(0, 80));
  let level = 0;
  for (const h of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) { const l = Number(h.tagName[1]); if (l > level + 1) wrong.push("heading skips to " + h.outerHTML); level = l; }
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id twice");
  for (const e of document.querySelectorAll("[aria-labelledby]")) if (!document.getElementById(e.getAttribute("aria-labelledby"))) wrong.push("labelled by nothing");
  for (const t of document.querySelectorAll("table")) if (!t.querySelector("caption") || [...t.querySelectorAll("th")].some((h) => !h.scope)) wrong.push("table without caption or scopes");
  if (!document.querySelector("main") || !document.querySelector("nav[aria-label]")) wrong.push("no landmarks");
  const rgb = (c) => c.match(/[\d.]+/g).map(Number), light = (c) => { const f = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), least = {};
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !shown(e) || e.closest("script, style, .hidden, option, [aria-hidden]")) continue;
    const style = getComputedStyle(e), a = light(rgb(e.closest("svg") ? style.fill : style.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(2)}: ${e.outerHTML.slice(0, 90)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
  return wrong;
})()"""
TABLES = r"""[...document.querySelectorAll("table:not(.pair)")].map((t) => ({ caption: t.caption.textContent,
  heads: [...t.tHead.rows[0].cells].map((c) => c.textContent), rows: [...t.tBodies[0].rows].map((r) => [...r.cells].map((c) => c.textContent)) }))"""


def make_runs():
    rng = np.random.default_rng(1)
    np.save("points.npy", rng.standard_normal((24, 2)))
    np.save("mask.npy", np.array([1, 0], np.uint8))
    np.save("images.npy", rng.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8))
    with open("base.yaml", "w") as f:
        f.write(BASE)
    with open("images.yaml", "w") as f:
        f.write(IMAGES)
    told = {verb: run(verb, "base.yaml", "-o", verb + ".h5").stdout for verb in ("sample", "likelihood", "elbo", "encode", "interpolate", "edit", "compare")}
    run("inpaint", "base.yaml", "-o", "inpaint.h5", "-q", "--set", "sampler.solver=[ddim]")
    run("decode", "encode.h5", "-o", "decode.h5", "-q")
    run("sample", "base.yaml", "-o", "all.h5", "-q", "--set", "log.times=all", "--set", "sampler.solver=[ddim, heun]")
    run("sample", "base.yaml", "-o", "own-steps.h5", "-q", "--set", "log.fields=[x, steps]")
    told["thermo"] = run("thermo", "base.yaml", "-o", "thermo.h5", "--set", "sampler.steps=30", "--set", "thermo={schedule: {nodes: 9, samples: 16}}").stdout
    told["fokker-planck"] = run("fokker-planck", "base.yaml", "-o", "plane.h5", "--set", "fokker-planck={cells: 32, times: 5, tolerance: 1e-3}").stdout
    run("fokker-planck", "base.yaml", "-o", "line.h5", "-q", "--set", "model={kind: gaussian-mixture, weights: [0.3, 0.7], means: [[-1], [1]], variances: [0.2, 0.3]}",
        "--set", "fokker-planck={cells: 500, times: 5, tolerance: 1e-3, direction: reverse}")
    told["transport"] = run("transport", "base.yaml", "-o", "transport.h5").stdout
    told["verify"] = run("verify", "ddim", "heun", "-o", "verify.h5").stdout
    run("train", "images.yaml", "-o", "train.safetensors", "-q")
    with open("pictures.yaml", "w") as f:
        f.write("seed: 3\nmodel: {path: train.safetensors}\nsampler: {solver: [ddim, heun], steps: 4, count: 9}\nlog: {times: 4}\n")
    run("sample", "pictures.yaml", "-o", "images.h5", "-q")
    return told


def page(name, *more):
    run("report", name + ".h5", "-o", name + ".html", "-q", *more)
    with open(name + ".html", encoding="utf-8") as f:
        text = f.read()
    assert len(text) < 5e6, (name, len(text))
    for url in re.findall(r"https?://[^\s\"'`<)]*", text):
        assert url == "http://www.w3.org/2000/svg", (name, url)
    assert not re.search(r"@import|url\(|<link|<img|<iframe|<script[^>]*src", text), name
    return text


def look(browser, names):
    """Each page in each window and theme; the tables of each."""
    tables, slowest = {}, 0
    for name in names:
        for width, scheme in ((1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")):
            browser.open(name + ".html", width, scheme)
            browser.silent(name + ".html")
            wrong = browser.js("document.querySelectorAll('details').forEach(d => d.open = true); document.querySelectorAll('button.data').forEach(b => b.click()); " + ACCESSIBLE)
            assert not wrong, (name, width, scheme, wrong[:8])
            assert browser.js("document.querySelectorAll('main section').length") >= 2 and not browser.js("document.querySelector('main').textContent.includes('cannot be drawn')"), name
            times = browser.js("(() => { const n = performance.getEntriesByType('navigation')[0]; return n.loadEventEnd - n.startTime; })()")
            slowest = max(slowest, times)
        tables[name] = browser.js(TABLES)
        browser.silent(name + ".html")
    print(f"{len(names)} pages, the slowest loaded in {slowest:.0f} ms")
    return tables


def rows_of(tables, words):
    return next(t["rows"] for t in tables if words in t["caption"])


def budgets():
    """The likelihood's error budget, {line: [nat, bits/dim]}, from its columns."""
    terms = {"ode_error": "integration", "trace_halfwidth": "trace, 95 %", "float32_floor": "float32", "truncation": "truncation at t_min",
             "terminal": "terminal law", "dequantisation_gap": "dequantisation", "dequantisation_halfwidth": "its draws, 95 %"}
    random, lines, of_mean = ("trace_halfwidth", "dequantisation_halfwidth"), {}, 0
    with h5py.File("likelihood.h5") as f:
        g = f["likelihood/dopri5"]
        fine, bit = g["status"][:] == 0, 1 / (g.attrs["dim"] * np.log(2))
        column = lambda name: (lambda v: v[np.isfinite(v)])(g[name][:][fine])
        for name, line in terms.items():
            v = column(name)
            lines[line] = abs(v).mean()
            of_mean += (np.sqrt((v**2).sum()) if name in random else abs(v.sum())) / len(v)
        total = np.sort(column("budget"))
        for line, share in (("total, median row", 0.5), ("total, 95 % of rows", 0.95)):  # bins of 64 a decade, their upper edges
            lines[line] = 10 ** ((np.floor(64 * np.log10(total[int(np.ceil(share * len(total))) - 1])) + 1) / 64)
        lines["total of the mean"] = of_mean
    return {line: ["%.2g" % v, "%.2g" % (v * bit)] for line, v in lines.items() if v > 0}


def numbers(tables, told):
    """Page, terminal and the file read by h5py agree to the last printed digit."""
    lines = {line.split()[0]: line.split() for line in told["sample"].splitlines()[1:]}
    with h5py.File("sample.h5") as f:
        for row in rows_of(tables["sample"], "Solvers"):
            nfe = f["runs"][row[0]]["nfe"][:]
            assert row[1:] == lines[row[0]][1:], (row, lines[row[0]])
            assert row[1:5] == [str(len(nfe)), "0", "%.1f" % nfe.mean(), "%.0f" % nfe.max()], row
    line = told["likelihood"].splitlines()[1].split()
    with h5py.File("likelihood.h5") as f:
        g = f["likelihood/dopri5"]
        logp, bits = g["logp"][:], g["bits_per_dim"][:]
        again = ["24", "0", "%.6g" % logp.mean(), "%.6f" % bits.mean(), "%.2g" % (bits.std(ddof=1) / 24**0.5), "%.1f" % g["nfe"][:].mean()]
        shown = rows_of(tables["likelihood"], "Means over the rows")[0]
        assert shown[1:] == line[1:] and line[1:7] == again, (shown, line, again)
        shown = {row[0]: row[1:3] for row in rows_of(tables["likelihood"], "Error budget")}
        for row in rows_of(tables["likelihood"], "All 24 rows"):
            i = int(row[0])
            assert row[1:3] == ["%.6g" % logp[i], "%.6f" % bits[i]], row
    budget = {m[1].strip(): [m[2], m[3]] for m in re.finditer(r"^  (\S.*?)  +(\S+) +(\S+)$", told["likelihood"], re.M)}
    assert budget == shown == budgets() and len(budget) >= 4, (budget, shown, budgets())
    line = told["elbo"].splitlines()[1].split()
    row = rows_of(tables["elbo"], "Means over the rows")[0]
    assert row[1:8] == line[1:8] and row[9:] == line[8:], (row, line)
    with h5py.File("elbo.h5") as f:
        g = next(iter(f["elbo"].values()))
        bits = g["bits_per_dim"][:]
        again = ["24", "0", "%.6g" % g["elbo"][:].mean(), "%.6f" % bits.mean(), "%.2g" % (bits.std(ddof=1) / 24**0.5), "%.6g" % g["iwae"][:].mean(),
                 "%.6g" % g["i_mmse"][:].mean()]
        assert again == line[1:8] and row[8] == "%.6g" % g["l_prior"][:].mean(), (again, line, row)
    with h5py.File("verify.h5") as f:
        v = {key: f["verify"][key][:] for key in ("declared", "measured", "tolerance", "kind")}
    for i, row in enumerate(rows_of(tables["verify"], "Orders of convergence")):
        again = ["%g" % v["declared"][i] if v["declared"][i] > 0 else "-", *["%.2f" % v[k][i] if v["kind"][i] else "-" for k in ("measured", "tolerance")]]
        assert [row[3], row[5], row[6]] == again, (row, again)
    told_orders = [re.split(r"  +", l.strip()) for l in told["verify"].splitlines()[1:]]
    for row, words in zip(rows_of(tables["verify"], "Orders of convergence"), told_orders):
        assert " ".join([*row[:7], row[7].split()[-1]]) == " ".join(" ".join(words).split()), (row, words)


def compared(tables, told, browser):
    """Every cell of the terminal's table, the exact sample's row, intervals, orders and verdicts."""
    heads, *lines = [line.split() for line in told["compare"].splitlines()]
    metrics = [name.replace("-", "_") for name in heads[3:-1]]
    with h5py.File("compare.h5") as f:
        g, leading = f["compare/pooled"], f["compare"].attrs["leading_metric"].decode()
        labels = g["solver"].attrs["flag_meanings"].decode().split()
        number = lambda v: "-" if np.isnan(v) else "%.3e" % v
        again = [[labels[g["solver"][i]], "%.1e" % g["rtol"][i] if g["steps"][i] < 0 else str(g["steps"][i]), "%.1f" % g["nfe"][i],
                  *[number(g[m][i]) for m in metrics], str(g["failed"][i])] for i in range(len(g["nfe"]))]
        table = next(t for t in tables["compare"] if "Every solver and budget" in t["caption"])
        assert {k[:-4] for k in g if k.endswith("_low")} == set(metrics) and len(metrics) >= 10, metrics
        by_name = [name.split(" [")[0] for name in table["heads"]]
        for name in ["solver", "steps|tol", "nfe", *metrics, "failed"]:
            at, there = by_name.index(name), ["solver", "steps|tol", "nfe", *metrics, "failed"].index(name)
            column = [row[at] for row in table["rows"]]
            assert column == [line[there] for line in lines[: len(again)]] == [row[there] for row in again], (name, column)
        floor = f["compare/floor"]
        exact = [number(floor[m][-1]) if m in floor else "-" for m in metrics]
        assert lines[len(again)] == ["(an", "exact", "sample)", *exact], (lines[len(again)], exact)
        browser.open("compare.html", 1200, "light")
        shown = browser.js("Object.fromEntries(data.compare.metrics.map(m => [m.name, m.floorText ?? '-']))")
        assert shown == dict(zip(metrics, exact)), shown
        for i, row in enumerate(rows_of(tables["compare"], f"{leading} of every solver and budget with its")):
            assert row == [*again[i][:3], *[number(g[leading + end][i]) for end in ("", "_low", "_high")]], (row, again[i])
        o = f["compare/order"]
        words = o["metric"].attrs["flag_meanings"].decode().split()
        orders = {labels[s]: ["%.2f" % v, "%.1f" % a, "%.1f" % b, str(n)] for s, m, v, a, b, n in zip(
            *[o[k][:] for k in ("solver", "metric", "order", "nfe_first", "nfe_last", "points")]) if words[m] == leading and np.isfinite(v)}
        assert {row[0]: row[1:] for row in rows_of(tables["compare"], f"Orders in {leading}")} == orders and orders, orders
        v = f["compare/verdict"]
        told_verdicts = re.findall(r"^best within (\S+): (\S+), (\S+); next (\S+), (\S+): the difference (\S+) \((\S+) to (\S+)\) is ([a-z ]*)(?:; cannot be told from the best: (.*))?$", told["compare"], re.M)
        told_verdicts = [(*line[:-1], str(len(line[-1].split(", ")) if line[-1] else 0)) for line in told_verdicts]
        again = [("%g" % v["budget"][i], labels[v["best"][i]], "%.1e" % v["best_value"][i], labels[v["next"][i]],
                  *["%.1e" % v[k][i] for k in ("next_value", "difference", "difference_low", "difference_high")],
                  "real" if v["is_real"][i] else "not resolved", str(v["ties"][i])) for i in range(len(v["budget"])) if v["next"][i] < len(labels)]
        again = [row for i, row in enumerate(again) if i == 0 or row[1:] != again[i - 1][1:]]  # each answer once
    shown = [tuple(row) for row in rows_of(tables["compare"], "Smallest")]
    assert shown == told_verdicts == again and shown, (shown, told_verdicts, again)


def thermodynamics(tables, told, browser):
    """Means, grids, densities and certificates: as on the terminal, and as in the file."""
    means, grids = told["thermo"].split("\n\n")
    words = [re.split(r"  +", line.strip()) for line in means.splitlines()[1:]]
    rows = {row[0]: row for row in rows_of(tables["thermo"], "Means over the paths, their standard errors")}
    assert len(rows) == len(words) > 15, (rows, words)
    for name, *rest in words:
        assert [*rows[name][1:3], rows[name][4]] == " ".join(rest).split(" ", 2), (rows[name], rest)
    with h5py.File("thermo.h5") as f:
        a = f["thermo"].attrs
        for name, key in (("work, <W>", "work"), ("efficiency, eta_gen", "eta_gen"), ("Crooks' slope", "crooks_slope"), ("path KL, <R> on forward paths", "path_kl")):
            assert rows[name][1:3] == ["%.6g" % a[key], "%.2g" % a[key + "_stderr"]], (rows[name], a[key])
        browser.open("thermo.html", 1200, "light")
        assert browser.js("data.thermo.facts.eta_gen") == "%.4g ± %.2g" % (a["eta_gen"], a["eta_gen_stderr"])
        course = browser.js("data.thermo.courses")
        for c, group in zip(course, (f["thermo"], f["thermo/relaxation"])):
            for key in ("b", "energy", "heat_rate_stderr", "t_conf"):
                assert c[key] == list(group[key][:]), (c["name"], key)
        for key in ("log_ratio", "entropy_production"):
            for h in browser.js(f"data.thermo.{key}"):
                v = f["thermo"][h["name"]][key][:]
                inside = v[(v >= h["low"]) & (v <= h["high"])]
                assert h["counts"] == list(np.histogram(inside, 40, (h["low"], h["high"]))[0]) and h["outside"] == len(v) - len(inside) and h["below"] == (v < 0).sum(), (key, h)
        # The loop's area is the work: heat both ways, where energy returns.
        t, r = f["thermo"], f["thermo/relaxation"]
        area, b = t["heat_rate"][:] + r["heat_rate"][:], t["b"][:]
        area = -((area[1:] + area[:-1]) / 2 * np.diff(b)).sum()
        spread = np.hypot(a["work_stderr"], 2 * np.hypot(t["energy_stderr"][:].max(), r["energy_stderr"][:].max()))
        assert abs(area - a["work"]) < 6 * spread, (area, a["work"], spread)
        g = f["thermo/grids"]
        again = [[g["grid"].attrs["flag_meanings"].decode().split()[g["grid"][i]], *["%.4g" % g[k][i] for k in ("path_kl", "path_kl_low", "path_kl_high")],
                  *["%.3f" % g[k][i] for k in ("efficiency", "efficiency_low", "efficiency_high")]] for i in range(len(g["grid"]))]
    shown = rows_of(tables["thermo"], "Efficiency of time grids")
    assert shown == again and len(shown) > 5, (shown, again)
    assert [[row[i] for i in (0, 1, 4, 5, 6)] for row in shown] == [line.replace(" to ", " ").split() for line in grids.splitlines()[2:]], (shown, grids)
    densities(tables, told, browser)
    shown = {row[0]: row[1] for row in rows_of(tables["transport"], "Certificates of")}
    with h5py.File("transport.h5") as f:
        g, pairs, speed = f["transport"], f["transport/pairs"].attrs, f["transport/speed"].attrs
        asymmetry = g["antisymmetry"][:]
        again = {"antisymmetry |J - J^T|/|J|, median": "%.2e" % np.median(asymmetry), "antisymmetry, largest": "%.2e" % asymmetry.max(),
                 "smallest eigenvalue": "%.4g" % g["smallest_eigenvalue"][:].min(), "assignment gap, relative": "%.3g" % pairs["gap"], "W2^2 of the rows": "%.6g" % speed["w2_squared"],
                 "L^2, flow's length squared": "%.6g" % speed["length_squared"], "b Sigma/2, speed limit": "%.6g" % speed["speed_limit"], "straightness W2^2/L^2": "%.3f" % speed["straightness"]}
    assert {name: shown[name] for name in again} == again, (shown, again)
    for name in ("W2^2 of the rows", "L^2, flow's length squared", "b Sigma/2, speed limit"):
        assert re.search(rf"^{re.escape(name)} +{re.escape(shown[name])}\b", told["transport"], re.M), (name, told["transport"])


def densities(tables, told, browser):
    shown = rows_of(tables["plane"], "Mass, distance to the exact law")
    lines = [line.split() for line in told["fokker-planck"].splitlines() if re.match(r"^ +[\d.]", line)]
    assert [[row[i] for i in (1, 3, 4, 5, 7)] for row in shown] == lines and len(lines) == 10, (shown, lines)
    # The sharpest shape that a page has room for: blocks of cells, the right frames, and the flux the right way round.
    browser.open("line.html", 1200, "light")
    with h5py.File("line.h5") as f:
        g = f["fokker_planck/reverse"]
        run_ = browser.js("(() => { const r = data.fokker_planck.runs[0]; return { ...r, density: [...unpack(r.density)], flux: [...unpack(r.flux)], exact: [...unpack(r.exact)] }; })()")
        assert run_["step"] == 2 and run_["times"] == 5
        for key in ("density", "exact", "flux"):
            means = g[key][:].reshape(5, 250, 2).mean(axis=2)
            assert np.allclose(run_[key], means.ravel(), rtol=1e-6, atol=1e-30), key
    browser.open("plane.html", 1200, "light")
    pixels = "[...document.querySelector('#fokker_planck canvas').getContext('2d').getImageData(0, 0, 560, 560).data].reduce((s, v, i) => s + v * (i % 97), 0)"
    name = "document.querySelector('#fokker_planck canvas').getAttribute('aria-label')"
    before = browser.js(pixels), browser.js(name)
    browser.js("(() => { const s = document.querySelector('#fokker_planck input[type=range]'); s.value = 0; s.dispatchEvent(new Event('input')); })()")
    assert (browser.js(pixels), browser.js(name)) != before and "t 0.001" in browser.js(name), browser.js(name)
    browser.js("(() => { const s = document.querySelector('#fokker_planck select'); s.selectedIndex = 1; s.dispatchEvent(new Event('change')); })()")
    assert "reverse, at t 1," in browser.js(name), browser.js(name)
    for at in ("thermo", "transport", "line", "plane"):  # every choice of every control draws
        browser.open(at + ".html", 1200, "dark")
        browser.js("document.querySelectorAll('main select').forEach(s => [...s.options].forEach((_, i) => { s.selectedIndex = i; s.dispatchEvent(new Event('change')); }))")
        assert not browser.js("[...document.querySelectorAll('main svg')].some(p => p.outerHTML.includes('NaN'))"), at
        browser.silent(at + ".html")


def controls(browser):
    browser.open("compare.html", 1200, "light")
    table = "[...document.querySelectorAll('#compare table')].pop()"
    column = lambda: browser.js(f"[...{table}.tBodies[0].rows].map(r => Number(r.cells[2].textContent))")
    before = column()
    browser.js(f"{table}.tHead.rows[0].cells[2].firstElementChild.click()")
    assert column() == sorted(before) and browser.js(f"{table}.tHead.rows[0].cells[2].ariaSort") == "ascending"
    browser.js(f"{table}.tHead.rows[0].cells[2].firstElementChild.focus()")
    for kind in ("keyDown", "keyUp"):  # by keyboard: the other way round
        browser.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r" if kind == "keyDown" else "")
    assert column() == sorted(before, reverse=True) and browser.js(f"{table}.tHead.rows[0].cells[2].ariaSort") == "descending"
    drawn = "document.querySelectorAll('#compare .picture svg path').length"
    on = browser.js(drawn)
    guides = "document.querySelectorAll('#compare .picture svg .guide').length + ' ' + document.querySelectorAll('#compare .picture svg .floor').length"
    for at, name in enumerate(browser.js("[...document.querySelector('#compare select').options].map(o => o.textContent)")):
        browser.js(f"(() => {{ const s = document.querySelector('#compare select'); s.selectedIndex = {at}; s.dispatchEvent(new Event('change')); }})()")
        if name in ("thermometer", "cross_entropy", "nearest_data"):  # nothing falls to 0 with a slope there, and below is not better
            assert browser.js(guides)[-2:] == " 0" and browser.js(guides)[0] in "01", (name, browser.js(guides))
        elif name in ("rmse", "median"):
            assert browser.js(guides) == "4 0", (name, browser.js(guides))
    browser.js("(() => { const s = document.querySelector('#compare select'); s.selectedIndex = 0; s.dispatchEvent(new Event('change')); })()")
    browser.js("document.querySelector('.legend button[aria-pressed=true]').click()")
    assert browser.js(drawn) < on and browser.js("document.querySelector('.legend button').ariaPressed") == "false"
    browser.js("[...document.querySelectorAll('#compare .controls button')].find(b => b.textContent === 'All').click()")
    assert browser.js(drawn) >= on
    label = browser.js("document.querySelector('#compare svg[role=img]').ariaLabel")
    browser.js("(() => { const s = document.querySelector('#compare select'); s.selectedIndex = 1; s.dispatchEvent(new Event('change')); })()")
    assert browser.js("document.querySelector('#compare svg[role=img]').ariaLabel") != label
    frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    browser.js("document.querySelector('#compare .picture').scrollIntoView({block: 'center', behavior: 'instant'}); " + frames)
    point = browser.js("(() => { const p = document.querySelector('#compare .picture path[transform]').getBoundingClientRect(); return [p.x + p.width / 2, p.y + p.height / 2]; })()")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=point[0], y=point[1])
    browser.js(frames)
    assert "nfe" in browser.js("document.querySelector('.tip').textContent") and not browser.js("document.querySelector('.tip').hidden")
    background = "getComputedStyle(document.body).backgroundColor"
    light = browser.js(background)
    browser.js("document.querySelector('.top button').click()")
    assert browser.js(background) != light and browser.js("document.querySelector('.top button').ariaPressed") == "true"
    browser.js("dispatchEvent(new Event('beforeprint'))")
    assert browser.js(background) == light and browser.js("document.documentElement.dataset.theme") == "light"
    browser.js("dispatchEvent(new Event('afterprint'))")
    assert browser.js("document.documentElement.dataset.theme") == "dark"
    browser.js("document.querySelector('.command button').click()")
    browser.silent("compare.html")

    cut = reaching_zero()
    page("cut")
    browser.open("cut.html", 1200, "light")
    assert browser.js("document.querySelectorAll('#compare .picture svg path.cut').length") == cut
    browser.silent("cut.html")

    browser.open("sample.html", 1200, "light")
    pixels = "document.querySelector('canvas.stage-canvas').toDataURL()"
    picture, text = browser.js(pixels), browser.js("document.querySelector('input[type=range]').ariaValueText")
    browser.js("document.querySelector('input[type=range]').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    assert browser.js(pixels) != picture and browser.js("document.querySelector('input[type=range]').ariaValueText") != text
    browser.js("document.querySelector('button.data').click()")
    assert browser.js("document.querySelector('button.data').ariaExpanded") == "true" and browser.js("document.querySelectorAll('figure table').length") == 1
    painted = browser.js("(() => { const c = document.querySelector('#samples canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; "
                         "return new Set(Array.from({length: d.length / 4}, (_, i) => d[4 * i])).size; })()")
    assert painted > 3, painted
    browser.silent("sample.html")


def reaching_zero():
    """compare.h5 with intervals that reach 0 in the leading metric; how many."""
    shutil.copy("compare.h5", "cut.h5")
    with h5py.File("cut.h5", "r+") as f:
        low = f["compare/pooled"][f["compare"].attrs["leading_metric"].decode() + "_low"]
        low[:3] = [0, -1e-3, -1e300]
    return 3


def shapes():
    """A file may say any shape: what cannot be is left out, whatever wraps."""
    for k, (shape, at) in enumerate((((1, 65536, 2**48), "x"), ((1, 2**32, 2**32), "x"), ((1, 2**62), "final"), ((1, 3, 2**32, 2**32), "final"), ((1, 2**16, 2**16, 2**32), "final"),
                                     ((1, 2, 2**32, 2**31, 2), "x"), ((2**60, 2), "final"), ((1, 70000, 1, 2**47, 1), "x"), ((5, 2**31, 2**40), "x"))):
        name = f"shape{k}"
        with h5py.File("sample.h5") as f, h5py.File(name + ".h5", "w", track_order=True) as g:
            for key in f:
                f.copy(key, g)
            for key, value in f.attrs.items():
                g.attrs[key] = value
            if at in g["runs/ddim"]:
                del g["runs/ddim"][at]
            g["runs/ddim"].create_dataset(at, shape=shape, dtype="f4", chunks=tuple(min(n, 2 ** (20 // len(shape))) for n in shape))
        code = 4 if at == "final" and shape[0] > 1 else 0  # rows beyond counting are damage
        for to in (("-o", name + ".html"), ("--plots", name)):
            result = subprocess.run([vpsde, "report", name + ".h5", *to, "-q"], capture_output=True, text=True, timeout=60)
            assert result.returncode in (0, code) and result.stderr.count("\n") <= 1, (shape, at, to, result.returncode, result.stderr)


def classes_keep_their_column(browser):
    """Where classes go round, so do the columns of a sheet: nine pictures of eight in a row, of four classes."""
    shutil.copy("images.h5", "classes.h5")
    for classes, columns in (([0, 1, 2, 3, 0, 1, 2, 3, 0], 8), ([0, 0, 1, 0, 0, 1, 0, 0, 1], 9), ([0, 1, 2, 3, 4, 5, 6, 7, 8], 9), ([0, 1, 2, 3, 0, 1, 2, 3, 1], 9)):
        with h5py.File("classes.h5", "r+") as f:
            for group in f["runs"].values():
                group.pop("class", None)
                group["class"] = np.array(classes, np.int32)
        page("classes", "--force")
        browser.open("classes.html", 1400, "light")
        assert browser.js("document.querySelector('.sheet canvas').width") == columns * (8 + 2) - 2, (classes, columns)
    browser.silent("classes.html")


def many_nodes(browser):
    """However many nodes are stored, a page has a bounded part of them, the first and the last among them."""
    n, solvers = 60000, 4
    with h5py.File("sample.h5") as f, h5py.File("elbo.h5") as e, h5py.File("many.h5", "w", track_order=True) as g:
        for key, value in f.attrs.items():
            g.attrs[key] = value
        f.copy("provenance", g)
        t = np.linspace(1, 1e-3, n)
        for s in range(solvers):
            r = g.create_group(f"runs/s{s}")
            r.attrs.update({"steps": n - 1, "label": np.bytes_(b"s%d" % s), "grid": np.bytes_(b"uniform-t")})
            for name, column in (("t", t), ("alpha", 1 - t), ("sigma", t), ("lambda", np.log(1 / t) + s)):
                r[name] = column
            r["x"] = np.random.default_rng(s).normal(size=(2, n, 2)).astype("f4")
            r["final"] = r["x"][:, -1]
            b = g.create_group(f"elbo/s{s}")
            for name, value in next(iter(e["elbo"].values())).attrs.items():
                b.attrs[name] = value
            b["step"], b["t"] = np.arange(1, n + 1), t[::-1].copy()
            for name in ("l_step", "mse_eps", "mse_x0"):
                b[name] = np.abs(np.random.default_rng(s).normal(size=(1, n)))
    text = page_any("many")
    assert len(text) < 3e6, len(text)
    browser.open("many.html", 1200, "light")
    browser.silent("many.html")
    run_ = browser.js("(() => { const r = data.paths.runs[0]; return [r.times, r.stored, r.t.length, r.t[0], r.t[r.times - 1], r.shown]; })()")
    assert 1000 < run_[0] == run_[2] <= 3000 and run_[1] == n and run_[3:5] == [1, 1e-3] and run_[5] > 0, run_
    term = browser.js("(() => { const t = data.elbo.terms[0]; return [t.l_step.length, t.step.length, t.stride, t.l_step[0]]; })()")
    with h5py.File("many.h5") as f:
        assert 1000 < term[0] == term[1] <= 1500 and abs(term[3] - f["elbo/s0/l_step"][0, : term[2]].mean()) < 1e-12, term
    grid = browser.js("(() => { const g = data.calls.grids[0]; return [g.t.length, g.lambda.length, g.stride]; })()")
    assert grid[0] == grid[1] <= 1500 and grid[2] == -(-n // 1500), grid
    assert not browser.js("document.querySelector('main').textContent.includes('cannot be drawn')")


def own_steps(browser):
    """Step sizes of a solver that chose them: between stored nodes, over the mean number of steps."""
    page("own-steps")
    browser.open("own-steps.html", 1200, "light")
    browser.silent("own-steps.html")
    grids = browser.js("data.calls.grids.map((g) => ({ name: g.name, steps: g.steps }))")
    with h5py.File("own-steps.h5") as f:
        steps = f["runs/dopri5/steps"][()]
    assert [g["name"] for g in grids if g.get("steps")] == ["dopri5"], grids
    assert np.allclose(next(g["steps"] for g in grids if g.get("steps")), steps.mean(0), rtol=1e-12)
    assert browser.js("[...document.querySelectorAll('h3')].some((h) => h.textContent === 'Step sizes')")


def command(path):
    """What the page says repeats the run."""
    run("report", path, "-o", "repeat.html", "-q", "--force")
    with open("repeat.html", encoding="utf-8") as f:
        return json.loads(re.search(r'"repeat":(\[[^\]]*\])', f.read())[1])


def pasted():
    """The command that repeats a run holds nothing of a file that a shell would obey."""
    shutil.copy("verify.h5", "-verify.h5")
    with h5py.File("-verify.h5", "r+") as f:
        words = f["verify/solver"].attrs["flag_meanings"].decode()
        f["verify/solver"].attrs["flag_meanings"] = np.bytes_(b"; $(touch${IFS}owned) " + words.encode() + b" -o | `id`")
    shown = command("./-verify.h5")
    assert shown == [f"vpsde verify {words} -o again.h5"], shown
    with h5py.File("-verify.h5", "r+") as f:
        f["verify/solver"].attrs["flag_meanings"] = np.bytes_(b";reboot $(id)")
    assert command("./-verify.h5") == [], "no solver, no command"
    shutil.copy("sample.h5", "-o.h5")
    assert command("./-o.h5")[-1] == "vpsde sample ./-o.h5 -o again.h5"
    shutil.copy("sample.h5", "it's.h5")
    assert command("it's.h5")[-1] == "vpsde sample 'it'\\''s.h5' -o again.h5"


def hostile(browser):
    """Nothing in a file becomes markup or script."""
    attack = "</script><img src=x onerror=\"window.hacked=1\"><!--<script>'\"&\u2028\\"
    with h5py.File("sample.h5") as f, h5py.File("hostile.h5", "w", track_order=True) as g:
        for key in f:
            f.copy(key, g)
        for key, value in f.attrs.items():
            g.attrs[key] = value
        g.move("runs/ddim", "runs/" + attack.replace("/", "|"))
        for name in ("config", "seed", "verb", "status"):
            g.attrs[name] = np.bytes_(attack.encode())
        for name in ("label", "solver", attack):
            g["runs/dopri5"].attrs[name] = np.bytes_(attack.encode())
        g["runs/dopri5/final"].attrs["description"] = np.bytes_(attack.encode() + b"\xff\xfe")
        g["provenance"].attrs[attack] = np.bytes_(attack.encode())
    shutil.copy("hostile.h5", "a <b> & 'c'.h5")
    for name in ("hostile", "a <b> & 'c'"):
        text = page_any(name)
        assert "<img" not in text and text.count("</script>") == 2, text.count("</script>")
        browser.call("Page.navigate", url="about:blank")
        shutil.copy(name + ".html", "attack.html")
        browser.open("attack.html", 1200, "light")
        browser.silent("attack.html")
        assert browser.js("window.hacked") is None and browser.js("document.images.length") == 0
        assert browser.js("document.querySelector('main').textContent.includes('window.hacked')")


def page_any(name):
    run("report", name + ".h5", "-o", name + ".html", "-q", "--force")
    with open(name + ".html", encoding="utf-8") as f:
        return f.read()


def plots():
    """SVG and PNG with their script and data, from which gnuplot makes the same picture again."""
    with h5py.File("sample.h5") as f:
        times = len(f["runs/ddim/time"])
    for name, figure, rows in (("compare", "work-precision", 14), ("likelihood", "log-likelihood", 24), ("sample", "paths", 60 * times + 60), ("train", "loss", 30)):
        assert run("report", name + ".h5", "--plots", "plots").stdout == "plots: 1 plot\n"
        data = [line for line in open(f"plots/{figure}.dat") if line.strip() and not line.startswith("#")]
        assert len(data) == rows, (figure, len(data))
        svg, png = open(f"plots/{figure}.svg").read(), open(f"plots/{figure}.png", "rb").read()
        assert "</svg>" in svg and svg.count("<path") > 5 and png[:8] == b"\x89PNG\r\n\x1a\n" and len(png) > 4000, figure
        os.remove(f"plots/{figure}.svg")
        subprocess.run(["gnuplot", figure + ".gp"], cwd="plots", check=True)
        assert open(f"plots/{figure}.svg").read() == svg, figure
    with h5py.File("compare.h5") as f:
        g = f["compare/pooled"]
        blocks = open("plots/work-precision.dat").read().split("\n\n\n")
        for s, block in enumerate(blocks):
            values = np.array([[float(w) for w in line.split()] for line in block.splitlines() if not line.startswith("#")])
            which = g["solver"][:] == s
            leading = f["compare"].attrs["leading_metric"].decode()
            assert (values[:, 0] == g["nfe"][which]).all() and (values[:, 1] == g[leading][which]).all()
        script = open("plots/work-precision.gp").read()
        looks = {}
        for index, look in re.findall(r"index (\d+) using 1:2.*? with \w+(.*?) (?:no)?title", script):
            looks.setdefault(tuple(re.search(rf"\b{key} (\d+)", look).group(1) for key in ("lt", "pt", "dt")), set()).add(index)
        labels = g["solver"].attrs["flag_meanings"].decode().split()
        assert len(looks) == len(labels) == sum(len(s) for s in looks.values()), looks
        assert sorted(re.findall(r" title '(.*?)'", script)) == sorted(labels), script
        assert f"set ylabel '{leading}' . ' [' . '{g[leading].attrs['units'].decode()}' . ']'" in script, script
        assert f"set label 1 '{g[leading].attrs['description'].decode()}'" in script, script
    assert run("report", "verify.h5", "--plots", "none").stdout == "none: 0 plots\n" and os.listdir("none") == []
    assert "exists; --force overwrites it" in run("report", "train.h5", "--plots", "plots", code=7).stderr
    assert run("report", "train.h5", "--plots", "plots", "-o", "both.html", "--force").stdout == "both.html\nplots: 1 plot\n"
    result = subprocess.run([vpsde, "report", "train.h5", "--plots", "alone"], env={"PATH": "/nonexistent"}, capture_output=True, text=True)
    assert result.returncode == 1 and "gnuplot cannot be started" in result.stderr and os.path.exists("alone/loss.gp"), result.stderr


def no_file_is_lost(fails, whole):
    """--force replaces an older page: never the run file, by whatever name, nor what is no file. A page that fails leaves nothing."""
    os.mkdir("folder")
    os.mkfifo("fifo")
    os.mkdir("drawn")
    os.symlink("nowhere.html", "dangling.html")
    os.symlink("sample.h5", "link.html")
    os.link("sample.h5", "hard.html")
    os.link("compare.h5", "drawn/work-precision.dat")
    for name in ("sample.h5", "./sample.h5", "link.html", "hard.html"):
        fails(["sample.h5", "-o", name, "--force"], 7, name + ": is the run file itself; choose another output")
    for name in ("fifo", "dangling.html"):
        fails(["sample.h5", "-o", name, "--force"], 7, name + ": is not a regular file; choose a file name")
    fails(["sample.h5", "-o", "folder", "--force"], 7, "folder: is a folder; choose a file name")
    fails(["sample.h5", "-o", "folder/", "--force"], 2, "is not the name of a file")
    assert stat.S_ISFIFO(os.stat("fifo").st_mode) and os.path.islink("dangling.html") and os.listdir("folder") == []
    with open("compare.h5", "rb") as f:
        compared = f.read()
    fails(["compare.h5", "--plots", "drawn", "--force"], 7, "drawn/work-precision.dat: is the run file itself")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    result = subprocess.run([vpsde, "report", "sample.h5", "-o", "large.html"], capture_output=True, text=True, preexec_fn=limit)
    assert result.returncode == 6 and "large.html: cannot be written: File too large" in result.stderr, (result.returncode, result.stderr)
    for name, content in (("sample.h5", whole), ("compare.h5", compared)):
        with open(name, "rb") as f:
            assert f.read() == content, name
    assert not os.path.exists("large.html")


def mistakes():
    def fails(arguments, code, words):
        error = run("report", *arguments, code=code).stderr
        assert words in error and error.count("\n") == 1, (arguments, error)

    fails(["none.h5", "-o", "x.html"], 4, "none.h5")
    fails(["points.npy", "-o", "x.html"], 4, "points.npy")
    with open("sample.h5", "rb") as f:
        whole = f.read()
    with open("part.h5", "wb") as f:
        f.write(whole[: len(whole) // 2])
    fails(["part.h5", "-o", "x.html"], 4, "part.h5")
    with h5py.File("plain.h5", "w") as f:
        f["x"] = [1.0]
    fails(["plain.h5", "-o", "x.html"], 4, "not a run file")
    with h5py.File("future.h5", "w") as f:
        f.attrs["schema"] = np.bytes_(b"vpsde/9")
    fails(["future.h5", "-o", "x.html"], 4, "its schema is 'vpsde/9'; this version reads vpsde/1")
    os.mkdir("gone.h5.parts")
    fails(["gone.h5", "-o", "x.html"], 4, "unfinished; 'vpsde resume gone.h5' goes on")
    assert not os.path.exists("x.html")
    fails(["sample.h5", "-o", "sample.html"], 7, "sample.html exists; --force overwrites it")
    run("report", "sample.h5", "-o", "sample.html", "--force", "-q")
    fails(["sample.h5", "-o", "nowhere/x.html"], 6, "nowhere/x.html")
    run("report", "sample.h5", code=2)
    no_file_is_lost(fails, whole)
    assert not [name for name in os.listdir(".") if name.endswith(".tmp")]


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    told = make_runs()
    names = ["sample", "likelihood", "elbo", "encode", "decode", "interpolate", "edit", "inpaint", "compare", "verify", "train", "images", "all", "thermo", "plane", "line", "transport"]
    for name in names:
        first = page(name)
        assert page_any(name) == first, name + ": two pages of one file differ"
    browser = Browser()
    try:
        tables = look(browser, names)
        numbers(tables, told)
        compared(tables, told, browser)
        thermodynamics(tables, told, browser)
        controls(browser)
        hostile(browser)
        classes_keep_their_column(browser)
        many_nodes(browser)
        own_steps(browser)
    finally:
        browser.close()
    shapes()
    pasted()
    plots()
    mistakes()
