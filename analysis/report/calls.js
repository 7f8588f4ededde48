const constant = (h) => h.counts.filter((c) => c > 0).length <= 1 && h.high - h.low <= 1;

sections.calls = {
  title: "Network calls and steps", short: "Calls",
  draw(d, section) {
    if (!d.table.rows.length) return false;
    section.append(sortableTable({ ...d.table, caption: "Network calls of every sample, rejected steps included" }));
    for (const [key, what] of [["nfe", "Network calls a sample"], ["rejected", "Rejected steps a sample"]]) {
      const varied = d.histograms.filter((h) => h[key] && !constant(h[key]));
      if (!varied.length) continue;
      const fixed = d.histograms.filter((h) => h[key] && constant(h[key])).length;
      section.append(figure({
        title: what, picture: el("div", { class: "wall fit" }, ...varied.map((h) => el("div", {}, el("h4", {}, h.name),
          plot(() => ({ label: `${what.toLowerCase()} of ${h.name}`, height: 220, x: { label: what.toLowerCase(), tight: true }, y: { label: "samples", low: 0 }, bars: histogramBars(h[key]) })).element))),
        caption: fixed ? `${plural(fixed, "other solver")}: the same number for every sample.` : "All samples.",
        table: () => ({ caption: what, columns: [{ name: "solver", text: true }, { name: "from" }, { name: "to" }, { name: "samples" }],
          rows: varied.flatMap((h) => histogramBars(h[key]).filter((b) => b.y).map((b) => [h.name, numberCell(Math.ceil(b.x0)), numberCell(Math.floor(b.x1)), numberCell(b.y)])) }),
      }));
    }
    if (d.grids.length) {
      const grids = new Map(); // solvers on the same nodes are one line
      for (const g of d.grids) {
        const key = String(g.steps ?? g.t);
        grids.set(key, [...(grids.get(key) ?? []), g]);
      }
      const series = [...grids.values()].map((same) => ({ ...same[0], name: same.map((g) => g.name).join(", ") })).map((g, i) => ({ name: g.steps ? `${g.name} (own steps, mean)` : `${g.name} (${g.grid})`, ...look(i), on: true,
        points: g.lambda.slice(1).map((v, k) => [g.t[k], (v - g.lambda[k]) / (g.steps ? g.steps[k + 1] - g.steps[k] : g.stride)]).map(([x, y]) => ({ x, y, text: `t ${short(x)}, step ${short(y)}` })) }));
      const chart = plot(() => ({ label: "step sizes in lambda against t", x: { label: "t" }, y: { label: "step in λ", log: true }, series }));
      section.append(figure({ title: "Step sizes", picture: [chart.element, legend(series, chart.draw).element], caption: "Of the runs that stored every node (log.times: all), and of adaptive solvers that stored their steps (log.fields: [x, steps]), mean over the samples." + (grids.size && d.grids.some((g) => g.stride > 1) ? ` Each point is the mean of up to ${Math.max(...d.grids.map((g) => g.stride))} steps.` : ""),
        table: () => ({ caption: "Step sizes", columns: [{ name: "solver", text: true }, { name: "t" }, { name: "step in λ" }], rows: series.flatMap((s) => s.points.map((p) => [s.name, numberCell(p.x), numberCell(p.y)])) }) }));
    }
    return true;
  },
};
