const thermoAxes = [["λ = log α/σ", "lambda"], ["t", "t"], ["b", "b"]];
const thermoStates = [
  ["Energy, entropy, free energy", "nat", false, [["energy", "energy"], ["entropy", "entropy"], ["free_energy", "free energy"]]],
  ["Work and heat so far", "nat", false, [["work", "work"], ["heat", "heat to the bath"]]],
  ["Free energy, and its rate integrated", "nat", false, [["free_energy", "KL(p_b, N(0, I))"], ["free_energy_integral", "integral of the rate"]]],
];
const thermoRates = [
  ["Entropy production rate", "nat per b", true, [["entropy_production_rate", "1/2 E|x + s|²"]]],
  ["Heat and work rates", "nat per b", false, [["work_rate", "work"], ["heat_rate", "heat to the bath"]]],
];

// Both kinds of paths, dashed forward; two standard errors to each side.
function thermoSeries(courses, curves, axis) {
  return courses.flatMap((c) => curves.map(([key, name], i) => ({
    name: `${name}, ${c.name}`, color: colour(i + (curves.length === 1 && c.name === "forward" ? 1 : 0)), dash: c.name === "forward" ? "6 3" : "", marker: null, band: true, on: true,
    points: c[key].map((y, k) => {
      const e = c[`${key}_stderr`][k];
      return { x: c[axis][k], y, low: known(e) ? y - 2 * e : null, high: known(e) ? y + 2 * e : null, text: `t ${short(c.t[k])}, λ ${short(c.lambda[k])}\n${short(y)}${known(e) ? ` ± ${short(e)}` : ""}` };
    }).filter((p) => known(p.y)),
  }))).filter((s) => s.points.length);
}

function thermoFigure(d, title, all, caption, floors) {
  const groups = all.filter((g) => thermoSeries(d.courses, g[3], "t").length);
  if (!groups.length) return null;
  const holder = el("div"), names = d.courses.map((c) => c.name).join(" and ");
  let group = groups[0], axis = thermoAxes[0], series;
  const chart = plot(() => ({ label: `${group[0]} of ${names} paths against ${axis[0]}`, x: { label: axis[0] }, y: { label: `${group[0]} [${group[1]}]`, log: group[2] }, series, floors }));
  function renew() {
    series = thermoSeries(d.courses, group[3], axis[1]);
    holder.replaceChildren(series.length > 1 ? legend(series, chart.draw).element : "");
    chart.draw();
  }
  renew();
  return figure({
    title, controls: [groups.length > 1 ? choice("Quantity", groups.map((g) => g[0]), (i) => ((group = groups[i]), renew())) : null, choice("Against", thermoAxes.map((a) => a[0]), (i) => ((axis = thermoAxes[i]), renew()))],
    picture: [chart.element, holder], caption,
    table: () => ({ caption: group[0], columns: [{ name: "curve", text: true }, { name: axis[0] }, { name: "value", unit: group[1] }, { name: "from" }, { name: "to" }],
      rows: series.flatMap((s) => s.points.map((p) => [s.name, numberCell(p.x), numberCell(p.y), numberCell(p.low), numberCell(p.high)])) }),
  });
}

// Heat against lambda (per lambda: 2 sigma^2 times per b) or temperatures against entropy. Either way the loop's area is the work of a cycle, because energy comes back.
const thermoPlanes = [["heat by λ", "λ = log α/σ", "nat per λ"], ["(S, T)", "entropy S [nat]", "T = dQ/dS"]];

function cyclePoints(c, plane, which) {
  const sign = c.name === "forward" ? -1 : 1, per = c.sigma.map((s) => 2 * s * s);
  const heat = c.heat_rate.map((q, k) => (known(q) ? sign * q * per[k] : null)), change = heat.map((q, k) => (known(q) ? q - sign * c.entropy_production_rate[k] * per[k] : null));
  if (plane === 0) return c.lambda.map((x, k) => ({ x, y: (which === "heat" ? heat : change)[k], text: `λ ${short(x)}, t ${short(c.t[k])}\n${short((which === "heat" ? heat : change)[k])}` }));
  const least = 0.1 * Math.max(...change.map(Math.abs));
  return c.entropy.map((x, k) => {
    const y = which === "heat" ? (Math.abs(change[k]) > least ? heat[k] / change[k] : null) : 1;
    return { x, y: known(y) && y > -1 && y < 4 ? y : null, text: `S ${short(x)}, t ${short(c.t[k])}\nT ${short(y)}` };
  });
}

