sections.compare = {
  title: "Work and precision", short: "Comparison",
  draw(d, section) {
    const solvers = [...new Set(d.solver)];
    const levels = (name) => d.solver.map((s, k) => (s === name ? k : -1)).filter((k) => k >= 0);
    let metric = d.metrics[Math.max(0, d.metrics.findIndex((m) => m.name === d.leading_metric.replaceAll("-", "_")))];
    if (!metric) return false;
    const choices = ordered(d.metrics, metric);
    const end = (side, k) => metric[side][k] ?? { v: null, t: "-" };
    const points = (name) => levels(name).map((k) => ({
      x: d.nfe[k].v, y: metric.mean[k].v, low: end("low", k).v, high: end("high", k).v,
      text: `${d.adaptive[k] ? "tolerance" : "steps"} ${d.budget[k].t}, nfe ${d.nfe[k].t}\n${metric.name} ${metric.mean[k].t}` +
        (known(end("low", k).v) && end("high", k).v > end("low", k).v ? `\n${end("low", k).t} to ${end("high", k).t}` : ""),
    })).sort((a, b) => a.x - b.x);

    // The best and the next at each budget are shown at first, and get the first colours.
    const first = [...new Set([1, 3].flatMap((column) => d.verdict.rows.map((row) => row[column])))].filter((name) => solvers.includes(name));
    const most = Math.min(8, first.length || 8), ranked = [...first, ...solvers.filter((s) => !first.includes(s))];
    const series = ranked.map((name, i) => ({ name, ...look(i), on: i < most, points: [] }));

    const spec = () => {
      series.forEach((s) => (s.points = points(s.name)));
      const log = metric.mean.every((m) => m.v === null || m.v > 0);
      const values = series.filter((s) => s.on).flatMap((s) => s.points).filter((p) => p.y > 0 && p.x > 0);
      return {
        label: `${metric.name} against network evaluations for ${series.filter((s) => s.on).map((s) => s.name).join(", ") || "no solver"}`,
        x: { label: "network evaluations a sample (mean)", log: true }, y: { label: `${metric.name}${metric.unit && metric.unit !== "1" ? ` [${metric.unit}]` : ""}`, log },
        series, guides: log && values.length && metric.ideal === 0 ? [1, 2, 3, 4] : [],
        guideFrom: Math.min(...values.map((p) => p.x)), guideTop: Math.max(...values.map((p) => p.y)),
        floors: known(metric.floor) ? [{ y: metric.floor, name: `an exact sample: ${metric.floorText}`, line: metric.ideal !== 0 }] : [],
      };
    };
    const chart = plot(spec), keys = legend(series, chart.draw);
    const set = (rule) => () => (series.forEach((s, i) => (s.on = rule(i))), keys.update());
    const button = (text, rule) => el("button", { type: "button", onclick: set(rule) }, text);
    const describe = () => `${metric.description || metric.name}. ${d.samples} samples, means over ${plural(d.seeds, "seed")}; reference ${d.reference}. ` +
      `Bars and bands: 95 % intervals; an end at or below 0 is an arrow to the edge. ${known(metric.floor) ? `${metric.ideal === 0 ? "Shaded" : "Line"}: what an exact sample of the same size has. ` : ""}${metric.ideal === 0 ? "Dotted: slopes −1 to −4. " : ""}At first those are shown that are best or next best at some budget.`;
    const text = el("span", {}, describe());
    section.append(figure({
      title: "Error against work",
      controls: [choice("Metric", choices.map((m) => m.name), (i) => {
        metric = choices[i];
        text.textContent = describe();
        chart.draw();
      }), button("Best", (i) => i < most), button("All", () => true), button("None", () => false)],
      picture: [chart.element, keys.element], caption: text,
      table: () => ({
        caption: `${metric.name} of every solver and budget with its 95 % interval`,
        columns: [{ name: "solver", text: true }, { name: "steps|tol" }, { name: "nfe" }, { name: metric.name, unit: metric.unit === "1" ? "" : metric.unit }, { name: "from" }, { name: "to" }],
        rows: d.solver.map((s, k) => [s, d.budget[k], d.nfe[k], metric.mean[k], end("low", k), end("high", k)]),
      }),
    }));
    if (d.verdict.rows.length) section.append(sortableTable({ ...d.verdict, caption: `Smallest ${d.leading_metric} within a number of evaluations, and whether the lead is real: over every other one, with 95 % for all of them together (paired bootstrap); else how many are as good` }));
    if (d.order.rows.length) section.append(observedOrders(d));
    const names = d.metrics;
    section.append(sortableTable({
      caption: `Every solver and budget, means over ${plural(d.seeds, "seed")}`,
      columns: [{ name: "solver", text: true }, { name: "steps|tol" }, { name: "nfe" }, ...names.map((m) => ({ name: m.name, unit: m.unit === "1" ? "" : m.unit, help: m.description })), { name: "failed" }],
      rows: d.solver.map((s, k) => [s, d.budget[k], d.nfe[k], ...names.map((m) => m.mean[k]), d.failed[k]]),
    }));
    return true;
  },
};
// How fast each solver's error falls, a metric at a time.
function observedOrders(d) {
  const metrics = [...new Set(d.order.rows.map((r) => r[0]))], names = ordered(metrics, metrics.includes(d.leading_metric) ? d.leading_metric : metrics[0]);
  const holder = el("div");
  const show = (i) => holder.replaceChildren(sortableTable({
    caption: `Orders in ${names[i]}, the steepest first`, columns: d.order.columns.slice(1),
    rows: d.order.rows.filter((r) => r[0] === names[i]).map((r) => r.slice(1)).sort((a, b) => b[1].v - a[1].v),
  }));
  show(0);
  return figure({
    title: "Observed orders", controls: [choice("Metric of the orders", names, show)], picture: holder,
    caption: "Minus the slope of log error against log evaluations, by least squares over the levels with an error above 10 floors and below 0.1. Solvers with fewer than three of them are left out.",
  });
}
// The chosen one first, so that it is what the control shows.
const ordered = (list, head) => [head, ...list.filter((m) => m !== head)];