function cycleFigure(d) {
  const [reverse, forward] = ["reverse", "forward"].map((name) => d.courses.find((c) => c.name === name));
  if (!reverse || !forward || reverse.b.length !== forward.b.length || !forward.heat_rate.some(known)) return null;
  const planes = forward.entropy.some(known) ? thermoPlanes : thermoPlanes.slice(0, 1), holder = el("div");
  let plane = 0;
  const kinds = [["driven back: heat to the bath", reverse, "heat", 0, ""], ["relaxation: heat from the bath", forward, "heat", 1, "6 3"], ["reversibly: T = 1", forward, "change", 6, "2 3"]]
    .map(([name, c, which, i, dash]) => ({ name, c, which, color: colour(i), dash, marker: null, on: true }));
  // A line ends where there is no temperature.
  const pieces = (kind) => cyclePoints(kind.c, plane, kind.which).reduce((list, p) => (known(p.y) ? (list.at(-1).push(p), list) : [...list, []]), [[]]).filter((p) => p.length > 1).map((points) => ({ ...kind, points }));
  const loop = () => {
    const up = cyclePoints(reverse, 0, "heat"), low = cyclePoints(forward, 0, "heat"), mid = cyclePoints(forward, 0, "change");
    return { name: "loop", color: colour(0), width: 0, band: true, points: mid.map((p, k) => ({ ...p, low: low[k].y, high: up[k].y })) };
  };
  const series = () => [...(plane === 0 && kinds.every((k) => k.on) ? [loop()] : []), ...kinds.filter((k) => k.on).flatMap(pieces)];
  const chart = plot(() => ({ label: `the cycle of noising and sampling, ${planes[plane][0]}`, x: { label: planes[plane][1] }, y: { label: planes[plane][2] }, series: series() }));
  holder.append(legend(kinds, chart.draw).element);
  const f = d.facts, quoted = [["work of a cycle ⟨W⟩ [nat]", f.work], ["free energy gained ΔF [nat]", f.delta_f], ["η_gen = ΔF/⟨W⟩", f.eta_gen], ["η_gen in theory", "1/2"]].filter((q) => q[1]);
  return figure({
    title: "The cycle: noised by the bath, driven back by the score", controls: planes.length > 1 ? [choice("Plane", planes.map((p) => p[0]), (i) => ((plane = i), chart.draw()))] : null,
    picture: [chart.element, holder, el("dl", { class: "facts" }, ...quoted.map(([name, v]) => el("div", {}, el("dt", {}, name), el("dd", {}, v))))],
    caption: "Data relax to noise in the bath and no work is done; the score drives them back. Energy returns, so that the loop's area is the work. What a reversible way back at the bath's temperature would exchange, T dS at T = 1, halves it: " +
      "below lies what relaxation gives away, above what the drive wastes. In the (S, T) plane temperature is heat over change of entropy, left out where entropy hardly changes or T leaves -1 to 4.",
    table: () => ({ caption: `The cycle, ${planes[plane][0]}`, columns: [{ name: "branch", text: true }, { name: planes[plane][1] }, { name: planes[plane][2] }], rows: kinds.flatMap((k) => cyclePoints(k.c, plane, k.which).map((p) => [k.name, numberCell(p.x), numberCell(p.y)])) }),
  });
}

// Outlines of histograms of both kinds of paths.
const outlines = (list) => list.map((h) => {
  const bars = histogramBars(h), share = (b) => b.y / h.count;
  return { name: `${h.name} paths`, ...(h.name === "forward" ? { color: colour(1), dash: "6 3" } : { color: colour(0), dash: "" }), marker: null, on: true, bars, count: h.count,
    points: bars.flatMap((b) => [b.x0, b.x1].map((x) => ({ x, y: share(b), text: `${short(b.x0)} to ${short(b.x1)}\n${short(100 * share(b))} %` }))) };
});
function pathFigure(title, list, what, caption, more) {
  if (!list || !list.some((h) => h.count)) return null;
  const series = outlines(list.filter((h) => h.count)), chart = plot(() => ({ label: `distribution of ${what} over the paths`, height: 320, x: { label: what, tight: true }, y: { label: "share of paths", low: 0 }, series }));
  const outside = list.reduce((n, h) => n + h.outside, 0);
  return figure({ title, picture: [el("div", { class: "wall fit" }, el("div", {}, chart.element), more), legend(series, chart.draw).element],
    caption: caption + (outside ? ` Not in the picture, beyond its ends: ${plural(outside, "path")}.` : ""),
    table: () => ({ caption: title, columns: [{ name: "paths of", text: true }, { name: "from" }, { name: "to" }, { name: "paths" }], rows: series.flatMap((s) => s.bars.map((b) => [s.name, numberCell(b.x0), numberCell(b.x1), numberCell(b.y)])) }) });
}

function crooksPlot([forward, reverse]) {
  const a = histogramBars(forward), b = histogramBars(reverse), e = (k) => 2 * Math.sqrt(1 / a[k].y + 1 / b[k].y);
  const points = a.map((bar, k) => ({ k, x: (bar.x0 + bar.x1) / 2, y: Math.log((bar.y * reverse.count) / (b[k].y * forward.count)) })).filter((p) => a[p.k].y >= 3 && b[p.k].y >= 3)
    .map((p) => ({ ...p, low: p.y - e(p.k), high: p.y + e(p.k), text: `R ${short(p.x)}\n${short(p.y)}` }));
  if (points.length < 2) return null;
  const ends = [points[0].x, points.at(-1).x], series = [{ name: "Crooks: slope 1", color: colour(6), dash: "2 3", points: ends.map((x) => ({ x, y: x, text: "slope 1" })) }, { name: "paths", ...look(0), width: 0, points }];
  return el("div", {}, plot(() => ({ label: "log ratio of forward and reverse densities of R, against R, beside the line of slope 1", height: 320, x: { label: "R [nat]" }, y: { label: "log ratio of the densities" }, series })).element);
}

sections.thermo = {
  title: "Heat, work and entropy", short: "Thermodynamics",
  draw(d, section) {
    const both = d.courses.length > 1 ? " Forward paths (dashed) have the exact marginals, reverse ones are the sampler's." : "", f = d.facts;
    section.append(sortableTable({ ...d.table, caption: "Means over the paths, their standard errors, and what theory says of an exact score and small steps" }), ...[
      thermoFigure(d, "Energy flows", thermoStates, `Means over the paths, with two standard errors to each side.${both}`),
      cycleFigure(d),
      thermoFigure(d, "Entropy production by time", thermoRates, `1/2 E|x + s|², half the relative Fisher information, is what free energy falls by, per b.${both}`),
      thermoFigure(d, "The thermometer", [["T_conf", "1", false, [["t_conf", "T_conf"]]]], `E|s|²/(-E div s): 1 where the paths have the law whose score s is. Two standard errors to each side.${both}`, [{ y: 1, line: true, name: "expected: 1" }]),
      pathFigure("Log ratios of whole paths", d.log_ratio, "R [nat]", `R: log density of a path under the process over that under the sampler. Crooks: densities of R from either side differ by e^R${f.crooks_slope ? `; slope fitted ${f.crooks_slope}` : ""}. Bars: two standard errors, where both have three paths.`,
        d.log_ratio.length === 2 && d.log_ratio.every((h) => h.count) ? crooksPlot(d.log_ratio) : null),
      pathFigure("Entropy production of single paths", d.entropy_production, "Σ [nat]", `The second law holds of the mean; ${(d.entropy_production ?? []).map((h) => `${short(100 * (h.below / (h.count || 1)))} % of ${h.name} paths`).join(" and ")} produce less than none.`),
    ].filter(Boolean));
    return true;
  },
};
